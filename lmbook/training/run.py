"""A training run in one of its processes: steps, validation, samples, checkpoints.

A masked model gets the same rows as a causal one, and predicts the tokens that are hidden in them.

Axes: B batch (all processes), T time.
"""

import contextlib
import math
import sys
import time
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from lmbook.tokenizer.base import tokenizer_from_json
from lmbook.training.arguments import Settings, learning_rate
from lmbook.training.checkpoint import (
    MODELS,
    ModelInfo,
    Progress,
    RunInfo,
    check_numbers,
    restore,
    save_checkpoint,
    state_tensors,
)
from lmbook.training.corpus import Fingerprint
from lmbook.training.folder import RunFolder
from lmbook.training.loop import decay_groups
from lmbook.training.processes import Processes
from lmbook.training.tokens import IGNORED, TokenFolder

SAMPLE_LENGTH = 100  # tokens, the prompt's not counted
PROMPT_LENGTH = 16


class Run:
    """One training run, in one of its processes."""

    def __init__(
        self,
        settings: Settings,
        processes: Processes,
        tokens: TokenFolder,
        corpus: list[Fingerprint],
        saved: tuple[dict[str, Tensor], RunInfo] | None = None,
    ):
        """Draw the model, or take it from a checkpoint.

        Args:
            settings: filled in and checked.
            processes: connected.
            tokens: of the corpus.
            corpus: fingerprints of its texts, for the checkpoint.
            saved: tensors and info of the checkpoint to go on from.
        """
        self.settings, self.processes, self.corpus = settings, processes, corpus
        self.device, self.tokenizer = processes.device, tokenizer_from_json(tokens.tokenizer)
        self.training, self.validation = tokens.tokens("training"), tokens.tokens("validation")
        for name, split in ("training", self.training), ("validation", self.validation):
            if len(split.ids) <= (limit := settings.context_length):
                raise ValueError(
                    f"--context-length {limit} needs more than {len(split.ids)} tokens of {name} text"
                )
            if split.ends[-1] == len(split.ends):
                raise ValueError(
                    f"every document of the {name} text is 1 token long, so there is nothing to predict; "
                    "choose another --separator"
                )
        self.prompt = self._prompt_ids()
        spelled = [t.encode() if isinstance(t, str) else t for t in self.tokenizer.tokens]
        self.token_bytes = torch.tensor([len(token) for token in spelled])
        self.progress, self.saved_at = Progress(), None
        self._build()
        if saved:
            self.progress = replace(saved[1].progress)
            self.saved_at = self.progress.step
            try:
                restore(self.model, self.optimizer, saved[0])
            except ValueError as error:
                raise ValueError(f"the checkpoint in {settings.out} is damaged: {error}") from None

    def _prompt_ids(self) -> list[int]:
        """What samples begin with; ValueError for text that the tokenizer can't express."""
        prompt = self.settings.prompt
        if prompt is None:
            return self.validation.ids[:PROMPT_LENGTH].tolist()
        try:
            return self.tokenizer.encode(prompt) or self.validation.ids[:1].tolist()
        except ValueError as error:
            raise ValueError(f"--prompt {prompt!r}: {error}") from None

    def _build(self) -> None:
        """Draw the model, share it out, give it an optimizer."""
        s, count = self.settings, self.processes.count
        torch.manual_seed(s.seed)
        self.model = MODELS[s.objective](self.tokenizer.vocab_size, **s.shape).to(self.device)
        self.parameters = sum(weight.numel() for weight in self.model.parameters())
        self.wrapped: nn.Module = self.model
        if s.fsdp:
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(self.device.type, (count,))
            for part in [*self.model.blocks, self.model]:
                fully_shard(part, mesh=mesh)
        elif count > 1:
            self.wrapped = nn.parallel.DistributedDataParallel(self.model)
        self.called = torch.compile(self.wrapped) if s.compile else self.wrapped
        groups = decay_groups(self.model, s.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=s.learning_rate, betas=s.betas)

    def train(self, folder: RunFolder | None) -> None:
        """Go on to the last step, or until the minutes are over; `folder` is the first process's.

        Raises:
            FloatingPointError: loss, validation or weights are no finite numbers.
            OSError: a checkpoint couldn't be written.
        """
        self.folder, progress = folder, self.progress
        self._begin()
        began = time.monotonic() - progress.seconds
        self.told = (progress.step, progress.seconds)
        while not self._is_over():
            loss, norm = self._step(progress.step)
            progress.step += 1
            progress.seconds = self._agreed(time.monotonic() - began)
            self.bar.update()
            if due := self._due():
                self._look(due, loss, norm)
        self.bar.close()
        if self.processes.first and progress.loss is not None:
            print(self._line(), flush=True)

    def _begin(self) -> None:
        """Show and log what will be trained, on what, and where."""
        self.bar = _NoBar()
        if not self.processes.first:
            return
        self.folder.begin_log(self.progress.step)
        sizes = {name: len(getattr(self, name).ids) for name in ("training", "validation")}
        self.folder.log(
            "begin",
            step=self.progress.step,
            parameters=self.parameters,
            tokens=sizes,
            device=str(self.device),
            processes=self.processes.count,
            settings=self.settings.as_json(),
        )
        numbers = " and ".join(f"{size:,} tokens of {name}" for name, size in sizes.items())
        many = f" × {self.processes.count}" * (self.processes.count > 1)
        tell(f"{self.parameters:,} parameters, {numbers} text, on {self.device}{many}")
        if self.settings.steps:
            read = self.settings.steps * self.settings.batch_size * self.settings.context_length
            tell(f"{self.settings.steps} steps read the training text {read / sizes['training']:.2g} times")
        if sys.stderr.isatty() and find_spec("tqdm"):
            from tqdm import tqdm

            self.bar = tqdm(total=self.settings.steps, initial=self.progress.step, unit="step", leave=False)

    def _is_over(self) -> bool:
        if self.settings.steps is not None:
            return self.progress.step >= self.settings.steps
        return self.progress.seconds >= 60 * self.settings.minutes

    def _agreed(self, seconds: float) -> float:
        """The first process's clock, for runs limited by minutes."""
        if self.settings.minutes is None or self.processes.count == 1:
            return seconds
        return self.processes.sum(torch.tensor(seconds if self.processes.first else 0.0).double()).item()

    def _due(self) -> set[str]:
        """What is to be done after this step."""
        s, over = self.settings, self._is_over()
        every = {
            "report": s.log_every,
            "validate": s.validate_every,
            "save": s.checkpoint_every,
            "sample": s.sample_every,
        }
        return {what for what, steps in every.items() if steps and (over or self.progress.step % steps == 0)}

    def _step(self, step: int) -> tuple[Tensor, Tensor]:
        """One step of AdamW; this process's mean loss, nats per token, and the gradient's norm."""
        s, count = self.settings, self.processes.count
        batch = self.training.batch if s.epochs is None else self.training.epoch_batch
        rows = self._checked(batch(s.seed, step, s.batch_size, s.context_length))
        inputs, targets = self._examples(rows, (s.seed, step))
        predicted = max(1, int((targets != IGNORED).sum())) / count  # gradients are averaged over processes
        parts = (t.chunk(count)[self.processes.rank].chunk(s.accumulate) for t in (inputs, targets))
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(zip(*parts, strict=True), start=1):
            ready = number == s.accumulate or not hasattr(self.wrapped, "no_sync")
            with contextlib.nullcontext() if ready else self.wrapped.no_sync():
                loss = self._losses(self.called, *part).sum() / predicted
                loss.backward()
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), s.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(s, step, self.progress.seconds)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total, norm

    def _checked(self, rows: Tensor) -> Tensor:
        """The rows; OSError if they hold an id that isn't the tokenizer's."""
        high, vocab_size = int(rows.max()), self.tokenizer.vocab_size
        if high >= vocab_size:
            folder = str(self.settings.tokens)
            raise OSError(
                f"--tokens {folder!r} has id {high}, and the vocabulary {vocab_size} tokens: the files are "
                "damaged; delete the folder, and they are made again"
            )
        return rows

    def _examples(
        self, rows: Int[Tensor, "B _"], drawn_from: tuple[int, int]
    ) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """What the model reads, and what it must predict; `IGNORED` where there is nothing.

        Two numbers decide which tokens are hidden from a masked model.
        """
        if self.settings.objective == "causal":
            return rows[:, :-1], rows[:, 1:]
        ids, padding = rows[:, :-1], rows[:, :-1] == IGNORED
        seed = int(np.random.default_rng((*drawn_from, 3)).integers(2**63))
        generator = torch.Generator().manual_seed(seed)
        masked_ids, mask = self.model.create_masked_input(
            ids.clamp(min=0), generator=generator, padding_mask=padding
        )
        return masked_ids.masked_fill(padding, IGNORED), ids.masked_fill(~mask, IGNORED)

    def _losses(self, model: nn.Module, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"]) -> Tensor:
        """Nats of each predicted token, (B, T); 0 where nothing is to be predicted."""
        inputs, targets = inputs.to(self.device), targets.to(self.device)
        # No token sees the padding after it, but where both sides are read.
        both = self.settings.objective == "masked"
        options = {"padding_mask": inputs == IGNORED} if both else {}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16):
            logits = model(inputs.clamp(min=0), **options)
        return F.cross_entropy(logits.float().mT, targets, reduction="none", ignore_index=IGNORED)

    def _look(self, due: set[str], loss: Tensor, norm: Tensor) -> None:
        """Check what the step has made; validate, report, sample and save as is `due`."""
        progress = self.progress
        progress.loss = float(self.processes.sum(loss)) / self.processes.count
        self._check_finite("loss", progress.loss)
        if "validate" in due:
            progress.bits_per_byte, progress.validated_at = self.validate(), progress.step
            self._check_finite("validation loss", progress.bits_per_byte)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        self._report(float(norm))
        if "sample" in due:
            self._sample()
        if "save" in due:
            self.save()

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(f"the {name} is {value} at step {self.progress.step}")

    def validate(self) -> float:
        """Bits per byte over the validation text: rows of T tokens, chosen by nothing but the text and T."""
        s, rank, count = self.settings, self.processes.rank, self.processes.count
        starts = self.validation.validation_starts(s.context_length, s.validation_tokens)
        share = s.batch_size // count // s.accumulate
        # Sharded models must run equally often everywhere: the rest are padding rows that no sum includes.
        numbers = np.arange(math.ceil(len(starts) / s.batch_size) * s.batch_size)
        sums = torch.zeros(2, dtype=torch.float64)  # nats, bytes
        with torch.no_grad():
            for mine in np.split(numbers[rank::count], range(share, len(numbers) // count, share)):
                rows = self._checked(self.validation.rows(starts[mine % len(starts)], s.context_length))
                # Row by row, so that the batches don't decide what is hidden.
                pairs = (self._examples(row[None], (0, int(n))) for row, n in zip(rows, mine, strict=True))
                inputs, targets = map(torch.cat, zip(*pairs, strict=True))
                targets[mine >= len(starts)] = IGNORED
                sums[0] += self._losses(self.called, inputs, targets).double().sum().cpu()
                sums[1] += self.token_bytes[targets[targets != IGNORED]].sum()
        nats, num_bytes = self.processes.sum(sums.to(self.device)).tolist()
        return nats / num_bytes / math.log(2)

    @torch.no_grad()
    def _sample(self) -> None:
        """Write on from the prompt; all processes compute, as sharded models must, the first one shows."""
        s, step, ids = self.settings, self.progress.step, list(self.prompt)
        draws = np.random.default_rng((s.seed, step, 1))
        for _ in range(SAMPLE_LENGTH):
            seen = torch.tensor([ids[-s.context_length :]], device=self.device)
            probabilities = self.model(seen)[0, -1].double().softmax(-1).cpu().numpy()
            self._check_finite("probability of a sample's token", probabilities.max())
            ids.append(int(draws.choice(len(probabilities), p=probabilities / probabilities.sum())))
        if self.processes.first:
            text = self.tokenizer.decode(ids)
            self.folder.log("sample", step=step, text=text)
            tell(f"sample: {text!r}")

    def save(self) -> None:
        """Write the checkpoint, if a run can go on from it; the first process does, all take part."""
        tensors = state_tensors(self.model, self.optimizer)
        self.processes.by_first(self._write, tensors)
        self.saved_at = self.progress.step

    def _write(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            try:
                check_numbers(name, tensor)
            except ValueError as error:
                raise FloatingPointError(f"{error} at step {self.progress.step}") from None
        model = ModelInfo(self.settings.objective, self.settings.shape, self.tokenizer)
        info = RunInfo(self.settings.as_json(), model, self.corpus, self.progress)
        save_checkpoint(self.folder.checkpoint, tensors, info.as_json())
        self.folder.log("checkpoint", step=self.progress.step)

    def _report(self, norm: float) -> None:
        if not self.processes.first:
            return
        p = self.progress
        rate = self.optimizer.param_groups[0]["lr"]
        tokens = (p.step - self.told[0]) * self.settings.batch_size * self.settings.context_length
        speed = tokens / max(p.seconds - self.told[1], 1e-9)
        self.told = (p.step, p.seconds)
        measured = {"loss": p.loss, "learning_rate": rate, "gradient_norm": norm, "tokens_per_second": speed}
        if p.validated_at == p.step:
            measured["bits_per_byte"] = p.bits_per_byte
        self.folder.log("step", step=p.step, seconds=p.seconds, **measured)
        tell(f"{self._line()}, rate {rate:.2e}, {speed:,.0f} tokens/s")

    def _line(self) -> str:
        p, steps = self.progress, self.settings.steps
        hidden = "hidden " if self.settings.objective == "masked" else ""
        line = f"step {p.step}{f'/{steps}' if steps else ''}: loss {p.loss:.4f} nats/{hidden}token"
        if p.validated_at == p.step:
            line += f", validation {p.bits_per_byte:.4f} bits/{hidden}byte"
        return line


class _NoBar:
    """A progress bar that shows nothing."""

    def update(self) -> None:
        """A step is done."""

    def close(self) -> None:
        """All are done."""


def tell(line: str) -> None:
    """A line for people, above the bar where there is one."""
    if sys.stderr.isatty() and find_spec("tqdm"):
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr, flush=True)
