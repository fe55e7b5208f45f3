"""Shannon's guessing game: how well a reader predicts English, beside an n-gram on the same letters.

Axes: T letters of a passage.
"""

from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor

from lmbook.interface import LanguageModel, check_causal, check_fits, check_not_nan, evaluating
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle

LETTERS = " abcdefghijklmnopqrstuvwxyz"  # id 0 is the space, 1 … 26 are a … z
MAX_LETTERS = 2000


class ShannonGame(BookWidget):
    """The reader guesses a passage letter by letter; a language model has guessed the same letters.

    How often each number of guesses was needed bounds the entropy of English, in bits per letter. Having a
    letter shown counts as 27 guesses, the maximum.

    Args:
        passages: texts of the 27 letters a–z and space; `lmbook.corpora.shannon_letters` makes them.
        model: a causal language model over `alphabet`.
        names: the passages' names. Default: "Passage 1", …
        given: how many letters are shown before the guessing starts; the model reads them too.
        alphabet: the 27 letters in the order of the model's ids.

    Attributes:
        guesses: for each passage the numbers of guesses so far, 1 … 27 each, as the reader plays.

    Raises:
        TypeError: `model` isn't a causal language model.
        ValueError: no passage, a character outside the 27, a passage too short, too long, or too long for the
            model, an `alphabet` of other letters, another number of names than of passages, or a model that
            gives NaN.

    Source: Shannon, "Prediction and entropy of printed English", Bell System Technical Journal 30 (1951).
    """

    _esm = bundle("shannon.js")
    passages = traitlets.List(traitlets.Dict()).tag(sync=True)
    passage = traitlets.Int(0).tag(sync=True)
    guesses = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)

    def __init__(
        self,
        passages: Sequence[str],
        model: LanguageModel,
        *,
        names: Sequence[str] | None = None,
        given: int = 12,
        alphabet: str = LETTERS,
    ):
        names = [f"Passage {i}" for i in range(1, len(passages) + 1)] if names is None else list(names)
        _check_arguments(passages, names, given, alphabet)
        check_causal(model, "ShannonGame")
        for text in passages:
            check_fits(model, len(text), "a passage")
        data = []
        for name, text in zip(names, passages, strict=True):
            log2_probs, ranks = score_letters(model, torch.tensor([alphabet.index(c) for c in text]), given)
            data.append(
                {"name": name, "text": text, "given": given, "log2_probs": log2_probs, "ranks": ranks}
            )
        super().__init__(passages=data, guesses=[[] for _ in data])

    def __repr__(self) -> str:
        """Return the model's bits per letter and guesses on each passage."""
        lines = [f"ShannonGame: {len(self.passages)} passages of 27 letters; the n-gram's result on each"]
        for one in self.passages:
            n = len(one["ranks"])
            bits, first = -sum(one["log2_probs"]) / n, one["ranks"].count(1) / n
            lines.append(
                f"{one['name']}: {n} letters, {bits:.3f} bits each, {first:.0%} right at the first guess"
            )
        return "\n".join(lines)


def score_letters(model: LanguageModel, ids: Int[Tensor, " T"], given: int) -> tuple[list[float], list[int]]:
    """Return log2 P(letter | letters before) and the letter's rank, 1 the likeliest, from place `given` on.

    Of letters that are equally likely, those with the smaller id rank first.

    Raises:
        ValueError: NaN among the model's logits, or logits that give no distribution, such as −inf alone.
    """
    with evaluating(model):
        logits = model(ids[None])
    check_not_nan(logits)
    log_probs: Float[Tensor, "T V"] = logits[0].double().log_softmax(dim=-1)[given - 1 : -1]
    if log_probs.isnan().any():
        place = given + int(log_probs.isnan().any(dim=1).nonzero()[0])
        raise ValueError(f"the model's logits give no distribution of the letter at index {place}")
    letters = ids[given:, None]
    true = log_probs.gather(1, letters)
    places = torch.arange(log_probs.shape[1])
    before = (log_probs > true) | ((log_probs == true) & (places < letters))
    return (true[:, 0] / torch.log(torch.tensor(2.0, dtype=torch.float64))).tolist(), (
        before.sum(1) + 1
    ).tolist()


def _check_arguments(passages: Sequence[Any], names: list[str], given: int, alphabet: str) -> None:
    if sorted(alphabet) != sorted(LETTERS):
        raise ValueError(f"alphabet must be the 27 letters a–z and space in some order, got {alphabet!r}")
    if isinstance(passages, str) or not passages:
        raise ValueError(f"passages must be a list of at least one text, got {passages!r}")
    if len(names) != len(passages):
        raise ValueError(f"there are {len(names)} names for {len(passages)} passages")
    if not given >= 1:
        raise ValueError(f"given must be at least 1, got {given}")
    for name, text in zip(names, passages, strict=True):
        other = sorted(set(text) - set(LETTERS))
        if other:
            raise ValueError(
                f"{name} has the character {other[0]!r}; allowed are the 27 letters a–z and space"
            )
        if not given < len(text) <= MAX_LETTERS:
            raise ValueError(
                f"{name} is {len(text)} letters long; it must be from {given + 1} to {MAX_LETTERS}"
            )
