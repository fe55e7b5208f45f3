"""How a check asks: it runs the code that it was given, compares, and fails with what was seen."""

from collections.abc import Callable

import torch
from torch import Tensor

from lmbook.interface import check_ids

TOLERANCE = 1e-4  # of logits: float32 sums in another order differ by less, every bug by more


class CheckFailed(AssertionError):
    """A check has found its bug."""


def check_size(ids: Tensor, rows: int = 1, length: int = 2) -> None:
    """ValueError where `ids` has fewer rows or tokens than the question needs."""
    check_ids(ids, None, min_length=length, name="ids")
    if len(ids) < rows:
        raise ValueError(f"ids must have at least {rows} rows for this check, got {len(ids)}")


def run(code: Callable[[], Tensor], what: str) -> Tensor:
    """The result of `code`; whatever it raises is a failed check."""
    try:
        return code()
    except Exception as error:
        raise CheckFailed(f"fails on {what}: {type(error).__name__}: {error}".strip()) from error


def distance(a: Tensor, b: Tensor) -> Tensor:
    """|a − b|, where −inf equals itself."""
    return torch.where(a == b, 0.0, (a - b).abs())
