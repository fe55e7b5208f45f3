"""What the checks share: run the code under test, compare, and fail with what was seen."""

from collections.abc import Callable

import torch
from torch import Tensor

from lmbook.interface import LanguageModel, check_ids, check_logits_shape

TOLERANCE = 1e-4  # of logits: float32 sums in another order differ by less, bugs by more


class CheckFailed(AssertionError):
    """A check has found its bug."""


def check_function(name: str, code: object) -> None:
    """Raise TypeError unless `code` can be called."""
    if not callable(code):
        raise TypeError(f"{name} must be a function, got {code!r}")


def check_size(ids: Tensor, rows: int = 1, length: int = 2) -> None:
    """Raise ValueError if `ids` has fewer rows or tokens than a check needs."""
    check_ids(ids, None, min_length=length, name="ids")
    if len(ids) < rows:
        raise ValueError(f"ids must have at least {rows} rows for this check, got {len(ids)}")


def check_rows_differ(ids: Tensor, name: str) -> None:
    """Raise ValueError if all rows are equal, so that to mix them up would change nothing."""
    if torch.equal(ids, ids[:1].expand_as(ids)):
        raise ValueError(
            f"the {len(ids)} rows of {name} must not all be equal: the check needs different ones"
        )


def run(code: Callable[[], object], what: str) -> object:
    """The result of `code`; any exception is a failed check."""
    try:
        return code()
    except Exception as error:
        raise CheckFailed(f"fails on {what}: {type(error).__name__}: {error}".strip()) from error


def logits_of(model: LanguageModel, ids: Tensor, what: str) -> Tensor:
    """The model's logits (B, T, V); fail if it raises an exception or returns something else.

    Raises:
        TypeError: the model can't be called. CheckFailed: as above.
    """
    check_function("the model", model)
    logits = run(lambda: model(ids.clone()), what)
    run(lambda: check_logits_shape(logits, ids.shape, getattr(model, "vocab_size", None)), what)
    return logits


def read(model: LanguageModel, ids: Tensor, what: str) -> Tensor:
    """`logits_of`, which must be a distribution in each row."""
    logits = logits_of(model, ids, what)
    best = logits.amax(-1)
    if not best.isfinite().all():
        wrong = best[~best.isfinite()][0].item()
        raise CheckFailed(f"the logits of {what} are no distribution: the best of a row is {wrong}")
    return logits


def distance(a: Tensor, b: Tensor) -> Tensor:
    """|a − b|, where −inf equals itself; fail if their shapes differ."""
    if a.shape != b.shape:
        raise CheckFailed(f"logits have shape {tuple(a.shape)} once, then {tuple(b.shape)}")
    return torch.where(a == b, 0.0, (a - b).abs())
