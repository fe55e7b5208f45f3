"""Inside one forward pass: every tensor of a trained model on the reader's own sentence, and switches.

Axes: T time, D model width, H query heads, K key/value heads, E a head's width, F width of the feed-forward
part, V vocabulary.
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

BLOCK_PARTS = {  # of each block, in the order in which they are made, with their axes
    "attention_norm": "TD", "query": "HTE", "key": "KTE", "value": "KTE", "rotated_query": "HTE",
    "rotated_key": "KTE", "scores": "HTT", "weights": "HTT", "context": "HTE", "attention": "TD",
    "after_attention": "TD", "feed_forward_norm": "TD", "gate": "TF", "up": "TF", "gated": "TF",
    "feed_forward": "TD", "output": "TD",
}  # fmt: skip


class ForwardPass(BookWidget):
    """Runs a `CausalLM` in the page and shows every tensor between the words and the probabilities.

    Heads, feed-forward parts, rotary positions and the causal mask can be switched off; beside the model's
    next word stands that of the exact language, with the divergence in nats.

    Args:
        model: a `CausalLM` over the words of `language`; its weights are stored in float16.
        language: the exact language.
        text: the initial sentence, from 1 to 24 words.
        place: the word whose row is marked and after which the next word is predicted, from 0. None: the last
            but two, if there is one, so that in "… sleep." the next word is "sleep".
        tensor: the tensor that is shown first: "embedding", "norm", "logits", "probabilities", or a block
            (from 1) and a part of it, such as "2.query"; the parts are the keys of `BLOCK_PARTS`. None: the
            attention weights of the last block.
        off: what is switched off at first: "head 1.2" (the second of block 1), "feed-forward 1", "positions",
            "mask".

    Raises:
        TypeError: `model` is no `CausalLM`, or `language` no `ToyLanguage`.
        ValueError: an unknown word, a sentence of another length, a `place` out of range, a `tensor` or a
            switch that the model lacks; a model with another vocabulary, too short a context, or too large
            for a page.
    """

    _esm = bundle("forward_pass.js")
    _css = style("kit/sentence.css", "forward_pass.css")
    headers = traitlets.List(traitlets.Dict()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    first_text = traitlets.Unicode().tag(sync=True)  # what Reset returns to
    text = traitlets.Unicode().tag(sync=True)
    place = traitlets.Int().tag(sync=True)
    tensor = traitlets.Unicode().tag(sync=True)
    head = traitlets.Int(-1).tag(sync=True)  # of the marked number; −1: the largest of the word's row
    column = traitlets.Int(-1).tag(sync=True)
    off = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        language: ToyLanguage,
        *,
        text: str = "the gulls that follow the crab sleep.",
        place: int | None = None,
        tensor: str | None = None,
        off: Sequence[str] = (),
    ):
        check_page_model(model, CausalLM, language, "ForwardPass")
        length = check_sentence(text, language, model.context_length, "text")
        place = max(length - 3, 0) if place is None else check_int("place", place, 0, length - 1)
        config = model.config
        tensor = f"{config.num_layers}.weights" if tensor is None else tensor
        _check_known("tensor", tensor, list(tensor_axes(config.num_layers)))
        switches = switch_names(config.num_layers, config.num_heads)
        if isinstance(off, str):
            raise ValueError(f"off must be a list of switches, got {off!r}")
        for name in off:
            _check_known("off", name, switches)
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
            first_text=text,
            text=text,
            place=place,
            tensor=tensor,
            off=[name for name in switches if name in off],
        )
        self._model, self._language = model, language

    def __repr__(self) -> str:
        """Return the sentence, the tensor that is shown, and what the exact language expects."""
        vocab, config = self._language.vocab, self._model.config
        words = [word for word in split_words(self.text) if word in vocab]
        prefix = words[: self.place + 1]
        sizes = {
            "T": len(words), "D": config.d_model, "H": config.num_heads, "K": config.num_kv_heads,
            "E": config.d_head, "F": config.d_ff, "V": config.vocab_size,
        }  # fmt: skip
        shape = " × ".join(str(sizes[axis]) for axis in tensor_axes(config.num_layers)[self.tensor])
        size = f"{config.num_layers} blocks of {config.num_heads} heads"
        switched = f"; off: {', '.join(self.off)}" if self.off else ""
        return "\n".join(
            [
                f"ForwardPass: {size} on {self.text!r}{switched}",
                f"showing {self.tensor}, {shape}",
                f"after {' '.join(prefix)!r} exactly: {best_words(self._language, prefix)}",
            ]
        )


def tensor_axes(num_layers: int) -> dict[str, str]:
    """Return the names of all tensors of a pass, in the order in which they are made, with their axes."""
    blocks = {f"{n}.{part}": axes for n in range(1, num_layers + 1) for part, axes in BLOCK_PARTS.items()}
    return {"embedding": "TD", **blocks, "norm": "TD", "logits": "TV", "probabilities": "TV"}


def switch_names(num_layers: int, num_heads: int) -> list[str]:
    """Return what can be switched off."""
    layers, heads = range(1, num_layers + 1), range(1, num_heads + 1)
    blocks = [[*(f"head {n}.{head}" for head in heads), f"feed-forward {n}"] for n in layers]
    return [*(name for block in blocks for name in block), "positions", "mask"]


def _check_known(name: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
