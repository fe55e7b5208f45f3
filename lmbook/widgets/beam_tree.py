"""Beam search as a tree that grows with the reader's beam width, greedy decoding beside it.

Axes: V vocabulary.
"""

from collections.abc import Mapping

import torch
import traitlets

from lmbook.decoding.sampling import greedy_decode
from lmbook.decoding.search import beam_search
from lmbook.toy.language import ToyLanguage
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.packing import pack_model, pack_models

MAX_BEAMS, MAX_STEPS = 8, 8


class BeamTree(BookWidget):
    """Grows the tree of a beam search step by step in exact languages; the best text is known.

    It opens on the first search in which greedy decoding, the beam and the best text all differ, if one
    does.

    Args:
        searches: name of each search, with its exact language and the prompt.
        length: new words, from 1 to 8.
        num_beams: prefixes kept at first, from 1 to 8; the reader changes it.

    Raises:
        TypeError: a language that isn't a `ToyLanguage`.
        ValueError: no search, an empty, unknown or impossible prompt, a value outside the ranges above.
    """

    _esm = bundle("beam_tree.js")
    _css = style("kit/sentence.css", "beam_tree.css")
    headers = traitlets.List(traitlets.Dict()).tag(sync=True)
    tables = traitlets.Bytes().tag(sync=True)
    starts = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)  # the prompts, in ids
    best = traitlets.List(traitlets.Dict()).tag(sync=True)  # of each search {ids, logProb}, exact
    length = traitlets.Int().tag(sync=True)
    search = traitlets.Int(0).tag(sync=True)
    num_beams = traitlets.Int().tag(sync=True)
    steps = traitlets.Int(0).tag(sync=True)  # taken so far

    def __init__(
        self, searches: Mapping[str, tuple[ToyLanguage, str]], *, length: int = 4, num_beams: int = 2
    ):
        if not searches:
            raise ValueError("searches must hold at least one search, got none")
        for name, value, limit in (("length", length, MAX_STEPS), ("num_beams", num_beams, MAX_BEAMS)):
            if not 1 <= value <= limit:
                raise ValueError(f"{name} must be from 1 to {limit}, got {value}")
        packed, starts, best = [], [], []
        for name, (language, prompt) in searches.items():
            if not isinstance(language, ToyLanguage):
                raise TypeError(f"{name!r} needs an exact ToyLanguage, got {type(language).__name__}")
            ids = torch.tensor([language.encode(prompt)], dtype=torch.int64)
            if ids.shape[1] == 0:
                raise ValueError(f"the prompt of {name!r} must have at least one word, got {prompt!r}")
            if not bool(language.log_prob(ids).isfinite()):
                raise ValueError(f"the language of {name!r} can't produce its prompt {prompt!r}")
            text = language.best_continuation(ids, length)
            log_prob = float(language.log_prob(text) - language.log_prob(ids))
            packed.append(pack_model(language, language, name))
            starts.append(ids[0].tolist())
            best.append({"ids": text[0].tolist(), "logProb": log_prob})
        self._languages = [language for language, _ in searches.values()]
        headers, tables = pack_models(packed)
        super().__init__(
            headers=headers, tables=tables, starts=starts, best=best, length=length, num_beams=num_beams
        )
        differ = [len({text for _, _, text in self._found(n)}) == 3 for n in range(len(starts))]
        self.search = differ.index(True) if True in differ else 0

    def _found(self, search: int) -> list[tuple[str, float, str]]:
        """Return what greedy decoding, the beam and an exhaustive search find: names, P and words."""
        language, start = self._languages[search], self.starts[search]
        ids = torch.tensor([start])
        texts = {
            "greedy": greedy_decode(language, ids, self.length),
            "beam": beam_search(language, ids, self.num_beams, self.length)[0],
            "best": torch.tensor([self.best[search]["ids"]]),
        }
        before = language.log_prob(ids)
        return [
            (name, float((language.log_prob(text) - before).exp()), language.decode(text[0, len(start) :]))
            for name, text in texts.items()
        ]

    def __repr__(self) -> str:
        """Return what greedy decoding, the beam and an exhaustive search find."""
        lines = [f"BeamTree: {self.length} words, {self.num_beams} beams"]
        for n, (header, start) in enumerate(zip(self.headers, self.starts, strict=True)):
            lines.append(f"{header['name']}, after {self._languages[n].decode(start)!r}:")
            lines += [f"  {name:6} {prob:.4f}  {text}" for name, prob, text in self._found(n)]
        return "\n".join(lines)
