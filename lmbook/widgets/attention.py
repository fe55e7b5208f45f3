"""The attention of a trained model, head by head, on the reader's own sentence.

Axes: B batch, T time, V vocabulary.
"""

from collections.abc import Sequence

import torch
import traitlets
from torch import nn

from lmbook.interface import check_int
from lmbook.toy.language import ToyLanguage
from lmbook.transformer.causal import CausalLM
from lmbook.widgets.base import BookWidget, split_words
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.packing import pack_model, pack_models
from lmbook.widgets.sentence import best_words, check_page_model, check_sentence, page_sample


class AttentionExplorer(BookWidget):
    """Runs a `CausalLM` in the page: what each head looks at from a word, and what is expected to come next.

    Args:
        model: a `CausalLM` over the words of `language`; its weights are stored in float16.
        language: the exact language; its predictions are shown beside the model's.
        sentence: the initial sentence, from 1 to 24 words.
        presets: further sentences to pick from.
        place: the word that looks at first, from 0. None: the last but two, if there is one, so that in
            "… sleep." the next word is "sleep".
        layer: from 0; head: from 0: the head that is shown at first. None: the head that attends most to the
            subject.

    Raises:
        TypeError: `model` is no `CausalLM`, or `language` no `ToyLanguage`.
        ValueError: an unknown word, a sentence of another length, a `place`, `layer` or `head` out of range;
            a model with another vocabulary, too short a context, or too large for a page.
    """

    _esm = bundle("attention.js")
    _css = style("kit/sentence.css", "attention.css")
    headers = traitlets.List(traitlets.Dict()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    subject_states = traitlets.List(traitlets.Int()).tag(sync=True)
    presets = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sentence = traitlets.Unicode().tag(sync=True)
    place = traitlets.Int().tag(sync=True)
    target = traitlets.Int(-1).tag(sync=True)  # the word looked for; −1: the subject
    layer = traitlets.Int().tag(sync=True)  # −1: no head is chosen yet
    head = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        language: ToyLanguage,
        *,
        sentence: str = "the gulls that follow the crab sleep.",
        presets: Sequence[str] = (
            "the gull that follows the crabs sleeps.",
            "some young goats near the barn graze.",
            "the horse that the pigs fear rests. it sees the hen.",
        ),
        place: int | None = None,
        layer: int | None = None,
        head: int | None = None,
    ):
        check_page_model(model, CausalLM, language, "AttentionExplorer")
        if isinstance(presets, str):
            raise ValueError(f"presets must be a list of sentences, got {presets!r}")
        lengths = [check_sentence(text, language, model.context_length) for text in (sentence, *presets)]
        place = max(lengths[0] - 3, 0) if place is None else place
        if (layer is None) != (head is None):
            raise ValueError(f"layer and head go together, got layer {layer} and head {head}")
        limits = (lengths[0], model.config.num_layers, model.config.num_heads)
        for name, value, size in zip(("place", "layer", "head"), (place, layer, head), limits, strict=True):
            if value is not None:
                check_int(name, value, 0, size - 1)
        sample = language.sample(*page_sample(model), generator=torch.Generator().manual_seed(0))
        headers, weights = pack_models(
            [
                pack_model(model, language, "model", ids=sample),
                pack_model(language, language, "exact language"),
            ]
        )
        super().__init__(
            headers=headers,
            weights=weights,
            presets=list(dict.fromkeys([sentence, *presets])),
            sentence=sentence,
            subject_states=subject_states(language),
            place=place,
            layer=-1 if layer is None else layer,
            head=-1 if head is None else head,
        )
        self._model, self._language = model, language

    def __repr__(self) -> str:
        """Return the sentence and what the exact language expects after the word that looks."""
        vocab, config = self._language.vocab, self._model.config
        words = [word for word in split_words(self.sentence) if word in vocab]
        prefix = words[: self.place + 1]
        return "\n".join(
            [
                f"AttentionExplorer: {config.num_layers} layers of {config.num_heads} heads on "
                f"{self.sentence!r}",
                f"looking from {' '.join(prefix)!r}; then exactly: {best_words(self._language, prefix)}",
            ]
        )


def subject_states(language: ToyLanguage) -> list[int]:
    """Return the states just after a subject noun, or none if the grammar doesn't name them."""
    names = enumerate(language.state_names)
    return [i for i, name in names if isinstance(name, tuple) and name[:1] == ("after subject",)]
