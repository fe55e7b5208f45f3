"""A training run to scrub through: what a model expected after each word, checkpoint by checkpoint.

Axes: B batch, T time, V vocabulary, C checkpoints, P places where a word is predicted: all but the first of
each sentence.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from jaxtyping import Int
from torch import Tensor

from lmbook.evaluation import cross_entropy
from lmbook.interface import LanguageModel, check_causal, check_not_nan, check_number, evaluating
from lmbook.toy.language import ToyLanguage
from lmbook.widgets.base import BookWidget, read_words
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.sentence import MAX_WORDS

SIZE_LIMIT = 150_000  # bytes of recorded probabilities
FULL = 2**16 - 1  # a probability is stored as a whole number of 65,535ths: off by at most 0.000008


class ReplayRecorder:
    """Records, during a training run, what a model expects after each word of some sentences.

    Call it with the number of steps taken and the model: `train_recipe(…, on_eval=recorder)` does.

    Args:
        language: the exact language of the sentences and the training text.
        sentences: each from 2 to 24 words of the language.
        held_out: (B, T) ids that the model doesn't train on, for the held-out loss.

    Attributes:
        steps: of each checkpoint, rising.
        losses: cross-entropy on `held_out` at each checkpoint, nats per token.
        floor: that of the exact language: on average, no model can do better.

    Raises:
        ValueError: no sentence, one of another length, a word outside the vocabulary, bad `held_out`; when
            called: a step below 0 or not above the last one, a model that gives NaN.
    """

    def __init__(self, language: ToyLanguage, sentences: Sequence[str], held_out: Int[Tensor, "B T"]):
        if isinstance(sentences, str) or not sentences:
            raise ValueError(f"sentences must be a list of at least one text, got {sentences!r}")
        self.language = language
        self.ids = [read_words(text, language.vocab, "a sentence") for text in sentences]
        for text, ids in zip(sentences, self.ids, strict=True):
            if not 2 <= len(ids) <= MAX_WORDS:
                raise ValueError(f"a sentence must have from 2 to {MAX_WORDS} words, {text!r} has {len(ids)}")
        self.floor = cross_entropy(language, held_out)
        self.held_out = held_out
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.log_probs: list[np.ndarray] = []  # one (P, V) a checkpoint

    def __call__(self, step: int, model: LanguageModel, loss: float | None = None) -> None:
        """Record `model` after `step` steps; `loss` replaces the loss on `held_out`."""
        check_causal(model, "a training replay")
        check_number("step", step, "[0, inf)")
        if self.steps and not step > self.steps[-1]:
            raise ValueError(f"steps must rise: got {step} after {self.steps[-1]}")
        with evaluating(model):
            logits = [model(torch.tensor([ids]))[0, :-1] for ids in self.ids]
            for one in logits:
                check_not_nan(one)
            rows = [one.double().log_softmax(dim=-1) for one in logits]
            self.losses.append(cross_entropy(model, self.held_out) if loss is None else float(loss))
        self.log_probs.append(torch.cat(rows).cpu().numpy())
        self.steps.append(step)

    def surprises(self) -> np.ndarray:
        """Return −log P (C, P) of the sentences' next words, in nats."""
        words = [word for ids in self.ids for word in ids[1:]]
        return -np.stack(self.log_probs)[:, np.arange(len(words)), words]


class TrainingReplay(BookWidget):
    """Scrubs through a recorded training run: one sentence's predictions sharpen beside the exact ones.

    Args:
        recorder: has seen at least two checkpoints.
        levels: losses to draw beside the curve, by name, such as those of n-grams; nats per token.
        sentence: which sentence is shown at first.
        place: the word whose prediction is shown at first, from 1, the second word; None: the sentence's last
            word before the full stop.
        checkpoint: the slider's initial position.

    Raises:
        ValueError: fewer than two checkpoints, more than 150,000 bytes of them, a loss that isn't finite, or
            `sentence`, `place` or `checkpoint` outside what was recorded.
    """

    _esm = bundle("replay.js")
    _css = style("kit/sentence.css", "replay.css")
    vocab = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sentences = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    steps = traitlets.List(traitlets.Int()).tag(sync=True)
    losses = traitlets.List(traitlets.Float()).tag(sync=True)
    floor = traitlets.Float().tag(sync=True)
    levels = traitlets.Dict().tag(sync=True)
    probs = traitlets.Bytes().tag(sync=True)  # (C, P, V) uint16, in 65,535ths
    surprises = traitlets.Bytes().tag(sync=True)  # (C, P) float32, nats
    exact = traitlets.Bytes().tag(sync=True)  # (P, V) float32
    sentence = traitlets.Int().tag(sync=True)
    place = traitlets.Int().tag(sync=True)
    checkpoint = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        recorder: ReplayRecorder,
        *,
        levels: Mapping[str, float] | None = None,
        sentence: int = 0,
        place: int | None = None,
        checkpoint: int = 0,
    ):
        levels = dict(levels or {})
        _check_recording(recorder, levels)
        _check_index("sentence", sentence, 0, len(recorder.ids) - 1)
        length = len(recorder.ids[sentence])
        place = max(length - 2, 1) if place is None else place
        _check_index("place", place, 1, length - 1)
        _check_index("checkpoint", checkpoint, 0, len(recorder.steps) - 1)
        exact = [recorder.language(torch.tensor([ids]))[0, :-1].exp().numpy() for ids in recorder.ids]
        super().__init__(
            vocab=recorder.language.vocab,
            sentences=recorder.ids,
            steps=recorder.steps,
            losses=recorder.losses,
            floor=recorder.floor,
            levels={name: float(loss) for name, loss in levels.items()},
            probs=(np.exp(np.stack(recorder.log_probs)) * FULL).round().astype("<u2").tobytes(),
            surprises=recorder.surprises().astype("<f4").tobytes(),
            exact=np.concatenate(exact).astype("<f4").tobytes(),
            sentence=sentence,
            place=place,
            checkpoint=checkpoint,
        )

    def __repr__(self) -> str:
        """Return what was recorded, and what the exact language expects at the place shown."""
        lines = [
            f"TrainingReplay: {len(self.steps)} checkpoints from step {self.steps[0]} to step "
            f"{self.steps[-1]}; exact floor {self.floor:.3f} nats per token"
        ]
        lines += [" ".join(self.vocab[word] for word in ids) for ids in self.sentences]
        row = sum(len(ids) - 1 for ids in self.sentences[: self.sentence]) + self.place - 1
        exact = np.frombuffer(self.exact, dtype="<f4").reshape(-1, len(self.vocab))[row]
        read = " ".join(self.vocab[word] for word in self.sentences[self.sentence][: self.place])
        best = np.argsort(-exact, kind="stable")[:3]
        told = ", ".join(f"{self.vocab[word]} {exact[word]:.3f}" for word in best if exact[word] > 0)
        return "\n".join([*lines, f"after {read!r} exactly: {told}"])


def _check_recording(recorder: Any, levels: dict[str, float]) -> None:
    if not isinstance(recorder, ReplayRecorder):
        raise TypeError(f"TrainingReplay shows what a ReplayRecorder wrote down, got {recorder!r}")
    if len(recorder.steps) < 2:
        raise ValueError(f"the recorder has {len(recorder.steps)} checkpoints, a replay needs at least 2")
    for name, loss in [
        ("the exact language", recorder.floor),
        *((f"step {s}", x) for s, x in zip(recorder.steps, recorder.losses, strict=True)),
        *levels.items(),
    ]:
        if not np.isfinite(loss):
            raise ValueError(f"the loss of {name} must be finite, got {loss}")
    size = 2 * len(recorder.steps) * recorder.log_probs[0].size
    if not size <= SIZE_LIMIT:
        raise ValueError(
            f"{len(recorder.steps)} checkpoints would take {size:,} bytes, the limit is {SIZE_LIMIT:,}: "
            "record fewer checkpoints or sentences"
        )


def _check_index(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")
