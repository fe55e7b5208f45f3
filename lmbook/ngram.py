"""N-gram language models: count, then estimate.

**Counts.** A text is one stream of ids or a batch of rows. c(g) is how often the n-gram g occurs inside a
row: no n-gram crosses rows, and no padding symbol is added at either end. Write h for a context (the tokens
before w), h′ for h without its *first* token, V for the vocabulary size; Σ is over all w of the vocabulary.

**Estimates** of Pₙ(w | h), for a context h of n − 1 tokens. The order below the empty context (n = 1) is
the uniform distribution, P₀ = 1/V.

- `"mle"`:   c(h w) / Σ c(h w);   1/V if Σ c(h w) = 0.
- `"add-k"`:   (c(h w) + k) / (Σ c(h w) + k V).
- `"interpolated"`:   μₙ c(h w) / Σ c(h w) + (1 − μₙ) Pₙ₋₁(w | h′), where μₙ = λₙ / (λ₀ + … + λₙ);
  Pₙ₋₁(w | h′) if Σ c(h w) = 0. Where every context was seen this is λ₀/V + Σₙ λₙ c(hₙ w) / Σ c(hₙ w) with hₙ
  the last n − 1 tokens; elsewhere the λs of the orders that were seen are scaled to sum to one.
- `"kneser-ney"`:   max(cₙ(h w) − Dₙ, 0) / Σ cₙ(h w) + Dₙ N₊(h) / Σ cₙ(h w) · Pₙ₋₁(w | h′);
  Pₙ₋₁(w | h′) if Σ cₙ(h w) = 0. At the highest order cₙ = c; at every lower one cₙ(g) is the continuation
  count: the number of distinct tokens v with c(v g) > 0. N₊(h) is the number of tokens w with cₙ(h w) > 0.
  The discount is Dₙ = n₁ / (n₁ + 2 n₂), where n₁ and n₂ are the numbers of n-grams whose cₙ is 1 and 2; or
  1/2 where n₁ or n₂ is zero; or the `discount` given, the same for each order.

A model of order N uses the last N − 1 tokens. Where a sequence has fewer, it uses those it has, and n is
their number plus 1: "mle" and "add-k" take the counts of that order, the other two start their recursion
there (so Kneser–Ney starts from continuation counts).

Sources: Chen & Goodman, "An empirical study of smoothing techniques for language modeling", Computer Speech
& Language 13 (1999), sections 2.1 (additive), 2.3 (Jelinek–Mercer, with the uniform distribution at the
bottom), 2.6 (absolute discounting; the estimate of D is from Ney, Essen & Kneser, same journal, 8 (1994)) and
2.7 (Kneser–Ney, interpolated). Continuation counts: Kneser & Ney, "Improved backing-off for m-gram language
modeling", ICASSP 1995. Differs from them in having no symbols for the beginning and the end of a sentence.

Axes: B batch, T time, V vocabulary, R = B·T rows; M the distinct n-grams of one order, C its contexts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmbook.interface import check_ids, check_int, check_number, list_of

MAX_ORDER = 1000
MAX_VOCAB = 10_000_000
SMOOTHINGS = ("mle", "add-k", "interpolated", "kneser-ney")


class NGramLM:
    """Predicts the next token from counts of the last `order` − 1; the module's docstring has the formulas.

    Args:
        order: n, from 1 to 1,000; 1 ignores the context, 2 is a bigram model, …
        vocab_size: V, at most 10,000,000; ids are 0 … V − 1.
        smoothing: "mle", "add-k", "interpolated" or "kneser-ney".
        k: what "add-k" adds to every count, above 0.
        discount: D of "kneser-ney" for each order, above 0 and at most 1; None estimates one per order.
        weights: (λ₀, …, λ_order) of "interpolated", λ₀ > 0 for the uniform distribution; they sum to one.
            None: λ₀ = 0.001, the rest in proportion to 2ⁿ.

    Attributes:
        markov_order: order − 1, the number of tokens that a prediction depends on.
        discounts: (D₁, …, D_order) of "kneser-ney" once fitted.

    Raises:
        TypeError: order or vocab_size isn't an int, another parameter isn't a number.
        ValueError: an unknown smoothing, or a parameter outside its range.
    """

    def __init__(
        self,
        order: int,
        vocab_size: int,
        *,
        smoothing: str = "kneser-ney",
        k: float = 1.0,
        discount: float | None = None,
        weights: Sequence[float] | None = None,
    ):
        order = check_int("order", order, 1, MAX_ORDER)
        vocab_size = check_int("vocab_size", vocab_size, 1, MAX_VOCAB)
        if not isinstance(smoothing, str) or smoothing not in SMOOTHINGS:
            raise ValueError(f"smoothing must be one of {', '.join(SMOOTHINGS)}; got {smoothing!r}")
        k = check_number("k", k, "(0, inf)")
        if not float(k) * vocab_size < math.inf:
            raise ValueError(f"k times vocab_size must be finite, got k = {k} and {vocab_size} tokens")
        if discount is not None:
            discount = check_number("discount", discount, "(0, 1]")
            if smoothing != "kneser-ney":
                raise ValueError(f"a discount is for kneser-ney, the smoothing is {smoothing}")
        if weights is not None and smoothing != "interpolated":
            raise ValueError(f"weights are for interpolated, the smoothing is {smoothing}")
        self.order, self.vocab_size, self.smoothing, self.k = order, vocab_size, smoothing, k
        self.discount = discount
        self.weights = _checked_weights(weights, order)
        self.markov_order = order - 1
        self.discounts: tuple[float, ...] = ()
        self._levels: list[_Level] = []

    def fit(self, ids: Int[Tensor, "N"] | Int[Tensor, "B T"]) -> "NGramLM":
        """Count the n-grams of all orders in a stream (N,) or in rows (B, T); an earlier fit is forgotten.

        Raises:
            TypeError: ids aren't int64.
            ValueError: rows shorter than `order`, or an id outside the vocabulary.
        """
        rows = ids[None] if isinstance(ids, Tensor) and ids.ndim == 1 else ids
        check_ids(rows, self.vocab_size, name="ids", min_length=self.order)
        tokens = rows.cpu().numpy()
        levels, index, num_contexts = [], np.zeros_like(tokens), 1
        for n in range(1, self.order + 1):
            # An n-gram is the number of its first n − 1 tokens in the level below, and one more token.
            keys = index[:, : tokens.shape[1] - n + 1] * self.vocab_size + tokens[:, n - 1 :]
            distinct, index, counts = _distinct(keys, num_contexts * self.vocab_size, numbers=n < self.order)
            levels.append(_Level(distinct, counts, num_contexts, self.vocab_size))
            num_contexts = len(distinct)
        self._levels = levels
        self._estimate()
        return self

    def __call__(self, input_ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Log-probabilities (B, T, V) in float64; row t predicts token t + 1. Impossible tokens have −inf.

        Raises:
            RuntimeError: the model isn't fitted.
            ValueError: an id outside the vocabulary, or no token at all.
        """
        self._check_fitted()
        check_ids(input_ids, self.vocab_size)
        contexts = self._contexts(input_ids.cpu().numpy())
        probs = np.tile(self._bottom, (input_ids.numel(), 1))  # (BT, V)
        for level, context in zip(self._levels[1:], contexts, strict=True):
            level.refine(probs, context.ravel())
        log_probs = torch.from_numpy(probs).log_().view(*input_ids.shape, self.vocab_size)
        return log_probs.to(input_ids.device)

    @property
    def unigram_log_probs(self) -> Float[Tensor, "V"]:
        """Log-probabilities (V,) of the first token of a text: P₁ of the formulas."""
        self._check_fitted()
        return torch.from_numpy(self._unigram).log()

    @property
    def num_ngrams(self) -> tuple[int, ...]:
        """How many distinct n-grams were seen, for n = 1 … order."""
        self._check_fitted()
        return tuple(len(level.keys) for level in self._levels)

    def count(self, ngram: Sequence[int]) -> int:
        """How often `ngram`, at most `order` ids, was seen; the empty one counts the tokens of the text.

        Raises:
            TypeError: not a list of ints. ValueError: longer than `order`, or an id outside the vocabulary.
        """
        self._check_fitted()
        ngram = list_of("an n-gram", ngram)
        if len(ngram) > self.order:
            raise ValueError(f"counted are n-grams up to order {self.order}, got {len(ngram)} ids")
        for token in ngram:
            check_int("an id", token, 0)
        if max(ngram, default=0) >= self.vocab_size:
            raise ValueError(f"ids must be at least 0 and below {self.vocab_size}, got {ngram}")
        index = np.array(0)
        for level, token in zip(self._levels, ngram, strict=False):
            index = level.find(index, np.array(int(token)))
        if index < 0:
            return 0
        return int(self._levels[len(ngram) - 1].counts[index] if len(ngram) else self._levels[0].counts.sum())

    def __repr__(self) -> str:
        return f"NGramLM(order={self.order}, vocab_size={self.vocab_size}, smoothing={self.smoothing!r})"

    def _check_fitted(self) -> None:
        if not self._levels:
            raise RuntimeError("this NGramLM has counted nothing yet; call fit(ids) first")

    def _contexts(self, tokens: np.ndarray) -> list[np.ndarray]:
        """For n = 2 … order, the number (B, T) of the n − 1 tokens that end at t; −1: unseen or too few."""
        contexts, index = [], np.zeros_like(tokens)
        for n, level in enumerate(self._levels[:-1], start=2):
            before = np.full_like(tokens, 0 if n == 2 else -1)  # the empty context precedes every token
            before[:, 1:] = index[:, :-1]
            index = level.find(before, tokens)
            contexts.append(index.copy())
            if not self._recursive and n < self.order:
                contexts[-1][:, n - 1 :] = -1  # a longer context exists and is used alone
        return contexts

    @property
    def _recursive(self) -> bool:
        return self.smoothing in ("interpolated", "kneser-ney")

    def _estimate(self) -> None:
        """Compute each level's `gain` and `rest` from its counts, and the distribution below them."""
        self.discounts = ()
        counts = self._continuation_counts() if self.smoothing == "kneser-ney" else None
        for n, level in enumerate(self._levels, start=1):
            if self.smoothing == "kneser-ney":
                level.kneser_ney(counts[n - 1], self.discount or _discount(counts[n - 1]))
                self.discounts += (level.discount,)
            elif self.smoothing == "interpolated":
                level.interpolate(self.weights[n] / sum(self.weights[: n + 1]))
            else:
                level.add(self.k if self.smoothing == "add-k" else 0.0)
        uniform = np.full((1, self.vocab_size), 1 / self.vocab_size)
        unigram = uniform.copy()
        self._levels[0].refine(unigram, np.zeros(1, dtype=np.int64))
        self._unigram = unigram[0]
        self._bottom = unigram if self._recursive or self.order == 1 else uniform

    def _continuation_counts(self) -> list[np.ndarray]:
        """For each order the counts cₙ (M,) of Kneser–Ney: continuations below the highest order, c there."""
        counts, suffix = [], np.zeros(self._levels[0].keys.shape, dtype=np.int64)
        for below, level in pairwise(self._levels):
            # To drop an n-gram's first token: drop the first token of its context, keep its last token.
            suffix = below.find(suffix[level.contexts], level.tokens)
            counts.append(np.bincount(suffix, minlength=len(below.keys)))
        return [*counts, self._levels[-1].counts]


@dataclass
class _Level:
    """The n-grams of one order: sorted keys (M,), context number × V + token, with their counts (M,).

    An estimator sets `gain` (M,) and `rest` (C,): P(w | h) = gain(h w) + rest(h) · P(w | a shorter context).
    """

    keys: np.ndarray
    counts: np.ndarray
    num_contexts: int
    vocab_size: int

    def __post_init__(self):
        self.contexts, self.tokens = np.divmod(self.keys, self.vocab_size)
        # The n-grams that continue context c are at starts[c] up to starts[c + 1].
        self.starts = np.searchsorted(self.contexts, np.arange(self.num_contexts + 1))

    def find(self, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        """The numbers of the n-grams (context, token) in this level; −1 where there is none."""
        key = context * self.vocab_size + token
        index = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[index] == key, index, -1)  # context −1 gives a negative key: none such

    def add(self, k: float) -> None:
        """Add-k; k = 0 is the relative frequency."""
        total = self._total(self.counts)
        self.gain = self.counts / (total + k * self.vocab_size)[self.contexts]
        self.rest = np.where(total > 0, k * self.vocab_size / np.maximum(total + k * self.vocab_size, 1), 1.0)

    def interpolate(self, share: float) -> None:
        """Jelinek–Mercer: `share` of the relative frequency, the rest from the order below."""
        total = self._total(self.counts)
        self.gain = share * self.counts / total[self.contexts]
        self.rest = np.where(total > 0, 1 - share, 1.0)

    def kneser_ney(self, counts: np.ndarray, discount: float) -> None:
        """Absolute discounting of `counts` (M,); the discounted mass goes to the order below."""
        self.discount = discount
        total, seen = self._total(counts), self._total(counts > 0)
        self.gain = np.maximum(counts - discount, 0) / np.maximum(total, 1)[self.contexts]
        self.rest = np.where(total > 0, discount * seen / np.maximum(total, 1), 1.0)

    def refine(self, probs: np.ndarray, context: np.ndarray) -> None:
        """Apply this level's counts to `probs` (R, V), in place, in rows whose `context` (R,) isn't −1."""
        rows = np.flatnonzero(context >= 0)
        context = context[rows]
        probs[rows] *= self.rest[context][:, None]
        start, size = self.starts[context], self.starts[context + 1] - self.starts[context]
        ngrams = np.arange(size.sum()) + np.repeat(start - np.cumsum(size) + size, size)
        probs[np.repeat(rows, size), self.tokens[ngrams]] += self.gain[ngrams]

    def _total(self, counts: np.ndarray) -> np.ndarray:
        """Sums (C,) of `counts` (M,) over the tokens that follow each context."""
        return np.bincount(self.contexts, weights=counts, minlength=self.num_contexts)


def _distinct(keys: np.ndarray, limit: int, *, numbers: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted distinct keys (M,), the place of each of `keys` (B, T) among them if asked, counts (M,)."""
    if limit <= 8 * keys.size:  # counting in a table of all possible keys is then faster than sorting
        table = np.bincount(keys.ravel(), minlength=limit)
        distinct = np.flatnonzero(table)
        place = np.empty(limit, dtype=np.int64)
        place[distinct] = np.arange(len(distinct))
        return distinct, place[keys] if numbers else keys, table[distinct]
    if numbers:
        distinct, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
        return distinct, place.reshape(keys.shape), counts
    ordered = np.sort(keys, axis=None)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[first], keys, np.diff(first, append=len(ordered))


def _discount(counts: np.ndarray) -> float:
    """D = n₁ / (n₁ + 2 n₂), or 1/2 if n₁ or n₂ is 0."""
    n1, n2 = int((counts == 1).sum()), int((counts == 2).sum())
    return n1 / (n1 + 2 * n2) if n1 and n2 else 0.5


def _checked_weights(weights: Sequence[float] | None, order: int) -> tuple[float, ...]:
    if weights is None:
        powers = [2.0**n for n in range(1, order + 1)]
        return (0.001, *(0.999 * power / sum(powers) for power in powers))
    weights = list_of("weights", weights)
    for weight in weights:
        if not isinstance(weight, Real):
            raise TypeError(f"weights must be numbers, got {weight!r}")
    within = all(0 <= weight <= 1 for weight in weights)  # False for NaN
    if len(weights) != order + 1 or not (within and weights[0] > 0 and abs(sum(weights) - 1) <= 1e-9):
        raise ValueError(
            f"weights must be λ₀ > 0 and {order} more, none below 0, that sum to one; got {weights}"
        )
    return tuple(map(float, weights))
