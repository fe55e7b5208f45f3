"""The settings of a run and its command line; impossible settings are refused before any work."""

import argparse
import importlib.util
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import get_args, get_type_hints

from lmbook.interface import check_int, check_number
from lmbook.training.checkpoint import MAX_SIZE, MODELS, SHAPE
from lmbook.training.corpus import CORPORA, check_names

PRESETS = {"tiny": (64, 2, 2), "small": (256, 4, 4), "medium": (512, 8, 8), "large": (768, 12, 12)}
TOKENIZERS = ("char", "byte", "bpe")
SCHEDULES = ("cosine", "linear", "constant")
# Settings that may change when a run is resumed; all others decide what its weights become.
FREE_TO_CHANGE = {
    *("corpus", "validation", "tokens", "out", "steps", "epochs", "minutes", "accumulate"),
    *("log_every", "validate_every", "checkpoint_every", "sample_every", "prompt"),
}
LENGTHS = ("steps", "epochs", "minutes")
# Of whole numbers, 2**53 where nothing else is said; torch's seeds are of 8 bytes.
MOST = dict.fromkeys((*SHAPE, "vocab_size", "batch_size", "accumulate"), MAX_SIZE) | {"seed": 2**63 - 1}
FOR_THIS_START = {"resume", "fsdp", "compile"}  # never taken from the checkpoint


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run; sizes in tokens and rows, `minutes` of training, rates per step."""

    corpus: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    separator: str | None = None
    tokens: Path | None = None
    tokenizer: str = "byte"
    vocab_size: int = 2048
    objective: str = "causal"
    preset: str = "small"
    d_model: int | None = None
    num_heads: int | None = None
    num_layers: int | None = None
    context_length: int = 256
    batch_size: int = 16
    accumulate: int = 1
    steps: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: int | None = None
    final_rate: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    max_grad_norm: float = 1.0
    bf16: bool = False
    fsdp: bool = False
    compile: bool = False
    seed: int = 0
    out: Path
    resume: bool = False
    checkpoint_every: int = 200
    validate_every: int = 200
    validation_tokens: int = 65_536
    log_every: int = 10
    sample_every: int | None = None
    prompt: str | None = None

    @property
    def shape(self) -> dict[str, int]:
        """What the model is made with, besides its vocabulary."""
        return {
            name: getattr(self, name) for name in ("d_model", "num_heads", "num_layers", "context_length")
        }

    def filled_in(self) -> "Settings":
        """With what was left open: the preset's sizes, a warmup, the folder of the tokens.

        Raises:
            ValueError: no such preset.
        """
        if self.preset not in PRESETS:
            raise ValueError(f"--preset must be one of {', '.join(PRESETS)}; got {self.preset!r}")
        preset = dict(zip(("d_model", "num_heads", "num_layers"), PRESETS[self.preset], strict=True))
        missing = {name: size for name, size in preset.items() if getattr(self, name) is None}
        if self.warmup is None and self.epochs is None:
            missing["warmup"] = 100 if self.steps is None else min(100, self.steps // 10)
        if self.tokens is None:
            missing["tokens"] = self.out / "tokens"
        return replace(self, **missing)

    def with_steps_of_epochs(self, num_rows: int) -> "Settings":
        """With the number of steps, if the run's length is given in `epochs`, passes over `num_rows` rows.

        Raises:
            ValueError: no row, or a warmup that takes all steps.
        """
        if self.epochs is None:
            return self
        if not num_rows:
            raise ValueError("--epochs needs a document of at least 2 tokens, got none")
        steps = -(-self.epochs * num_rows // self.batch_size)
        made = replace(
            self, steps=steps, warmup=min(100, steps // 10) if self.warmup is None else self.warmup
        )
        _check_warmup(made)
        return made

    def as_json(self) -> dict:
        """The settings for a checkpoint, without those that follow from others or from the run's folder."""
        kept = asdict(self)
        if self.tokens == self.out / "tokens":  # they move with the folder
            kept["tokens"] = None
        if self.epochs is not None:
            kept["steps"] = None
        return {key: str(value) if isinstance(value, Path) else value for key, value in kept.items()}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; an option that isn't given is absent from its result."""
    made = argparse.ArgumentParser(
        prog="lmbook.pretrain",
        description="Train a language model on texts, in one process or as many as torchrun starts. "
        "`lmbook.pretrain export RUN FOLDER` writes a run's model for the package transformers.",
        argument_default=argparse.SUPPRESS,
    )
    _add_texts_and_model(made)
    _add_training(made)
    run = made.add_argument_group("run")
    run.add_argument("--out", type=Path, required=True, help="folder of the run")
    _add(run, "resume", "go on from the folder's checkpoint, with its settings", action="store_true")
    _add(run, "checkpoint-every", "steps", type=int)
    _add(run, "validate-every", "steps", type=int)
    _add(run, "validation-tokens", "at most; of more, rows are chosen evenly", type=int)
    _add(run, "log-every", "steps", type=int)
    _add(run, "sample-every", "steps; without it no text is written", type=int)
    _add(run, "prompt", "text that the samples begin with (default: the first tokens of the validation text)")
    return made


def _add(group, name: str, text: str, **options) -> None:
    """Add an option; its help ends with the default, if there is one."""
    default = next(field.default for field in fields(Settings) if field.name == name.replace("-", "_"))
    if default not in (None, False, ()):
        text += f" (default {' '.join(map(str, default)) if isinstance(default, tuple) else default})"
    group.add_argument(f"--{name}", help=text, **options)


def _add_texts_and_model(made: argparse.ArgumentParser) -> None:
    texts = made.add_argument_group("texts")
    known = ", ".join(CORPORA)
    _add(texts, "corpus", f"{known}, text files in UTF-8, folders of .txt files", nargs="+")
    _add(texts, "validation", "files or folders to validate on, instead of a share of the corpus", nargs="+")
    _add(texts, "separator", "text between the documents of a file; without it a file is one document")
    _add(texts, "tokens", "folder where tokens are kept, for several runs (default OUT/tokens)", type=Path)
    _add(texts, "tokenizer", "a token is a character, a byte, or learned byte pairs", choices=TOKENIZERS)
    _add(texts, "vocab-size", "tokens of bpe", type=int)
    model = made.add_argument_group("model")
    sizes = "; ".join(f"{name}: d_model {d}, heads {h}, layers {n}" for name, (d, h, n) in PRESETS.items())
    _add(model, "objective", "predict each next token, or hidden ones from both sides", choices=MODELS)
    _add(model, "preset", sizes, choices=PRESETS)
    for name in "d-model", "num-heads", "num-layers":
        _add(model, name, "instead of the preset's", type=int)
    _add(model, "context-length", "T, tokens a row", type=int)


def _add_training(made: argparse.ArgumentParser) -> None:
    training = made.add_argument_group("training")
    _add(training, "batch-size", "B, rows a step over all processes", type=int)
    _add(
        training,
        "accumulate",
        "number of parts in which a process computes its rows, one after another, to save memory",
        type=int,
    )
    length = training.add_mutually_exclusive_group()
    _add(
        length,
        "steps",
        "length of the run, on rows drawn at random; more goes on with a finished one",
        type=int,
    )
    _add(length, "epochs", "passes over the training text, each in another order, instead of steps", type=int)
    _add(length, "minutes", "of training in all, instead of steps", type=float)
    _add(training, "learning-rate", "the highest, after the warmup", type=float)
    _add(training, "schedule", "how the rate falls after the warmup", choices=SCHEDULES)
    _add(training, "warmup", "steps of linear rise (default 100, at most a tenth of the steps)", type=int)
    _add(training, "final-rate", "last rate as a share of the highest", type=float)
    _add(training, "weight-decay", "of matrices, the embedding too; norms have none", type=float)
    _add(training, "betas", "of AdamW", type=float, nargs=2)
    _add(training, "max-grad-norm", "a longer gradient is scaled down to it; inf: never", type=float)
    _add(training, "seed", "of weights and batches", type=int)
    _add(training, "bf16", "compute products in bfloat16; weights stay float32", action="store_true")
    _add(training, "fsdp", "divide weights and optimizer state among the processes", action="store_true")
    _add(training, "compile", "let torch compile the model", action="store_true")


def settings_from(given: dict, saved: dict | None = None) -> Settings:
    """The settings given; the others are those of the resumed run, or the defaults.

    Raises:
        ValueError: a setting that differs from the run's and can't change, or a saved one of another kind.
    """
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    if saved is None:
        return Settings(**given).filled_in()
    saved = _from_json(saved)
    if given.get("epochs") is not None and saved.get("epochs") is None:
        raise ValueError(
            "--epochs: the run's rows so far were drawn at random, so no pass over the text can go on; "
            "give --steps or --minutes, or choose another folder"
        )
    if not given.keys().isdisjoint(LENGTHS):
        saved |= dict.fromkeys(LENGTHS)
    merged = Settings(**{**saved, **given}).filled_in()
    before = Settings(**{**saved, "out": given["out"]}).filled_in()
    for key in given.keys() - FREE_TO_CHANGE - FOR_THIS_START:
        old, new = getattr(before, key), getattr(merged, key)
        if old != new:
            raise ValueError(f"--out has a run with {key} {old!r}, not {new!r}; choose another folder")
    return merged


def _from_json(saved: dict) -> dict:
    """Read settings that `as_json` wrote; ValueError if one is of another kind."""
    found = {}
    for name, kind in get_type_hints(Settings).items():
        if name not in saved or name in FOR_THIS_START:
            continue
        value = saved[name]
        if not _is_of(kind, value):
            raise ValueError(f"its setting {name} is of another kind: {value!r}")
        found[name] = tuple(value) if isinstance(value, list) else value
    if found.get("tokens") is not None:
        found["tokens"] = Path(found["tokens"])
    return found


def _is_of(kind: object, value: object) -> bool:
    """True if a value of JSON stands for one of the type `kind`, such as `tuple[str, ...]`."""
    if isinstance(kind, UnionType):
        return any(_is_of(part, value) for part in get_args(kind))
    if parts := get_args(kind):  # a tuple
        known = isinstance(value, list) and (... in parts or len(value) == len(parts))
        return known and all(_is_of(parts[0], item) for item in value)
    return type(value) in {Path: (str,), float: (float, int)}.get(kind, (kind,))


def check_settings(settings: Settings, processes: int) -> None:
    """Raise ValueError for settings that can't work here, before any work."""
    s = settings
    check_values(s)
    if s.batch_size % processes:
        raise ValueError(f"--batch-size {s.batch_size} can't be shared by {processes} processes")
    if s.batch_size // processes % s.accumulate:
        raise ValueError(
            f"--accumulate {s.accumulate} must divide the {s.batch_size // processes} rows of a process"
        )
    check_names(s.corpus, s.validation)
    if s.prompt is not None and any("\ud800" <= char <= "\udfff" for char in s.prompt):
        raise ValueError(f"--prompt must be text that UTF-8 can express, got {s.prompt!r}")
    if s.out.exists() and not s.out.is_dir():
        raise ValueError(f"--out must be a folder, {str(s.out)!r} is a file")
    _check_tools(settings, processes)


def check_values(settings: Settings) -> None:
    """Raise ValueError for settings that can't work on any machine."""
    s = settings
    if not s.corpus:
        raise ValueError("--corpus says what to train on; it is missing")
    if all(getattr(s, name) is None for name in LENGTHS):
        raise ValueError("--steps, --epochs or --minutes says how long to train; give one of them")
    for name, choices in ("tokenizer", TOKENIZERS), ("objective", MODELS), ("schedule", SCHEDULES):
        if getattr(s, name) not in choices:
            raise ValueError(f"--{name} must be one of {', '.join(choices)}; got {getattr(s, name)!r}")
    _check_numbers(s)
    if s.objective == "masked" and s.sample_every is not None:
        raise ValueError("--sample-every needs a causal model: a masked one doesn't write on")
    if s.d_model % s.num_heads or s.d_model // s.num_heads % 2:
        raise ValueError(f"--d-model {s.d_model} must be an even multiple of --num-heads {s.num_heads}")
    if s.tokenizer == "bpe" and s.vocab_size < 256:
        raise ValueError(f"--vocab-size must be at least 256, the bytes; got {s.vocab_size}")
    _check_warmup(s)
    if s.separator == "":
        raise ValueError("--separator must be a text of 1 character or more, got none")


def _check_warmup(settings: Settings) -> None:
    steps, warmup = settings.steps, settings.warmup
    if steps is not None and warmup >= steps:
        raise ValueError(f"--warmup must be below --steps {steps}, got {warmup}")


def _check_tools(settings: Settings, processes: int) -> None:
    s = settings
    if importlib.util.find_spec("safetensors") is None:
        raise ValueError("checkpoints need the package safetensors: pip install safetensors")
    if s.fsdp and processes == 1:
        raise ValueError("--fsdp shares a model out among processes; start them with torchrun")
    if s.compile and not _compiler():
        raise ValueError("--compile needs a C++ compiler: install g++ or clang++, or set CXX to its name")


def _check_numbers(settings: Settings) -> None:
    limits = {
        "learning_rate": "(0, 1e30]",  # beyond it float32 overflows
        "minutes": "(0, inf)",
        "max_grad_norm": "(0, inf]",
        "weight_decay": "[0, 1e6]",
        "final_rate": "[0, 1]",
    }
    for name, value in vars(settings).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, int) and not isinstance(value, bool) and name not in limits:
            check_int(option, value, int(name not in ("seed", "warmup")), MOST.get(name, 2**53))
        elif name in limits and value is not None:
            check_number(option, value, limits[name])
    for beta in settings.betas:
        check_number("--betas", beta, "[0, 1)")


def _compiler() -> str | None:
    """The C++ compiler that torch would call."""
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["c++", "g++", "clang++", "cl"]
    return next((name for name in names if shutil.which(name)), None)


def learning_rate(settings: Settings, step: int, seconds: float) -> float:
    """The learning rate of step `step` (from 0), after `seconds` of training."""
    s = settings
    if step < s.warmup:
        return (step + 1) / s.warmup * s.learning_rate
    if s.steps is not None:
        done = min(1.0, (step - s.warmup) / (s.steps - s.warmup))
    else:
        done = min(1.0, seconds / (60 * s.minutes))
    if s.schedule == "cosine":
        share = s.final_rate + (1 - s.final_rate) * (1 + math.cos(math.pi * done)) / 2
    elif s.schedule == "linear":
        share = 1 - (1 - s.final_rate) * done
    else:
        share = 1.0
    return share * s.learning_rate


def read(argv: Sequence[str] | None) -> dict:
    """The options of the command line, by name; exit code 2 if they can't be parsed."""
    return vars(parser().parse_args(argv))
