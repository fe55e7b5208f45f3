"""Byte-pair encoding, merge by merge, on the reader's own sentence.

Axes: M merges, V = 256 + m tokens after m of them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import traitlets

from lmbook.interface import check_int
from lmbook.tokenizer.base import PIECES, Tokenizer
from lmbook.tokenizer.bpe import BPETokenizer, merge
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle

MAX_CHARACTERS = 300
MAX_MERGES = 2**16 - 256  # ids travel as two bytes each


class TokenMerges(BookWidget):
    """Shows a sentence in tokens after any number of merges, with what a unigram model makes of them.

    The model is P(token) = (c + 1) / (N + V): the token's count in the training text in the same tokens, plus
    one; N is the number of all tokens there. It ignores the tokens before.

    Args:
        tokenizer: a trained `BPETokenizer`; each merge makes a new token.
        training_text: what the model counts.
        held_out: another text, on which the model is scored after each number of merges.
        held_out_name: that text's name on the page.
        sentence: the initial sentence, up to 300 characters.
        num_merges: how many merges are done at first.

    Raises:
        TypeError: `tokenizer` is no `BPETokenizer`.
        ValueError: no merges or too many, two that make one token, an empty text, a sentence too long, or
            `num_merges` outside 0 … M.

    Source: Sennrich, Haddow, Birch (2016), "Neural machine translation of rare words with subword units",
    section 3.2.
    """

    _esm = bundle("token_merges.js")
    _css = BookWidget._css + Path(__file__).with_name("token_merges.css").read_text(encoding="utf-8")
    merges = traitlets.Bytes().tag(sync=True)  # (M, 2) uint16
    train_bytes = traitlets.Bytes().tag(sync=True)  # (256,) uint32, how often each byte occurs
    train_merged = traitlets.Bytes().tag(sync=True)  # (M,) uint32, how often each merge is done
    held_bytes = traitlets.Bytes().tag(sync=True)  # the same of the held-out text
    held_merged = traitlets.Bytes().tag(sync=True)
    held_name = traitlets.Unicode().tag(sync=True)
    sentence = traitlets.Unicode().tag(sync=True)
    start = traitlets.Unicode().tag(sync=True)
    num_merges = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        tokenizer: Tokenizer,
        training_text: str,
        held_out: str,
        *,
        held_out_name: str = "Held-out text",
        sentence: str = "To be, or not to be: that is the question.",
        num_merges: int = 0,
    ):
        _check_arguments(tokenizer, training_text, held_out, sentence, num_merges)
        self._tokenizer = tokenizer
        self._train = count_merges(training_text, tokenizer.merges)
        self._held = count_merges(held_out, tokenizer.merges)
        super().__init__(
            merges=np.array(tokenizer.merges, dtype="<u2").tobytes(),
            train_bytes=self._train[0].astype("<u4").tobytes(),
            train_merged=self._train[1].astype("<u4").tobytes(),
            held_bytes=self._held[0].astype("<u4").tobytes(),
            held_merged=self._held[1].astype("<u4").tobytes(),
            held_name=held_out_name,
            sentence=sentence,
            start=sentence,
            num_merges=num_merges,
        )

    def tokens(self, num_merges: int, text: str | None = None) -> list[int]:
        """Ids of `text` (None: the sentence shown) after that many merges."""
        merges = self._tokenizer.merges[:num_merges]
        return BPETokenizer(merges).encode(self.sentence if text is None else text)

    def scores(self, num_merges: int) -> dict[str, tuple[int, float, float]]:
        """Tokens, perplexity per token and bits per byte, of the sentence and of the held-out text."""
        merges = self._tokenizer.merges[:num_merges]
        counts = token_counts(*self._train, merges)
        log2_probs = np.log2(counts + 1) - math.log2(counts.sum() + len(counts))
        of_sentence = np.bincount(self.tokens(num_merges), minlength=len(counts))
        num_bytes = len(self.sentence.encode())
        texts = {
            "sentence": (of_sentence, num_bytes),
            "held-out": (token_counts(*self._held, merges), self._held[0].sum()),
        }
        found = {}
        for name, (tokens, size) in texts.items():
            n, bits = int(tokens.sum()), -float(tokens @ log2_probs)
            found[name] = (n, 2 ** (bits / n), bits / float(size)) if n else (0, math.nan, math.nan)
        return found

    def __repr__(self) -> str:
        """Return the tokens and the table that the page shows."""
        spelled = [BPETokenizer(self._tokenizer.merges).tokens[i] for i in self.tokens(self.num_merges)]
        shown = "|".join(token.decode(errors="backslashreplace") for token in spelled)
        lines = [
            f"TokenMerges: {self.num_merges} of {len(self._tokenizer.merges)} merges",
            shown,
            f"{'':<14}  tokens  perplexity  bits per byte",
        ]
        names = {"sentence": "the sentence", "held-out": self.held_name}
        for name, (n, perplexity, bits) in self.scores(self.num_merges).items():
            lines.append(f"{names[name]:<14}  {n:6}  {perplexity:10.2f}  {bits:13.4f}")
        return "\n".join(lines)


def count_merges(text: str, merges: Iterable[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Count the bytes of `text`, (256,), and how often each of `merges` is done in it, (M,), in their order.

    The counts of all tokens after any number of merges follow from these: see `token_counts`.
    """
    pieces = Counter(piece.encode() for piece in PIECES.findall(text))
    words, frequency = [list(piece) for piece in pieces], list(pieces.values())
    places: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # pair -> words that contain it or did
    for w, word in enumerate(words):
        for pair in pairwise(word):
            places[pair].add(w)
    merged = []
    for new_id, (left, right) in enumerate(merges, start=256):
        times = 0
        for w in places.pop((left, right), ()):
            shorter = merge(words[w], (left, right), new_id)
            times += frequency[w] * (len(words[w]) - len(shorter))
            words[w] = shorter
            for pair in pairwise(shorter):
                if new_id in pair:
                    places[pair].add(w)
        merged.append(times)
    singles = np.bincount(np.frombuffer(text.encode(), dtype=np.uint8), minlength=256)
    return singles, np.array(merged, dtype=np.int64)


def token_counts(singles: np.ndarray, merged: np.ndarray, merges: Sequence[Sequence[int]]) -> np.ndarray:
    """Counts (V,) of the tokens after `merges`, from what `count_merges` found."""
    counts = np.concatenate([singles, merged[: len(merges)]])
    for (left, right), times in zip(merges, merged, strict=False):
        counts[left] -= times
        counts[right] -= times
    return counts


def _check_arguments(
    tokenizer: Tokenizer, training_text: str, held_out: str, sentence: str, num_merges: int
) -> None:
    if not isinstance(tokenizer, BPETokenizer):
        raise TypeError(f"TokenMerges shows the merges of a BPETokenizer, got {type(tokenizer).__name__}")
    size = len(tokenizer.merges)
    if not 1 <= size <= MAX_MERGES:
        raise ValueError(f"the tokenizer must have from 1 to {MAX_MERGES} merges, got {size}")
    if tokenizer.vocab_size != 256 + size:
        raise ValueError(f"{size} merges make only {tokenizer.vocab_size - 256} tokens; each must make one")
    for name, text in (("training_text", training_text), ("held_out", held_out)):
        if not text:
            raise ValueError(f"{name} must hold at least 1 character, got none")
    if len(sentence) > MAX_CHARACTERS:
        raise ValueError(f"sentence is {len(sentence)} characters long, the limit is {MAX_CHARACTERS}")
    check_int("num_merges", num_merges, 0, size)
