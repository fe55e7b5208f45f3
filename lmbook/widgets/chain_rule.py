"""The chain-rule explorer: P(sentence) factor by factor, exact and by n-grams, and where the two part.

Axes: T words of the sentence.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from lmbook.ngram import NGramLM
from lmbook.widgets.base import LanguageWidget, read_words
from lmbook.widgets.bundle import bundle

MAX_ORDER = 5
SENTENCE = "the gulls that the whale follows dive."
PRESETS = (
    SENTENCE,
    "the gulls that the whale follows dives.",
    "the gull dives near the rock.",
    "every horse that follows the pigs rests.",
    "the bears behind the oak hide.",
    "a fox sees the wolf. it hides.",
)


class ChainRuleExplorer(LanguageWidget):
    """Takes a sentence apart into its factors P(word | words before), exact and by n-grams of orders 1 to 5.

    The n-grams (interpolated Kneser–Ney) are counted in the page from `ids`. They read "." before the first
    word, because a sentence in their text follows another one.

    Args:
        language: a `ToyLanguage`, or anything with its `vocab`, `next_state` and `log_probs`.
        ids: (T,) or (B, T) int64, the text whose n-grams are counted; rows of at least 5 words.
        sentence: the initial words.
        presets: sentences to choose from.
        order: the n-gram order shown first, 1 … 5.
        unit: "nats" or "bits".

    Raises:
        ValueError: an unknown word in `sentence` or `presets`, an order outside 1 … 5, an unknown unit.
    """

    _esm = bundle("chain_rule.js")
    sentence = traitlets.Unicode().tag(sync=True)
    presets = traitlets.List(traitlets.Unicode()).tag(sync=True)
    order = traitlets.Int(3, min=1, max=MAX_ORDER).tag(sync=True)
    unit = traitlets.Enum(("nats", "bits"), "nats").tag(sync=True)

    def __init__(
        self,
        language: Any,
        ids: Tensor,
        *,
        sentence: str = SENTENCE,
        presets: Sequence[str] = PRESETS,
        order: int = 3,
        unit: str = "nats",
    ):
        if order not in range(1, MAX_ORDER + 1):
            raise ValueError(f"order must be from 1 to {MAX_ORDER}, got {order}")
        if unit not in ("nats", "bits"):
            raise ValueError(f'unit must be "nats" or "bits", got {unit!r}')
        for text in (sentence, *presets):
            read_words(text, list(language.vocab), f"the sentence {text!r}")
        super().__init__(language, ids, sentence=sentence, presets=list(presets), order=order, unit=unit)
        self._models: dict[int, NGramLM] = {}

    def _model(self, order: int) -> NGramLM:
        if order not in self._models:
            self._models[order] = NGramLM(order, len(self.vocab)).fit(self._ids)
        return self._models[order]

    def factors(self, text: str, order: int | None = None) -> list[float]:
        """Return log P(word | words before), nats, for each word of `text`: exact, or by an n-gram.

        Raises:
            ValueError: an unknown word in `text`.
        """
        words = read_words(text, self.vocab, "text")
        if order is None:
            return [float(self._exact_log_probs(words[:t])[word]) for t, word in enumerate(words)]
        model, context = self._model(order), self._full_stop() + words
        rows = list(model(torch.tensor([context]))[0]) if context else []
        if not self._full_stop():
            rows.insert(0, model.unigram_log_probs)
        return [float(row[word]) for row, word in zip(rows, words, strict=False)]

    def __repr__(self) -> str:
        """Return the factors of the sentence and their total, exact beside the n-gram of the chosen order."""
        words = [self.vocab[i] for i in self._known(self.sentence)]
        exact, ngram = self.factors(" ".join(words)), self.factors(" ".join(words), self.order)
        lines = [f"ChainRuleExplorer: {self.sentence!r}", f"{'word':<12}  exact   {self.order}-gram"]
        for word, p, q in zip(words, exact, ngram, strict=True):
            lines.append(f"{word:<12}  {math.exp(p):.4f}  {math.exp(q):.4f}")
        scale = 1.0 if self.unit == "nats" else 1 / math.log(2)
        totals = f"{sum(exact) * scale:.4f} exact, {sum(ngram) * scale:.4f} by the {self.order}-gram"
        return "\n".join([*lines, f"log P(sentence) in {self.unit}: {totals}"])
