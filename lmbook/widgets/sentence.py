"""What the widgets that show a trained model's predictions share in Python.

Axes: B batch, T time.
"""

from collections.abc import Sequence
from typing import Any

import torch

from lmbook.toy.language import ToyLanguage
from lmbook.widgets.base import read_words

MAX_WORDS = 24  # of a sentence; more rows and columns can't be told apart on a phone
SAMPLE = (8, 64)  # texts and words on which the rounding of the weights is measured


def check_page_model(model: Any, kind: type, language: Any, name: str) -> None:
    """Raise TypeError unless `model` is of the `kind` that the widget runs, and `language` is exact."""
    if not isinstance(model, kind):
        raise TypeError(f"{name} runs a {kind.__name__}, got {type(model).__name__}")
    if not isinstance(language, ToyLanguage):
        raise TypeError(f"{name} needs the exact ToyLanguage, got {type(language).__name__}")


def check_sentence(text: str, language: ToyLanguage, context_length: int, name: str = "a sentence") -> int:
    """Return how many words `text` has; ValueError if they are too many, none, or unknown."""
    words = read_words(text, language.vocab, name)
    most = min(MAX_WORDS, context_length)
    if not 1 <= len(words) <= most:
        raise ValueError(f"{name} must have from 1 to {most} words, {text!r} has {len(words)}")
    return len(words)


def page_sample(model: Any) -> tuple[int, int]:
    """Return the number of texts and words that measure the rounding of `model`."""
    return SAMPLE[0], min(SAMPLE[1], model.context_length)


def best_words(language: ToyLanguage, prefix: Sequence[str], count: int = 3) -> str:
    """Return the likeliest words after `prefix` with their exact probabilities, as text."""
    ids = torch.tensor([[language.vocab.index(word) for word in prefix]], dtype=torch.int64)
    probs = language.log_probs[language.states(ids)[0, -1]].exp()
    top = probs.sort(descending=True, stable=True).indices[:count].tolist()
    return ", ".join(f"{language.vocab[word]} {float(probs[word]):.3f}" for word in top if probs[word] > 0)
