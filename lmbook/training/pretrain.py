"""Training from the command line: one process, or as many as `torchrun` starts.

    python -m lmbook.pretrain --corpus shakespeare --tokenizer bpe --preset small --steps 2000 --out run
    torchrun --nproc-per-node 8 -m lmbook.pretrain …the same…
    python -m lmbook.pretrain --objective masked --epochs 3 …the same…
    python -m lmbook.pretrain --resume --out run
    python -m lmbook.pretrain export run folder

Each process takes its share of the rows of every batch, and the gradients are averaged (DDP); with `--fsdp`
each keeps only its share of the weights too. `--batch-size` counts the rows of all processes together: their
number changes the speed and not the result.

A batch is a function of (seed, step), and nothing else is random once the weights are drawn. So the step
determines the place in the data; a run that was killed goes on from its last checkpoint with `--resume`, with
the same result as without the interruption. `load_run(out)` (lmbook.training) gives model and tokenizer.

The modules: `arguments` (settings), `corpus` (texts and documents), `tokens` (ids on the disk), `folder` (of
the run), `processes`, `run` (the training itself), `checkpoint`, `export`.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import torch

from lmbook.tokenizer.base import tokenizer_from_json
from lmbook.training.arguments import Settings, check_settings, check_values, read, settings_from
from lmbook.training.checkpoint import MODELS, NAME, RunInfo, load_checkpoint
from lmbook.training.corpus import Fingerprint, find_sources, what_changed
from lmbook.training.export import export_command
from lmbook.training.folder import RunFolder
from lmbook.training.processes import Processes
from lmbook.training.run import Run
from lmbook.training.tokens import TokenFolder, TokenSettings, prepare_tokens


def main(argv: list[str] | None = None) -> None:
    """Train as the command line says.

    Exit code 2 if it says something impossible, before any work; 1 if training or saving failed.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["export"]:
        export_command(argv[1:])
        return
    given, held = read(argv), []
    try:
        processes = Processes.from_environment()
    except ValueError as error:
        _leave(2, str(error))
    try:
        try:
            with _memory_errors():
                run = _prepare(given, processes, held)
        except (ImportError, MemoryError, OSError, ValueError) as error:
            out = str(given["out"])
            of = (
                f"; settings not given are those of {out}"
                if given.get("resume") and out not in str(error)
                else ""
            )
            _leave(2, f"{error}{of}", processes.first)
        try:
            with _memory_errors():
                run.train(held[0] if held else None)
        except (ArithmeticError, MemoryError, OSError) as error:
            _leave(1, _what_is_left(error, run), processes.first)
    finally:
        processes.leave()
        for folder in held:
            folder.close()


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Raise MemoryError where PyTorch finds too little memory, which it says with a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in text:
            raise
        asked = re.search(r"(?i)tried to allocate ([\d.]+ \w+)", text)
        raise MemoryError(f"no memory is left for {asked[1] if asked else text}") from None


def _prepare(given: dict, processes: Processes, held: list[RunFolder]) -> Run:
    """A run at its start, or at its checkpoint; the first process puts the run's folder into `held`."""
    saved, settings = _saved_and_settings(given, processes)
    processes.connect()
    processes.by_first(lambda: held.append(RunFolder(settings.out)))
    saved, settings = _saved_and_settings(given, processes)  # again, as nobody else writes a checkpoint now
    corpus = processes.by_first(_prepare_tokens, settings, held, saved[1] if saved else None)
    tokens = TokenFolder.read(settings.tokens)
    if tokens is None:
        raise ValueError(f"--tokens {str(settings.tokens)!r} must be a folder that all processes see")
    settings = settings.with_steps_of_epochs(tokens.tokens("training").num_rows(settings.context_length))
    if saved and settings.steps is not None and settings.steps < (step := saved[1].progress.step):
        steps, epochs = settings.steps, settings.epochs
        length = f"--steps {steps}" if epochs is None else f"--epochs {epochs}, of {steps} steps,"
        raise ValueError(f"{length} is below step {step}, which the run has reached")
    return Run(settings, processes, tokens, corpus, saved)


def _saved_and_settings(
    given: dict, processes: Processes
) -> tuple[tuple[dict[str, torch.Tensor], RunInfo] | None, Settings]:
    """The checkpoint to go on from, if there is one, and the settings, checked."""
    saved = _saved(given)
    settings = settings_from(given, saved[1].settings if saved else None)
    check_settings(settings, processes.count)
    return saved, settings


def _saved(given: dict) -> tuple[dict[str, torch.Tensor], RunInfo] | None:
    """The checkpoint to go on from; None for a new run.

    Raises:
        ValueError: a new run in the folder of another, or nothing to go on from.
    """
    path, resume = given["out"] / NAME, given.get("resume", False)
    if not path.exists():
        if resume:
            raise ValueError(f"--resume: there is no {path} to go on from; leave --resume away to begin")
        return None
    tensors, info = _load(path)
    if not resume:
        corpus = " ".join(info.settings["corpus"])
        raise ValueError(
            f"--out {str(given['out'])!r} has a run already, at step {info.progress.step} on the corpus "
            f"{corpus}: add --resume to go on with it, or choose another folder"
        )
    return tensors, info


def _load(path: Path) -> tuple[dict[str, torch.Tensor], RunInfo]:
    """The checkpoint of a run.

    Raises:
        ValueError: it is no checkpoint, or one that no run of this version could go on from.
    """
    tensors, metadata = load_checkpoint(path)
    try:
        info = RunInfo.from_json(metadata)
        settings = settings_from({"out": path.parent}, info.settings)
        check_values(settings)
        if (settings.objective, settings.shape) != (info.model.objective, info.model.shape):
            raise ValueError(
                f"its settings are of a {settings.objective} model of {settings.shape}, "
                f"it has a {info.model.objective} one of {info.model.shape}"
            )
    except ValueError as error:
        raise ValueError(
            f"{path} was not written by this version of lmbook.pretrain, or is damaged ({error}): "
            "choose another --out"
        ) from None
    return tensors, info


def _prepare_tokens(settings: Settings, held: list[RunFolder], saved: RunInfo | None) -> list[Fingerprint]:
    """Make the tokens where they aren't there yet; return the fingerprints of the texts.

    Raises:
        ValueError: the run that goes on was trained on another corpus.
        OSError: too little space.
    """
    sources = find_sources(settings.corpus, settings.validation)
    if TokenFolder.read(settings.tokens) is None:
        size = sum(source.path.stat().st_size if source.path else len(source.text) for source in sources)
        held[0].check_space((2 if settings.tokenizer == "bpe" else 1) * size)
    wanted = TokenSettings(
        kind=settings.tokenizer,
        vocab_size=settings.vocab_size if settings.tokenizer == "bpe" else None,
        separator=settings.separator,
    )
    if saved:
        known = {source.name: source for source in saved.corpus}
        new = [Fingerprint.of(source, known.get(source.name)) for source in sources]
        if changed := what_changed(sources, saved.corpus, new):
            raise ValueError(f"--out has a run on another corpus: {changed}; choose another folder")
    tokenizer = saved.model.tokenizer.to_json() if saved else None
    tokens, corpus = prepare_tokens(settings.tokens, sources, wanted, tokenizer)
    with torch.device("meta"):
        vocab_size = tokenizer_from_json(tokens.tokenizer).vocab_size
        weights = sum(
            w.numel() for w in MODELS[settings.objective](vocab_size, **settings.shape).parameters()
        )
    held[0].check_space(12 * weights * (1 if saved else 2))  # three numbers of 4 bytes; the old and the new
    return corpus


def _what_is_left(error: Exception, run: Run) -> str:
    """What has happened, what may help, and which checkpoint there is."""
    help_ = ""
    if isinstance(error, ArithmeticError):
        help_ = ": a lower --learning-rate may help"
    elif isinstance(error, MemoryError):
        help_ = ": a smaller --batch-size may help"
    left = (
        f"the checkpoint of step {run.saved_at} is still there" if run.saved_at else "there is no checkpoint"
    )
    return f"{error}{help_}; {left}"


def _leave(code: int, message: str, says: bool = True) -> NoReturn:
    if says:
        print(f"lmbook.pretrain: error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
