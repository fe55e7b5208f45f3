"""The decoding explorer: filters in any order, what each leaves of a distribution, and draws from the rest.

Axes: B batch, T time, V vocabulary.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import traitlets
from torch import Tensor, nn

from lmbook.decoding import filters
from lmbook.interface import check_int, evaluating
from lmbook.toy.language import ToyLanguage
from lmbook.transformer.causal import CausalLM
from lmbook.widgets.base import BookWidget, read_words
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.packing import pack_model, pack_models, rounded
from lmbook.widgets.sentence import check_page_model, check_sentence, page_sample

MAX_DRAWS = 10_000


class Dial(NamedTuple):
    """A filter of `lmbook.filters` on the page: a slider from `low` to `high` that starts `at` a value."""

    name: str
    argument: str  # of the function in lmbook.filters
    low: float
    high: float  # inf: the size of the vocabulary
    step: float
    at: float
    digits: int


DIALS = {
    "temperature": Dial("Temperature", "tau", 0, 3, 0.05, 1.5, 2),
    "top_k": Dial("Top-k", "k", 1, math.inf, 1, 10, 0),
    "top_p": Dial("Top-p (nucleus)", "p", 0.01, 1, 0.01, 0.9, 2),
    "min_p": Dial("Min-p", "p", 0, 1, 0.01, 0.1, 2),
    "typical": Dial("Typical", "p", 0.01, 1, 0.01, 0.9, 2),
    "repetition_penalty": Dial("Repetition penalty", "penalty", 0.5, 3, 0.1, 1.5, 1),
    "frequency_penalty": Dial("Frequency penalty", "penalty", -2, 3, 0.1, 0.5, 1),
    "presence_penalty": Dial("Presence penalty", "penalty", -2, 3, 0.1, 0.5, 1),
    "no_repeat_ngram": Dial("No n-gram twice", "n", 1, 5, 1, 2, 0),
}


class DecodingExplorer(BookWidget):
    """Runs a `CausalLM` in the page and lets the reader filter its next word and draw from what is left.

    Args:
        model: a `CausalLM` over the words of `language`; its weights are stored in float16.
        language: the exact language, which says which words are possible.
        prompt: the initial prompt, from 1 to 24 words.
        presets: other prompts to pick from.
        filters: (name, value) of the filters that are on at first, in order, by their names in
            `lmbook.filters`. The others follow, switched off.
        draws: how many words are drawn at first, from 0 to 10,000.
        seed: of the page's generator, from 0 to 2³² − 1.

    Raises:
        TypeError: `model` is no `CausalLM`, `language` no `ToyLanguage`.
        ValueError: an unknown word or filter, a filter named twice, a value outside its slider, a prompt of
            another length, or `draws` or `seed` outside the ranges above; a model of another vocabulary or
            too large for a page.
    """

    _esm = bundle("decoding_explorer.js")
    _css = style("kit/sentence.css", "decoding_explorer.css")
    headers = traitlets.List(traitlets.Dict()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    dials = traitlets.List(traitlets.Dict()).tag(
        sync=True
    )  # of each filter: key, name, from, to, step, digits
    presets = traitlets.List(traitlets.Unicode()).tag(sync=True)
    prompt = traitlets.Unicode().tag(sync=True)
    chain = traitlets.List(traitlets.Dict()).tag(sync=True)  # in order: key, on, value
    stage = traitlets.Unicode().tag(sync=True)  # the filter whose effect is shown; "": all together
    draws = traitlets.Int().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        language: ToyLanguage,
        *,
        prompt: str = "the seals that",
        presets: Sequence[str] = (
            "the seals swim. the",
            "the seals swim near",
            "the gull that the gull sees swims. the gull that the gull sees",
        ),
        filters: Sequence[tuple[str, float | int]] = (("temperature", 2.0), ("top_p", 0.9)),
        draws: int = 200,
        seed: int = 1,
    ):
        check_page_model(model, CausalLM, language, "DecodingExplorer")
        if isinstance(presets, str):
            raise ValueError(f"presets must be a list of prompts, got {presets!r}")
        for text in (prompt, *presets):
            check_sentence(text, language, model.context_length, "a prompt")
        for name, value, most in (("draws", draws, MAX_DRAWS), ("seed", seed, 2**32 - 1)):
            check_int(name, value, 0, most)
        dials, chain = _dials(language.vocab_size), _chain(filters, language.vocab_size)
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
            dials=dials,
            presets=list(dict.fromkeys([prompt, *presets])),
            prompt=prompt,
            chain=chain,
            draws=draws,
            seed=seed,
        )
        self._model, self._language = rounded(model).double(), language

    def logits(self) -> list[Tensor]:
        """Return the logits of the next word, (V,): the model's, then those after each active filter."""
        ids = torch.tensor([read_words(self.prompt, self._language.vocab, "the prompt")])
        with evaluating(self._model):
            stages = [self._model(ids)[0, -1]]
        for step in self.chain:
            if step["on"]:
                stages.append(apply_filter(stages[-1], ids[0], step["key"], step["value"]))
        return stages

    def __repr__(self) -> str:
        """Return, for the model and after each filter, how many words are left and the best of them."""
        on = [step for step in self.chain if step["on"]]
        dials = [DIALS[step["key"]] for step in on]
        written = [f"then {d.name} {s['value']:.{d.digits}f}" for d, s in zip(dials, on, strict=True)]
        lines = [f"DecodingExplorer: the next word after {self.prompt!r}"]
        for name, logits in zip(["the model", *written], self.logits(), strict=True):
            probs = logits.softmax(-1)
            best = probs.sort(descending=True, stable=True).indices[:3].tolist()
            listed = ", ".join(f"{self._language.vocab[i]} {float(probs[i]):.2f}" for i in best)
            lines.append(f"{name}: {int((probs > 0).sum())} words, {listed}")
        return "\n".join(lines)


def apply_filter(logits: Tensor, ids: Tensor, key: str, value: float | int) -> Tensor:
    """Apply the filter `key` of `lmbook.filters` to `logits` (V,) that follow the words `ids` (T,)."""
    step = partial(getattr(filters, key), **{DIALS[key].argument: value})
    return filters.compose([step])(logits, ids)


def _dials(vocab_size: int) -> list[dict]:
    """Return the settings of each filter for the page."""
    return [
        {
            "key": key,
            "name": dial.name,
            "from": dial.low,
            "to": min(dial.high, vocab_size),
            "step": dial.step,
            "digits": dial.digits,
        }
        for key, dial in DIALS.items()
    ]


def _chain(wanted: Sequence[tuple[str, float | int]], vocab_size: int) -> list[dict]:
    """Return all filters, wanted ones first; ValueError if one can't be shown."""
    for key, value in wanted:
        if key not in DIALS:
            raise ValueError(f"a filter must be one of {', '.join(DIALS)}, got {key!r}")
        low, high = DIALS[key].low, min(DIALS[key].high, vocab_size)
        if not low <= value <= high:
            raise ValueError(f"{key} must be from {low} to {high} on the page, got {value}")
    keys = [key for key, _ in wanted]
    if len(set(keys)) < len(keys):
        raise ValueError(f"a filter stands once in the order, got {keys}")
    resting = [(key, min(dial.at, vocab_size)) for key, dial in DIALS.items() if key not in keys]
    return [{"key": key, "on": key in keys, "value": value} for key, value in [*wanted, *resting]]
