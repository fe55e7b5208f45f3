"""Twelve checks for the code of a language model, each for a bug that runs, trains, and says nothing.

A check takes a piece of code as a callable, puts a question to it whose answer is known, and returns nothing;
where the answer is wrong it raises `CheckFailed` with what was seen. None of them looks at a loss curve or
reads a text: both look fine with every one of these bugs.

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
