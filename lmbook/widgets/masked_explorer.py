"""Words to hide and to guess: a masked model, the exact posterior and an n-gram, side by side.

Axes: B batch, T time, V vocabulary.
"""

from functools import cached_property

import torch
import traitlets
from jaxtyping import Int
from torch import Tensor, nn

from lmbook.ngram import NGramLM
from lmbook.toy.language import ToyLanguage
from lmbook.transformer.masked import MaskedLM
from lmbook.widgets.base import LanguageWidget
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.packing import MAX_ORDER, pack_model
from lmbook.widgets.sentence import check_page_model, check_sentence, page_sample


class MaskedExplorer(LanguageWidget):
    """Runs a `MaskedLM` in the page on a sentence whose words the reader hides and shows.

    Args:
        model: a `MaskedLM` over the words of `language`; its weights are stored in float16.
        language: the exact language: its posterior given all visible words is the best possible answer.
        ids: (T,) or (B, T) int64, the text whose n-grams are counted in the page.
        sentence: the initial sentence, from 1 to 24 words.
        hidden: the places of the words that are hidden at first, from 0.
        order: of the n-gram, from 1 to 6. It reads the visible words just before a hidden one.
        seed: 0 … 2³² − 1, of the page's generator, which masks and draws sentences.

    Raises:
        TypeError: `model` is no `MaskedLM`, `language` no `ToyLanguage`.
        ValueError: an unknown word, a sentence of another length, or a value outside the ranges above; a
            model of another vocabulary or too large for a page.
    """

    _esm = bundle("masked_explorer.js")
    _css = style("kit/sentence.css", "masked_explorer.css")
    header = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    sentence = traitlets.Unicode().tag(sync=True)
    hidden = traitlets.List(traitlets.Int()).tag(sync=True)
    place = traitlets.Int().tag(sync=True)  # the hidden word whose answers are shown
    order = traitlets.Int().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        language: ToyLanguage,
        ids: Int[Tensor, "..."],
        *,
        sentence: str = "the gulls that follow the crab sleep.",
        hidden: tuple[int, ...] | list[int] = (6,),
        order: int = 3,
        seed: int = 2026,
    ):
        check_page_model(model, MaskedLM, language, "MaskedExplorer")
        length = check_sentence(sentence, language, model.context_length, "sentence")
        _check_settings(hidden, length, order, seed)
        generator = torch.Generator().manual_seed(0)
        sample = language.sample(*page_sample(model), generator=generator)
        masked = torch.rand(sample.shape, generator=generator) < 0.3
        sample = sample.masked_fill(masked, model.mask_token_id)
        header, weights = pack_model(model, language, "model", ids=sample)
        super().__init__(
            language,
            ids,
            header=header,
            weights=weights,
            sentence=sentence,
            hidden=sorted(set(hidden)),
            place=min(hidden, default=0),
            order=order,
            seed=seed,
        )

    @cached_property
    def _ngram(self) -> NGramLM:
        return NGramLM(self.order, len(self.vocab)).fit(self._ids)

    def ngram_log_probs(self, words: list[int], hidden: list[int], place: int) -> Tensor:
        """Return the n-gram's log P at `place`, (V,), given the visible words just before it."""
        seen = place
        while seen > 0 and seen - 1 not in hidden:
            seen -= 1
        context = (self._full_stop() if seen == 0 else []) + words[seen:place]
        return self._ngram(torch.tensor([context]))[0, -1] if context else self._ngram.unigram_log_probs

    def __repr__(self) -> str:
        """Return the sentence with its gaps, and for each the exact posterior's and the n-gram's answers."""
        words = self._known(self.sentence)
        hidden = [t for t in self.hidden if t < len(words)]
        shown = " ".join("[…]" if t in hidden else self.vocab[word] for t, word in enumerate(words))
        lines = [f"MaskedExplorer: {shown}"]
        mask = torch.tensor([[t in hidden for t in range(len(words))]])
        if hidden:
            posterior = self._language.masked_posterior(torch.tensor([words]), mask)[0]
            for t in hidden:
                lines.append(f"word {t + 1}, exact posterior: {self._best(posterior[t])}")
                guess = self.ngram_log_probs(words, hidden, t).exp()
                lines.append(f"word {t + 1}, {self.order}-gram: {self._best(guess)}")
        return "\n".join(lines)

    def _best(self, probs: Tensor) -> str:
        top = probs.sort(descending=True, stable=True).indices[:3].tolist()
        return ", ".join(f"{self.vocab[word]} {float(probs[word]):.3f}" for word in top if probs[word] > 0)


def _check_settings(hidden: list[int] | tuple[int, ...], length: int, order: int, seed: int) -> None:
    outside = [t for t in hidden if not 0 <= t < length]
    if outside:
        raise ValueError(f"hidden must be places from 0 to {length - 1}, got {outside[0]}")
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"order must be from 1 to {MAX_ORDER}, got {order}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be at least 0 and below 2**32, got {seed}")
