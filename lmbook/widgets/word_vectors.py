"""Word vectors to move about in: where words lie, and which are nearest, at some moments of a training run.

Axes: C moments, V words, E width of a vector, K directions that can be shown.
"""

from collections.abc import Sequence

import numpy as np
import torch
import traitlets
from jaxtyping import Float
from torch import Tensor

from lmbook.interface import check_int
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.packing import LARGEST_FLOAT16, check_size

DIRECTIONS = 6


class WordVectors(BookWidget):
    """Shows each word as a dot in two directions, and the nearest words in the whole space.

    The directions are those in which the vectors of the last moment differ most, the same at all moments, so
    that dots move as the vectors do. Vectors are stored in float16, and taken less their mean.

    Args:
        words: the V words.
        tables: (C, V, E), the vectors at each moment.
        steps: of the moments, rising; None: 0, 1, ….
        word: the word that is chosen at first; None: the first.
        moment: the slider's initial position.

    Attributes:
        directions: (K, E) float32, K = 6 or E if that is less, of length 1.

    Raises:
        ValueError: another number of words or steps, fewer than two words, steps that don't rise, numbers
            that float16 can't hold, more than 1,000,000 bytes, an unknown word, a moment outside the run.
    """

    _esm = bundle("word_vectors.js")
    _css = style("word_vectors.css")
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    steps = traitlets.List(traitlets.Int()).tag(sync=True)
    vectors = traitlets.Bytes().tag(sync=True)  # (C, V, E) float16
    width = traitlets.Int().tag(sync=True)  # E
    directions = traitlets.Bytes().tag(sync=True)  # (K, E) float32
    word = traitlets.Int().tag(sync=True)
    moment = traitlets.Int().tag(sync=True)
    across = traitlets.Int(0).tag(sync=True)
    up = traitlets.Int(1).tag(sync=True)

    def __init__(
        self,
        words: Sequence[str],
        tables: Float[Tensor, "C V E"],
        *,
        steps: Sequence[int] | None = None,
        word: str | None = None,
        moment: int = 0,
    ):
        words, steps = list(words), list(range(len(tables)) if steps is None else steps)
        _check(words, tables, steps)
        word = words[0] if word is None else word
        if word not in words:
            raise ValueError(f"word must be one of the {len(words)} words, got {word!r}")
        rounded = tables.detach().cpu().half()
        super().__init__(
            words=words,
            steps=steps,
            vectors=rounded.numpy().astype("<f2").tobytes(),
            width=tables.shape[2],
            directions=_directions(rounded[-1].double()).numpy().astype("<f4").tobytes(),
            word=words.index(word),
            moment=check_int("moment", moment, 0, len(steps) - 1),
            up=min(1, min(DIRECTIONS, tables.shape[2]) - 1),
        )

    def nearest(self, moment: int, word: int, count: int = 8) -> list[tuple[str, float]]:
        """Return the nearest words at a moment, with their cosines, as the page shows them."""
        table = torch.from_numpy(np.frombuffer(self.vectors, "<f2").astype("f8"))
        table = table.view(len(self.steps), len(self.words), self.width)[moment]
        table = torch.nn.functional.normalize(table - table.mean(dim=0), dim=1)
        alike = table @ table[word]
        order = [i for i in alike.argsort(descending=True, stable=True).tolist() if i != word]
        return [(self.words[i], float(alike[i])) for i in order[:count]]

    def __repr__(self) -> str:
        """Return what is shown, and the four nearest words at the first moment and the last."""
        lines = [
            f"WordVectors: {len(self.words)} words of {self.width} numbers, at {len(self.steps)} moments "
            f"from step {self.steps[0]} to step {self.steps[-1]}"
        ]
        for moment in dict.fromkeys((0, len(self.steps) - 1)):
            near = ", ".join(f"{name} {cosine:.2f}" for name, cosine in self.nearest(moment, self.word, 4))
            lines.append(f"nearest to {self.words[self.word]} after {self.steps[moment]} steps: {near}")
        return "\n".join(lines)


def _directions(table: Float[Tensor, "V E"]) -> Float[Tensor, "K E"]:
    """The directions in which the rows differ most; each points to where its largest entry is positive."""
    axes = torch.linalg.svd(table - table.mean(dim=0), full_matrices=False).Vh[:DIRECTIONS]
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    return axes * largest.sign()


def _check(words: list[str], tables: Tensor, steps: list[int]) -> None:
    moments, num_words, _ = tables.shape
    if not len(words) == num_words >= 2:
        raise ValueError(
            f"tables must have a row for each of 2 words or more, got {num_words} for {len(words)}"
        )
    if len(steps) != moments or sorted(set(steps)) != steps:
        raise ValueError(f"steps must be {moments} rising numbers, got {steps}")
    largest = float(tables.detach().abs().max())
    if not largest <= LARGEST_FLOAT16:  # NaN too
        raise ValueError(f"float16 holds numbers up to {LARGEST_FLOAT16:.0f}, the largest is {largest}")
    check_size(2 * tables.numel(), "the vectors")
