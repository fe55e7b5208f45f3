"""Checkpoints of a training run: one safetensors file, which is always complete.

A checkpoint is written under another name, flushed to the disk and then renamed, so that even after a power
cut the old one or the new one is there. It holds the weights (`model.…`), the optimizer's state
(`optimizer.…`) and, as JSON in the file's metadata, everything else: settings, step, tokenizer. Nothing in it
is pickled.
Sharded (FSDP) runs write the same file as others, so that a run may go on with another number of processes.
"""

import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from lmbook.tokenizer.base import Tokenizer, tokenizer_from_json
from lmbook.transformer.causal import CausalLM

NAME = "checkpoint.safetensors"


def save_checkpoint(path: Path, tensors: dict[str, Tensor], info: dict) -> None:
    """Write a checkpoint to `path`, completely or not at all.

    Args:
        path: replaced if it exists.
        tensors: by name; see `state_tensors`.
        info: anything that JSON can express.

    Raises:
        OSError: it couldn't be written; what was at `path` is still there.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, metadata={"info": json.dumps(info)})
        _force_to_disk(partial)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OSError(f"{path} couldn't be written: {error}") from None
    if os.name == "posix":  # elsewhere a folder can't be opened
        _force_to_disk(path.parent)


def _force_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_checkpoint(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict]:
    """Tensors and info of the checkpoint at `path`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it isn't a checkpoint that `save_checkpoint` wrote.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=device) as file:
            metadata = file.metadata() or {}
            if "info" not in metadata:
                raise ValueError("its metadata has no info of a run; another program wrote it")
            info = json.loads(metadata["info"])
            return {name: file.get_tensor(name) for name in file.keys()}, info  # noqa: SIM118 – it is no dict
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from None


def load_run(path: str | Path) -> tuple[CausalLM, Tokenizer]:
    """The model, in eval mode, and the tokenizer of a run of `lmbook.pretrain`.

    Args:
        path: the run's folder, or the checkpoint in it.

    Raises:
        FileNotFoundError: no checkpoint is there.
        ValueError: the file isn't a checkpoint of `lmbook.pretrain`.
    """
    path = Path(path)
    tensors, info = load_checkpoint(path / NAME if path.is_dir() else path)
    try:
        tokenizer, shape = tokenizer_from_json(info["tokenizer"]), info["shape"]
    except KeyError as error:
        raise ValueError(f"{path} was not written by lmbook.pretrain: it lacks {error}") from None
    with torch.device("meta"):  # shapes without memory; the weights follow
        model = CausalLM(tokenizer.vocab_size, **shape)
    weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    model.load_state_dict(weights, assign=True)
    return model.eval(), tokenizer


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights and optimizer state by name, on the CPU; the processes of a sharded run call it together."""

    def whole(tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).cpu().contiguous()

    if hasattr(model, "reshard"):
        model.reshard()  # FSDP leaves the outermost weights whole after a forward pass without a backward one
    tensors = {}
    for name, weight in model.named_parameters():
        tensors[f"model.{name}"] = whole(weight)
        for key, value in sorted(optimizer.state[weight].items()):  # in one order in all processes: they meet
            tensors[f"optimizer.{key}.{name}"] = whole(value)
    return tensors


@torch.no_grad()
def restore(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `state_tensors`: fill the weights and the optimizer's state, each process with its own share.

    Raises:
        ValueError: a tensor is missing, or has another shape than the model's; nothing is filled then.
    """
    keys = sorted({name.split(".")[1] for name in tensors if name.startswith("optimizer.")})
    if not keys:
        raise ValueError("it lacks the optimizer's state")
    for name, weight in model.named_parameters():
        for key in "model", *(f"optimizer.{key}" for key in keys):
            tensor = tensors.get(f"{key}.{name}")
            if tensor is None:
                raise ValueError(f"it lacks {key}.{name}")
            if tensor.shape != weight.shape and (key == "model" or tensor.ndim):
                shapes = f"{tuple(tensor.shape)}, and the model's is {tuple(weight.shape)}"
                raise ValueError(f"its {key}.{name} is {shapes}")
    for name, weight in model.named_parameters():
        weight.copy_(_share(tensors[f"model.{name}"], weight))
        for key in keys:
            value = tensors[f"optimizer.{key}.{name}"]
            optimizer.state[weight][key] = _share(value, weight) if value.ndim else value


def _share(tensor: Tensor, like: Tensor) -> Tensor:
    tensor = tensor.to(like.device)
    if not hasattr(like, "device_mesh"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)  # all have it
