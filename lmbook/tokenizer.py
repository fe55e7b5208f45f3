"""Text to ids and back: words, characters, bytes, and byte pairs learned from a text.

The four differ in what a token is and in what happens to a symbol they have never seen:

| class | a token is | unknown symbol | lossless |
|---|---|---|---|
| `WordTokenizer` | a word with the space before it | becomes `<unk>`, id 0 | where every word is known |
| `CharTokenizer` | a character (Unicode code point) | ValueError that names it | always |
| `ByteTokenizer` | a byte of the text in UTF-8 | there is none | always |
| `BPETokenizer` | a frequent run of bytes | there is none | always |

All have `encode(text) -> list[int]`, `decode(ids) -> str`, `vocab_size`, `tokens` and `save(path)`; the file
is JSON, and `load_tokenizer(path)` reads any of them. Ids that spell no valid UTF-8 (models produce such)
decode to U+FFFD in their place.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from lmbook.byte_pairs import add_token, learn_merges, learn_with_tokenizers, merge

UNKNOWN = "<unk>"
# Letters, digits or other signs, each with the one space before them, or white space: every character falls
# into exactly one piece. (Marks that combine with a letter count as signs: Python's \w leaves them out.)
PIECES = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+?(?= ?\S)|\s+")
MAX_REMEMBERED = 100_000  # pieces whose ids a BPETokenizer keeps, about 20 MB


class Tokenizer:
    """What the tokenizers share; a subclass has `kind`, `tokens`, `_encode` and `_state`."""

    kind: ClassVar[str]
    kinds: ClassVar[dict[str, type["Tokenizer"]]] = {}
    tokens: Sequence[str] | Sequence[bytes]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Tokenizer.kinds[cls.kind] = cls

    @property
    def vocab_size(self) -> int:
        """Number of ids: they run from 0 to `vocab_size` − 1."""
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`.

        Raises:
            TypeError: `text` isn't a str.
            ValueError: a character outside the vocabulary (`CharTokenizer`), or a lone surrogate, which UTF-8
                can't express (`ByteTokenizer`, `BPETokenizer`).
        """
        if not isinstance(text, str):
            raise TypeError(f"encode takes a str, got {type(text).__name__}")
        return self._encode(text)

    def decode(self, ids: Iterable) -> str:
        """Text of `ids` (any iterable of ints; a 1-D tensor too).

        Raises:
            ValueError: an id below 0 or not below `vocab_size`.
        """
        return self._join([self.tokens[i] for i in self._checked(ids)])

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON, for `load_tokenizer`."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The vocabulary as one line of JSON, for `tokenizer_from_json`."""
        return json.dumps({"kind": self.kind, **self._state()})

    def _checked(self, ids: Iterable) -> list[int]:
        ids = [int(i) for i in ids]
        for i in ids:
            if not 0 <= i < self.vocab_size:
                raise ValueError(f"id {i} is outside the vocabulary: 0 ≤ id < {self.vocab_size}")
        return ids

    def _encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def _join(self, tokens: list) -> str:
        return "".join(tokens)

    def _state(self) -> dict:
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size})"


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer that `save` wrote to `path`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file isn't one that `save` wrote.
    """
    try:
        return tokenizer_from_json(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} holds no tokenizer: {error}") from None


def tokenizer_from_json(text: str) -> Tokenizer:
    """The tokenizer whose `to_json` is `text`; ValueError if there is none."""
    state = json.loads(text)
    kind = state.pop("kind", None) if isinstance(state, dict) else None
    if kind == "pretrained":
        import lmbook.pretrained_tokenizer  # noqa: F401 – its tokenizer joins `kinds`
    if kind not in Tokenizer.kinds:
        raise ValueError(f"its kind must be one of {', '.join(Tokenizer.kinds)}; got {kind!r}")
    try:
        return Tokenizer.kinds[kind](**state)
    except TypeError as error:
        raise ValueError(f"not what a tokenizer of kind {kind!r} is made of: {error}") from None


class WordTokenizer(Tokenizer):
    """A token is a word, number or run of signs with the space before it: "A cat." -> "A", " cat", "."."""

    kind = "word"

    def __init__(self, tokens: Sequence[str]):
        """`tokens` begins with `<unk>`; `train` makes it."""
        self.tokens = list(tokens)
        if self.tokens[:1] != [UNKNOWN]:
            raise ValueError(f"the first token must be {UNKNOWN!r}, got {self.tokens[:1]}")
        self._ids = _index(self.tokens)

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None) -> "WordTokenizer":
        """Take the `vocab_size` − 1 most frequent words of `text` (None: all), of equals the lower string."""
        if vocab_size is not None and vocab_size < 1:
            raise ValueError(f"vocab_size must be at least 1, for {UNKNOWN}; got {vocab_size}")
        counts = Counter(PIECES.findall(text))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        return cls([UNKNOWN, *words][:vocab_size])

    def _encode(self, text: str) -> list[int]:
        return [self._ids.get(word, 0) for word in PIECES.findall(text)]

    def _state(self) -> dict:
        return {"tokens": self.tokens}


class CharTokenizer(Tokenizer):
    """A token is one character; one that isn't in the vocabulary is an error."""

    kind = "char"

    def __init__(self, tokens: Iterable[str]):
        """`tokens` are the characters, id after id."""
        self.tokens = list(tokens)
        for token in self.tokens:
            if len(token) != 1:
                raise ValueError(f"a token of CharTokenizer is one character, got {token!r}")
        self._ids = _index(self.tokens)

    @classmethod
    def train(cls, text: str) -> "CharTokenizer":
        """Take every character of `text`, in code point order."""
        return cls(sorted(set(text)))

    def _encode(self, text: str) -> list[int]:
        try:
            return [self._ids[char] for char in text]
        except KeyError:
            place, char = next((t, c) for t, c in enumerate(text) if c not in self._ids)
            raise ValueError(
                f"character {char!r} (U+{ord(char):04X}) at position {place} is not among the "
                f"{self.vocab_size} characters of the vocabulary"
            ) from None

    def _state(self) -> dict:
        return {"tokens": self.tokens}


class ByteTokenizer(Tokenizer):
    """A token is one byte of the text in UTF-8: 256 ids for everything ever written."""

    kind = "byte"

    def __init__(self):
        self.tokens = [bytes([b]) for b in range(256)]

    def _encode(self, text: str) -> list[int]:
        return list(text.encode())

    def _join(self, tokens: list[bytes]) -> str:
        return b"".join(tokens).decode(errors="replace")


class BPETokenizer(ByteTokenizer):
    """Bytes, and on top of them one new token for each merge of two tokens that often stand side by side.

    Ids 0 to 255 are the bytes; then comes a token for each merge, in the order learned. The text is first cut
    into `PIECES`, and no token crosses from one into the next. Inside a piece the earliest merge that applies
    is done first, wherever it applies, until none does.

    Source: Sennrich, Haddow, Birch (2016), "Neural machine translation of rare words with subword units",
    section 3.2; on bytes: Radford et al. (2019), "Language models are unsupervised multitask learners",
    section 2.2.
    """

    kind = "bpe"

    def __init__(self, merges: Iterable[Sequence[int]]):
        """`merges` are pairs of ids in the order learned; `train` makes them."""
        super().__init__()
        self.merges: list[tuple[int, int]] = []
        self._ids = _index(self.tokens)
        for pair in merges:
            left, right = pair
            if not (0 <= left < self.vocab_size and 0 <= right < self.vocab_size):
                raise ValueError(f"merge {left, right} names an id outside 0 ≤ id < {self.vocab_size}")
            self.merges.append((left, right))
            add_token(self.tokens, self._ids, left, right)
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._remembered: dict[str, list[int]] = {}

    @classmethod
    def train(cls, text: str, vocab_size: int, *, fast: bool = False) -> "BPETokenizer":
        """Learn merges from `text` until there are `vocab_size` tokens, or no pair is left.

        Args:
            text: what to learn from.
            vocab_size: 256 bytes and the merged tokens.
            fast: let the package `tokenizers` learn the same merges, in a fraction of the time.

        Raises:
            ValueError: `vocab_size` below 256.
        """
        if vocab_size < 256:
            raise ValueError(f"vocab_size must be at least 256, the bytes; got {vocab_size}")
        pieces = Counter(piece.encode() for piece in PIECES.findall(text))
        return cls(learn_with_tokenizers(pieces, vocab_size) if fast else learn_merges(pieces, vocab_size))

    def _encode(self, text: str) -> list[int]:
        ids = []
        for piece in PIECES.findall(text):
            if piece not in self._remembered:
                if len(self._remembered) >= MAX_REMEMBERED:
                    self._remembered.clear()
                self._remembered[piece] = self._encode_piece(piece.encode())
            ids += self._remembered[piece]
        return ids

    def _encode_piece(self, piece: bytes) -> list[int]:
        ids = list(piece)
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if pair not in self._ranks:
                break
            ids = merge(ids, pair, self._ids[self.tokens[pair[0]] + self.tokens[pair[1]]])
        return ids

    def _state(self) -> dict:
        return {"merges": self.merges}


def _index(tokens: Sequence) -> dict:
    """Token -> id; ValueError if a token occurs twice."""
    ids = {token: i for i, token in enumerate(tokens)}
    if len(ids) < len(tokens):
        twice = next(token for token, n in Counter(tokens).items() if n > 1)
        raise ValueError(f"token {twice!r} occurs twice")
    return ids
