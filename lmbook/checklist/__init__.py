"""Twelve checks for the code of a language model, each for a bug that raises no error.

A check calls a piece of code with an input whose answer is known. It returns nothing, or raises `CheckFailed`
with the wrong answer. None of them looks at a loss curve or at generated text, because both look fine with
any of these bugs.

    check_rows, check_future, check_order, check_device, check_logits      a model
    check_masking, check_masked_loss, check_epoch_loss                     its training
    check_decoder, check_filter, check_zero_temperature, check_search      its decoding

Models are those of `lmbook.interface`: ids (B, T) in, logits (B, T, V) out. Give them in eval mode.
"""

from lmbook.checklist.asking import CheckFailed
from lmbook.checklist.decoding import check_decoder, check_filter, check_search, check_zero_temperature
from lmbook.checklist.model import (
    check_device,
    check_future,
    check_logits,
    check_order,
    check_rows,
    stray_tensors,
)
from lmbook.checklist.training import check_epoch_loss, check_masked_loss, check_masking

__all__ = [
    "CheckFailed",
    "check_decoder",
    "check_device",
    "check_epoch_loss",
    "check_filter",
    "check_future",
    "check_logits",
    "check_masked_loss",
    "check_masking",
    "check_order",
    "check_rows",
    "check_search",
    "check_zero_temperature",
    "stray_tensors",
]
