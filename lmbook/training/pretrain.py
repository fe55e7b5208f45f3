"""Training when one laptop is no longer enough: one process, or as many as `torchrun` starts.

    python -m lmbook.pretrain --corpus shakespeare --tokenizer bpe --preset small --steps 2000 --out run
    torchrun --nproc-per-node 8 -m lmbook.pretrain …the same…

Each process takes its share of the rows of every batch, and the gradients are averaged (DDP); with `--fsdp`
each keeps only its share of the weights too. `--batch-size` counts the rows of all processes together: their
number changes the speed and not the result.

A batch is a function of (seed, step), and nothing else is random once the weights are drawn. So the step is
all there is to know about the place in the data; a run that was killed goes on from its last checkpoint when
the same command is given again, and ends as if nothing had happened. `load_run(out)` (lmbook.training)
gives model and tokenizer.

Axes: B batch (all processes), T time.
"""

import argparse
import hashlib
import importlib.util
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from lmbook.corpora import load_shakespeare, load_speeches
from lmbook.tokenizer.base import ByteTokenizer, CharTokenizer, Tokenizer, tokenizer_from_json
from lmbook.tokenizer.bpe import BPETokenizer
from lmbook.training.checkpoint import NAME, load_checkpoint, restore, save_checkpoint, state_tensors
from lmbook.training.loop import warmup_cosine
from lmbook.transformer.causal import CausalLM

PRESETS = {"tiny": (64, 2, 2), "small": (256, 4, 4), "medium": (512, 8, 8), "large": (768, 12, 12)}
CORPORA = {"shakespeare": load_shakespeare, "speeches": load_speeches}
VALIDATION_SHARE = 0.05  # of a text file: its end
EVERY = ("log_every", "validate_every", "checkpoint_every")
FREE = (*EVERY, "out", "minutes", "fsdp")  # what may change when a run goes on


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="lmbook.pretrain", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--corpus", required=True, help=f"{', '.join(CORPORA)}, or the name of a text file in UTF-8")
    add("--tokenizer", choices=["char", "byte", "bpe"], default="byte")
    add("--vocab-size", type=int, default=2048, help="tokens of bpe (default 2048)")
    sizes = "; ".join(f"{name}: d_model {d}, heads {h}, layers {n}" for name, (d, h, n) in PRESETS.items())
    add("--preset", choices=PRESETS, default="small", help=sizes)
    add("--d-model", type=int, help="instead of the preset's")
    add("--num-heads", type=int, help="instead of the preset's")
    add("--num-layers", type=int, help="instead of the preset's")
    add("--context-length", type=int, default=256, help="T, tokens a row (default 256)")
    add("--batch-size", type=int, default=16, help="B, rows a step over all processes (default 16)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, help="learning rate falls along a half cosine over them")
    length.add_argument("--minutes", type=float, help="of training in all; the learning rate stays")
    add("--learning-rate", type=float, default=1e-3)
    add("--warmup", type=int, default=100, help="steps (default 100, at most a tenth of --steps)")
    add("--bf16", action="store_true", help="compute products in bfloat16; weights stay float32")
    add("--fsdp", action="store_true", help="share weights and optimizer state out among the processes")
    add("--seed", type=int, default=0)
    add("--out", type=Path, required=True, help="folder of the run")
    add("--checkpoint-every", type=int, default=200, help="steps (default 200)")
    add("--validate-every", type=int, default=200, help="steps (default 200)")
    add("--log-every", type=int, default=10, help="steps (default 10)")
    return parser


def check_arguments(args: argparse.Namespace, world_size: int) -> None:
    """Fill in the preset; ValueError says what is wrong, before any work."""
    for name, preset in zip(("d_model", "num_heads", "num_layers"), PRESETS[args.preset], strict=True):
        setattr(args, name, preset if getattr(args, name) is None else getattr(args, name))
    for name, value in vars(args).items():
        floor = {int: int(name != "seed"), float: sys.float_info.min}.get(type(value))  # others have none
        if floor is not None and not floor <= value < math.inf:
            limit = f"at least {floor}" if type(value) is int else "above 0 and finite"
            raise ValueError(f"--{name.replace('_', '-')} must be {limit}, got {value}")
    if args.d_model % args.num_heads or args.d_model // args.num_heads % 2:
        raise ValueError(f"--d-model {args.d_model} must be an even multiple of --num-heads {args.num_heads}")
    if args.batch_size % world_size:
        raise ValueError(f"--batch-size {args.batch_size} can't be shared by {world_size} processes")
    if args.tokenizer == "bpe" and args.vocab_size < 256:
        raise ValueError(f"--vocab-size must be at least 256, the bytes; got {args.vocab_size}")
    if args.steps is not None:
        args.warmup = min(args.warmup, args.steps // 10)
    if importlib.util.find_spec("safetensors") is None:
        raise ValueError("checkpoints need the package safetensors: pip install safetensors")
    if args.fsdp and world_size == 1:
        raise ValueError("--fsdp shares a model out among processes; start them with torchrun")
    if args.corpus not in CORPORA and not Path(args.corpus).is_file():
        raise ValueError(f"--corpus must be one of {', '.join(CORPORA)} or a file, got {args.corpus!r}")
    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"--out must be a folder, {str(args.out)!r} is a file")


def read_corpus(name: str) -> tuple[str, str]:
    """Training and validation text; of a file, the last 5 % are for validation."""
    if name in CORPORA:
        return "".join(CORPORA[name]("train").values()), "".join(CORPORA[name]("validation").values())
    text = Path(name).read_text(encoding="utf-8")
    cut = round(len(text) * (1 - VALIDATION_SHARE))
    return text[:cut], text[cut:]


def make_tokenizer(kind: str, texts: tuple[str, str], vocab_size: int) -> Tokenizer:
    """Characters come from training and validation text, byte pairs from the first alone."""
    if kind == "bpe":
        return BPETokenizer.train(texts[0], vocab_size)
    return CharTokenizer.train("".join(texts)) if kind == "char" else ByteTokenizer()


def batch(ids: Int[Tensor, " N"], seed: int, step: int, batch_size: int, length: int) -> Int[Tensor, "B _"]:
    """Rows of `length` + 1 consecutive tokens for training step `step`: always the same ones."""
    starts = np.random.default_rng((seed, step)).integers(len(ids) - length, size=(batch_size, 1))
    return ids[torch.from_numpy(starts + np.arange(length + 1))]


class Run:
    """One training run, in one of its processes."""

    def __init__(self, args: argparse.Namespace, rank: int, world_size: int, device: torch.device):
        self.args, self.rank, self.world_size, self.device = args, rank, world_size, device
        texts = read_corpus(args.corpus)
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        settings = {key: value for key, value in vars(args).items() if key not in FREE}
        self.info = {"step": 0, "seconds": 0.0, "settings": settings | {"corpus": digest}}
        self.path = args.out / NAME
        saved = load_checkpoint(self.path) if self.path.exists() else None
        if saved:
            self._adopt(saved[1])
        else:
            self.info["tokenizer"] = make_tokenizer(args.tokenizer, texts, args.vocab_size).to_json()
        self.tokenizer = tokenizer_from_json(self.info["tokenizer"])
        self.ids, self.validation_ids = (torch.tensor(self.tokenizer.encode(text)) for text in texts)
        for name, ids in ("training", self.ids), ("validation", self.validation_ids):
            if len(ids) <= (limit := args.context_length):
                raise ValueError(f"--context-length {limit} needs more than {len(ids)} tokens of {name} text")
        self._build()
        if saved:
            restore(self.model, self.optimizer, saved[0])

    def _adopt(self, info: dict) -> None:
        """Go on from a checkpoint's info; ValueError if it belongs to another run."""
        for key, value in self.info["settings"].items():
            old = info.get("settings", {}).get(key)
            if old != value:
                raise ValueError(f"--out has a run with {key} {old!r}, not {value!r}; choose another folder")
        self.info = info

    def _build(self) -> None:
        """Draw the model, share it out, give it an optimizer."""
        args = self.args
        shape = ("d_model", "num_heads", "num_layers", "context_length")
        self.info["shape"] = {name: getattr(args, name) for name in shape}
        torch.manual_seed(args.seed)
        self.model = CausalLM(self.tokenizer.vocab_size, **self.info["shape"]).to(self.device)
        self.wrapped: nn.Module = self.model
        if args.fsdp:
            from torch.distributed.fsdp import fully_shard  # needs torch 2.6; the rest does not

            mesh = init_device_mesh(self.device.type, (self.world_size,))
            for part in [*self.model.blocks, self.model]:
                fully_shard(part, mesh=mesh)
        elif self.world_size > 1:
            self.wrapped = nn.parallel.DistributedDataParallel(self.model)
        weights = list(self.model.parameters())
        matrices, norms = ([w for w in weights if (w.ndim > 1) == wide] for wide in (True, False))
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
        steady = lambda step: min(1.0, (step + 1) / args.warmup)  # noqa: E731
        self.rate = warmup_cosine(args.warmup, args.steps) if args.steps else steady
        self.optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.95))

    def train(self) -> None:
        """Go on to the last step, or until the minutes are over."""
        args, info = self.args, self.info
        began = time.monotonic() - info["seconds"]
        over = self._over()
        while not over:
            loss = self._step(info["step"])
            info["step"] += 1
            info["seconds"] = time.monotonic() - began
            over = self._over()
            due = {name for name in EVERY if over or info["step"] % getattr(args, name) == 0}
            if due:
                info["loss"] = float(self._sum(loss)) / self.world_size
                if not math.isfinite(info["loss"]):
                    raise FloatingPointError(f"the loss is {info['loss']}: a lower --learning-rate may help")
                if "validate_every" in due:
                    info["bits_per_byte"] = self.validate()
                self._report(sys.stderr)
                if "checkpoint_every" in due:
                    self.save()
        self._report(sys.stdout)

    def _over(self) -> bool:
        if self.args.steps is not None:
            return self.info["step"] >= self.args.steps
        over = torch.tensor([float(self.info["seconds"] >= 60 * self.args.minutes)], device=self.device)
        if self.world_size > 1:  # clocks differ: the first process decides
            dist.broadcast(over, 0)
        return bool(over)

    def _step(self, step: int) -> Tensor:
        """One step of AdamW; this process's mean loss, nats per token."""
        args = self.args
        rows = batch(self.ids, args.seed, step, args.batch_size, args.context_length)
        loss = self._losses(self.wrapped, rows.chunk(self.world_size)[self.rank]).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step) * args.learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _losses(self, model: nn.Module, rows: Int[Tensor, "B _"]) -> Tensor:
        """Nats of each predicted token, (B, T)."""
        rows = rows.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.bf16):
            logits = model(rows[:, :-1])
        return F.cross_entropy(logits.float().mT, rows[:, 1:], reduction="none")

    def _sum(self, values: Tensor) -> Tensor:
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def validate(self) -> float:
        """Bits per byte over the validation text, at most 64 batches of it, cut into rows of T + 1 tokens."""
        length, share = self.args.context_length, self.args.batch_size // self.world_size
        rows = self.validation_ids.unfold(0, length + 1, length)[: 64 * self.args.batch_size]
        # Sharded models must run equally often everywhere: rows past the last are repeats that count nothing.
        numbers = torch.arange(math.ceil(len(rows) / self.args.batch_size) * self.args.batch_size)
        spelled = [t.encode() if isinstance(t, str) else t for t in self.tokenizer.tokens]
        sizes = torch.tensor([len(token) for token in spelled])
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)  # nats, bytes
        with torch.no_grad():
            for mine in numbers[self.rank :: self.world_size].split(share):
                chosen, real = rows[mine % len(rows)], (mine < len(rows))[:, None].to(self.device)
                nats = (self._losses(self.model, chosen) * real).double().sum()
                sums += torch.stack((nats, (sizes[chosen[:, 1:]].to(self.device) * real).sum().double()))
        nats, num_bytes = self._sum(sums).tolist()
        return nats / num_bytes / math.log(2)

    def save(self) -> None:
        """Write the checkpoint; the first process does, all take part."""
        tensors = state_tensors(self.model, self.optimizer)
        if self.rank == 0:
            for left_over in self.path.parent.glob(f"{NAME}.*.partial"):  # by a process that was killed
                left_over.unlink()
            save_checkpoint(self.path, tensors, self.info)
        if self.world_size > 1:
            dist.barrier()

    def _report(self, file) -> None:
        if self.rank:
            return
        info, args = self.info, self.args
        bits = f", validation {info['bits_per_byte']:.4f} bits/byte" if "bits_per_byte" in info else ""
        speed = info["step"] * args.batch_size * args.context_length / max(info["seconds"], 1e-9)
        step = f"step {info['step']}" + (f"/{args.steps}" if args.steps else "")
        loss = f"loss {info['loss']:.4f} nats/token{bits}"
        print(f"{step}: {loss}, {speed:,.0f} tokens/s", file=file, flush=True)


def main(argv: list[str] | None = None) -> None:
    """Train as the command line says; exit code 2 if it says something impossible."""
    parser = arguments()
    args = parser.parse_args(argv)
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    gpu = torch.cuda.is_available()
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if gpu else "cpu")
    try:
        check_arguments(args, world_size)
        if gpu:
            torch.cuda.set_device(device)
        if world_size > 1:
            dist.init_process_group("nccl" if gpu else "gloo")
        run = Run(args, rank, world_size, device)
        args.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, ImportError, OSError) as error:
        parser.error(str(error)) if rank == 0 else sys.exit(2)
    try:
        run.train()
    finally:
        if world_size > 1:
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
