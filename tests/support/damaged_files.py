"""Thousands of damaged files for each reader: what it doesn't refuse by name must work when it is used.

    python tests/support/damaged_files.py gguf 3000 1 folder

prints how often each thing happened as JSON. A file that was treated wrongly stays in `folder`.

A damage is drawn from a seed: a flipped bit, a byte, a cut, a count replaced by a value at an edge of its
type, a value of JSON replaced by one of another kind, a tensor that is missing, misshapen or not finite.
"""

import collections
import contextlib
import copy
import json
import math
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import gguf_files
import numpy as np
import torch
from safetensors.torch import save_file

from lmbook.smollm2 import load_gguf
from lmbook.tokenizer import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    PretrainedTokenizer,
    WordTokenizer,
    load_tokenizer,
    tokenizer_from_json,
)
from lmbook.tokenizer.pretrained import byte_of
from lmbook.training.checkpoint import NAME, load_run
from lmbook.training.pretrain import main
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.model import rotary_tables

SECONDS = 10  # of the processor, for one file of a few kilobytes
BYTES = 2**30  # of address space, over what the process has before
GOOD = {"refused", "works"}

EDGES = [0, 1, 2, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1]
VALUES = [None, True, -1, 0, 5, 1.0, 1e308, math.nan, math.inf, 10**30, "", "a", "\ud800", "\x00", "a b",
          "x y z", [], {}, [[1]], ["a"], [97, 98]]  # fmt: skip

Case = tuple[str, Callable[[], object], Callable[[object], str | None]]  # file's name, load, use
Damage = Callable[[random.Random, Path], Case]


def damaged_bytes(data: bytes, rng: random.Random, head: int) -> bytes:
    """One to four places are damaged, mostly among the first `head` bytes."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(min(head if rng.random() < 0.8 else len(made), len(made)))
        how = rng.choice(["bit", "bit", "byte", "count", "half", "cut", "more"])
        if how == "bit":
            made[at] ^= 1 << rng.randrange(8)
        elif how == "byte":
            made[at] = rng.randrange(256)
        elif how == "count":
            made[at : at + 8] = rng.choice(EDGES).to_bytes(8, "little")
        elif how == "half":
            made[at : at + 4] = (rng.choice(EDGES) % 2**32).to_bytes(4, "little")
        elif how == "more":
            made[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif rng.random() < 0.3:
            del made[at:]
        if not made:
            break
    return bytes(made)


def damaged_json(value, rng: random.Random, values=VALUES):
    """A part of `value` is missing, doubled, or of another kind."""
    if not isinstance(value, list | dict) or not value or rng.random() < 0.1:
        return rng.choice(values)
    made = copy.copy(value)
    for _ in range(rng.choice([1, 1, 2])):
        if not made:
            break
        key = rng.choice(list(made)) if isinstance(made, dict) else rng.randrange(len(made))
        how = rng.randrange(5)
        if how == 0:
            del made[key]
        elif how == 1:
            made[key] = copy.deepcopy(rng.choice(values))
        elif how == 2 and isinstance(made, list):
            made.insert(key, made[rng.randrange(len(made))])
        elif how == 2:
            made[str(rng.choice(values))] = rng.choice(values)
        else:
            made[key] = damaged_json(made[key], rng, values)
    return made


DAMAGED_TENSORS = [
    lambda w: w.half(),
    lambda w: w.double(),
    lambda w: w.bfloat16(),
    lambda w: w.int(),
    lambda w: w > 0,
    lambda w: w.to(torch.float8_e5m2),
    lambda w: w.to(torch.complex64),
    lambda w: w[:1].clone() if w.ndim else w[None].clone(),
    lambda w: w[None].clone(),
    lambda w: w.flatten()[0].clone(),
    lambda w: torch.zeros(0),
    lambda w: w * math.nan,
    lambda w: w * math.inf,
    lambda w: w * 3e38,
    lambda w: w * 0,
]


def damaged_tensors(tensors: dict, rng: random.Random) -> dict:
    made = dict(tensors)
    name = rng.choice(list(made))
    how = rng.randrange(6)
    if how == 0:
        del made[name]
    elif how == 1:
        made[rng.choice(["colour", "model.blocks.7.attention_norm.weight", "model.", "optimizer.x"])] = (
            made.pop(name)
        )
    else:
        made[name] = rng.choice(DAMAGED_TENSORS)(made[name])
    return made


# Tokenizers

TEXTS = ["ab<|end|>c", "aab b ab", "a", "", "12 bé\n\n 日"]
TOKENIZERS = [
    BPETokenizer([(97, 98), (256, 99), (257, 257), (98, 32)]),
    CharTokenizer("abcé"),
    WordTokenizer(["<unk>", "a", " b"]),
    ByteTokenizer(),
    PretrainedTokenizer(
        ["<|end|>", *byte_of(), "ab", "abab", "bab"], ["a b", "ab ab", "b ab"], [0], eos_token_id=0
    ),
]


def tokenizer_file(rng: random.Random, folder: Path) -> Case:
    text, path = rng.choice(TOKENIZERS).to_json(), folder / "tokenizer.json"
    if rng.random() < 0.6:
        path.write_text(json.dumps(damaged_json(json.loads(text), rng)), encoding="utf-8")
    else:
        path.write_bytes(damaged_bytes(text.encode(), rng, len(text)))
    return path.name, lambda: load_tokenizer(path), use_tokenizer


def use_tokenizer(tokenizer) -> str | None:
    for text in TEXTS:
        try:
            ids = tokenizer.encode(text)
        except ValueError as error:
            if "character" not in str(error):
                return f"encode: {error}"
            continue
        if not all(0 <= i < tokenizer.vocab_size for i in ids):
            return "an id outside the vocabulary"
        if tokenizer.decode(ids) != text and not (tokenizer.kind == "word" and 0 in ids):
            return f"{tokenizer.kind}: another text comes back"
    again = tokenizer_from_json(tokenizer.to_json())
    if again.tokens != tokenizer.tokens or any(_ids(again, text) != _ids(tokenizer, text) for text in TEXTS):
        return "another tokenizer comes back"
    return None


def _ids(tokenizer, text: str) -> list[int] | None:
    with contextlib.suppress(ValueError):
        return tokenizer.encode(text)
    return None


# Checkpoints

SHAPE = {"d_model": 8, "num_heads": 2, "num_layers": 2, "context_length": 8}


def _checkpoint() -> tuple[dict, dict]:
    torch.manual_seed(0)
    tensors = {f"model.{n}": w.detach().clone() for n, w in CausalLM(256, **SHAPE).named_parameters()}
    tensors |= {f"optimizer.exp_avg.{n.removeprefix('model.')}": w.clone() for n, w in tensors.items()}
    settings = {"steps": 2, **SHAPE}
    return tensors, {
        "step": 1,
        "seconds": 1.0,
        "settings": settings,
        "shape": SHAPE,
        "tokenizer": ByteTokenizer().to_json(),
    }


def checkpoint_file(rng: random.Random, folder: Path) -> Case:
    tensors, info = _checkpoint()
    path, how = folder / NAME, rng.random()
    if how < 0.3:
        tensors = damaged_tensors(tensors, rng)
    elif how < 0.6:
        info = damaged_json(info, rng)
    save_file(tensors, path, metadata={"info": json.dumps(info)})
    if how >= 0.6:
        data = path.read_bytes()
        path.write_bytes(damaged_bytes(data, rng, 8 + int.from_bytes(data[:8], "little")))
    return path.name, lambda: load_run(path), use_model


def use_model(loaded) -> str | None:
    """Logits are finite, the tokenizer's ids are the model's, a text comes back."""
    model, tokenizer = loaded
    ids = [tokenizer.encode(text)[: model.context_length] for text in ("ab", "b a")]
    with torch.inference_mode():
        for row in ids:
            if row and not model(torch.tensor([row])).isfinite().all():
                return "logits aren't finite"
    return use_tokenizer(tokenizer)


# GGUF

SMALL = gguf_files.TINY | {
    "llama.embedding_length": 32,
    "llama.block_count": 1,
    "llama.feed_forward_length": 32,
    "llama.attention.head_count": 2,
    "llama.attention.head_count_kv": 1,
    "llama.rope.dimension_count": 16,
    "tokenizer.ggml.bos_token_id": 0,
}
OTHER_SETTINGS = [0, 1, 2, 3, 31, 2**16, 2**31, 2**32 - 1, 2**63, -1, 0.0, 1.0, 1e-45, -1e-5, 1e38,
                  math.nan, math.inf, True, "", "llama", "gpt2", ["a"], ["a", "b"], [0], [3, 3]]  # fmt: skip
OTHER_TENSORS = [
    lambda w: w[:1].copy(),
    lambda w: w[..., :16].copy(),
    lambda w: w.T.copy(),
    lambda w: w[None].copy(),
    lambda w: w * np.float32(math.nan),
    lambda w: w * np.float32(math.inf),
    lambda w: w * np.float32(3e38),
    lambda w: w * np.float32(0),
    lambda w: w.astype(np.float16),
    lambda w: w.astype(np.float64),
    lambda w: w.astype(np.int8),
]


def gguf_file(rng: random.Random, folder: Path) -> Case:
    settings, tensors = dict(SMALL), gguf_files.tensors_of(SMALL)
    kind = rng.choice([None, None, gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1])
    path, how = folder / "model.gguf", rng.random()
    if how < 0.2:
        name = rng.choice(list(tensors))
        kind, damage = None, rng.choice([None, *OTHER_TENSORS])
        with np.errstate(all="ignore"):
            tensors |= {name: damage(tensors[name])} if damage else {"blk.0.more": tensors.pop(name)}
    elif how < 0.4:
        name = rng.choice([name for name in settings if name != "general.architecture"])
        settings[name] = rng.choice(OTHER_SETTINGS)
        if isinstance(SMALL[name], list) and rng.random() < 0.7:
            settings[name] = damaged_list(SMALL[name], rng)
    gguf_files.write(path, settings, tensors, kind)
    if how >= 0.4:
        data = path.read_bytes()
        path.write_bytes(damaged_bytes(data, rng, data.index(b"output_norm") + 60 * len(tensors)))
    return path.name, lambda: load_gguf(path), use_model


def damaged_list(values: list, rng: random.Random) -> list:
    """An entry is missing, doubled or another of its kind; GGUF has no lists of mixed kinds."""
    made, at = list(values), rng.randrange(len(values))
    other = [*"ab", "", "日", "a b", "b b"] if isinstance(made[0], str) else [0, 1, 3, 9]
    how = rng.randrange(3)
    if how == 0 and len(made) > 1:
        del made[at]
    elif how == 1:
        made.insert(at, made[rng.randrange(len(made))])
    else:
        made[at] = rng.choice(other)
    return made


# A run that goes on

TEXT = "The cats sat on the mats.\n" * 60
RUN = [
    "--d-model",
    "8",
    "--num-heads",
    "2",
    "--num-layers",
    "1",
    "--context-length",
    "8",
    "--batch-size",
    "2",
]


def run_file(rng: random.Random, folder: Path) -> Case:
    """The checkpoint of a run of two steps, whose tensors, progress or settings are damaged."""
    from safetensors import safe_open

    whole = folder / "whole"
    if not whole.exists():
        (folder / "text.txt").write_text(TEXT, encoding="utf-8")
        with silence():
            main(["--corpus", str(folder / "text.txt"), "--out", str(whole), *RUN, "--steps", "2"])
    shutil.rmtree(folder / "run", ignore_errors=True)
    shutil.copytree(whole, folder / "run")
    with safe_open(whole / NAME, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 – it is no dict
        info = json.loads(file.metadata()["info"])
    if rng.random() < 0.4:
        tensors = damaged_tensors(tensors, rng)
    elif rng.random() < 0.5:
        info["settings"] = damaged_json(info["settings"], rng)
    else:
        info = damaged_json(info, rng)
    path = folder / "run" / NAME
    save_file(tensors, path, metadata={"info": json.dumps(info)})

    def go_on() -> Path:
        with contextlib.chdir(folder), silence() as said:  # a damaged setting may name a folder for tokens
            try:
                main(["--resume", "--out", str(folder / "run"), "--steps", "4"])
            except SystemExit as end:
                message = said.getvalue().splitlines()[-1]
                if end.code == 1 and f"the checkpoint of step {info.get('step')} is still there" in message:
                    return path  # as with a rate that is too high
                raise (ValueError if end.code == 2 else RuntimeError)(message) from None
        return path

    def use(path: Path) -> str | None:
        return use_model(load_run(path))

    return "run", go_on, use


@contextlib.contextmanager
def silence() -> Iterator:
    """Nothing is printed; what would have been is returned."""
    import io

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        yield said


# All of them

DAMAGES: dict[str, Damage] = {
    "tokenizer": tokenizer_file,
    "checkpoint": checkpoint_file,
    "gguf": gguf_file,
    "run": run_file,
}


class TooSlow(BaseException):
    """One file took over `SECONDS`."""


def load_damaged(kind: str, count: int, seed: int, folder: Path) -> dict:
    """Load `count` damaged files: how often what happened, and how long and large the worst was.

    Only "refused", a ValueError with the file's name, and "works" are right.
    """
    rng, seen, slowest = random.Random(seed), collections.Counter(), 0.0
    signal.signal(signal.SIGPROF, _ring)
    with bounded_memory(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(count):
            name, load, use = DAMAGES[kind](rng, folder)
            began = time.process_time()
            what = _outcome(name, load, use)
            rotary_tables.cache_clear()  # a damaged context length makes a large one
            slowest = max(slowest, time.process_time() - began)
            seen[what] += 1
            if what not in GOOD and seen[what] == 1:
                _keep(folder, name, number)
    return {"seen": dict(seen.most_common()), "slowest": round(slowest, 3), "peak_mb": _peak()}


def _ring(*_) -> None:
    raise TooSlow


def _outcome(name: str, load: Callable, use: Callable) -> str:
    stage = "load"
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        loaded = load()
        stage = "use"
        wrong = use(loaded)
    except ValueError as error:
        if stage == "load" and name in str(error):
            return "refused"
        return f"{stage}: ValueError without the file's name: {str(error)[:100]}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        return f"{stage}: {type(error).__name__}: {str(error)[:100]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return f"use: {wrong}" if wrong else "works"


def _keep(folder: Path, name: str, number: int) -> None:
    if (folder / name).is_dir():
        shutil.copytree(folder / name, folder / f"wrong-{number}-{name}")
    else:
        shutil.copy(folder / name, folder / f"wrong-{number}-{name}")


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Allow this process `BYTES` more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(load_damaged(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
