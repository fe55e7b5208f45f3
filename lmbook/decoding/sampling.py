"""Greedy decoding and sampling: one loop that reads, chooses and appends a token.

    logits of the next token  →  filters  →  probabilities  →  a draw (or the best)  →  one more token

Every decoder takes any `LanguageModel` (see `lmbook.decoding.incremental`) and returns (B, T + max_length):
prompt and continuation. A row that has produced `eos_token_id` is filled with it. A row's distribution
doesn't depend on the other rows; draws come from `generator`.

Axes: B batch, T time, V vocabulary.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lmbook.decoding import filters
from lmbook.decoding.filters import Filter, compose
from lmbook.decoding.incremental import batch_forward, check_possible, check_request
from lmbook.interface import Ids, LanguageModel, Mask, RowIds, RowLogits, check_generator, evaluating

Rule = Callable[[Tensor, Tensor], Tensor]  # composed filters: (logits, ids) -> logits


def greedy_decode(
    model: LanguageModel,
    input_ids: Ids,
    max_length: int = 100,
    *,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
) -> Int[Tensor, "B _"]:
    """Append the most probable token, `max_length` times; of equals the one with the lowest id.

    Args:
        model: any causal language model.
        input_ids: (B, T) prompts.
        max_length: number of new tokens, at most 100,000.
        eos_token_id: a row stops after this token.
        padding_mask: (B, T), True where a token is padding, on the left only (`left_pad` makes both).

    Returns:
        (B, T + max_length) ids, prompt included.

    Raises:
        TypeError: the model doesn't predict the next token or returns no floats, or ids aren't int64.
        ValueError: an empty prompt, an id outside the vocabulary, more tokens than the context holds or than
            100,000, padding that isn't on the left; NaN logits, or a step at which no token is possible.
    """
    max_length, eos_token_id = check_request(
        model, "greedy_decode", input_ids, max_length, eos_token_id, padding_mask
    )

    def choose(logits: Tensor, ids: Tensor) -> Tensor:
        check_possible(logits)
        return logits.argmax(-1)

    return _generate(model, input_ids, choose, max_length, eos_token_id, padding_mask)


def sample_decode(
    model: LanguageModel,
    input_ids: Ids,
    filters: Iterable[Filter] = (),
    max_length: int = 100,
    *,
    generator: Generator | None = None,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
) -> Int[Tensor, "B _"]:
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

    Returns:
        (B, T + max_length) ids, prompt included.

    Raises:
        TypeError, ValueError: as `greedy_decode`, and the errors of the filters.
    """
    max_length, eos_token_id = check_request(
        model, "sample_decode", input_ids, max_length, eos_token_id, padding_mask
    )
    check_generator(generator, input_ids.device)
    rule = compose(filters)

    def choose(logits: Tensor, ids: Tensor) -> Tensor:
        return draw(next_probabilities(logits, ids, rule), generator)

    return _generate(model, input_ids, choose, max_length, eos_token_id, padding_mask)


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


def _generate(
    model: LanguageModel,
    input_ids: Ids,
    choose: Callable[[Tensor, Tensor], Tensor],
    max_length: int,
    eos_token_id: int | None,
    padding_mask: Mask | None,
) -> Int[Tensor, "B _"]:
    """The loop: read, choose, append. `choose` maps logits (B, V) and ids (B, T) to one token a row."""
    batch, start = input_ids.shape
    ids = F.pad(input_ids, (0, max_length), value=eos_token_id or 0)
    finished = torch.zeros(batch, dtype=torch.bool, device=ids.device)
    with evaluating(model):
        read = batch_forward(model, batch, padding_mask)
        for end in range(start, start + max_length):
            seen = ids[:, :end]
            logits = read(seen)[:, -1]
            if eos_token_id is not None:  # the logits of a finished row don't matter
                logits = logits.masked_fill(finished[:, None], 0.0)
            if padding_mask is not None:
                seen = seen.masked_fill(F.pad(padding_mask, (0, end - start)), -1)
            ids[:, end] = choose(logits, seen)
            if eos_token_id is not None:
                ids[finished, end] = eos_token_id
                finished = ids[:, end] == eos_token_id
                if finished.all():
                    break
    return ids
