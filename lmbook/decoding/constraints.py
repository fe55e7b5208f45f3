"""Constrained decoding: remove the tokens after which the text could no longer match a pattern.

A regular expression is an automaton over characters. A model writes tokens, which may hold several characters
and straddle the parts of a pattern: after `{"age": ` one token may be `42}`. So the automaton is lifted to
the tokens, once: from each state each token leads to the state that its characters lead to, if the text can
still be completed from there. After that, a step of decoding is one row of a table.

Removing tokens is not conditioning. The model shares out at each step what the removed tokens had, without
looking ahead; the distribution of whole texts is not that of the model's texts that happen to match.

Axes: S states, V vocabulary, T time.
"""

import re

import torch
from jaxtyping import Int
from torch import Tensor

from lmbook.decoding.filters import check_rows, written
from lmbook.interface import RowIds, RowLogits, TextCodec, check_codec, check_int, is_dense, kind_of

MAX_STATES = 10_000
DEAD = -1


class TokenAutomaton:
    """States and where tokens lead from them: which texts may be written, and how far one has come.

    Args:
        next_state: (S, V) int64, the state after each token, −1 where it is not allowed. State 0 is the
            start; after a state that allows no token nothing can be written.

    Raises:
        TypeError: not a tensor of int64. ValueError: another shape, or a state that isn't there.
    """

    def __init__(self, next_state: Int[Tensor, "S V"]):
        if not is_dense(next_state) or next_state.dtype != torch.int64:
            raise TypeError(f"next_state must be a tensor of int64, got {kind_of(next_state)}")
        if next_state.ndim != 2 or 0 in next_state.shape:
            raise ValueError(f"next_state must have shape (S, V), got {tuple(next_state.shape)}")
        check_int("a next state", int(next_state.min()), DEAD)
        check_int("a next state", int(next_state.max()), DEAD, len(next_state) - 1)
        self.next_state = next_state

    @classmethod
    def from_regex(cls, pattern: str, tokenizer: TextCodec, eos_token_id: int) -> "TokenAutomaton":
        r"""The automaton of the texts that match all of `pattern`, each followed by the end token.

        A token takes part if it stands for whole characters; the tokenizer's special tokens never do. In
        patterns \d, \w and \s mean those of ASCII.

        Args:
            pattern: a regular expression in Python's syntax, without anchors, look-behind and references.
            tokenizer: the model's.
            eos_token_id: ends a text, and is allowed wherever the text matches.

        Raises:
            ModuleNotFoundError: without the package interegular.
            TypeError: a pattern that isn't a text, or no tokenizer.
            ValueError: a pattern that can't be read, of too many states, or that no tokens can match.
        """
        if not isinstance(pattern, str):
            raise TypeError(f"pattern must be a text, got {pattern!r}")
        check_codec(tokenizer, "decode")
        eos_token_id = check_int("eos_token_id", eos_token_id, 0, tokenizer.vocab_size - 1)
        table, final, classes, other = _characters(pattern)
        special = {eos_token_id, *getattr(tokenizer, "special_ids", ())}
        texts = ["" if i in special else tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
        states = _lift(table, [[classes.get(char, other) for char in text] for text in texts])
        unusable = torch.tensor([not text or "\ufffd" in text for text in texts])
        states[:, unusable] = DEAD
        end = torch.full((1, tokenizer.vocab_size), DEAD)
        end[0, eos_token_id] = len(states)  # the last state: nothing but the end token, for ever
        states[final, eos_token_id] = len(states)
        states = _alive(torch.cat((states, end)))
        if (states[0] == DEAD).all():
            raise ValueError(f"no tokens of the tokenizer make a text that matches {pattern!r}")
        return cls(states)

    def state(self, ids: RowIds) -> Int[Tensor, "*rows"]:
        """The state after `ids` (…, T); −1 after a token that was not allowed.

        Raises:
            TypeError: not a tensor of int64. ValueError: no axis.
        """
        if not is_dense(ids) or ids.dtype != torch.int64:
            raise TypeError(f"ids must be a tensor of int64, got {kind_of(ids)}")
        if not ids.ndim:
            raise ValueError("ids must have shape (…, T), got ()")
        state = torch.zeros(ids.shape[:-1], dtype=torch.int64, device=ids.device)
        for token in ids.unbind(-1):
            gone = (state == DEAD) | (token < 0) | (token >= self.next_state.shape[1])
            state = self.next_state.to(ids.device)[state.where(~gone, 0), token.where(~gone, 0)]
            state = state.where(~gone, DEAD)
        return state

    def __repr__(self) -> str:
        states, vocab_size = self.next_state.shape
        return f"TokenAutomaton({states} states, {vocab_size} tokens)"


def constrain(
    logits: RowLogits, ids: RowIds, automaton: TokenAutomaton, prompt_ignore_length: int = 0
) -> RowLogits:
    """Keep the tokens that `automaton` allows after `ids`, of which a prompt may be left out.

    Put it before filters that cut, which might leave no allowed token.

    Args:
        logits: (…, V).
        ids: (…, T), the tokens so far.
        automaton: over the same vocabulary.
        prompt_ignore_length: how many of the first ids the automaton doesn't read.

    Raises:
        TypeError: no automaton. ValueError: another vocabulary, ids that the automaton doesn't allow, or no
            possible token left.

    Source: Willard and Louf 2023, Efficient Guided Generation for Large Language Models, section 3.
    """
    if not isinstance(automaton, TokenAutomaton):
        raise TypeError(f"automaton must be a TokenAutomaton, got {automaton!r}")
    check_rows(logits, ids)
    if logits.shape[-1] != automaton.next_state.shape[1]:
        got = f"{logits.shape[-1]} logits for {automaton}"
        raise ValueError(f"the automaton must have the model's vocabulary, got {got}")
    state = automaton.state(written(ids, prompt_ignore_length))
    if (state == DEAD).any():
        row = tuple((state == DEAD).nonzero()[0].tolist())
        raise ValueError(f"ids must be allowed by the automaton, those of row {row} are not")
    allowed = automaton.next_state.to(logits.device)[state] != DEAD
    kept = logits.masked_fill(~allowed, -torch.inf)
    lost = kept.isneginf().all(-1) & ~logits.isneginf().all(-1)
    if lost.any():
        row = tuple(lost.nonzero()[0].tolist())
        raise ValueError(f"no possible token is allowed in row {row}; constrain before filters that cut")
    return kept


def _characters(pattern: str) -> tuple[Int[Tensor, "S C"], list[int], dict[str, int], int]:
    """A pattern as an automaton over classes of characters.

    Returns:
        where each state leads, −1 where nothing matches, the start first; the final states; the class of each
        character that has one of its own, and that of all others.
    """
    try:
        import interegular
    except ImportError:
        raise ModuleNotFoundError("patterns need the package interegular: pip install interegular") from None
    try:
        re.compile(pattern)
        fsm = interegular.parse_pattern(pattern).to_fsm()
    except (re.error, interegular.InvalidSyntax, interegular.Unsupported, NotImplementedError) as error:
        raise ValueError(f"the pattern {pattern!r} can't be read: {error}") from None
    except RecursionError:
        raise ValueError(f"a pattern of {len(pattern):,} characters is nested too deeply") from None
    if len(fsm.states) > MAX_STATES:
        raise ValueError(f"a pattern may have at most {MAX_STATES:,} states, got {len(fsm.states):,}")
    symbols = dict(fsm.alphabet)
    other = symbols.pop(interegular.fsm.anything_else, max(symbols.values(), default=-1) + 1)
    order = [fsm.initial, *(state for state in fsm.states if state != fsm.initial)]
    place = {state: n for n, state in enumerate(order)}
    table = torch.full((len(order), max([other, *symbols.values()]) + 1), DEAD)
    for state, moves in fsm.map.items():
        for symbol, after in moves.items():
            table[place[state], symbol] = place[after]
    return table, [place[state] for state in fsm.finals], symbols, other


def _lift(table: Int[Tensor, "S C"], tokens: list[list[int]]) -> Int[Tensor, "S V"]:
    """Where each token, given as the classes of its characters, leads from each state; −1 is dead."""
    dead = len(table)
    table = torch.cat((table, torch.full((1, table.shape[1]), DEAD)))
    table = table.where(table != DEAD, dead)
    order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))  # those that go on stand in front
    lengths = torch.tensor([len(tokens[i]) for i in order])
    state = torch.arange(dead)[:, None].repeat(1, len(tokens))
    for place in range(int(lengths.max())):
        going = int((lengths > place).sum())
        symbols = torch.tensor([tokens[i][place] for i in order[:going]])
        state[:, :going] = table[state[:, :going], symbols]
    lifted = torch.empty_like(state)
    lifted[:, order] = state.where(state != dead, DEAD)
    return lifted


def _alive(next_state: Int[Tensor, "S V"]) -> Int[Tensor, "S V"]:
    """The same without ways into states from which the last state can't be reached."""
    alive = torch.zeros(len(next_state) + 1, dtype=torch.bool)  # the last place is −1
    alive[-2] = True
    while True:
        reaching = alive[next_state].any(1)
        if (reaching <= alive[:-1]).all():
            return next_state.where(alive[next_state], DEAD)
        alive[:-1] |= reaching
