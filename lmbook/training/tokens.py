"""Tokens on the disk: made once from a corpus, then mapped into memory, so that only used parts are loaded.

A folder holds `training.tokens` and `validation.tokens`, ids of 1, 2 or 4 bytes, and `index.json`: the
tokenizer, where documents end, and the fingerprints of the texts they were made from. Who makes them holds
`lock`, so that two runs with one folder take turns.

Rows never cross from one document into the next.

Axes: B batch, T time.
"""

import json
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lmbook.tokenizer.base import ByteTokenizer, CharTokenizer, Tokenizer, tokenizer_from_json
from lmbook.tokenizer.bpe import BPETokenizer
from lmbook.training.corpus import BLOCK, Fingerprint, Source, Split
from lmbook.training.folder import LOCK, take

SPLITS = ("training", "validation")
INDEX = "index.json"
ID_SIZES = (1, 2, 4)  # bytes
LEARNED_FROM = 20_000_000  # characters that byte pairs are learned from, taken evenly from all documents
IGNORED = -100  # the target that cross_entropy leaves out


@dataclass(frozen=True)
class Tokens:
    """The ids of one split.

    Attributes:
        ids: one document after another.
        ends: where each document ends, exclusive.
    """

    ids: np.ndarray
    ends: np.ndarray

    @property
    def begins(self) -> np.ndarray:
        """Where each document begins."""
        return np.concatenate(([0], self.ends[:-1]))

    def rows(self, starts: np.ndarray, length: int) -> Int[Tensor, "B _"]:
        """(B, `length` + 1) ids from each start on; `IGNORED` after the end of the start's document."""
        ends = self.ends[np.searchsorted(self.ends, starts, side="right")]
        places = starts[:, None] + np.arange(length + 1)
        ids = self.ids[np.minimum(places, len(self.ids) - 1)].astype(np.int64)
        return torch.from_numpy(np.where(places < ends[:, None], ids, IGNORED))

    def batch(self, seed: int, step: int, batch_size: int, length: int) -> Int[Tensor, "B _"]:
        """The rows of training step `step`: always the same ones; each possible row is as likely as another.

        A row may begin where `length` + 1 tokens are left in its document; in a shorter document, at its
        start.
        """
        possible = np.maximum(np.diff(self.ends, prepend=0) - length, 1)  # starts of each document
        last = self.ends[-1] - self.begins[-1]
        draws = np.random.default_rng((seed, step))
        starts = draws.integers(len(self.ids) - (length if last > length else 0), size=batch_size)
        document = np.searchsorted(self.ends, starts, side="right")
        late = starts - self.begins[document] >= possible[document]
        up_to = np.cumsum(possible)
        again = draws.integers(up_to[-1], size=int(late.sum()))
        document = np.searchsorted(up_to, again, side="right")
        starts[late] = self.begins[document] + again - (up_to - possible)[document]
        return self.rows(starts, length)

    def num_rows(self, length: int) -> int:
        """Rows of a pass: each document is cut into rows that predict `length` tokens, the last one fewer."""
        return int(self._rows_by_document(length).sum())

    def epoch_batch(self, seed: int, step: int, batch_size: int, length: int) -> Int[Tensor, "B _"]:
        """The rows of training step `step` of passes over the split, each pass in an order of its own.

        A pass predicts each token once, but for the first of each document. A batch may hold the end of one
        pass and the start of the next.
        """
        count = self.num_rows(length)
        epochs, places = np.divmod(step * batch_size + np.arange(batch_size), count)
        orders = {int(epoch): _order(seed, int(epoch), count) for epoch in np.unique(epochs)}
        numbers = np.array([orders[int(e)][place] for e, place in zip(epochs, places, strict=True)])
        up_to = np.cumsum(self._rows_by_document(length))
        document = np.searchsorted(up_to, numbers, side="right")
        before = np.concatenate(([0], up_to))[document]
        return self.rows(self.begins[document] + (numbers - before) * length, length)

    def _rows_by_document(self, length: int) -> np.ndarray:
        return -(-(np.diff(self.ends, prepend=0) - 1) // length)

    def validation_starts(self, length: int, limit: int) -> np.ndarray:
        """Starts of rows of `length` tokens, one after another; of over `limit` tokens some, evenly."""
        starts = np.concatenate(
            [
                np.arange(begin, begin + max(end - begin - length, 1), length)
                for begin, end in zip(self.begins, self.ends, strict=True)
            ]
        )
        count = max(1, min(len(starts), limit // length))
        return starts[np.arange(count) * len(starts) // count]


def _rises(ends: list[int]) -> bool:
    """True for the ends of documents that all have a token."""
    return all(type(end) is int for end in ends) and all(a < b for a, b in pairwise([0, *ends]))


@lru_cache(maxsize=2)  # a batch needs two where one pass ends
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The numbers of `count` rows in the order of a pass."""
    return np.random.default_rng((seed, epoch, 2)).permutation(count)


@dataclass(frozen=True)
class TokenSettings:
    """What decides the tokens of a corpus, besides its texts.

    Attributes:
        kind: of tokenizer: "char", "byte" or "bpe".
        vocab_size: tokens of "bpe"; None: as the kind has it.
        separator: text between the documents of a file; None: a file is one document.
    """

    kind: str
    vocab_size: int | None
    separator: str | None


@dataclass(frozen=True)
class TokenFolder:
    """All that `index.json` says; `settings` are its "recipe"."""

    folder: Path
    settings: TokenSettings
    tokenizer: str
    sources: list[Fingerprint]
    bytes_per_id: int
    ends: dict[str, list[int]]

    @classmethod
    def read(cls, folder: Path) -> "TokenFolder | None":
        """What is in a folder; None if that is nothing, or can't be read."""
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            sources = [Fingerprint.from_json(source) for source in index.pop("sources")]
            settings = TokenSettings(**index.pop("recipe"))
            found = cls(folder=folder, settings=settings, sources=sources, **index)
            tokenizer_from_json(found.tokenizer)
            known = type(found.bytes_per_id) is int and found.bytes_per_id in ID_SIZES
            if not (known and all(_rises(found.ends[split]) for split in SPLITS)):
                return None
            sizes = [(folder / f"{split}.tokens").stat().st_size for split in SPLITS]
            whole = all(
                size == found.bytes_per_id * (found.ends[split][-1] if found.ends[split] else 0)
                for size, split in zip(sizes, SPLITS, strict=True)
            )
            return found if whole else None
        except (OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError):
            return None

    def tokens(self, split: str) -> Tokens:
        """The ids of a split, mapped."""
        ends = np.array(self.ends[split], dtype=np.int64)
        if not len(ends):
            return Tokens(np.zeros(0, dtype=np.uint8), ends)
        dtype = f"<u{self.bytes_per_id}"
        return Tokens(np.memmap(self.folder / f"{split}.tokens", dtype=dtype, mode="r"), ends)


def prepare_tokens(
    folder: Path, sources: list[Source], settings: TokenSettings, tokenizer: str | None = None
) -> tuple[TokenFolder, list[Fingerprint]]:
    """The tokens of `sources`, made unless the folder has them already, and the sources' fingerprints.

    Args:
        folder: made if it isn't there; what it holds of another corpus is replaced.
        sources: of a corpus.
        settings: those of the folder must be equal.
        tokenizer: as JSON; None: train one.
    """
    found, fingerprints = _find_tokens(folder, sources, settings, tokenizer)
    if found:
        return found, fingerprints
    with _held(folder):
        found, fingerprints = _find_tokens(folder, sources, settings, tokenizer)  # another run's, by now
        if not found:
            _make_tokens(folder, Split.of(sources, settings.separator), settings, tokenizer, fingerprints)
            found = TokenFolder.read(folder)
    return found, fingerprints


def _find_tokens(
    folder: Path, sources: list[Source], settings: TokenSettings, tokenizer: str | None
) -> tuple[TokenFolder | None, list[Fingerprint]]:
    """What the folder has, if it was made of these sources, and the sources' fingerprints."""
    found = TokenFolder.read(folder)
    known = {source.name: source for source in found.sources} if found else {}
    fingerprints = [Fingerprint.of(source, known.get(source.name)) for source in sources]
    fits = (
        found
        and found.settings == settings
        and [source.content for source in fingerprints] == [source.content for source in found.sources]
        and tokenizer in (None, found.tokenizer)
    )
    return (found if fits else None), fingerprints


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder of tokens, once no other process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        while not take(file):
            time.sleep(0.2)
        yield


def _make_tokens(
    folder: Path,
    split: Split,
    settings: TokenSettings,
    tokenizer: str | None,
    fingerprints: list[Fingerprint],
) -> None:
    """Write tokens and index; processes that have mapped the old files keep them.

    Raises:
        ValueError: there is no text.
    """
    if not any(map(sum, split.lengths)):
        raise ValueError(f"the corpus has no text: not one character in {len(split.sources)} file(s)")
    made = tokenizer_from_json(tokenizer) if tokenizer else make_tokenizer(split, settings)
    writers = {name: _Writer(folder / f"{name}.tokens", made) for name in SPLITS}
    try:
        for name, text, ends in split.texts():
            writers[name].add(text, ends)
        index = {
            "recipe": asdict(settings),
            "tokenizer": made.to_json(),
            "sources": [asdict(source) for source in fingerprints],
            "bytes_per_id": writers["training"].dtype.itemsize,
            "ends": {name: writer.ends for name, writer in writers.items()},
        }
        partial = folder / f"{INDEX}.{os.getpid()}.partial"
        partial.write_text(json.dumps(index), encoding="utf-8")
        (folder / INDEX).unlink(missing_ok=True)  # never an index beside tokens of another
        for writer in writers.values():
            writer.finish()
        partial.replace(folder / INDEX)
    finally:
        for writer in writers.values():
            writer.file.close()
        for left_over in folder.glob(f"*.{os.getpid()}.partial"):
            left_over.unlink()


def make_tokenizer(split: Split, settings: TokenSettings) -> Tokenizer:
    """Characters come from training and validation text, byte pairs from the first alone."""
    if settings.kind == "byte":
        return ByteTokenizer()
    if settings.kind == "char":
        return CharTokenizer(sorted(set().union(*(text for _, text, _ in split.texts()))))
    total = sum(map(sum, split.training))
    share = min(1.0, LEARNED_FROM / max(total, 1))
    text = "".join(
        text[: math.ceil(share * len(text))] for name, text, _ in split.texts() if name == "training"
    )
    return BPETokenizer.train(text, settings.vocab_size, fast=find_spec("tokenizers") is not None)


class _Writer:
    """Appends the tokens of documents to a file, a block at a time."""

    def __init__(self, path: Path, tokenizer: Tokenizer):
        self.path, self.tokenizer = path, tokenizer
        self.partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        size = next(n for n in ID_SIZES if tokenizer.vocab_size <= 256**n)
        self.dtype = np.dtype(f"<u{size}")
        self.file = self.partial.open("wb")
        self.pending, self.length, self.ends = "", 0, []

    def add(self, text: str, ends: bool) -> None:
        """Append text to the document; begin another one after it if it `ends`."""
        self.pending += text
        if ends:
            self._write(len(self.pending))
            if self.length > (self.ends[-1] if self.ends else 0):
                self.ends.append(self.length)
        elif len(self.pending) >= BLOCK:
            # No token crosses from a word into the white space after it: see tokenizer.base.PIECES.
            cut = re.match(r"(?s).*\S(?=\s)", self.pending)
            if cut:
                self._write(cut.end())

    def _write(self, count: int) -> None:
        ids = np.array(self.tokenizer.encode(self.pending[:count]), dtype=self.dtype)
        try:
            ids.tofile(self.file)
        except OSError as error:  # NumPy's says how many ids were written, not where
            raise OSError(f"{self.partial} couldn't be written: {error}") from None
        self.pending, self.length = self.pending[count:], self.length + len(ids)

    def finish(self) -> None:
        """Move the file to its place; processes that have mapped the old one keep it."""
        self.file.close()
        self.partial.replace(self.path)
