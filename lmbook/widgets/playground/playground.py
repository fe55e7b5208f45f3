"""The playground: models that run in the page, with the reader's own prompt, every decoder, token by token.

Axes: B batch, T time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import traitlets
from torch import Tensor

from lmbook.decoding.sampling import sample_decode
from lmbook.interface import TextCodec, evaluating
from lmbook.ngram import NGramLM
from lmbook.toy.language import ToyLanguage
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.masked import MaskedLM
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.packing import Packed, check_size, pack_model, pack_models
from lmbook.widgets.sentence import page_sample

MAX_PROMPT = 2000  # characters; the page takes no more


@dataclass(frozen=True, kw_only=True)
class PlaygroundModel:
    """One of the models that a playground lets write.

    Attributes:
        model: a `CausalLM`, a Kneser–Ney `NGramLM` or the exact `ToyLanguage`.
        tokenizer: of the same vocabulary; a `ToyLanguage` reads its own words, and the page judges by it what
            the model writes.
        name: what the page calls it.
        prompts: to start with and to pick from; the first stands there at first.
        note: a sentence about it.
        ids: of an `NGramLM` the text that it was fitted on. Of a `CausalLM` a sample of text, (B, T), on
            which the page's 16-bit weights are compared with the original; None: what it writes itself.
    """

    model: Any
    tokenizer: Any
    name: str = "model"
    prompts: Sequence[str] = ("",)
    note: str = ""
    ids: Tensor | None = None


class Playground(BookWidget):
    """Lets small models continue the reader's prompt in the page itself, with every strategy and filter.

    Args:
        model: a `CausalLM` (or one of the other models of `PlaygroundModel`), or a list of `PlaygroundModel`.
        tokenizer: of one model; a list's entries have theirs.
        prompt: what stands in the field at first, for one model.
        ids: as in `PlaygroundModel`, for one model.
        own_text: offer the corner where a pasted text becomes an n-gram.
        smollm2: offer SmolLM2, which a reader loads on demand, 98 MB.

    Raises:
        TypeError: a model that can't continue a prompt, no tokenizer.
        ValueError: models larger than a page may carry, a prompt that can't be read or is too long.
    """

    _esm = bundle("playground/view.js", workers=("model",))
    _css = style("kit/sentence.css", "playground/playground.css")
    headers = traitlets.List(traitlets.Dict()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    about = traitlets.List(traitlets.Dict()).tag(sync=True)  # of each model: name, prompts, note
    own_text = traitlets.Bool(True).tag(sync=True)
    smollm2 = traitlets.Bool(True).tag(sync=True)
    judges = traitlets.List(traitlets.Dict()).tag(sync=True)  # headers of exact languages
    state = traitlets.Dict().tag(sync=True)  # what the reader has done: model, prompt, ids, settings

    def __init__(
        self,
        model: Any,
        tokenizer: TextCodec | None = None,
        *,
        prompt: str = "",
        ids: Tensor | None = None,
        own_text: bool = True,
        smollm2: bool = True,
    ):
        if isinstance(model, Sequence):
            entries = list(model)
        else:
            entries = [PlaygroundModel(model=model, tokenizer=tokenizer, prompts=(prompt,), ids=ids)]
        if not entries:
            raise ValueError("a playground needs at least one model, got none")
        for entry in entries:
            _check(entry)
        sizes = [
            2 * sum(p.numel() for p in e.model.parameters()) for e in entries if isinstance(e.model, CausalLM)
        ]
        check_size(sum(sizes), f"the models {', '.join(repr(e.name) for e in entries)} together")
        headers, judges, weights = _pack_all(entries)
        about = [{"name": e.name, "prompts": list(e.prompts), "note": e.note} for e in entries]
        super().__init__(
            headers=headers, judges=judges, weights=weights, about=about, own_text=own_text, smollm2=smollm2
        )
        self._entries = entries

    def __repr__(self) -> str:
        """Return, for each model, its first prompt and what it expects next."""
        return "\n".join(
            ["Playground, which needs a browser that runs scripts:", *map(_expects, self._entries)]
        )


def _check(entry: Any) -> None:
    """Raise unless the page can let `entry` write from each of its prompts."""
    if not isinstance(entry, PlaygroundModel):
        raise TypeError(f"a list for Playground holds PlaygroundModel, got {type(entry).__name__}")
    if isinstance(entry.model, MaskedLM):
        raise TypeError("a MaskedLM fills gaps and can't continue a prompt: see MaskedExplorer")
    if not isinstance(entry.model, CausalLM | NGramLM | ToyLanguage):
        raise TypeError(
            f"Playground runs CausalLM, NGramLM and ToyLanguage, got {type(entry.model).__name__}"
        )
    if isinstance(entry.prompts, str) or not entry.prompts:
        raise ValueError(f"prompts must be a list of at least one text, got {entry.prompts!r}")
    if entry.tokenizer is None:
        raise TypeError("Playground needs the model's tokenizer, got None")
    limit = getattr(entry.model, "context_length", None)
    for prompt in entry.prompts:
        length = len(entry.tokenizer.encode(prompt)) if prompt else 0
        if len(prompt) > MAX_PROMPT:
            raise ValueError(f"a prompt has {len(prompt)} characters, the limit is {MAX_PROMPT}")
        if limit is not None and length > limit:
            raise ValueError(f"a prompt has {length} tokens, the model {entry.name!r} reads at most {limit}")


def _pack_all(entries: Sequence[PlaygroundModel]) -> tuple[list[dict], list[dict], bytes]:
    """Return the headers of the models, those of the exact languages of their tokenizers, and all bytes."""
    models = [_pack(entry) for entry in entries]
    languages = {id(e.tokenizer): e.tokenizer for e in entries if isinstance(e.tokenizer, ToyLanguage)}
    judges = [pack_model(one, one, f"judge {n}") for n, one in enumerate(languages.values())]
    headers, weights = pack_models([*models, *judges])
    return headers[: len(models)], headers[len(models) :], weights


def _pack(entry: PlaygroundModel) -> Packed:
    ids = entry.ids
    if ids is None and isinstance(entry.model, CausalLM):
        check_size(2 * sum(p.numel() for p in entry.model.parameters()), f"the model {entry.name!r}")
        ids = _own_writing(entry.model)
    return pack_model(entry.model, entry.tokenizer, entry.name, ids=ids)


def _own_writing(model: CausalLM) -> Tensor:
    """A few texts that the model writes from random first tokens, (B, T)."""
    count, length = page_sample(model)
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(model.vocab_size, (count, 1), generator=generator)
    return sample_decode(model, first, max_length=length - 1, generator=generator)


def _expects(entry: PlaygroundModel, count: int = 3) -> str:
    """The likeliest tokens after the first prompt, as a line of text."""
    ids = entry.tokenizer.encode(entry.prompts[0]) if entry.prompts[0] else []
    if not ids:
        return f"{entry.name}: no prompt yet"
    with evaluating(entry.model) if isinstance(entry.model, CausalLM) else torch.no_grad():
        probs = entry.model(torch.tensor([ids]))[0, -1].double().softmax(-1)
    top = probs.sort(descending=True, stable=True).indices[:count].tolist()
    listed = ", ".join(f"{entry.tokenizer.decode([i])!r} {float(probs[i]):.2f}" for i in top)
    shown = entry.prompts[0].replace("\n", " / ")
    return f"{entry.name}, after “{shown}”: {listed}"
