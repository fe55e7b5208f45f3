"""The next-token demo: a prefix, what may come next, and how much a bigram misses.

Axes: V vocabulary.
"""

from functools import cached_property
from typing import Any

import torch
import traitlets
from torch import Tensor

from lmbook.ngram import NGramLM
from lmbook.widgets.base import LanguageWidget, read_words
from lmbook.widgets.bundle import bundle


class NextTokenDemo(LanguageWidget):
    """Shows the exact distribution over the next word beside a bigram's; a click continues the text.

    Args:
        language: a `ToyLanguage`, or anything with its `vocab`, `next_state` and `log_probs`.
        ids: (T,) or (B, T) int64, the text whose bigrams are counted in the page.
        prefix: the initial words; "" is the start of the language.
        num_words: how many words are listed, 1 … 20; the others share a line.
        seed: 0 … 2³² − 1, of the generator in the page that "Draw a word" draws from.

    Raises:
        ValueError: an unknown word in `prefix`, or a value outside the ranges above.
    """

    _esm = bundle("next_token.js")
    prefix = traitlets.Unicode().tag(sync=True)
    start = traitlets.Unicode().tag(sync=True)
    num_words = traitlets.Int().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)

    def __init__(
        self, language: Any, ids: Tensor, *, prefix: str = "", num_words: int = 10, seed: int = 2026
    ):
        if not 1 <= num_words <= 20:
            raise ValueError(f"num_words must be from 1 to 20, got {num_words}")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be at least 0 and below 2**32, got {seed}")
        read_words(prefix, list(language.vocab), "prefix")
        super().__init__(language, ids, prefix=prefix, start=prefix, num_words=num_words, seed=seed)

    @cached_property
    def _bigram(self) -> NGramLM:
        return NGramLM(2, len(self.vocab)).fit(self._ids)

    def __repr__(self) -> str:
        """Return the table that the page shows for the words so far."""
        prefix = self._known(self.prefix)
        exact = self._exact_log_probs(prefix).exp()
        context = self._full_stop() + prefix
        bigram = self._bigram(torch.tensor([context]))[0, -1] if context else self._bigram.unigram_log_probs
        bigram = bigram.exp()
        best = (
            torch.maximum(exact, bigram).sort(descending=True, stable=True).indices[: self.num_words].tolist()
        )
        best.sort(key=lambda word: (-float(exact[word]), -float(bigram[word])))
        rows = [(self.vocab[word], float(exact[word]), float(bigram[word])) for word in best]
        rows.append(("the others", 1 - sum(p for _, p, _ in rows), 1 - sum(q for *_, q in rows)))
        lines = [f"{word:<12}  {abs(p):.4f}  {abs(q):.4f}" for word, p, q in rows]
        return "\n".join(
            [f"NextTokenDemo after {self.prefix!r}", f"{'next word':<12}  exact   bigram", *lines]
        )
