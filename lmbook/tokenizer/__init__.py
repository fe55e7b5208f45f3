"""Text to ids and back: words, characters, bytes, and byte pairs learned from a text.

The four differ in what a token is and how they treat unknown symbols:

| class | a token is | unknown symbol | lossless |
|---|---|---|---|
| `WordTokenizer` | a word with the space before it | becomes `<unk>`, id 0 | where every word is known |
| `CharTokenizer` | a character (Unicode code point) | ValueError that names it | always |
| `ByteTokenizer` | a byte of the text in UTF-8 | there is none | always |
| `BPETokenizer` | a frequent run of bytes | there is none | always |

All have `encode(text) -> list[int]`, `decode(ids) -> str`, `vocab_size`, `tokens` and `save(path)`; the file
is JSON, and `load_tokenizer(path)` reads any of them. Ids whose bytes are not valid UTF-8 (models
produce such) decode to U+FFFD.
"""

from lmbook.tokenizer.base import (
    PIECES,
    UNKNOWN,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    load_tokenizer,
    tokenizer_from_json,
)
from lmbook.tokenizer.bpe import BPETokenizer, learn_merges, merge
from lmbook.tokenizer.pretrained import PretrainedTokenizer

__all__ = [
    "PIECES",
    "UNKNOWN",
    "BPETokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "PretrainedTokenizer",
    "Tokenizer",
    "WordTokenizer",
    "learn_merges",
    "load_tokenizer",
    "merge",
    "tokenizer_from_json",
]
