"""A language with exactly known probabilities, with which models and decoders are compared.

`ToyLanguage` walks through the states of a grammar (see grammar.py). The words read so far determine the
state (the language is unifilar), and the state determines the distribution over the next word. So exact
answers are cheap: next-word probabilities are a table look-up, the posterior of a hidden word is one forward
and one backward pass, the best continuation is Viterbi's recursion, and the entropy rate is an average over
the states' long-run frequencies.

Axes: B batch, T time, V vocabulary, S states; row S of the tables is the dead state of impossible prefixes.
"""

import math
from collections.abc import Iterator
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmbook.interface import check_generator, check_ids, check_int, check_mask, is_dense, list_of
from lmbook.toy.grammar import Grammar, animals, check_grammar, split_words

MAX_WORDS = 100_000  # of a text that is drawn or continued
MAX_DRAWN = 100_000_000  # words of all texts drawn at once: 1.6 GB
MAX_ORDER = 1000
MAX_PATHS = 20_000_000  # through the states; the book's grammar has 8,556,522 of six words: 1 GB
MAX_WORDS_AFTER = 100  # after a hidden token
MAX_BELIEFS = 1_000_000
ROWS = 4096  # texts that are worked on at once


class ToyLanguage:
    """A language with known probabilities. Called like any model, it returns exact log-probabilities.

    Args:
        grammar: `{state: {word: (probability, next state)}}`, the first state being the start; a word is "."
            or holds neither space nor full stop. Default: the book's own grammar about animals.

    Attributes:
        vocab: the V words; ids are indices into this list.
        vocab_size: V.
        state_names: the S states as the grammar names them.
        next_state: (S + 1, V) int64, where each word leads; impossible words lead to the dead state S.
        log_probs: (S + 1, V) float64, log P(word | state) in nats; the dead state is uniform.

    Raises:
        TypeError: a grammar that isn't such a table.
        ValueError: a grammar without states, with an undefined next state, with a word that a text would
            cut in two or lose, or with probabilities that are not positive or don't sum to one.
    """

    def __init__(self, *, grammar: Grammar | None = None):
        grammar = animals() if grammar is None else grammar
        check_grammar(grammar)
        self.vocab = list(dict.fromkeys(word for row in grammar.values() for word in row))
        self.vocab_size = len(self.vocab)
        self.state_names = list(grammar)
        self._id_of = {word: i for i, word in enumerate(self.vocab)}
        index = {state: i for i, state in enumerate(grammar)}
        dead = len(grammar)
        self._probs = torch.zeros(dead + 1, self.vocab_size, dtype=torch.float64)  # (S + 1, V), dead row 0
        self.next_state = torch.full((dead + 1, self.vocab_size), dead)
        for state, row in grammar.items():
            for word, (p, after) in row.items():
                self._probs[index[state], self._id_of[word]] = float(p)
                self.next_state[index[state], self._id_of[word]] = index[after]
        self.log_probs = self._probs.log()
        self.log_probs[dead] = -math.log(self.vocab_size)
        self._step = torch.zeros(dead + 1, dead + 1, dtype=torch.float64)  # (S + 1, S + 1), any word
        self._step.scatter_add_(1, self.next_state, self._probs)

    def __repr__(self) -> str:
        return f"ToyLanguage({self.vocab_size} words, {len(self.state_names)} states)"

    def encode(self, text: str) -> list[int]:
        """Return the ids of the words of `text`; "." is a word of its own.

        Raises:
            TypeError: not a string. ValueError: an unknown word.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, got {type(text).__name__}")
        words = split_words(text)
        unknown = [word for word in words if word not in self._id_of]
        if unknown:
            named = ", ".join(map(repr, unknown))
            raise ValueError(f"not in the vocabulary of {self.vocab_size} words: {named}")
        return [self._id_of[word] for word in words]

    def decode(self, ids: Int[Tensor, " T"] | list[int]) -> str:
        """Return the text of `ids`, one sentence after the other.

        Raises:
            TypeError: something that isn't an id. ValueError: an id outside the vocabulary, or a batch.
        """
        if isinstance(ids, Tensor) and ids.ndim != 1:
            raise ValueError(f"decode takes the ids of one text, (T,); got shape {tuple(ids.shape)}")
        tokens = list_of("ids", ids)
        for token in tokens:
            check_int("an id", token, 0)
            if token >= self.vocab_size:
                raise ValueError(f"an id must be below vocab_size {self.vocab_size}, got {token}")
        return " ".join(self.vocab[token] for token in tokens).replace(" .", ".")

    def states(self, input_ids: Int[Tensor, "B T"]) -> Int[Tensor, "B T+1"]:
        """Return the state before each token and after the last; S is the dead state."""
        check_ids(input_ids, self.vocab_size, min_length=0)
        path = [torch.zeros(len(input_ids), dtype=torch.int64)]
        for token in input_ids.T:
            path.append(self.next_state[path[-1], token])
        return torch.stack(path, dim=1)

    def __call__(self, input_ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Return exact log P(token t + 1 | tokens 0…t) in row t; uniform after an impossible prefix."""
        return self.log_probs[self.states(input_ids)[:, 1:]]

    def log_prob(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, " B"]:
        """Return log P(ids) in nats, first token included; −inf where the language can't produce `ids`."""
        before = self.states(ids)[:, :-1]
        possible = self._probs.log()  # here the dead state allows no word
        return possible[before, ids].sum(dim=1)

    def sample(
        self, num_sequences: int, length: int, *, generator: torch.Generator | None = None
    ) -> Int[Tensor, "B T"]:
        """Draw texts of `length` words from the start of the language, one a row.

        Raises:
            TypeError: not an int, not a generator.
            ValueError: below 1; more than 100,000 words a text or 100,000,000 in all.
        """
        length = check_int("length", length, 1, MAX_WORDS)
        num_sequences = check_int("num_sequences", num_sequences, 1, MAX_DRAWN // length)
        check_generator(generator, torch.device("cpu"))
        cumulative = self._probs.cumsum(dim=1)
        cumulative /= cumulative[:, -1:].clamp(min=1e-300)  # the last step is exactly 1
        draws = torch.rand(num_sequences, length, dtype=torch.float64, generator=generator)
        ids = torch.empty(num_sequences, length, dtype=torch.int64)
        for draws_of, ids_of in zip(draws.split(ROWS), ids.split(ROWS), strict=True):
            state = torch.zeros(len(ids_of), dtype=torch.int64)
            for t in range(length):
                draw = draws_of[:, t, None].contiguous()
                ids_of[:, t] = torch.searchsorted(cumulative[state], draw, right=True).squeeze(1)
                state = self.next_state[state, ids_of[:, t]]
        return ids

    def entropy_rate(self) -> float:
        """Return the long-run average surprise of the language in nats per token: no model can do better.

        Source: Shannon (1948), section 7: the entropy of each state, weighted by how often it is visited.
        """
        return float(self._visits() @ torch.special.entr(self._probs).sum(dim=1))

    def conditional_entropy(self, order: int) -> float:
        """Return the exact entropy of a token given the `order` − 1 before it, in nats, deep inside a text.

        No n-gram model of this order can have a lower cross-entropy, whatever it was trained on.

        Raises:
            ValueError: an order below 1 or above 1,000, or with more than 20,000,000 paths of words and
                states; the book's grammar has as many at order 7.

        Source: Shannon (1951), equation 1: F_N, here computed without sampling.
        """
        check_int("order", order, 1, MAX_ORDER)
        source, word = self._probs.nonzero().numpy().T  # edges, sorted by state
        p, target = self._probs[source, word].numpy(), self.next_state[source, word].numpy()
        first = np.searchsorted(source, np.arange(len(self._probs) + 1))  # where each state's edges begin
        visits = self._visits().numpy()
        state = np.flatnonzero(visits > 1e-15)
        context, weight = np.zeros(len(state), dtype=np.int64), visits[state]
        for words_left in reversed(range(order)):
            fan_out = first[state + 1] - first[state]
            last = np.cumsum(fan_out)
            if last[-1] > MAX_PATHS:
                what = f"{order - words_left} words have {last[-1]:,} paths, the limit is {MAX_PATHS:,}"
                raise ValueError(f"order {order} is too high: {what}")
            edge = np.arange(last[-1]) + np.repeat(first[state] - last + fan_out, fan_out)
            weight = np.repeat(weight, fan_out) * p[edge]
            before = np.repeat(context, fan_out)
            key = before * self.vocab_size + word[edge]
            if words_left:  # merge paths that read the same words and reach the same state
                context = np.unique(key, return_inverse=True)[1]
                pair, where = np.unique(context * len(visits) + target[edge], return_inverse=True)
                weight = np.bincount(where, weight)
                context, state = np.divmod(pair, len(visits))
        joint = np.bincount(np.unique(key, return_inverse=True)[1], weight)
        marginal = np.bincount(before, weight)
        return float(-(joint * np.log(joint)).sum() + (marginal * np.log(np.maximum(marginal, 1e-300))).sum())

    def masked_entropies(self, words_after: int = 20) -> Float[Tensor, " K"]:
        """Return the entropy of a hidden token, given all before it and the next 0, 1, … words, in nats.

        Row 0 is the entropy rate. The rows fall towards the entropy given both sides, which is the lowest
        possible loss of a masked model with one token hidden. With the book's grammar row 20 is within 1e-7
        of it; a grammar whose states are hard to tell apart needs more words. Each row is exact, deep inside
        a text: it follows all states that are possible without knowing the hidden token.

        Raises:
            ValueError: words_after below 0 or above 100, or a grammar that keeps more than 1,000,000 sets of
                states apart.

        Source: Shannon (1951), section 2, but guessing from both sides; here computed without sampling.
        """
        check_int("words_after", words_after, 0, MAX_WORDS_AFTER)
        visits = self._visits()
        reached = (visits > 1e-15).nonzero()[:, 0].tolist()
        return sum(visits[state] * self._entropies_after(state, words_after) for state in reached)

    def masked_posterior(
        self, ids: Int[Tensor, "B T"], position: int | Bool[Tensor, "..."]
    ) -> Float[Tensor, "B V"] | Float[Tensor, "B T V"]:
        """Return P(hidden token | all tokens that are not hidden), by one forward and one backward pass.

        Args:
            ids: hidden places may hold any id, such as a mask id outside the vocabulary; it is ignored.
            position: one place, hidden in every row; or a mask, True where a token is hidden.

        Returns:
            For one place probabilities (B, V); for a mask (B, T, V), where a visible token has probability 1.
            If the language can't produce the visible tokens, hidden ones are uniform.

        Raises:
            TypeError: ids that aren't int64, or a position that is neither an int nor a tensor.
            ValueError: a position outside the sequence, a mask of another shape or dtype, a visible id
                outside the vocabulary.

        Source: Rabiner (1989), section III.B, forward–backward.
        """
        known = is_dense(ids) and ids.dtype == torch.int64
        check_ids(ids.clamp(min=0) if known else ids, None, name="ids")
        if isinstance(position, Tensor):
            return self._posterior(ids, position)
        if not isinstance(position, Integral) or isinstance(position, bool):
            raise TypeError(f"position must be an int or a mask (B, T), got {position!r}")
        if not -ids.shape[1] <= position < ids.shape[1]:
            raise ValueError(f"position {position} is outside a sequence of length {ids.shape[1]}")
        hidden = torch.zeros_like(ids, dtype=torch.bool)
        hidden[:, position] = True
        return self._posterior(ids, hidden)[:, position]

    def best_continuation(self, ids: Int[Tensor, "B T"], length: int) -> Int[Tensor, "B T+{length}"]:
        """Return `ids` and the most probable `length` words to follow; among equals, the lowest ids.

        Raises:
            ValueError: a length below 0 or above 100,000, ids outside the vocabulary.

        Source: Viterbi (1967); here the values are computed backwards and the words chosen forwards.
        """
        check_int("length", length, 0, MAX_WORDS)
        check_ids(ids, self.vocab_size, min_length=0, name="ids")
        value, choices = torch.zeros(len(self.log_probs), dtype=torch.float64), []
        for _ in range(length):
            value, choice = (self.log_probs + value[self.next_state]).max(dim=1)
            choices.append(choice)
        state, out = self.states(ids)[:, -1], [ids]
        for choice in reversed(choices):
            out.append(choice[state, None])
            state = self.next_state[state, choice[state]]
        return torch.cat(out, dim=1)

    def _visits(self) -> Float[Tensor, " S"]:
        """Long-run share of time in each state, the dead one too: the lazy walk's limit, by squaring."""
        walk = (self._step + torch.eye(len(self._step), dtype=torch.float64)) / 2
        for _ in range(64):
            walk = walk @ walk
            walk /= walk.sum(dim=1, keepdim=True).clamp(min=1e-300)
        return walk[0]

    def _entropies_after(self, state: int, words_after: int) -> Float[Tensor, " K"]:
        """Row k of `masked_entropies`, for a hidden token that follows `state`."""
        p = self._probs[state]
        where, group = self.next_state[state, p > 0].unique(return_inverse=True)
        weights = torch.zeros(len(where), dtype=torch.float64).scatter_add_(0, group, p[p > 0])
        # What follows depends on the state only, so words that lead to the same state remain ambiguous.
        settled = torch.special.entr(p).sum() - torch.special.entr(weights).sum()
        beliefs = {(tuple(where.tolist()), tuple(weights.tolist())): 1.0}
        entropies = []
        for _ in range(words_after + 1):
            spread = {belief: q * _entropy(belief[1]) for belief, q in beliefs.items()}
            entropies.append(settled + sum(spread.values()))
            settled += sum(nats for (where, _), nats in spread.items() if len({*where}) == 1)
            following: dict[tuple, float] = {}
            for (where, weights), q in beliefs.items():
                if len({*where}) > 1:
                    for belief, share in self._beliefs_after(where, weights):
                        following[belief] = following.get(belief, 0.0) + q * share
                if len(following) > MAX_BELIEFS:
                    raise ValueError(f"the grammar keeps more than {MAX_BELIEFS:,} sets of states apart")
            beliefs = following
        return torch.stack(entropies)

    def _beliefs_after(self, where: tuple, weights: tuple) -> Iterator[tuple[tuple, float]]:
        """Read one more word: (states in which the reader may then be and their weights), P(that word)."""
        ways = np.array(weights)[:, None] * self._probs.numpy()[list(where)]  # (states, V)
        total = ways.sum(axis=0)
        for word in total.nonzero()[0]:
            left = ways[:, word].nonzero()[0]
            now = tuple(self.next_state.numpy()[np.array(where)[left], word].tolist())
            # Rounded, so that equal beliefs are followed once.
            yield (now, tuple((ways[left, word] / total[word]).round(13).tolist())), float(total[word])

    def _posterior(self, ids: Tensor, hidden: Tensor) -> Tensor:
        check_mask("position", hidden, ids.shape, ids.device)
        ids = ids.masked_fill(hidden, 0)
        check_ids(ids, self.vocab_size, name="ids")
        forward = [torch.zeros(len(ids), len(self._probs), dtype=torch.float64)]
        forward[0][:, 0] = 1
        for token, is_hidden in zip(ids.T, hidden.T, strict=True):
            reached = torch.zeros_like(forward[0])
            reached.scatter_add_(1, self.next_state[:, token].T, forward[-1] * self._probs[:, token].T)
            forward.append(_normalised(torch.where(is_hidden[:, None], forward[-1] @ self._step, reached)))
        posterior = torch.nn.functional.one_hot(ids, self.vocab_size).double()
        backward = torch.ones_like(forward[0])
        for t in reversed(range(ids.shape[1])):
            for rows in hidden[:, t].nonzero().squeeze(1).split(ROWS):
                onward = backward[rows][:, self.next_state]  # (rows, S + 1, V)
                ways = torch.einsum("bs,sv,bsv->bv", forward[t][rows], self._probs, onward)
                possible = ways.sum(dim=1, keepdim=True) > 0
                posterior[rows, t] = torch.where(possible, _normalised(ways), 1 / self.vocab_size)
            seen = self._probs[:, ids[:, t]].T * backward.gather(1, self.next_state[:, ids[:, t]].T)
            backward = _normalised(torch.where(hidden[:, t, None], backward @ self._step.T, seen))
        return posterior


def _entropy(weights: tuple[float, ...]) -> float:
    return -math.fsum(w * math.log(w) for w in weights)


def _normalised(rows: Tensor) -> Tensor:
    """Scale each row to sum 1, so that long texts don't underflow; a row of zeros stays as it is."""
    return rows / rows.sum(dim=1, keepdim=True).clamp(min=1e-300)
