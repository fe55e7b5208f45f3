"""Byte pairs: merges learned from counted pieces of text, and the tokenizer that applies them.

A token is its bytes. Tokens 0 to 255 are the single bytes; each merge of two tokens adds one, unless its
bytes are a token already. `learn_merges` is a page of code; the package `tokenizers` learns the same merges
faster.

Source: Sennrich, Haddow, Birch (2016), "Neural machine translation of rare words with subword units",
section 3.2.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from lmbook.tokenizer.base import PIECES, ByteTokenizer, check_text, index_of, shown, whole

MAX_BYTES = 2**26  # of all tokens together: forty merges can double a token to a terabyte
MAX_REMEMBERED = 100_000  # pieces whose ids a BPETokenizer keeps, about 20 MB


def merge(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """`ids` with `pair` replaced by `new_id` from left to right.

    >>> merge([1, 1, 1, 2], (1, 1), 9)
    [9, 1, 2]
    """
    merged, t = [], 0
    while t < len(ids):
        found = t + 1 < len(ids) and (ids[t], ids[t + 1]) == pair
        merged.append(new_id if found else ids[t])
        t += 2 if found else 1
    return merged


def learn_merges(pieces: Mapping[bytes, int], vocab_size: int) -> list[tuple[int, int]]:
    """Merges that byte-pair training learns from `pieces`, a map from a piece to its count.

    Each round merges the most frequent pair of neighbours; of equals the one with the lowest left id, then
    the lowest right id (the rule of the package `tokenizers`). A token is its bytes: two merges with the same
    bytes make one token. Only the words that contain the pair are counted again.

    Args:
        pieces: how often each piece of text, in UTF-8, occurs: at least once.
        vocab_size: 256 bytes and the merged tokens; with fewer pairs to merge there are fewer tokens.

    Raises:
        TypeError: pieces that aren't bytes, a count or a size that isn't an int.
        ValueError: a count below 1, `vocab_size` below 256.
    """
    _check_size(vocab_size)
    _check_pieces(pieces)
    words = [list(piece) for piece in pieces]
    frequency = list(pieces.values())
    pairs: Counter[tuple[int, int]] = Counter()
    places: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # pair -> words that contain it
    for w, word in enumerate(words):
        _count(pairs, places, w, word, frequency[w])

    tokens = [bytes([b]) for b in range(256)]
    ids, merges = {token: i for i, token in enumerate(tokens)}, []
    while len(tokens) < vocab_size and pairs:
        most = max(pairs.values())
        best = min(pair for pair, count in pairs.items() if count == most)
        merges.append(best)
        new_id = add_token(tokens, ids, *best)
        for w in list(places[best]):
            _count(pairs, places, w, words[w], -frequency[w])
            words[w] = merge(words[w], best, new_id)
            _count(pairs, places, w, words[w], frequency[w])
    return merges


def _check_size(vocab_size: int) -> None:
    if whole("vocab_size", vocab_size) < 256:
        raise ValueError(f"vocab_size must be at least 256, the bytes; got {vocab_size}")


def _check_pieces(pieces: Mapping[bytes, int]) -> None:
    if not isinstance(pieces, Mapping):
        raise TypeError(f"pieces must be a map from bytes to counts, got {shown(pieces)}")
    for piece, count in pieces.items():
        if not isinstance(piece, bytes):
            raise TypeError(f"a piece must be bytes, got {shown(piece)}")
        if whole("the count of a piece", count) < 1:
            raise ValueError(f"the count of piece {shown(piece)} must be at least 1, got {count}")


def _count(pairs: Counter, places: dict[tuple[int, int], set], w: int, word: list[int], times: int) -> None:
    """Add the pairs of word number `w` to the counts (`times` > 0) or remove them (`times` < 0)."""
    for pair in pairwise(word):
        pairs[pair] += times
        if times > 0:
            places[pair].add(w)
        else:
            places[pair].discard(w)
            if pairs[pair] == 0:
                del pairs[pair]


def add_token(tokens: list[bytes], ids: dict[bytes, int], left: int, right: int) -> int:
    """Id of the token made of `left` and `right`, added to `tokens` if it is new."""
    token = tokens[left] + tokens[right]
    if token not in ids:
        ids[token] = len(tokens)
        tokens.append(token)
    return ids[token]


def learn_with_tokenizers(pieces: Mapping[bytes, int], vocab_size: int) -> list[tuple[int, int]]:
    """`learn_merges` by the package `tokenizers`, which gets byte b as the character with code point b."""
    try:
        import tokenizers
    except ImportError:
        raise ImportError("fast=True needs the package tokenizers: pip install tokenizers") from None
    alphabet = [chr(b) for b in range(256)]
    gap = chr(256)
    # The package makes room for `vocab_size` tokens at once; each merge makes a piece shorter.
    most = 256 + sum(map(len, pieces))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=min(vocab_size, most), initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.pre_tokenizer = tokenizers.pre_tokenizers.CharDelimiterSplit(gap)
    learner.train_from_iterator((gap.join([p.decode("latin-1")] * n) for p, n in pieces.items()), trainer)
    model = json.loads(learner.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]


class BPETokenizer(ByteTokenizer):
    """Tokens are bytes, and one more for each merge of two tokens that are often neighbours.

    Ids 0 to 255 are the bytes; the merges follow in the order learned. The text is first cut into `PIECES`,
    and no token crosses from one into the next. Inside a piece the earliest learned merge that applies is
    done first, wherever it applies, until none does.

    Source: Sennrich, Haddow, Birch (2016), "Neural machine translation of rare words with subword units",
    section 3.2; on bytes: Radford et al. (2019), "Language models are unsupervised multitask learners",
    section 2.2.
    """

    kind = "bpe"

    def __init__(self, merges: Iterable[Sequence[int]]):
        """`merges` are pairs of ids in the order learned; of a pair listed twice the first place counts.

        Raises:
            TypeError: ids that aren't ints.
            ValueError: no pair, an id that no earlier merge has made, tokens of more than `MAX_BYTES` in all.
        """
        super().__init__()
        self.merges: list[tuple[int, int]] = []
        self._ids = index_of(self.tokens)
        num_bytes = len(self.tokens)
        for pair in merges:
            if isinstance(pair, str) or len(pair) != 2:
                raise ValueError(f"a merge must be a pair of ids, got {shown(pair)}")
            left, right = (whole("an id of a merge", i) for i in pair)
            if not (0 <= left < self.vocab_size and 0 <= right < self.vocab_size):
                raise ValueError(f"merge {left, right} names an id outside 0 ≤ id < {self.vocab_size}")
            num_bytes += len(self.tokens[left]) + len(self.tokens[right])
            if num_bytes > MAX_BYTES:
                raise ValueError(
                    f"the tokens must have at most {MAX_BYTES:,} bytes in all, got {num_bytes:,}"
                )
            self.merges.append((left, right))
            add_token(self.tokens, self._ids, left, right)
        self._ranks = {pair: rank for rank, pair in reversed([*enumerate(self.merges)])}
        self._remembered: dict[str, list[int]] = {}

    @classmethod
    def train(cls, text: str, vocab_size: int, *, fast: bool = False) -> "BPETokenizer":
        """Learn merges from `text` until there are `vocab_size` tokens, or no pair is left.

        Args:
            text: what to learn from.
            vocab_size: 256 bytes and the merged tokens.
            fast: learn the same merges with the package `tokenizers`, which is faster.

        Raises:
            TypeError: `text` isn't a str, or `vocab_size` no int.
            ValueError: `vocab_size` is below 256, or `text` has a lone surrogate.
        """
        _check_size(vocab_size)
        check_text("train", text)
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
            pair = min(pairwise(ids), key=lambda pair: self._ranks.get(pair, len(self.merges)))
            if pair not in self._ranks:
                break
            ids = merge(ids, pair, self._ids[self.tokens[pair[0]] + self.tokens[pair[1]]])
        return ids

    def _state(self) -> dict:
        return {"merges": self.merges}
