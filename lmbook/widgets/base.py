"""What the book's widgets share: tables as bytes, and a readable repr.

A widget is Python data and one ES module. The module has all the behaviour and needs no kernel, so that the
same file runs in Jupyter, in Colab and on the published page (see `lmbook.widgets.bundle`).

Axes: V vocabulary, S states of the automaton (row S is the dead state), E its possible (state, word) pairs.
"""

import re
from itertools import takewhile
from typing import Any

import anywidget
import torch
import traitlets
from torch import Tensor

from lmbook.interface import check_ids
from lmbook.widgets.bundle import style
from lmbook.widgets.packing import pack_language


class BookWidget(anywidget.AnyWidget):
    """An anywidget with a repr for GitHub, print and nbval, which has its numbers and no memory address."""

    _css = style()
    _ipython_display_ = None  # ipywidgets 7 (Colab) would show a shortened repr through it
    still = traitlets.Unicode().tag(sync=True)  # text shown instead of the view on paper and without scripts

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self.still = repr(self)
        bundle_and_metadata = super()._repr_mimebundle_(**kwargs)
        data = bundle_and_metadata[0] if isinstance(bundle_and_metadata, tuple) else bundle_and_metadata
        data["text/plain"] = self.still
        return bundle_and_metadata


class LanguageWidget(BookWidget):
    """A widget that knows an automaton language exactly and counts n-grams of `ids` in the page.

    The tables, little-endian: entries `row_starts[s]` … `row_starts[s + 1] − 1` of `row_words`, `row_next`
    and `row_log_probs` are the possible words of state s by id, their next states and their log P.
    """

    vocab = traitlets.List(traitlets.Unicode()).tag(sync=True)
    row_starts = traitlets.Bytes().tag(sync=True)  # (S + 2,) uint32
    row_words = traitlets.Bytes().tag(sync=True)  # (E,) uint8
    row_next = traitlets.Bytes().tag(sync=True)  # (E,) uint16
    row_log_probs = traitlets.Bytes().tag(sync=True)  # (E,) float64
    ids = traitlets.Bytes().tag(sync=True)  # (B·T,) uint8, row by row
    row_length = traitlets.Int().tag(sync=True)  # T

    def __init__(self, language: Any, ids: Tensor, **traits: Any):
        super().__init__(**pack_language(language), **_pack_ids(ids, len(language.vocab)), **traits)
        self._language, self._ids = language, ids

    def _known(self, text: str) -> list[int]:
        """Return the ids of the words of `text` up to the first unknown one, as the page reads them."""
        return [
            self.vocab.index(word) for word in takewhile(lambda word: word in self.vocab, split_words(text))
        ]

    def _full_stop(self) -> list[int]:
        """Return the ids that n-grams read before the first word: a full stop, if the language has one."""
        return [self.vocab.index(".")] if "." in self.vocab else []

    def _exact_log_probs(self, prefix: list[int]) -> Tensor:
        """Return log P(word | prefix), (V,), of the exact language."""
        state = 0
        for word in prefix:
            state = int(self._language.next_state[state, word])
        return torch.as_tensor(self._language.log_probs[state])


def split_words(text: str) -> list[str]:
    """Return the words of `text` in lower case; punctuation marks are words. The page does the same."""
    return re.findall(r"[.,;:!?]|[^\s.,;:!?]+", text.lower())


def read_words(text: str, vocab: list[str], name: str) -> list[int]:
    """Return the ids of the words of `text`; ValueError names those not in `vocab`."""
    words = split_words(text)
    unknown = [word for word in words if word not in vocab]
    if unknown:
        listed = ", ".join(map(repr, unknown))
        raise ValueError(f"{name} has words outside the language's vocabulary of {len(vocab)}: {listed}")
    return [vocab.index(word) for word in words]


def _pack_ids(ids: Tensor, vocab_size: int) -> dict[str, Any]:
    rows = ids[None] if isinstance(ids, Tensor) and ids.ndim == 1 else ids
    check_ids(rows, vocab_size, name="ids", min_length=2)
    return {"ids": rows.cpu().numpy().astype("u1").tobytes(), "row_length": rows.shape[1]}
