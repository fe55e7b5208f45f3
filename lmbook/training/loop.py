"""The training loop that both objectives share; the loss of a batch is an argument.

A dataloader is any re-iterable of int64 batches (B, T); T may vary. A loss function returns a batch's summed
loss and the number of tokens in that sum, so that an epoch's mean weighs all tokens equally,
whatever the batches.

Axes: B batch, T time.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from lmbook.interface import check_fits, check_ids, check_int, check_number, evaluating

BatchLoss = Callable[[Tensor], tuple[Tensor, Tensor]]
MAX_RATE = torch.finfo(torch.float32).max
AUTOCAST = (torch.bfloat16, torch.float16)
Schedule = LRScheduler | Callable[[int], float]
OnEpoch = Callable[[int, float, float | None], None]


def warmup_cosine(warmup: int, total: int, floor: float = 0.1) -> Callable[[int], float]:
    """Return a schedule, step → factor: up for `warmup` steps, then down to `floor` along half a cosine.

    Args:
        warmup: steps of linear rise.
        total: steps in all; later ones stay at `floor`.
        floor: last factor, from 0 to 1.

    Raises:
        TypeError: not numbers. ValueError: unless 0 ≤ warmup < total and 0 ≤ floor ≤ 1.

    Source: Loshchilov and Hutter 2017, SGDR, section 3.
    """
    total = check_number("total", total, "(-inf, inf)")
    if not 0 <= check_number("warmup", warmup, "(-inf, inf)") < total:
        raise ValueError(f"warmup must be at least 0 and below total {total}, got {warmup}")
    check_number("floor", floor, "[0, 1]")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / (total - warmup))
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

    return factor


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups for AdamW: matrices decay, and vectors, the norms' scales, don't.

    The embedding decays, as it is the output layer's matrix too. A norm's scale is not drawn towards 0: there
    it would silence its branch.
    """
    weights = list(model.parameters())
    return [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]


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
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> list[float]:
    """Train `model` in place; return the mean loss of each epoch, nats per token.

    Args:
        model: its modules keep their modes (train/eval), so a part that was frozen in eval stays so; a model
            that is in eval as a whole trains in train mode. All modes are restored at the end. Batches are
            sent to the model's device.
        batch_loss: a batch's summed loss and its number of tokens.
        dataloader: training batches.
        optimizer: steps once a batch.
        epochs: passes over `dataloader`.
        schedule: a torch scheduler of this optimizer, or step → factor of its learning rate.
        max_grad_norm: a longer gradient is scaled down to this length.
        validation: batches for a loss after each epoch; in the end, and after an error, the model has
            its best epoch's weights.
        autocast: torch.bfloat16 for mixed precision: weights stay float32, products are computed in bfloat16.
        on_epoch: called with (epoch from 1, its loss, validation loss or None), the model being in eval mode.
        progress: show a bar on stderr, for people (package tqdm).

    Raises:
        TypeError: a schedule or an `on_epoch` that isn't one.
        ValueError: a setting out of range, an optimizer of another model or of frozen parameters alone, an
            iterator where several epochs need the same batches again, a bad batch in a list of validation
            batches: before the first step. Bad ids, a batch that doesn't fit, no tokens, a loss or weights
            that are NaN or infinite, a learning rate that float32 can't hold: where they are met.
        ModuleNotFoundError: `progress` without tqdm.
    """
    check_int("epochs", epochs)
    if max_grad_norm is not None:
        check_number("max_grad_norm", max_grad_norm, "(0, inf]")
    _check_optimizer(model, optimizer)
    _check_autocast(autocast)
    _check_epochs(model, epochs, dataloader, validation, on_epoch)
    schedule = _checked_schedule(schedule, optimizer)
    if progress:
        _bar([], "")  # say now if its package is missing
    found = {part: part.training for part in model.modules()}
    in_training = found if model.training else dict.fromkeys(found, True)
    losses, best, best_weights = [], math.inf, None
    try:
        for epoch in range(1, epochs + 1):
            note = f"epoch {epoch}/{epochs}" if progress else ""
            _set_modes(in_training)
            step = _Step(model, _cast(batch_loss, autocast), optimizer, schedule, max_grad_norm)
            losses.append(_mean_loss(model, step, dataloader, note))
            _check_weights(model)
            model.eval()
            validated = None
            if validation is not None:
                validated = evaluate(model, batch_loss, validation, autocast=autocast)
                if validated < best:
                    best, best_weights = validated, copy.deepcopy(model.state_dict())
            if on_epoch is not None:
                on_epoch(epoch, losses[-1], validated)
    finally:  # the best weights come back after a later epoch that failed, too
        _set_modes(found)
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
    """Return the mean loss over `dataloader`, nats per token, without dropout or gradients.

    Raises:
        ValueError: an `autocast` that isn't half precision, bad ids, a batch that doesn't fit, no tokens, an
            infinite loss.
    """
    _check_autocast(autocast)
    with evaluating(model):
        return _mean_loss(model, _cast(batch_loss, autocast), dataloader)


def _set_modes(modes: dict[nn.Module, bool]) -> None:
    for part, training in modes.items():
        part.training = training


def _check_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    weights = {id(weight) for weight in model.parameters()}
    held = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not any(id(weight) in weights for weight in held):
        raise ValueError(
            f"the optimizer holds {len(held)} parameters and none of the model's: "
            "make it from model.parameters(), after the model's last change"
        )
    if not any(weight.requires_grad and id(weight) in weights for weight in held):
        raise ValueError(
            "the optimizer holds frozen parameters of the model alone, so no step would change any: "
            "set requires_grad where it is False"
        )


def _check_weights(model: nn.Module) -> None:
    """Raise ValueError if the last step, whose weights no loss has seen, has left one that is no number."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and not weight.isfinite().all():
            raise ValueError(
                f"{name} is NaN or infinite after a step: a lower learning rate or max_grad_norm=1.0 may help"
            )


def _check_autocast(dtype: torch.dtype | None) -> None:
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype in AUTOCAST):
        raise ValueError(f"autocast must be None, torch.bfloat16 or torch.float16; got {dtype}")


def _check_epochs(
    model: nn.Module,
    epochs: int,
    dataloader: Iterable[Tensor],
    validation: Iterable[Tensor] | None,
    on_epoch: OnEpoch | None,
) -> None:
    """Refuse before the first epoch what would fail after it."""
    if on_epoch is not None and not callable(on_epoch):
        raise TypeError(f"on_epoch must be a function of epoch and losses, got {on_epoch!r}")
    for name, batches in (("dataloader", dataloader), ("validation", validation)):
        if batches is not None and not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__"):
            raise TypeError(f"{name} must be an iterable of batches (B, T), got {batches!r}")
        if epochs > 1 and isinstance(batches, Iterator):
            raise ValueError(
                f"{name} is an iterator, used up after the first of {epochs} epochs; give a list"
            )
    if isinstance(validation, Sequence):  # other iterables may draw their batches
        for number, batch in enumerate(validation):
            name = f"validation batch {number}"
            check_ids(batch, model.vocab_size, name=name)
            check_fits(model, batch.shape[1], name)


def _checked_schedule(schedule: Schedule | None, optimizer: torch.optim.Optimizer) -> LRScheduler | None:
    """The schedule as a torch scheduler of `optimizer`, which is stepped once a batch."""
    if isinstance(schedule, ReduceLROnPlateau):
        raise TypeError(
            "schedule steps once a batch, and ReduceLROnPlateau needs a loss to step on: "
            "call it yourself, in on_epoch, with the validation loss"
        )
    if isinstance(schedule, LRScheduler):
        if getattr(schedule, "optimizer", optimizer) is not optimizer:
            raise ValueError("schedule is a scheduler of another optimizer than the one given")
        return schedule
    if schedule is not None and not callable(schedule):
        raise TypeError(f"schedule must be a torch scheduler or a function of the step, got {schedule!r}")
    return None if schedule is None else LambdaLR(optimizer, schedule)


@dataclass
class _Step:
    """A batch loss that also moves the weights."""

    model: nn.Module
    batch_loss: BatchLoss
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler | None
    max_grad_norm: float | None

    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        for group in self.optimizer.param_groups:  # a rate of NaN would make every weight NaN
            if not abs(rate := float(group["lr"])) <= MAX_RATE:
                limit = f"at most {MAX_RATE:.3g}" if math.isfinite(rate) else "finite"
                raise ValueError(f"the learning rate of a step must be {limit}, got {rate}")
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


def _bar(batches: Iterable[Tensor], note: str):
    """`batches` under a progress bar on stderr."""
    try:
        from tqdm import tqdm
    except ImportError:
        raise ModuleNotFoundError(
            "progress=True needs the package tqdm: pip install tqdm", name="tqdm"
        ) from None
    return tqdm(batches, desc=note, unit="batch", disable=not note)


def _mean_loss(
    model: nn.Module, batch_loss: BatchLoss, dataloader: Iterable[Tensor], note: str = ""
) -> float:
    """Sum of losses over number of tokens; read from the device once, at the end, so that no step waits."""
    device = next(model.parameters()).device
    # Many losses are summed, so in float64, which Apple's GPUs lack.
    precision = torch.float32 if device.type == "mps" else torch.float64
    total = torch.zeros((), dtype=precision, device=device)
    count = torch.zeros((), dtype=torch.int64, device=device)
    number = 0
    batches = _bar(dataloader, note) if note else dataloader
    for number, batch in enumerate(batches, start=1):
        is_away = isinstance(batch, Tensor) and batch.device.type not in ("cpu", "meta")
        if not is_away or batch.ndim != 2:  # to look at ids on another device would wait for it
            check_ids(batch, model.vocab_size, name="a batch")
        check_fits(model, batch.shape[1], "a batch")
        loss, tokens = batch_loss(batch.to(device))
        total, count = total + loss, count + tokens
        if note and number % 10 == 1:
            batches.set_postfix_str(f"loss {total / count:.4f}", refresh=False)
    if not number:
        raise ValueError("the dataloader gave no batch, so 0 tokens; is it an iterator that is used up?")
    if not count:
        raise ValueError(f"{number} batch(es) hold 0 tokens to take a loss on: {_nothing_to_predict(model)}")
    mean = float(total) / int(count)
    if not math.isfinite(mean):
        raise ValueError(f"the loss is {mean}: a lower learning rate or max_grad_norm=1.0 may help")
    return mean


def _nothing_to_predict(model: nn.Module) -> str:
    if getattr(model, "predicts", "next") == "next":
        return "every token after the first of its row is padding"
    return (
        f"no token was masked; mask_prob is {getattr(model, 'mask_prob', None)}, and padding and "
        "special_token_ids are never masked"
    )
