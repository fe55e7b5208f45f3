"""What all decoders share: check a request, pad prompts, read tokens by the fastest way a model offers.

`IncrementalForward` uses what the model offers: with a key/value cache only new tokens are read; with
`accepts_padding` prompts of different lengths are read together; with `hidden_states` and `unembed` logits
are computed only where needed. The logits are the same with and without these.

Axes: B batch, T time, V vocabulary, N places to return, D model width, R rows kept.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from numbers import Integral

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lmbook.interface import (
    Cache,
    Ids,
    LanguageModel,
    Mask,
    check_causal,
    check_fits,
    check_ids,
    check_int,
    check_logits_shape,
    check_mask,
    check_not_nan,
    is_dense,
    is_floats,
    kind_of,
    list_of,
)

MAX_LENGTH = 100_000  # new tokens a row
LARGEST_ID = 2**63 - 1  # of int64


def check_request(
    model: LanguageModel,
    consumer: str,
    input_ids: Tensor,
    max_length: int,
    eos_token_id: int | None,
    padding_mask: Tensor | None,
) -> tuple[int, int | None]:
    """Check a decoder's arguments before any work is done; filters check their own.

    Returns:
        `max_length` and `eos_token_id` as Python's ints.
    """
    check_causal(model, consumer)
    vocab_size = getattr(model, "vocab_size", None)
    check_ids(input_ids, vocab_size)
    max_length = check_int("max_length", max_length, 0)
    check_fits(model, input_ids.shape[1] + max_length, "prompt plus max_length")
    check_int("max_length", max_length, 0, MAX_LENGTH)
    if eos_token_id is not None:
        eos_token_id = check_int("eos_token_id", eos_token_id, 0)
        if vocab_size is not None and eos_token_id >= vocab_size:
            raise ValueError(f"eos_token_id must be below vocab_size {vocab_size}, got {eos_token_id}")
        check_int("eos_token_id", eos_token_id, 0, LARGEST_ID)
    if padding_mask is not None:
        check_mask("padding_mask", padding_mask, input_ids.shape, input_ids.device)
        if padding_mask[:, -1].any() or (padding_mask[:, 1:] & ~padding_mask[:, :-1]).any():
            raise ValueError(
                "padding_mask must be True on the left of a row only, and leave it at least 1 token"
            )
    return max_length, eos_token_id


def check_end(eos_token_id: int | None, logits: Float[Tensor, "*B V"]) -> None:
    """Raise ValueError if the end token is none of V, which only the logits may tell."""
    size = logits.shape[-1]
    if eos_token_id is not None and eos_token_id >= size:
        raise ValueError(f"eos_token_id must be below {size}, the number of logits; got {eos_token_id}")


def check_possible(logits: Float[Tensor, "*B V"]) -> None:
    """Raise ValueError unless each row's best logit is finite: not NaN, not +inf, not a row of −inf."""
    best = logits.amax(-1)
    if not best.isfinite().all():
        check_not_nan(logits)
        row = tuple((~best.isfinite()).nonzero()[0].tolist())
        raise ValueError(f"the best logit must be finite, got {best[row].item()} in row {row}")


def left_pad(prompts: Sequence[Sequence[int]], pad_token_id: int = 0) -> tuple[Ids, Mask]:
    """Prompts of different lengths as one batch: ids (B, T) and padding mask (B, T), True where padding.

    Raises:
        TypeError: prompts that aren't lists, an id that isn't an int.
        ValueError: no prompt, or an empty one; an id that int64 can't hold.

    >>> left_pad([[7, 8, 9], [5]])
    (tensor([[7, 8, 9],
            [0, 0, 5]]), tensor([[False, False, False],
            [ True,  True, False]]))
    """
    rows = prompts.unbind() if is_dense(prompts) and prompts.ndim == 2 else list_of("prompts", prompts)
    prompts = [list_of("a prompt", row) for row in rows]
    lengths = [len(prompt) for prompt in prompts]
    if min(lengths, default=0) < 1:
        raise ValueError(f"each prompt must hold at least 1 token, got lengths {lengths}")
    for token in (pad_token_id, *chain.from_iterable(prompts)):
        if not isinstance(token, Integral) or isinstance(token, bool):
            raise TypeError(f"left_pad takes ids, which are ints; got {token!r}")
        if not -LARGEST_ID <= token <= LARGEST_ID:
            raise ValueError("left_pad takes ids that int64 can hold, got an int of over 18 digits")
    ids = torch.full((len(prompts), max(lengths)), pad_token_id)
    for row, prompt in zip(ids, prompts, strict=True):
        row[len(row) - len(prompt) :] = torch.tensor(prompt)
    return ids, torch.arange(max(lengths)) < max(lengths) - torch.tensor(lengths)[:, None]


def prompts(input_ids: Ids, padding_mask: Mask | None) -> Iterator[tuple[int, Int[Tensor, "1 _"]]]:
    """(padding, prompt (1, T − padding)) row by row, for decoders that take rows one at a time."""
    for row in range(input_ids.shape[0]):
        padding = 0 if padding_mask is None else int(padding_mask[row].sum())
        yield padding, input_ids[row : row + 1, padding:]


class IncrementalForward:
    """Reads growing rows of tokens by the fastest way that the model offers, and returns logits."""

    def __init__(self, model: LanguageModel, batch_size: int, padding_mask: Mask | None = None):
        self.model, self.padding_mask = model, padding_mask
        self.vocab_size = getattr(model, "vocab_size", None)
        self.cache: Cache | None = model.new_cache(batch_size) if hasattr(model, "new_cache") else None

    def __call__(self, ids: Ids, count: int = 1) -> Float[Tensor, "B N V"]:
        """Logits at the last `count` places of ids (B, T); with a cache only new tokens are read."""
        new, keywords = self._unseen(ids)
        if new.shape[1] > count and hasattr(self.model, "unembed"):
            return self.unembed(self._states(new, keywords)[:, -count:])
        logits = self.model(new, **keywords)
        check_logits_shape(logits, new.shape, self.vocab_size)
        return logits[:, -count:]

    def unembed(self, states: Float[Tensor, "B N D"]) -> Float[Tensor, "B N V"]:
        """Logits of hidden states, if the model exposes them."""
        logits = self.model.unembed(states)
        check_logits_shape(logits, states.shape[:2], self.vocab_size)
        return logits

    def hidden(self, ids: Ids, count: int) -> Float[Tensor, "B N D"]:
        """Hidden states at the last `count` places, if the model exposes them."""
        new, keywords = self._unseen(ids)
        return self._states(new, keywords)[:, -count:]

    def _states(self, new: Ids, keywords: dict) -> Float[Tensor, "B T D"]:
        states = self.model.hidden_states(new, **keywords)
        if not is_floats(states) or states.ndim != 3 or states.shape[:2] != new.shape:
            got = tuple(states.shape) if is_floats(states) else kind_of(states)
            raise TypeError(
                f"hidden_states must return (B, T, D) for ids {tuple(new.shape)}, in floats; got {got}"
            )
        return states

    def _unseen(self, ids: Ids) -> tuple[Int[Tensor, "B _"], dict]:
        keywords = {} if self.cache is None else {"cache": self.cache}
        seen = 0 if self.cache is None else self.cache.length
        if self.padding_mask is not None and seen == 0:
            keywords["padding_mask"] = F.pad(
                self.padding_mask, (0, ids.shape[1] - self.padding_mask.shape[1])
            )
        return ids[:, seen:].clone(), keywords  # a model may write into what it is given

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if self.cache is not None and self.cache.length > length:
            self.cache.truncate(length)

    def select(self, rows: Int[Tensor, " R"]) -> None:
        """Keep these rows, in this order."""
        if self.cache is not None:
            self.cache.select(rows)


class GroupedForward:
    """Reads prompts of different lengths with a model that can't read padding, grouped by length."""

    def __init__(self, model: LanguageModel, padding_mask: Mask):
        starts = padding_mask.sum(1)
        groups = [((starts == start).nonzero()[:, 0], start) for start in starts.unique().tolist()]
        self.groups = [(rows, start, IncrementalForward(model, len(rows))) for rows, start in groups]
        self.order = torch.cat([rows for rows, _ in groups]).argsort()

    def __call__(self, ids: Ids) -> Float[Tensor, "B 1 V"]:
        """Logits at the last place of ids (B, T)."""
        return torch.cat([read(ids[rows, start:]) for rows, start, read in self.groups])[self.order]


def batch_forward(
    model: LanguageModel, batch_size: int, padding_mask: Mask | None
) -> IncrementalForward | GroupedForward:
    """The incremental forward pass of a whole batch."""
    if padding_mask is None or getattr(model, "accepts_padding", False):
        return IncrementalForward(model, batch_size, padding_mask)
    return GroupedForward(model, padding_mask)
