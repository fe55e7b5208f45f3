"""The training loop that both objectives share; what differs, the loss of a batch, is handed to it.

A dataloader is any re-iterable of int64 batches (B, T); T may vary. A loss function returns a batch's summed
loss and the number of tokens in that sum, so that an epoch's mean weighs every token alike, however its
batches are cut.

Axes: B batch, T time.
"""

import copy
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lmbook.interface import check_fits, check_ids, check_int, check_number, evaluating

BatchLoss = Callable[[Tensor], tuple[Tensor, Tensor]]
Schedule = LRScheduler | Callable[[int], float]


def warmup_cosine(warmup: int, total: int, floor: float = 0.1) -> Callable[[int], float]:
    """Return a schedule, step → factor: up for `warmup` steps, then down to `floor` along half a cosine.

    Args:
        warmup: steps of linear rise.
        total: steps in all; later ones stay at `floor`.
        floor: last factor.

    Raises:
        ValueError: unless 0 ≤ warmup < total.

    Source: Loshchilov and Hutter 2017, SGDR, section 3.
    """
    if not 0 <= warmup < total:
        raise ValueError(f"warmup must be at least 0 and below total {total}, got {warmup}")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / (total - warmup))
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

    return factor


def fit(
    model: nn.Module,
    batch_loss: BatchLoss,
    dataloader: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int,
    *,
    schedule: Schedule | None = None,
    max_grad_norm: float | None = None,
    validation: Iterable[Tensor] | None = None,
    autocast: torch.dtype | None = None,
    on_epoch: Callable[[int, float, float | None], None] | None = None,
    progress: bool = False,
) -> list[float]:
    """Train `model` in place; return the mean loss of each epoch, nats per token.

    Args:
        model: ends in the mode (train/eval) it was found in. Batches are sent to its device.
        batch_loss: a batch's summed loss and its number of tokens.
        dataloader: training batches.
        optimizer: steps once a batch.
        epochs: passes over `dataloader`.
        schedule: a torch scheduler of this optimizer, or step → factor of its learning rate.
        max_grad_norm: a longer gradient is scaled down to this length.
        validation: batches for a loss after each epoch; in the end the model has its best epoch's weights.
        autocast: torch.bfloat16 for mixed precision: weights stay float32, products are computed in bfloat16.
        on_epoch: called with (epoch from 1, its loss, validation loss or None), the model being in eval mode.
        progress: show a line on stderr, for people.

    Raises:
        ValueError: a setting out of range, bad ids, a batch that doesn't fit, no tokens, an infinite loss.
    """
    check_int("epochs", epochs)
    if max_grad_norm is not None:
        check_number("max_grad_norm", max_grad_norm, "(0, inf]")
    if schedule is not None and not isinstance(schedule, LRScheduler):
        schedule = LambdaLR(optimizer, schedule)
    was_training, losses, best, best_weights = model.training, [], math.inf, None
    try:
        for epoch in range(1, epochs + 1):
            note = f"epoch {epoch}/{epochs}" if progress else ""
            model.train()
            step = _Step(model, _cast(batch_loss, autocast), optimizer, schedule, max_grad_norm)
            losses.append(_mean_loss(model, step, dataloader, note))
            model.eval()
            validated = None
            if validation is not None:
                validated = evaluate(model, batch_loss, validation, autocast=autocast)
                if validated < best:
                    best, best_weights = validated, copy.deepcopy(model.state_dict())
            if on_epoch is not None:
                on_epoch(epoch, losses[-1], validated)
    finally:
        model.train(was_training)
    if best_weights is not None:
        model.load_state_dict(best_weights)
    return losses


def evaluate(
    model: nn.Module,
    batch_loss: BatchLoss,
    dataloader: Iterable[Tensor],
    *,
    autocast: torch.dtype | None = None,
) -> float:
    """Return the mean loss over `dataloader`, nats per token, without dropout or gradients."""
    with evaluating(model):
        return _mean_loss(model, _cast(batch_loss, autocast), dataloader)


@dataclass
class _Step:
    """A batch loss that also moves the weights."""

    model: nn.Module
    batch_loss: BatchLoss
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler | None
    max_grad_norm: float | None

    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        total, count = self.batch_loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        (total / count.clamp(min=1)).backward()
        if self.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        return total.detach(), count


def _cast(batch_loss: BatchLoss, dtype: torch.dtype | None) -> BatchLoss:
    """`batch_loss`, its products computed in `dtype`."""

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(batch.device.type, dtype=dtype):
            return batch_loss(batch)

    return batch_loss if dtype is None else loss


def _mean_loss(
    model: nn.Module, batch_loss: BatchLoss, dataloader: Iterable[Tensor], note: str = ""
) -> float:
    """Sum of losses over number of tokens; read from the device once, at the end, so that no step waits."""
    device = next(model.parameters()).device
    total = torch.zeros((), device=device)
    count = torch.zeros((), dtype=torch.int64, device=device)
    number = 0
    for number, batch in enumerate(dataloader, start=1):
        if not isinstance(batch, Tensor) or batch.device.type == "cpu":  # a look elsewhere stops the device
            check_ids(batch, model.vocab_size, name="a batch")
        check_fits(model, batch.shape[1], "a batch")
        loss, tokens = batch_loss(batch.to(device))
        total, count = total + loss, count + tokens
        if note and number % 10 == 1:
            print(f"\r{note}, batch {number}: {total / count:.4f}", end="", file=sys.stderr, flush=True)
    if note:
        print(f"\r{note}, {number} batches: {total / count:.4f}", file=sys.stderr)
    if not count:
        raise ValueError("the dataloader gave 0 tokens to take a loss on; is it an iterator that is used up?")
    mean = float(total) / int(count)
    if not math.isfinite(mean):
        raise ValueError(f"the loss is {mean}: a lower learning rate or max_grad_norm=1.0 may help")
    return mean
