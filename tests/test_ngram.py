"""NGramLM against nltk.lm and against plain dictionaries that read the docstring's formulas literally."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.lm import MLE, Laplace, Lidstone
from nltk.util import everygrams

from lmbook.ngram import SMOOTHINGS, NGramLM

NAN, INF = math.nan, math.inf

V = 5


def stream(length: int, vocab_size: int = V, seed: int = 0) -> torch.Tensor:
    """Tokens with a skewed distribution: what makes n₁, n₂ and unseen contexts happen."""
    uniform = torch.rand(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (uniform**2 * vocab_size).long()


class Literal:
    """The four estimators, word for word from the formulas, on dictionaries of counts."""

    def __init__(self, rows, order, vocab_size, smoothing, k=1.0, discount=None, weights=None):
        self.order, self.vocab_size, self.smoothing, self.k, self.weights = (
            order,
            vocab_size,
            smoothing,
            k,
            weights,
        )
        self.c = Counter(
            tuple(row[i : i + n])
            for row in rows
            for n in range(1, order + 1)
            for i in range(len(row) - n + 1)
        )
        self.cn = {n: self.modified(n) for n in range(1, order + 1)}
        self.discounts = {n: discount or self.estimate(self.cn[n]) for n in self.cn}

    def modified(self, n):
        if n == self.order or self.smoothing != "kneser-ney":
            return {g: count for g, count in self.c.items() if len(g) == n}
        grams = [g for g in self.c if len(g) == n]
        return {g: len({v for v in range(self.vocab_size) if self.c[(v, *g)] > 0}) for g in grams}

    @staticmethod
    def estimate(counts):
        n1 = sum(1 for value in counts.values() if value == 1)
        n2 = sum(1 for value in counts.values() if value == 2)
        return 0.5 if n1 == 0 or n2 == 0 else n1 / (n1 + 2 * n2)

    def prob(self, w, h):
        h = tuple(h)[-(self.order - 1) :] if self.order > 1 else ()
        n = len(h) + 1
        counts = [self.cn[n].get((*h, x), 0) for x in range(self.vocab_size)]
        total, count = sum(counts), counts[w]
        if self.smoothing == "mle":
            return count / total if total else 1 / self.vocab_size
        if self.smoothing == "add-k":
            return (count + self.k) / (total + self.k * self.vocab_size)
        lower = self.prob(w, h[1:]) if n > 1 else 1 / self.vocab_size
        if total == 0:
            return lower
        if self.smoothing == "interpolated":
            mu = self.weights[n] / sum(self.weights[: n + 1])
            return mu * count / total + (1 - mu) * lower
        d = self.discounts[n]
        return max(count - d, 0) / total + d * sum(x > 0 for x in counts) / total * lower


def contexts(model, length, vocab_size=V):
    """All prefixes of `length` tokens and the distributions after them: exhaustive, so nothing hides."""
    prefixes = torch.tensor(list(product(range(vocab_size), repeat=length)))
    return prefixes, model(prefixes)[:, -1].exp()


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_equals_a_literal_reading_of_the_formulas(order, smoothing):
    rows = stream(7 * 13, 3, seed=order).view(7, 13)  # 3 tokens: contexts of 5 are partly seen, partly not
    weights = [1 / (order + 1)] * (order + 1) if smoothing == "interpolated" else None
    model = NGramLM(order, 3, smoothing=smoothing, k=0.3, weights=weights).fit(rows)
    literal = Literal(rows.tolist(), order, 3, smoothing, k=0.3, weights=weights)
    for length in range(1, min(order, 4) + 1):
        prefixes, probs = contexts(model, length, 3)
        expected = [[literal.prob(w, prefix) for w in range(3)] for prefix in prefixes.tolist()]
        torch.testing.assert_close(probs, torch.tensor(expected, dtype=torch.float64), atol=1e-12, rtol=0)
    unigram = torch.tensor([literal.prob(w, ()) for w in range(3)], dtype=torch.float64)
    torch.testing.assert_close(model.unigram_log_probs.exp(), unigram, atol=1e-12, rtol=0)


def test_given_parameters_and_default_discounts():
    rows = stream(5 * 17, seed=3).view(5, 17)
    discounted = NGramLM(3, V, discount=0.8).fit(rows)
    literal = Literal(rows.tolist(), 3, V, "kneser-ney", discount=0.8)
    prefixes, probs = contexts(discounted, 2)
    expected = [[literal.prob(w, prefix) for w in range(V)] for prefix in prefixes.tolist()]
    torch.testing.assert_close(probs, torch.tensor(expected, dtype=torch.float64))
    assert discounted.discounts == (0.8, 0.8, 0.8)
    estimated = Literal(rows.tolist(), 3, V, "kneser-ney").discounts
    assert NGramLM(3, V).fit(rows).discounts == pytest.approx(tuple(estimated.values()))
    default = NGramLM(2, V, smoothing="interpolated")
    assert default.weights == pytest.approx((0.001, 0.333, 0.666))


@pytest.mark.parametrize(
    ("smoothing", "k", "oracle"),
    [("mle", 1.0, MLE), ("add-k", 1.0, Laplace), ("add-k", 0.2, lambda n, **_: Lidstone(0.2, n))],
)
def test_equals_nltk(smoothing, k, oracle):
    rows = stream(3 * 101, seed=1).view(3, 101)
    model = NGramLM(3, V + 1, smoothing=smoothing, k=k).fit(rows)  # nltk counts its <UNK> as a word: our id V
    reference = oracle(3)
    words = [[str(token) for token in row] for row in rows.tolist()]
    reference.fit([list(everygrams(row, max_len=3)) for row in words], [str(w) for w in range(V)])
    prefixes, probs = contexts(model, 2)
    seen = {tuple(row[i : i + 2]) for row in rows.tolist() for i in range(99)}
    for prefix, row in zip(prefixes.tolist(), probs, strict=True):
        if smoothing == "mle" and tuple(prefix) not in seen:
            continue  # nltk says 0 for every word there
        for w in range(V):
            assert reference.score(str(w), [str(t) for t in prefix]) == pytest.approx(
                float(row[w]), abs=1e-12
            )


def test_worked_by_hand():
    model = NGramLM(2, 3).fit(torch.tensor([0, 1, 0, 2, 0, 1]))  # bigrams 01 ×2, 10, 02, 20
    assert model.num_ngrams == (3, 4)
    assert [model.count(g) for g in ([], [0], [0, 1], [1, 0], [1, 2], [1])] == [6, 3, 2, 1, 0, 2]
    # D₂ = 3 / (3 + 2·1) = 0.6. Continuation counts: of 0 two, of 1 and 2 one each; n₁ = 2, n₂ = 1, D₁ = 0.5.
    assert model.discounts == pytest.approx((0.5, 0.6))
    unigram = torch.tensor([1.5, 0.5, 0.5], dtype=torch.float64) / 4 + 0.5 * 3 / 4 / 3
    torch.testing.assert_close(model.unigram_log_probs.exp(), unigram)
    after_0 = torch.tensor([0.0, 1.4, 0.4], dtype=torch.float64) / 3 + 0.6 * 2 / 3 * unigram
    torch.testing.assert_close(model(torch.tensor([[0]]))[0, 0].exp(), after_0)
    laplace = NGramLM(1, 3, smoothing="add-k").fit(torch.tensor([0, 0]))  # k = 1 where none is given
    torch.testing.assert_close(laplace.unigram_log_probs.exp(), torch.tensor([3, 1, 1]).double() / 5)
    assert NGramLM(1, 1).fit(torch.tensor([0, 0])).count([]) == 2


def test_rows_are_separate_and_have_no_padding():
    rows = torch.tensor([[0, 1, 2], [3, 4, 0]])
    model = NGramLM(2, V, smoothing="mle").fit(rows)
    assert model.count([2, 3]) == 0
    assert model.num_ngrams == (5, 4)
    assert NGramLM(2, V, smoothing="mle").fit(rows.view(-1)).count([2, 3]) == 1


def test_mle_zero_is_minus_infinity_and_unseen_is_uniform():
    model = NGramLM(2, 3, smoothing="mle").fit(torch.tensor([0, 1, 0, 1, 2]))
    log_probs = model(torch.tensor([[0, 1, 2]]))[0]
    assert log_probs[0].tolist() == [-torch.inf, 0.0, -torch.inf]
    torch.testing.assert_close(log_probs[2].exp(), torch.full((3,), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_a_row_depends_on_the_last_tokens_only_and_on_no_other_row(smoothing):
    model = NGramLM(3, V, smoothing=smoothing).fit(stream(211))
    ids = stream(7 * 11, seed=5).view(7, 11)
    whole = model(ids)
    assert whole.shape == (7, 11, V)
    assert whole.dtype == torch.float64
    torch.testing.assert_close(whole[2:3], model(ids[2:3]), rtol=0, atol=0)
    torch.testing.assert_close(whole[:, :4], model(ids[:, :4]), rtol=0, atol=0)
    assert model.markov_order == 2
    torch.testing.assert_close(whole[:, -1], model(ids[:, -2:])[:, -1], rtol=0, atol=0)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    order=st.integers(1, 6),
    vocab_size=st.integers(1, 7),
    smoothing=st.sampled_from(SMOOTHINGS),
)
def test_probabilities_sum_to_one_whatever_the_text(data, order, vocab_size, smoothing):
    token = st.integers(0, vocab_size - 1)
    text = data.draw(st.lists(token, min_size=order, max_size=40))
    prefix = data.draw(st.lists(token, min_size=1, max_size=9))
    model = NGramLM(order, vocab_size, smoothing=smoothing).fit(torch.tensor(text))
    probs = model(torch.tensor([prefix])).exp()
    torch.testing.assert_close(probs.sum(-1), torch.ones(1, len(prefix), dtype=torch.float64))
    assert float(model.unigram_log_probs.exp().sum()) == pytest.approx(1)
    assert not probs.isnan().any()
    if smoothing != "mle":
        assert (probs > 0).all()


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_large_vocabulary_and_high_order(smoothing):
    """50,000⁶ is beyond int64; the counts must be those of a dictionary all the same."""
    size = 50_000
    text = torch.cat(
        [stream(3000, size, seed=7), stream(500, size, seed=7)]
    )  # the second part repeats the first
    model = NGramLM(6, size, smoothing=smoothing).fit(text)
    tokens = text.tolist()
    for n in range(1, 7):
        counts = Counter(zip(*(tokens[i:] for i in range(n)), strict=False))
        assert model.num_ngrams[n - 1] == len(counts)
        for ngram in list(counts)[::211]:
            assert model.count(ngram) == counts[ngram]
    log_probs = model(text[None, 100:107])
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(1, 7, dtype=torch.float64))
    assert (log_probs[0, torch.arange(5, 6), text[106]] > -1.1).all() or smoothing in (
        "add-k",
        "interpolated",
    )


def test_refitting_forgets():
    model = NGramLM(2, V).fit(stream(50))
    fresh = NGramLM(2, V).fit(torch.tensor([1, 2, 1, 1]))
    model.fit(torch.tensor([1, 2, 1, 1]))
    ids = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(model(ids), fresh(ids), rtol=0, atol=0)
    assert model.count([]) == 4


def test_inputs_are_left_alone():
    ids = stream(50)
    before = ids.clone()
    NGramLM(3, V).fit(ids)(ids[None])
    assert torch.equal(ids, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 0}, "order must be at least 1, got 0"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"smoothing": "good-turing"}, "one of mle, add-k, interpolated, kneser-ney; got 'good-turing'"),
        ({"smoothing": "add-k", "k": 0.0}, "k must be above 0 and finite, got 0.0"),
        ({"discount": 1.5}, "at most 1, got 1.5"),
        ({"discount": 0.0}, "above 0 and at most 1"),
        ({"smoothing": "mle", "discount": 0.5}, "for kneser-ney, the smoothing is mle"),
        ({"weights": [1.0, 0.0, 0.0]}, "weights are for interpolated"),
        ({"smoothing": "interpolated", "weights": [0.5, 0.5]}, "and 2 more"),
        ({"smoothing": "interpolated", "weights": [0.5, 0.25, 0.26]}, "sum to one"),
        ({"smoothing": "interpolated", "weights": [0.0, 0.5, 0.5]}, "λ₀ > 0"),
        ({"smoothing": "interpolated", "weights": [0.7, -0.2, 0.5]}, "none below 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        NGramLM(**({"order": 2, "vocab_size": V} | arguments))


def test_bad_texts_and_calls():
    model = NGramLM(4, V)
    for use in (
        lambda: model(torch.tensor([[1]])),
        lambda: model.count([1]),
        lambda: model.unigram_log_probs,
    ):
        with pytest.raises(RuntimeError, match=r"call fit\(ids\) first"):
            use()
    with pytest.raises(ValueError, match="1 row of 4 token"):
        model.fit(torch.tensor([1, 2, 3]))
    with pytest.raises(ValueError, match="below vocab_size 5, got 5"):
        model.fit(torch.tensor([1, 2, 3, 5]))
    with pytest.raises(RuntimeError, match="counted nothing"):
        _ = model.num_ngrams
    model.fit(stream(20))
    with pytest.raises(ValueError, match="got -1"):
        model(torch.tensor([[-1]]))
    with pytest.raises(ValueError, match="got 5"):
        model(torch.tensor([[5]]))
    with pytest.raises(ValueError, match="up to order 4, got 5 ids"):
        model.count([0] * 5)
    with pytest.raises(ValueError, match=r"below 5, got \[7\]"):
        model.count([7])
    with pytest.raises(TypeError, match="int64"):
        model.fit(torch.zeros(9, dtype=torch.int32))
    assert repr(model) == "NGramLM(order=4, vocab_size=5, smoothing='kneser-ney')"


@pytest.mark.parametrize("smoothing", ["mle", "add-k", "interpolated", "kneser-ney"])
def test_the_highest_order_is_a_distribution(smoothing):
    text = torch.arange(2002).remainder(7)[None] % 3
    model = NGramLM(1000, 3, smoothing=smoothing).fit(text)
    close = model(text[:, :1100]).exp().sum(-1)
    torch.testing.assert_close(close, torch.ones(1, 1100).double())


def test_sizes_that_no_memory_holds_are_refused(as_readers_run_it):
    with pytest.raises(ValueError, match="order must be at most 1,000, got 1001"):
        NGramLM(1001, 3)
    for vocab_size in (10**7 + 1, 2**40, 10**30):
        with pytest.raises(ValueError, match="vocab_size must be at most 10,000,000"):
            NGramLM(2, vocab_size)
    with pytest.raises(ValueError, match="k times vocab_size must be finite"):
        NGramLM(2, 10, smoothing="add-k", k=10**308)


@pytest.mark.parametrize("weights", [5, ["0.5", "0.25", "0.25"], [None] * 3])
def test_weights_are_numbers(as_readers_run_it, weights):
    with pytest.raises(TypeError, match="weights must be"):
        NGramLM(2, 3, smoothing="interpolated", weights=weights)


@pytest.mark.parametrize(
    "weights",
    [
        [0.1, NAN, 0.9],
        [NAN, 0.5, 0.5],
        [0.1, 0.9, NAN],
        [NAN] * 3,
        [INF, -INF, 1],
    ],
)
def test_a_weight_that_is_no_number_is_refused(weights):
    with pytest.raises(ValueError, match="weights must be"):
        NGramLM(2, 3, smoothing="interpolated", weights=weights)


@pytest.mark.parametrize("k", [1e308, 1.7e308])
def test_a_k_whose_sum_overflows_is_refused(k):
    with pytest.raises(ValueError, match="k times vocab_size must be finite, got k = 1"):
        NGramLM(2, 10, smoothing="add-k", k=k)
    model = NGramLM(2, 10, smoothing="add-k", k=k / 20).fit(torch.tensor([0, 1, 2, 1]))
    torch.testing.assert_close(model(torch.tensor([[0, 1, 7]])).exp(), torch.full((1, 3, 10), 0.1).double())


@pytest.mark.parametrize("discount", [NAN, INF, 0.0, -0.1])
def test_a_discount_that_is_no_share_is_refused(discount):
    with pytest.raises(ValueError, match="discount must be above 0 and at most 1"):
        NGramLM(2, 3, discount=discount)


def test_an_ngram_of_what_are_no_ids_is_refused(as_readers_run_it):
    model = NGramLM(2, 3).fit(torch.tensor([0, 1, 2, 1]))
    assert model.count(torch.tensor([0, 1])) == 1
    for bad in ([1.5], ["1"], [True]):
        with pytest.raises(TypeError, match="an id must be an int"):
            model.count(bad)


def test_small_ints_of_numpy_do_not_overflow(as_readers_run_it):
    ids = torch.arange(500) * 7919 % 100
    for smoothing in ("kneser-ney", "add-k"):
        model = NGramLM(np.int8(3), np.int8(100), smoothing=smoothing, k=np.int8(100)).fit(ids)
        expected = NGramLM(3, 100, smoothing=smoothing, k=100).fit(ids)
        assert model(ids[None, :50]).equal(expected(ids[None, :50]))
        assert model.num_ngrams == expected.num_ngrams


class Unequal:
    def __eq__(self, other):
        raise ZeroDivisionError

    __hash__ = object.__hash__


@pytest.mark.parametrize("smoothing", [None, np.array([1, 2]), Unequal()])
def test_a_smoothing_that_is_no_name_is_refused(as_readers_run_it, smoothing):
    with pytest.raises(ValueError, match="smoothing must be one of mle"):
        NGramLM(2, 3, smoothing=smoothing)
