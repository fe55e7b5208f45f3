"""Checkpoints of a training run: one safetensors file, which is always complete.

A checkpoint is written under another name, flushed to the disk and then renamed, so that even after a power
cut the old one or the new one is there. It holds the weights (`model.…`), the optimizer's state
(`optimizer.…`) and, as JSON in the file's metadata, everything else: `RunInfo`. Nothing in it is pickled.
Sharded (FSDP) runs write the same file as others, so that a run may go on with another number of processes.
"""

import json
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from lmbook.tokenizer.base import Tokenizer, tokenizer_from_json
from lmbook.training.corpus import Fingerprint
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.masked import MaskedLM
from lmbook.transformer.model import check_weight

NAME = "checkpoint.safetensors"
MODELS = {"causal": CausalLM, "masked": MaskedLM}  # by objective
SHAPE = {"d_model", "num_heads", "num_layers", "context_length"}
MAX_SIZE = 2**24  # of an entry of the shape; what is larger is damage
STATE = ("exp_avg", "exp_avg_sq", "step")  # what AdamW keeps of each weight
MAX_STEP = 2**24  # AdamW counts in float32, which goes no further


@dataclass(frozen=True)
class ModelInfo:
    """What a run's model is, besides its weights.

    Attributes:
        objective: "causal" or "masked".
        shape: sizes by name, those in `SHAPE`.
        tokenizer: of the run.
    """

    objective: str
    shape: dict[str, int]
    tokenizer: Tokenizer

    @classmethod
    def from_json(cls, info: dict) -> "ModelInfo":
        """What the info of a checkpoint says; ValueError for what no model is made of."""
        if not isinstance(text := info.get("tokenizer"), str):
            raise ValueError(f"its tokenizer must be text, got {text!r}")
        objective = info.get("objective", "causal")  # early runs, all causal, left it out
        if not isinstance(objective, str) or objective not in MODELS:
            raise ValueError(f"its objective must be one of {', '.join(MODELS)}; got {objective!r}")
        shape = info.get("shape")
        if not isinstance(shape, dict) or shape.keys() != SHAPE:
            raise ValueError(f"its shape must have {', '.join(sorted(SHAPE))}; got {shape!r}")
        for name, size in shape.items():
            if type(size) is not int or not 1 <= size <= MAX_SIZE:
                raise ValueError(f"{name} in its shape must be an int from 1 to {MAX_SIZE:,}, got {size!r}")
        return cls(objective, shape, tokenizer_from_json(text))


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: steps taken.
        seconds: of training, over all starts.
        loss: of the last step that was looked at, nats per token.
        bits_per_byte: of the last validation, after step `validated_at`; of a masked model, per hidden byte.
    """

    step: int = 0
    seconds: float = 0.0
    loss: float | None = None
    bits_per_byte: float | None = None
    validated_at: int | None = None

    @classmethod
    def from_json(cls, info: dict) -> "Progress":
        """What the info of a checkpoint says; ValueError if that is no progress."""
        step, seconds = info.get("step"), info.get("seconds")
        if type(step) is not int or step < 0:
            raise ValueError(f"its step must be an int, at least 0; got {step!r}")
        if not isinstance(seconds, float) or not 0 <= seconds < math.inf:
            raise ValueError(f"its seconds must be at least 0, got {seconds!r}")
        for name, kind in (("loss", float), ("bits_per_byte", float), ("validated_at", int)):
            if not isinstance(value := info.get(name), kind | None):
                raise ValueError(f"its {name} must be a number or null, got {value!r}")
        return cls(**{field.name: info.get(field.name) for field in fields(cls)})


@dataclass(frozen=True)
class RunInfo:
    """All that the checkpoint of a run says, besides its tensors.

    Attributes:
        settings: of `lmbook.pretrain`, as `Settings.as_json` gives them.
        model: what was trained.
        corpus: fingerprints of its texts.
        progress: when the checkpoint was written.
    """

    settings: dict
    model: ModelInfo
    corpus: list[Fingerprint]
    progress: Progress

    @classmethod
    def from_json(cls, info: dict) -> "RunInfo":
        """What `as_json` gave; ValueError for a damaged part. What is in the settings, `arguments` checks."""
        settings, corpus = info.get("settings"), info.get("corpus")
        if not isinstance(settings, dict):
            raise ValueError(f"its settings must be an object of JSON, got {settings!r}")
        if not isinstance(corpus, list):
            raise ValueError(f"its corpus must be a list, got {corpus!r}")
        texts = [Fingerprint.from_json(text) for text in corpus]
        return cls(settings, ModelInfo.from_json(info), texts, Progress.from_json(info))

    def as_json(self) -> dict:
        """The info of a checkpoint."""
        return {
            "settings": self.settings,
            "objective": self.model.objective,
            "shape": self.model.shape,
            "tokenizer": self.model.tokenizer.to_json(),
            "corpus": [asdict(text) for text in self.corpus],
            **asdict(self.progress),
        }


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

    if Path(path).is_dir():
        raise ValueError(f"{path} is no checkpoint: it is a folder")
    try:
        with safe_open(path, framework="pt", device=device) as file:
            metadata = file.metadata() or {}
            if "info" not in metadata:
                raise ValueError("its metadata has no info of a run; another program wrote it")
            info = json.loads(metadata["info"])
            if not isinstance(info, dict):
                raise ValueError(f"its info must be an object of JSON, got {info!r}")
            return {name: file.get_tensor(name) for name in file.keys()}, info  # noqa: SIM118 – it is no dict
    except (SafetensorError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from None


def load_run(path: str | Path) -> tuple[CausalLM | MaskedLM, Tokenizer]:
    """The model, in eval mode, and the tokenizer of a run of `lmbook.pretrain`.

    Args:
        path: the run's folder, or the checkpoint in it.

    Raises:
        FileNotFoundError: no checkpoint is there.
        ValueError: the file isn't a checkpoint of `lmbook.pretrain`, or its tokenizer, shape or a weight is
            damaged; said before a model of that shape is built.
    """
    path = Path(path)
    file = path / NAME if path.is_dir() else path
    tensors, info = load_checkpoint(file)
    weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    try:
        model_info = ModelInfo.from_json(info)
        _check_layers(model_info.shape, weights)
        with torch.device("meta"):  # shapes without memory; the weights follow
            model = MODELS[model_info.objective](model_info.tokenizer.vocab_size, **model_info.shape)
        _check_weights(weights, model)
    except ValueError as error:
        raise ValueError(f"{file} is no checkpoint of lmbook.pretrain, or a damaged one: {error}") from None
    model.load_state_dict(weights, assign=True)
    return model.eval(), model_info.tokenizer


def _check_layers(shape: dict[str, int], weights: dict[str, Tensor]) -> None:
    """ValueError for more layers than the file has weights for, before a model of so many is built."""
    layers = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    if shape["num_layers"] != layers:
        raise ValueError(f"its shape has {shape['num_layers']} layers, and it has weights for {layers}")


def _check_weights(weights: dict[str, Tensor], model: nn.Module) -> None:
    expected = dict(model.named_parameters())
    for name in [*expected, *(weights.keys() - expected.keys())]:
        if name not in weights:
            raise ValueError(f"it lacks the weight {name}")
        if name not in expected:
            raise ValueError(f"it has the weight {name}, which the model hasn't")
        weight, shape = weights[name], expected[name].shape
        if weight.shape != shape:
            raise ValueError(f"the weight {name} is {tuple(weight.shape)}, the model's is {tuple(shape)}")
        _check_float32(f"the weight {name}", weight)
        check_weight(f"the weight {name}", weight)


def _check_float32(name: str, tensor: Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise ValueError(f"{name} must be of torch.float32, got {tensor.dtype}")


def check_numbers(name: str, tensor: Tensor) -> None:
    """Raise ValueError for a number of a checkpoint's tensor that no run could go on with."""
    if name.startswith("model."):
        check_weight(name, tensor)
    elif not tensor.isfinite().all():
        raise ValueError(f"{name} has numbers that are NaN or infinite")


def _check_state(name: str, tensor: Tensor) -> None:
    """Raise ValueError for a state that AdamW can't come to: a mean of squares below 0, another step."""
    if name.startswith("optimizer.exp_avg_sq.") and tensor.min() < 0:
        raise ValueError(f"{name} has a mean of squares of {tensor.min().item()}")
    if name.startswith("optimizer.step."):
        step = tensor.item()
        if not (step.is_integer() and 0 <= step <= MAX_STEP):
            raise ValueError(f"{name} must be a whole number from 0 to {MAX_STEP:,}, got {step}")


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
        # In the same order in every process: the gather is collective.
        for key, value in sorted(optimizer.state[weight].items()):
            tensors[f"optimizer.{key}.{name}"] = whole(value)
    return tensors


@torch.no_grad()
def restore(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `state_tensors`: fill the weights and the optimizer's state, each process with its own share.

    Raises:
        ValueError: a tensor is missing, has another shape than the model's, or numbers that can't be; nothing
            is filled then.
    """
    for name, weight in model.named_parameters():
        for key in "model", *(f"optimizer.{key}" for key in STATE):
            tensor = tensors.get(f"{key}.{name}")
            if tensor is None:
                raise ValueError(f"it lacks {key}.{name}")
            shape = () if key == "optimizer.step" else tuple(weight.shape)
            if tensor.shape != shape:
                raise ValueError(f"its {key}.{name} is {tuple(tensor.shape)}, and the model's is {shape}")
            _check_float32(f"its {key}.{name}", tensor)
            check_numbers(f"{key}.{name}", tensor)
            _check_state(f"{key}.{name}", tensor)
    for name, weight in model.named_parameters():
        weight.copy_(_share(tensors[f"model.{name}"], weight))
        for key in STATE:
            value = tensors[f"optimizer.{key}.{name}"]
            optimizer.state[weight][key] = _share(value, weight) if value.ndim else value


def _share(tensor: Tensor, like: Tensor) -> Tensor:
    tensor = tensor.to(like.device)
    if not hasattr(like, "device_mesh"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    # src_data_rank=None: every process holds the tensor.
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)
