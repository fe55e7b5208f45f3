"""The texts of a run: their files, where documents end, what is kept for validation, and what has changed.

A corpus is one of the book's (their documents are plays or speeches, and they bring their own split), a text
file, or a folder, of which every `.txt` file is read. A file is one document, or many with a separator
between them. Of 20 documents or more every twentieth is kept for validation; of fewer, the end of each.

Files are read in blocks, so that memory doesn't grow with them.
"""

import codecs
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmbook.corpora import load_shakespeare, load_speeches

CORPORA = {"shakespeare": load_shakespeare, "speeches": load_speeches}
VALIDATION_SHARE = 0.05
BLOCK = 2**20  # bytes, and characters


@dataclass(frozen=True)
class Source:
    """A file, or a document of the book's corpora.

    Attributes:
        name: for messages.
        path: of the file; None: `text` is all.
        text: of a document without a file.
        split: "training" or "validation" if that is given; None: `Split` decides.
    """

    name: str
    path: Path | None = None
    text: str = ""
    split: str | None = None

    def blocks(self) -> Iterator[str]:
        """The text in blocks."""
        return iter([self.text]) if self.path is None else read_blocks(self.path)


def find_sources(corpus: Sequence[str], validation: Sequence[str] = ()) -> list[Source]:
    """The sources that `--corpus` and `--validation` name.

    Raises:
        ValueError: a name that is no corpus, file or folder, or a folder without texts.
        ModuleNotFoundError: a corpus of the book whose package isn't installed.
    """
    sources = []
    for name in corpus:
        if name in CORPORA:
            for split, ours in ("train", "training"), ("validation", "validation"):
                sources += [Source(f"{name}: {title}", text=text, split=ours) for title, text in
                            CORPORA[name](split).items()]  # fmt: skip
        else:
            split = "training" if validation else None
            sources += [Source(str(path), path=path, split=split) for path in _files(name, "--corpus")]
    for name in validation:
        sources += [Source(str(p), path=p, split="validation") for p in _files(name, "--validation")]
    return sources


def check_names(corpus: Sequence[str], validation: Sequence[str]) -> None:
    """Raise ValueError for a name that is no corpus, file or folder, before a text is read.

    So too for a file that is named for both: nothing that was trained on may validate.
    """
    names = [name for name in corpus if name not in CORPORA]
    training = {path.resolve() for name in names for path in _files(name, "--corpus")}
    for name in validation:
        for path in _files(name, "--validation"):
            if path.resolve() in training:
                raise ValueError(
                    f"--validation has {str(path)!r}, which --corpus has too; move it out of the corpus"
                )


def _files(name: str, option: str) -> list[Path]:
    path = Path(name)
    if path.is_file():
        return [path]
    if not path.is_dir():
        known = f"{', '.join(CORPORA)}, " if option == "--corpus" else ""
        raise ValueError(f"{option} must be {known}a file or a folder; got {name!r}")
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise ValueError(f"{option} {name!r} is a folder without a file *.txt")
    return files


def read_blocks(path: Path) -> Iterator[str]:
    """The text of a UTF-8 file in blocks, without a byte order mark; line ends become newlines.

    Raises:
        ValueError: the file isn't UTF-8; the message says where.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")(), translate=True)
    seen = 0
    with path.open("rb") as file:
        while True:
            data = file.read(BLOCK)
            seen += len(data)
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:  # its object is `data` and what was left of the block before
                place = seen - len(error.object) + error.start
                raise ValueError(
                    f"{path} isn't UTF-8: byte 0x{error.object[error.start]:02x} at position {place:,}; "
                    "save it as UTF-8, or convert it with iconv"
                ) from None
            if text:
                yield text
            if not data:
                return


def documents(source: Source, separator: str | None) -> Iterator[tuple[int, str]]:
    """Yield (number of the document, a part of its text), in order."""
    number, rest = 0, ""
    begun = len(separator) - 1 if separator else 0  # characters that may be the beginning of a separator
    for block in source.blocks():
        *whole, rest = (rest + block).split(separator) if separator else [rest + block]
        for text in whole:
            yield number, text
            number += 1
        sure = max(0, len(rest) - begun)
        yield number, rest[:sure]
        rest = rest[sure:]
    yield number, rest


@dataclass(frozen=True)
class Split:
    """How each document is divided between training and validation.

    `lengths` are the characters of each document; `training` is how many of them, from its start, are for
    training. Both hold a list for each source, with a number for each document.
    """

    sources: list[Source]
    separator: str | None
    lengths: list[list[int]]
    training: list[list[int]]

    @classmethod
    def of(cls, sources: list[Source], separator: str | None) -> "Split":
        """Count the characters of each document, then divide it."""
        lengths = []
        for source in sources:
            counts: list[int] = []
            for number, text in documents(source, separator):
                counts += [0] * (number + 1 - len(counts))
                counts[number] += len(text)
            lengths.append(counts)
        undecided = sum(
            bool(n)
            for source, counts in zip(sources, lengths, strict=True)
            for n in counts
            if not source.split
        )
        every = round(1 / VALIDATION_SHARE)
        training, met = [], 0
        for source, counts in zip(sources, lengths, strict=True):
            cuts = []
            for count in counts:
                if source.split:
                    cuts.append(count if source.split == "training" else 0)
                elif undecided < every:
                    cuts.append(round(count * (1 - VALIDATION_SHARE)))
                else:
                    met += bool(count)
                    cuts.append(0 if met % every == 0 else count)
            training.append(cuts)
        return cls(sources, separator, lengths, training)

    def texts(self) -> Iterator[tuple[str, str, bool]]:
        """Yield (split, a part of a text, True if it is the document's last part in that split), in order."""
        for source, lengths, cuts in zip(self.sources, self.lengths, self.training, strict=True):
            current, done = -1, 0
            for number, text in documents(source, self.separator):
                if number != current:
                    current, done = number, 0
                cut = max(0, min(len(text), cuts[number] - done))
                if cut:
                    yield "training", text[:cut], done + cut == cuts[number]
                done += len(text)
                if cut < len(text):
                    yield "validation", text[cut:], done == lengths[number]


@dataclass(frozen=True)
class Fingerprint:
    """Identifies a source: its size and a digest of each block of 2²⁰ bytes."""

    name: str
    size: int
    modified: int  # nanoseconds; 0 where there is no file
    split: str | None
    blocks: list[str]

    @property
    def content(self) -> tuple:
        """What determines the tokens: everything but name and time."""
        return self.size, self.split, self.blocks

    @classmethod
    def from_json(cls, value: object) -> "Fingerprint":
        """The fingerprint whose `asdict` a file holds; ValueError if `value` is something else."""
        kinds = {
            "name": [str],
            "size": [int],
            "modified": [int],
            "split": [str, type(None)],
            "blocks": [list],
        }
        if (
            not isinstance(value, dict)
            or value.keys() != kinds.keys()
            or not all(type(value[name]) in allowed for name, allowed in kinds.items())
            or not all(isinstance(block, str) for block in value["blocks"])
        ):
            raise ValueError(f"no fingerprint of a text: {value!r}")
        return cls(**value)

    @classmethod
    def of(cls, source: Source, known: "Fingerprint | None" = None) -> "Fingerprint":
        """Read the source, or return `known` if that has the same name, size and time."""
        if source.path is None:
            data = source.text.encode()
            return cls(source.name, len(data), 0, source.split, _digests(io.BytesIO(data), len(data)))
        stat = source.path.stat()
        seen = (source.name, stat.st_size, stat.st_mtime_ns, source.split)
        if known and (known.name, known.size, known.modified, known.split) == seen:
            return known
        with source.path.open("rb") as file:
            return cls(*seen, _digests(file, stat.st_size))


def _digests(file: io.BufferedIOBase, size: int) -> list[str]:
    """Digests of the blocks of the first `size` bytes."""
    return [
        hashlib.sha256(file.read(min(BLOCK, size - begin))).hexdigest()[:16]
        for begin in range(0, size, BLOCK)
    ]


def what_changed(sources: list[Source], old: list[Fingerprint], new: list[Fingerprint]) -> str | None:
    """Describe the first difference between two corpora; None if they hold the same."""
    for source, before, now in zip(sources, old, new, strict=False):
        if before.content == now.content:
            continue
        if before.split != now.split:
            return f"{now.name} was for {before.split or 'both'} and is for {now.split or 'both'}"
        sizes = f"{now.name} had {before.size:,} bytes and has {now.size:,}"
        if before.size < now.size and source.path is not None:
            with source.path.open("rb") as file:
                if _digests(file, before.size) == before.blocks:
                    return f"{sizes}: text was added at its end"
        pairs = zip(before.blocks, now.blocks, strict=False)
        block = next(
            (i for i, (a, b) in enumerate(pairs) if a != b), min(len(before.blocks), len(now.blocks))
        )
        return f"{sizes}; they differ first at or after byte {block * BLOCK:,}"
    if len(old) != len(new):
        return f"it had {len(old)} text(s) and has {len(new)}"
    return None
