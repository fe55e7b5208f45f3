"""Greedy decoding and sampling: one loop that reads, chooses and writes a token.

    logits of the next token  →  filters  →  probabilities  →  a draw (or the best)  →  one more token

Every decoder takes any `LanguageModel` (see `lmbook.decoding.incremental`) and returns (B, T + max_length):
prompt and continuation. A row that has produced `eos_token_id` is filled with it. A row's distribution
doesn't depend on the other rows; draws come from `generator`.

Axes: B batch, T time, P prompt, L new tokens, N those of one row, V vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from lmbook.decoding import filters
from lmbook.decoding.filters import Filter, compose
from lmbook.decoding.incremental import batch_forward, check_end, check_possible, check_request
from lmbook.interface import (
    Ids,
    LanguageModel,
    Mask,
    RowIds,
    RowLogits,
    check_generator,
    check_int,
    evaluating,
)

Rule = Callable[[Tensor, Tensor], Tensor]  # composed filters: (logits, ids) -> logits
# (logits (B, V), ids (B, T)) -> a token for each row, and the probabilities (B, V) it was drawn from, if any
Choose = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
Stop = Callable[[Tensor], bool]  # of a row's new tokens (N,)
MAX_SEQUENCES = 100_000  # texts of one prompt


@dataclass
class TokenLogProbs:
    """log P of each new token in nats; `greedy_decode` and `sample_decode` fill it in.

    Both are 0 where a row has ended, so that the sum over a row is log P of its continuation, end token
    included.

    Attributes:
        model: (B, max_length) float64, given the tokens before it, under the model.
        drawn: the same under the distribution that it was drawn from, after the filters; 0 for greedy
            decoding, which leaves nothing to chance.
    """

    model: Float[Tensor, "B L"] = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))
    drawn: Float[Tensor, "B L"] = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))


def greedy_decode(
    model: LanguageModel,
    input_ids: Ids,
    max_length: int = 100,
    *,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
    stop: Stop | None = None,
    log_probs: TokenLogProbs | None = None,
) -> Int[Tensor, "B _"]:
    """Append the most probable token, `max_length` times; of equals the one with the lowest id.

    Args:
        model: any causal language model.
        input_ids: (B, T) prompts.
        max_length: number of new tokens, at most 100,000.
        eos_token_id: a row stops after this token.
        padding_mask: (B, T), True where a token is padding, on the left only (`left_pad` makes both).
        stop: a row stops, too, after the token with which `stop(its new tokens (N,))` is True, such as
            `StopStrings`; the row is filled with `eos_token_id`, which must be given.
        log_probs: filled in with log P of each new token.

    Returns:
        (B, T + max_length) ids, prompt included.

    Raises:
        TypeError: the model doesn't predict the next token or returns no floats, ids aren't int64, or `stop`
            is no function.
        ValueError: an empty prompt, an id outside the vocabulary, more tokens than the context holds or than
            100,000, padding that isn't on the left, `stop` without an end token; NaN logits, or a step at
            which no token is possible.
    """
    max_length, eos_token_id = check_request(
        model, "greedy_decode", input_ids, max_length, eos_token_id, padding_mask
    )
    _check_extras(stop, log_probs, eos_token_id)

    def choose(logits: Tensor, ids: Tensor) -> tuple[Tensor, None]:
        check_possible(logits)
        return logits.argmax(-1), None

    return _generate(model, input_ids, choose, max_length, eos_token_id, padding_mask, stop, log_probs)


def sample_decode(
    model: LanguageModel,
    input_ids: Ids,
    filters: Iterable[Filter] = (),
    max_length: int = 100,
    *,
    generator: Generator | None = None,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
    num_return_sequences: int = 1,
    stop: Stop | None = None,
    log_probs: TokenLogProbs | None = None,
) -> Int[Tensor, "B*{num_return_sequences} _"]:
    """Draw each token from the model's distribution after `filters`, applied in their order.

    Args:
        model: any causal language model.
        input_ids: (B, T) prompts.
        filters: functions of logits, or of (logits, ids) with the row's tokens so far, prompt included, −1
            where there is padding; called once for each new token. See `lmbook.filters`.
        max_length: number of new tokens.
        generator: source of the draws; None: torch's default one.
        eos_token_id: a row stops after this token.
        padding_mask: (B, T), True where a token is padding, on the left only.
        num_return_sequences: texts of each prompt, N, at most 100,000.
        stop: as for `greedy_decode`.
        log_probs: as for `greedy_decode`; B · N rows.

    Returns:
        (B · N, T + max_length) ids, prompt included; rows b · N to b · N + N − 1 belong to prompt b.

    Raises:
        TypeError, ValueError: as `greedy_decode`, and the errors of the filters; `num_return_sequences` below
            1 or above 100,000.
    """
    max_length, eos_token_id = check_request(
        model, "sample_decode", input_ids, max_length, eos_token_id, padding_mask
    )
    check_generator(generator, input_ids.device)
    num_return_sequences = check_int("num_return_sequences", num_return_sequences, 1, MAX_SEQUENCES)
    _check_extras(stop, log_probs, eos_token_id)
    choose = sampler(filters, generator)
    if num_return_sequences > 1:
        input_ids = input_ids.repeat_interleave(num_return_sequences, 0)
        if padding_mask is not None:
            padding_mask = padding_mask.repeat_interleave(num_return_sequences, 0)
    return _generate(model, input_ids, choose, max_length, eos_token_id, padding_mask, stop, log_probs)


def top_k_decode(
    model: LanguageModel,
    input_ids: Ids,
    k: int = 50,
    max_length: int = 100,
    temperature: float | int = 1.0,
    *,
    generator: Generator | None = None,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
) -> Int[Tensor, "B _"]:
    """Sample among the `k` best tokens at each step, after temperature; see `sample_decode` for the rest.

    Source: Fan, Lewis and Dauphin 2018, Hierarchical Neural Story Generation.
    """
    steps = (partial(filters.temperature, tau=temperature), partial(filters.top_k, k=k))
    return sample_decode(
        model,
        input_ids,
        steps,
        max_length,
        generator=generator,
        eos_token_id=eos_token_id,
        padding_mask=padding_mask,
    )


def nucleus_decode(
    model: LanguageModel,
    input_ids: Ids,
    p: float | int = 0.9,
    max_length: int = 100,
    temperature: float | int = 1.0,
    *,
    generator: Generator | None = None,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
) -> Int[Tensor, "B _"]:
    """Sample among the fewest tokens that reach probability `p`, after temperature; see `sample_decode`.

    Source: Holtzman et al. 2020, The Curious Case of Neural Text Degeneration, section 3.1.
    """
    steps = (partial(filters.temperature, tau=temperature), partial(filters.top_p, p=p))
    return sample_decode(
        model,
        input_ids,
        steps,
        max_length,
        generator=generator,
        eos_token_id=eos_token_id,
        padding_mask=padding_mask,
    )


def next_probabilities(logits: RowLogits, ids: RowIds, rule: Rule) -> RowLogits:
    """The distribution that the next token is drawn from: filters, then softmax, in float32 at least.

    Raises:
        ValueError: NaN or +inf, or no token possible, before or after the filters.
    """
    check_possible(logits)
    logits = rule(logits.to(torch.promote_types(logits.dtype, torch.float32)), ids)
    check_possible(logits)
    return logits.softmax(-1)


def draw(probs: Float[Tensor, "B V"], generator: Generator | None) -> Int[Tensor, " B"]:
    """One token for each row.

    Raises:
        ValueError: more than 2 ** 24 tokens, the most that torch draws from.
    """
    if probs.shape[-1] > 2**24:
        raise ValueError(f"at most {2**24:,} tokens can be drawn from, the model has {probs.shape[-1]:,}")
    return torch.multinomial(probs, 1, generator=generator)[:, 0]


def sampler(filters: Iterable[Filter], generator: Generator | None) -> Choose:
    """What draws a token for each row, after the filters."""
    rule = compose(filters)

    def choose(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        probs = next_probabilities(logits, ids, rule)
        return draw(probs, generator), probs

    return choose


def _check_extras(stop: Stop | None, log_probs: TokenLogProbs | None, eos_token_id: int | None) -> None:
    if stop is not None and not callable(stop):
        raise TypeError(f"stop must be a function of a row's new tokens, got {stop!r}")
    if stop is not None and eos_token_id is None:
        raise ValueError("stop needs an eos_token_id, with which a stopped row is filled; got None")
    if not isinstance(log_probs, TokenLogProbs | None):
        raise TypeError(f"log_probs must be TokenLogProbs or None, got {log_probs!r}")


def _generate(
    model: LanguageModel,
    input_ids: Ids,
    choose: Choose,
    max_length: int,
    eos_token_id: int | None,
    padding_mask: Mask | None,
    stop: Stop | None,
    log_probs: TokenLogProbs | None,
) -> Int[Tensor, "B _"]:
    ids = F.pad(input_ids, (0, max_length), value=eos_token_id or 0)
    with evaluating(model):
        for _ in write(model, ids, max_length, choose, eos_token_id, padding_mask, stop, log_probs):
            pass
    return ids


def write(
    model: LanguageModel,
    ids: Ids,
    max_length: int,
    choose: Choose,
    eos_token_id: int | None = None,
    padding_mask: Bool[Tensor, "B P"] | None = None,
    stop: Stop | None = None,
    log_probs: TokenLogProbs | None = None,
) -> Iterator[int]:
    """The loop: read, choose, write into the last `max_length` places of `ids`; yields each place written.

    Run it inside `evaluating(model)`.
    """
    start, finished = ids.shape[1] - max_length, torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    read = batch_forward(model, len(ids), padding_mask)
    if log_probs is not None:
        log_probs.model, log_probs.drawn = torch.zeros(2, len(ids), max_length, dtype=torch.float64)
    for end in range(start, ids.shape[1]):
        seen = ids[:, :end]
        logits = read(seen)[:, -1]
        check_end(eos_token_id, logits)
        if eos_token_id is not None:  # the logits of a finished row don't matter
            logits = logits.masked_fill(finished[:, None], 0.0)
        if padding_mask is not None:
            seen = seen.masked_fill(F.pad(padding_mask, (0, end - start)), -1)
        ids[:, end], probs = choose(logits, seen)
        if log_probs is not None:
            _note(log_probs, end - start, ids[:, end], logits, probs, finished)
        if eos_token_id is not None:
            ids[finished, end] = eos_token_id
            finished = ids[:, end] == eos_token_id
            if stop is not None:
                finished |= torch.tensor([bool(stop(row[start : end + 1])) for row in ids], device=ids.device)
        yield end
        if finished.all():
            break


def _note(
    log_probs: TokenLogProbs,
    place: int,
    tokens: Int[Tensor, " B"],
    logits: Float[Tensor, "B V"],
    probs: Float[Tensor, "B V"] | None,
    finished: Bool[Tensor, " B"],
) -> None:
    """Write log P of the tokens into `log_probs`, 0 for rows that had finished before."""
    exact = logits.double().log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
    log_probs.model[:, place] = exact.masked_fill(finished, 0.0)
    if probs is not None:
        drawn = probs.gather(-1, tokens[:, None])[:, 0].double().log()
        log_probs.drawn[:, place] = drawn.masked_fill(finished, 0.0)
