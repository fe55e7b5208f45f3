"""The interface of every language model in the book, and the checks that its users share.

A language model is a function from a prefix to a distribution over the next token. Here that is any
callable `model(input_ids) -> logits`; row t of the logits predicts token t + 1. Everything else is optional:

- `vocab_size`, an int: callers refuse ids outside the vocabulary;
- `context_length`, an int or None (no limit): callers refuse sequences that don't fit;
- `markov_order`, an int: a prediction depends on that many last tokens only (an n-gram's order − 1), so a
  caller may leave out the tokens before them and get the same numbers;
- `new_cache(batch_size)` returns a `Cache`, or None where the model can't have one;
  `model(input_ids, cache=cache)` then takes only the tokens that are not in the cache, and adds them to it;
- `accepts_padding = True` says that `model(input_ids, padding_mask=mask)` takes left-padded prompts, mask
  (B, T) bool, True where a token is padding. A row's logits don't depend on its padding;
- `hidden_states(input_ids, padding_mask=, cache=)` and `unembed(states)` split the call in two, so that a
  caller computes only the logits it needs;
- `predicts = "same"` marks a model whose row t predicts token t itself (a masked model). Perplexity and the
  decoders refuse it.

Axes: B batch, T time, V vocabulary, R rows kept; *rows any leading axes.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Rational, Real
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Ids = Int[Tensor, "B T"]  # tokens, int64
Mask = Bool[Tensor, "B T"]  # each use says what True means
Logits = Float[Tensor, "B T V"]  # what a model returns for ids (B, T)
RowIds = Int[Tensor, "*rows T"]  # the tokens so far of each row, as filters take them
RowLogits = Float[Tensor, "*rows V"]  # the next token's logits of each row, as filters take them
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # what torch calculates with


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that maps ids (B, T) to logits (B, T, V) whose row t predicts token t + 1."""

    def __call__(self, input_ids: Ids) -> Logits:
        """Logits (B, T, V) of the token after each of `input_ids`."""
        ...


@runtime_checkable
class Cache(Protocol):
    """What a model stores about the tokens it has read, so that it doesn't read them again."""

    @property
    def length(self) -> int:
        """Number of tokens read in each row, padding included."""
        ...

    @property
    def batch_size(self) -> int:
        """B, the number of rows."""
        ...

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        ...

    def select(self, rows: Int[Tensor, " R"]) -> None:
        """Keep these rows, in this order; a row may be taken more than once."""
        ...


@runtime_checkable
class LayeredCache(Cache, Protocol):
    """A cache of keys and values, one pair a layer, that a transformer fills as it reads."""

    def reserve(self, num_new: int, padding_mask: Tensor | None = None) -> Tensor | None:
        """Make room for `num_new` tokens; return the padding mask of all tokens, or None."""
        ...

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append a layer's new keys and values; return all of them."""
        ...


@runtime_checkable
class TextCodec(Protocol):
    """Converts text to ids and back: a tokenizer, or the toy language, whose tokens are words."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of `text`."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`."""
        ...


def check_causal(model: LanguageModel, consumer: str) -> None:
    """Raise TypeError if `model` isn't callable or predicts the token at its own place."""
    if not callable(model):
        raise TypeError(f"{consumer} needs a language model, a callable from ids to logits; got {model!r}")
    if getattr(model, "predicts", "next") != "next":
        raise TypeError(
            f"{consumer} needs a model whose row t predicts token t + 1; {type(model).__name__} predicts "
            "the token at its own place. Score it with pseudo_perplexity."
        )
    check_told(model)


def check_told(model: LanguageModel) -> None:
    """Raise unless the sizes that a model tells of itself are ints, or None for unknown or unlimited.

    Raises:
        TypeError: not an int. ValueError: vocab_size or context_length below 1, markov_order below 0.
    """
    for name, least in (("vocab_size", 1), ("context_length", 1), ("markov_order", 0)):
        value = getattr(model, name, None)
        if value is not None:
            check_int(f"{type(model).__name__}.{name}", value, least)


def check_int(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """`value` as Python's int, if it is a whole number from `least` to `most`; None is no limit.

    Callers calculate with the result: a NumPy int of 8 bits would overflow in their sums.

    Raises:
        TypeError: not an int. ValueError: below `least` or above `most`.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, at least {least}; got {value!r}")
    if value < least or (most is not None and value > most):
        limit = f"at least {least}" if value < least else f"at most {most:,}"
        got = value if abs(value) < 10**30 else "an int of over 30 digits"
        raise ValueError(f"{name} must be {limit}, got {got}")
    return int(value)


@dataclass(frozen=True)
class Interval:
    """Numbers between two limits: `in` tests a value, `words` describes the limits.

    >>> Interval.of("(0, 1]").words, 0.0 in Interval.of("(0, 1]"), 1.0 in Interval.of("(0, 1]")
    ('above 0 and at most 1', False, True)
    """

    low: float
    high: float
    has_low: bool
    has_high: bool

    @staticmethod
    @cache
    def of(notation: str) -> "Interval":
        """Parse mathematical notation: "[0, 1)" is from 0, included, to 1, excluded."""
        begin, low, high, end = re.fullmatch(r"([\[(])(\S+), (\S+)([\])])", notation).groups()
        return Interval(float(low), float(high), begin == "[", end == "]")

    def __contains__(self, value: Real) -> bool:
        above = value >= self.low if self.has_low else value > self.low
        below = value <= self.high if self.has_high else value < self.high
        return bool(above and below)  # False for NaN

    @property
    def words(self) -> str:
        """The limits in words, such as "at least 0 and finite"."""
        low = f"{'at least' if self.has_low else 'above'} {self.low:g}" if self.low > -math.inf else ""
        if self.high < math.inf:
            high = f"{'at most' if self.has_high else 'below'} {self.high:g}"
        else:
            high = "" if self.has_high else "finite"
        return " and ".join(filter(None, (low, high)))


def check_number(name: str, value: object, within: str) -> float | int:
    """`value` as Python's int or float, if it is in the interval `within`, such as "(0, 1]".

    Raises:
        TypeError: not an int or a float. ValueError: outside the interval, or NaN.
    """
    interval = Interval.of(within)
    fraction = isinstance(value, Rational) and not isinstance(value, Integral)  # torch can't divide by it
    if not isinstance(value, Real) or isinstance(value, bool) or fraction:
        raise TypeError(f"{name} must be a number, {interval.words}; got {value!r}")
    try:
        float(value)
    except OverflowError:  # an int that is greater than any float
        raise ValueError(f"{name} must be {interval.words}, got an int of over 308 digits") from None
    if value not in interval:
        raise ValueError(f"{name} must be {interval.words}, got {value}")
    return int(value) if isinstance(value, Integral) else float(value)


def check_generator(generator: object, device: torch.device) -> None:
    """Raise unless `generator` is None, torch's default one, or a generator that draws on `device`.

    Raises:
        TypeError: not a generator. ValueError: a generator of another device type.
    """
    if not isinstance(generator, torch.Generator | None):
        raise TypeError(f"generator must be a torch.Generator or None, got {generator!r}")
    if generator is not None and generator.device.type != device.type:
        raise ValueError(f"generator must be on {device.type}, as the ids are; got one on {generator.device}")


def is_dense(value: object) -> bool:
    """Whether `value` is a tensor whose numbers can be read: not sparse, nested, quantized or on "meta"."""
    return (
        isinstance(value, Tensor)
        and not value.is_nested
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_meta
    )


def is_floats(value: object) -> bool:
    """Whether `value` is a dense tensor of floats with at least 16 bits."""
    return is_dense(value) and value.dtype in FLOATS


def kind_of(value: object) -> str:
    """What a message says of a value of the wrong kind: its type or dtype, and why it can't be read."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_nested or value.layout != torch.strided:
        return "a nested tensor" if value.is_nested else f"a tensor with layout {value.layout}"
    if value.is_meta:
        return f"{value.dtype} on meta, where tensors have no numbers"
    too_few_bits = value.is_floating_point() and value.dtype not in FLOATS
    return f"{value.dtype}, which has too few bits" if too_few_bits else str(value.dtype)


def list_of(name: str, value: object) -> list:
    """The items of any iterable, or the numbers of a dense tensor with one axis.

    Raises:
        TypeError: something without items, or another tensor.
    """
    if isinstance(value, Tensor):
        if not is_dense(value) or value.ndim != 1:
            got = f"{kind_of(value)} of shape {tuple(value.shape)}" if is_dense(value) else kind_of(value)
            raise TypeError(f"{name} must be a list, got {got}")
        return value.tolist()
    if not isinstance(value, Iterable) or getattr(value, "shape", None) == ():  # NumPy's numbers are iterable
        raise TypeError(f"{name} must be a list, got {value!r}")
    return [*value]


def check_codec(tokenizer: object, *methods: str) -> None:
    """Raise TypeError unless `tokenizer` has `methods`, of those that a `TextCodec` has."""
    if not all(callable(getattr(tokenizer, name, None)) for name in methods):
        raise TypeError(f"tokenizer must have {' and '.join(methods)}, got {tokenizer!r}")


def check_ids(ids: Tensor, vocab_size: int | None, *, name: str = "input_ids", min_length: int = 1) -> None:
    """Raise if `ids` isn't (B, T) int64 with B ≥ 1, T ≥ `min_length` and 0 ≤ id < `vocab_size`.

    Raises:
        TypeError: not a dense tensor of int64.
        ValueError: wrong number of axes, too short, or an id outside the vocabulary.
    """
    if not is_dense(ids) or ids.dtype != torch.int64:
        raise TypeError(f"{name} must be a tensor of int64 ids, got {kind_of(ids)}")
    if ids.ndim != 2:
        raise ValueError(f"{name} must have shape (B, T), got {tuple(ids.shape)}")
    if ids.shape[0] == 0 or ids.shape[1] < min_length:
        raise ValueError(f"{name} must hold at least 1 row of {min_length} token(s), got {tuple(ids.shape)}")
    if ids.numel() == 0:
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or (vocab_size is not None and high >= vocab_size):
        limit = "" if vocab_size is None else f" and below vocab_size {vocab_size}"
        raise ValueError(f"{name} must be at least 0{limit}, got {low if low < 0 else high}")


def check_looked_up(ids: Tensor, vectors: Tensor) -> None:
    """Raise if `vectors` are an embedding of ids on "meta", where they have no numbers, by a model elsewhere.

    PyTorch refuses any other pair of devices; for this one it returns memory that nobody has written.

    Raises:
        ValueError: as said.
    """
    if ids.is_meta and not vectors.is_meta:
        raise ValueError(f"input_ids must be on {vectors.device.type}, as the model is; got ids on meta")


def check_shape(name: str, value: object, shape: Sequence[int]) -> None:
    """Raise unless `value` is a tensor of exactly this shape: an axis of 1 is not broadcast.

    Raises:
        TypeError: not a tensor, or a sparse one. ValueError: another shape.
    """
    if not isinstance(value, Tensor) or value.is_nested or value.layout != torch.strided:
        raise TypeError(f"{name} must be a tensor of shape {tuple(shape)}, got {kind_of(value)}")
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(value.shape)}")


def check_mask(name: str, mask: object, shape: Sequence[int], device: torch.device | None = None) -> None:
    """Raise unless `mask` is a tensor of bool of exactly this shape: an axis of 1 is not broadcast.

    Args:
        name: the mask's name in the message, such as "padding_mask".
        mask: the value to check.
        shape: the required shape, such as `input_ids.shape`.
        device: where it must be, such as `input_ids.device`. None: anywhere.

    Raises:
        TypeError: not a tensor, or a sparse one. ValueError: another shape, dtype or device type.
    """
    if not isinstance(mask, Tensor) or mask.is_nested or mask.layout != torch.strided:
        raise TypeError(f"{name} must be a tensor of bool, got {kind_of(mask)}")
    if device is not None and mask.device.type != device.type:
        raise ValueError(f"{name} must be on {device.type}, as the ids are; got one on {mask.device}")
    if mask.shape != shape or mask.dtype != torch.bool:
        got = f"{tuple(mask.shape)} {mask.dtype}"
        raise ValueError(f"{name} must be {tuple(shape)} torch.bool, got {got}")


def check_logits_shape(logits: object, ids_shape: Sequence[int], vocab_size: int | None) -> None:
    """Raise unless a model's `logits` are (B, T, V) for ids (B, T).

    Without this check, the (B, V) of a model that returns only the last token's logits could pass for
    (T, V) or (B, T).

    Args:
        logits: the model's output.
        ids_shape: (B, T), the shape of its input; T = 1 if only the last token's logits were asked for.
        vocab_size: V. None: unknown, any V of at least 1 passes.

    Raises:
        TypeError: not a dense tensor of floats with at least 16 bits. ValueError: another shape.
    """
    if not is_floats(logits):
        raise TypeError(f"a model must return logits (B, T, V), a tensor of floats; got {kind_of(logits)}")
    (rows, length), size = ids_shape, vocab_size
    if size is None:
        size = max(1, logits.shape[-1]) if logits.ndim == 3 else "V"
    if tuple(logits.shape) != (rows, length, size):
        raise ValueError(
            f"a model must return logits (B, T, V), ({rows}, {length}, {size}) for ids {(rows, length)}; "
            f"got {tuple(logits.shape)}"
        )


def check_fits(model: LanguageModel, length: int, what: str) -> None:
    """Raise ValueError if `length` tokens are more than `model.context_length`."""
    limit = getattr(model, "context_length", None)
    if limit is not None and length > limit:
        raise ValueError(f"{what} is {length} tokens long, the model's context_length is {limit}")


def check_not_nan(logits: Tensor) -> None:
    """Raise ValueError if any of `logits` (…, V) is NaN. −inf, an impossible token, is allowed."""
    if torch.isnan(logits).any():
        row = tuple(torch.isnan(logits).nonzero()[0].tolist())
        raise ValueError(f"the model returned NaN logits, first at index {row}")


@contextmanager
def evaluating(model: LanguageModel) -> Iterator[None]:
    """Run `model` in eval mode without gradients, then restore the mode of each of its modules."""
    modes = {m: m.training for m in model.modules()} if isinstance(model, torch.nn.Module) else {}
    for module in modes:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training
