"""Five checks of a model: what a row of logits may depend on, and where its tensors live.

Axes: B batch, T time, V vocabulary.
"""

import copy

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lmbook.checklist.asking import TOLERANCE, CheckFailed, check_rows_differ, check_size, distance, read, run
from lmbook.interface import Ids, LanguageModel, check_ids, check_number, evaluating


def check_rows(model: LanguageModel, ids: Ids) -> None:
    """A row's logits don't depend on the other rows: each row alone gives the same as in the batch.

    Tries `ids` (B, T) and a square part of them, because a model that mixes up B and T may run only there.

    Raises:
        ValueError: all rows are equal, of `ids` or of the square part: nothing to mix up.
        CheckFailed: they do, or the model fails on one of the shapes.
    """
    check_size(ids, rows=2)
    side = min(ids.shape)
    square = ids[:side, :side]
    check_rows_differ(ids, "ids")
    check_rows_differ(square, f"ids[:{side}, :{side}]")
    for batch in (ids, square):
        with evaluating(model):
            together = read(model, batch, f"a batch of shape {tuple(batch.shape)}")
            alone = [read(model, row[None], "a single row") for row in batch]
        off = torch.stack([distance(*pair).max() for pair in zip(together.split(1), alone, strict=True)])
        if not off.max() <= TOLERANCE:
            row = int(off.argmax())
            raise CheckFailed(f"row {row}'s logits change by {off[row]:.3g} when it is read alone")


def check_future(model: LanguageModel, ids: Ids) -> None:
    """Logits of row t don't depend on tokens after t: a shortened text gives the same rows.

    Raises:
        ValueError: each row holds one token only, so that what comes and what was look the same.
        CheckFailed: they do, so the model sees what it should predict.
    """
    check_size(ids)
    if torch.equal(ids, ids[:, :1].expand_as(ids)):
        raise ValueError(f"ids must not repeat one token in each row; got {ids[:, 0].tolist()[:5]} repeated")
    with evaluating(model):
        whole = read(model, ids, "the whole text")
        for stop in range(1, ids.shape[1]):
            cut = read(model, ids[:, :stop], f"the first {stop} tokens")
            off = float(distance(whole[:, :stop], cut).max())
            if not off <= TOLERANCE:
                raise CheckFailed(f"logits before place {stop} change by {off:.3g} when it and the rest go")


def check_order(model: LanguageModel, ids: Ids) -> None:
    """The last row's logits depend on the order of the earlier tokens: reversing those changes the logits.

    Raises:
        ValueError: each row reads the same with them reversed.
        CheckFailed: they don't in any row of `ids`.
    """
    check_size(ids, length=3)
    turned = torch.cat((ids[:, :-1].flip(1), ids[:, -1:]), dim=1)
    if torch.equal(turned, ids):
        raise ValueError("ids must not read the same in reverse; check_order needs different tokens")
    with evaluating(model):
        there, back = read(model, ids, "the text"), read(model, turned, "the text reversed")
    off = float(distance(there[:, -1], back[:, -1]).max())
    if not off > TOLERANCE:
        raise CheckFailed(
            f"with the tokens before it reversed, the last row moves by less than {TOLERANCE:g}"
        )


def check_device(model: nn.Module, ids: Ids) -> None:
    """Every tensor is made on the device of the input; tried on "meta", which every machine has.

    Scalar tensors may be on any device.

    Raises:
        TypeError: not an `nn.Module`.
        CheckFailed: tensors are made on another device, the message lists the operations; or the model can't
            be copied or fails.
    """
    check_ids(ids, None)
    if not isinstance(model, nn.Module):
        raise TypeError(f"check_device needs a model that is an nn.Module, got {type(model).__name__}")
    strays = run(lambda: stray_tensors(model, ids), "the meta device")
    if strays:
        raise CheckFailed(f"made on the cpu, the model and its input being on meta: {', '.join(strays)}")


def stray_tensors(model: nn.Module, ids: Ids) -> list[str]:
    """Operations, with shapes, whose results are on another device than the model and its input.

    What the model raises is raised, unless there are such operations.
    """
    found: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple | list) else (made,):
                if isinstance(tensor, Tensor) and tensor.ndim and tensor.device.type != "meta":
                    found.append(f"{func.overloadpacket.__name__} {tuple(tensor.shape)}")
            return made

    away = copy.deepcopy(model).to("meta").eval()
    try:
        with torch.no_grad(), Watch():
            away(ids.to("meta"))
    except Exception:
        if not found:  # the failure isn't about devices
            raise
    return found


def check_logits(model: LanguageModel, reference: LanguageModel, ids: Ids, tolerance: float = 1e-3) -> None:
    """Log-probabilities equal those of a reference: the only reliable test of loaded weights.

    Raises:
        CheckFailed: one is off by more than `tolerance` nats, or logits are not a distribution.
    """
    check_ids(ids, None)
    check_number("tolerance", tolerance, "[0, inf)")
    with evaluating(model), evaluating(reference):
        ours = read(model, ids, "the model").double().log_softmax(-1)
        theirs = read(reference, ids, "the reference").double().log_softmax(-1)
    if ours.shape != theirs.shape:
        raise CheckFailed(f"logits have shape {tuple(ours.shape)}, the reference's {tuple(theirs.shape)}")
    off = float(distance(ours, theirs).max())
    if not off <= tolerance:
        same = float((ours.argmax(-1) == theirs.argmax(-1)).double().mean())
        raise CheckFailed(f"log P is off by up to {off:.3g} nats; the best token is the same in {same:.0%}")
