"""The base class of all tokenizers, and tokenizers of words, characters and bytes."""

import json
import operator
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

UNKNOWN = "<unk>"
# Letters, digits or other signs, each with the one space before them, or white space: every character falls
# into exactly one piece. (Marks that combine with a letter count as signs: Python's \w leaves them out.)
PIECES = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+?(?= ?\S)|\s+")


class Tokenizer:
    """Base class of the tokenizers; a subclass has `kind`, `tokens`, `_encode` and `_state`."""

    kind: ClassVar[str]
    kinds: ClassVar[dict[str, type["Tokenizer"]]] = {}
    tokens: Sequence[str] | Sequence[bytes]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Tokenizer.kinds[cls.kind] = cls

    @property
    def vocab_size(self) -> int:
        """Number of ids, which are 0 to `vocab_size` − 1."""
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`.

        Raises:
            TypeError: `text` isn't a str.
            ValueError: a character outside the vocabulary (`CharTokenizer`), or a lone surrogate, which UTF-8
                can't express (`ByteTokenizer`, `BPETokenizer`).
        """
        check_text("encode", text)
        return self._encode(text)

    def decode(self, ids: Iterable) -> str:
        """Text of `ids` (any iterable of ints; a 1-D tensor too).

        Raises:
            TypeError: what isn't an id, such as 1.5 or a text.
            ValueError: an id below 0 or not below `vocab_size`, or a batch.
        """
        return self._join([self.tokens[i] for i in self._checked(ids)])

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON, for `load_tokenizer`."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The vocabulary as one line of JSON, for `tokenizer_from_json`."""
        return json.dumps({"kind": self.kind, **self._state()})

    def _checked(self, ids: Iterable) -> list[int]:
        shape = tuple(getattr(ids, "shape", (0,)))
        if len(shape) != 1:
            raise ValueError(f"decode takes the ids of one text, (T,); got shape {shape}")
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise TypeError(f"decode takes ids, any iterable of ints; got {ids!r}")
        ids = [whole("an id", i) for i in _listed(ids)]
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
    """The tokenizer whose `to_json` returned `text`; ValueError if it is not such a text."""
    try:
        state = json.loads(text.removeprefix("\ufeff"))  # a byte order mark
    except RecursionError:
        raise ValueError("its lists are nested too deeply") from None
    kind = state.pop("kind", None) if isinstance(state, dict) else None
    if not isinstance(kind, str) or kind not in Tokenizer.kinds:
        raise ValueError(f"its kind must be one of {', '.join(Tokenizer.kinds)}; got {shown(kind)}")
    for name in ("tokens", "merges", "special_ids"):
        if not isinstance(state.get(name, []), list):
            raise ValueError(f"its {name} must be a list, got {shown(state[name])}")
    try:
        return Tokenizer.kinds[kind](**state)
    except TypeError as error:
        raise ValueError(f"not what a tokenizer of kind {kind!r} is made of: {error}") from None


class WordTokenizer(Tokenizer):
    """A token is a word, number or run of signs with the space before it: "A cat." -> "A", " cat", "."."""

    kind = "word"

    def __init__(self, tokens: Sequence[str]):
        """`tokens` begins with `<unk>`; `train` makes it."""
        self.tokens = texts(tokens)
        if self.tokens[:1] != [UNKNOWN]:
            raise ValueError(f"the first token must be {UNKNOWN!r}, got {self.tokens[:1]}")
        self._ids = index_of(self.tokens)

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None) -> "WordTokenizer":
        """Take the `vocab_size` − 1 most frequent words of `text` (None: all), of equals the lower string."""
        if vocab_size is not None and whole("vocab_size", vocab_size) < 1:
            raise ValueError(f"vocab_size must be at least 1, for {UNKNOWN}; got {vocab_size}")
        check_text("train", text)
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
        self.tokens = texts(tokens)
        for token in self.tokens:
            if len(token) != 1:
                raise ValueError(f"a token of CharTokenizer is one character, got {token!r}")
        self._ids = index_of(self.tokens)

    @classmethod
    def train(cls, text: str) -> "CharTokenizer":
        """Take every character of `text`, in code point order."""
        check_text("train", text)
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
    """A token is one byte of the text in UTF-8: 256 ids for any text."""

    kind = "byte"

    def __init__(self):
        self.tokens = [bytes([b]) for b in range(256)]

    def _encode(self, text: str) -> list[int]:
        return list(text.encode())

    def _join(self, tokens: list[bytes]) -> str:
        return b"".join(tokens).decode(errors="replace")


def _listed(ids: Iterable) -> Iterable:
    """Ids as Python's own ints, where a tensor or an array holds them."""
    try:
        return ids.tolist() if hasattr(ids, "tolist") else ids
    except RuntimeError as error:  # on the device meta there are no values
        raise TypeError(f"decode takes ids that can be read: {error}") from None


def whole(name: str, value: object) -> int:
    """`value` as an int; TypeError if it isn't a whole number by its type, as True, 1.0 and "1" aren't."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise TypeError(f"{name} must be an int, got {shown(value)}")


def check_text(function: str, text: object) -> None:
    """Raise TypeError unless `text`, which `function` takes, is a str."""
    if not isinstance(text, str):
        raise TypeError(f"{function} takes a str, got {type(text).__name__}")


def texts(tokens: Iterable[str]) -> list[str]:
    """The tokens as a list; TypeError if one of them isn't a str."""
    tokens = list(tokens)
    for i, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"token {i} must be a str, got {shown(token)}")
    return tokens


def shown(value: object) -> str:
    """How a message shows a value of a file, which may be long."""
    return reprlib.repr(value)


def index_of(tokens: Sequence, what: str = "token") -> dict:
    """Token -> id; ValueError if a token occurs twice."""
    ids = {token: i for i, token in enumerate(tokens)}
    if len(ids) < len(tokens):
        twice = next(token for token, n in Counter(tokens).items() if n > 1)
        raise ValueError(f"{what} {shown(twice)} occurs twice")
    return ids
