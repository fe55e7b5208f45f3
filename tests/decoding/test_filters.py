"""Each filter against the logits processor of transformers, plain loops, and its documented properties."""

import inspect
import math
import re
import statistics
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from lmbook.filters import (
    compose,
    frequency_penalty,
    logit_bias,
    min_p,
    no_repeat_ngram,
    presence_penalty,
    repetition_penalty,
    temperature,
    top_k,
    top_n_sigma,
    top_p,
    typical,
)

INF = math.inf
B, T, V = 5, 17, 13


def random_logits(seed=0, size=(B, V)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, generator=generator) * 3
    logits[torch.rand(size, generator=generator) < 0.1] = -INF
    logits[..., 0] = 0.5  # a row with nothing possible is a case of its own
    return logits


def random_ids(seed=0, vocab_size=V, length=T):
    return torch.randint(vocab_size, (B, length), generator=torch.Generator().manual_seed(seed))


HAND_MADE = {
    "one-left": torch.tensor([[-INF, 2.0, -INF, -INF]]),
    "two-left": torch.tensor([[-INF, 2.0, -INF, 1.0], [0.0, -INF, 3.0, -INF]]),
    "v1": torch.tensor([[0.7], [-3.0]]),
    "flat-pair": torch.tensor([[1.0, 1.0]]),
    "wide": torch.tensor([[40.0, -40.0, 0.0, 39.0]]),
}
PAIRS = {
    "temperature": (partial(temperature, tau=0.7), TemperatureLogitsWarper(0.7)),
    "hot": (partial(temperature, tau=3), TemperatureLogitsWarper(3.0)),
    "top-k-1": (partial(top_k, k=1), TopKLogitsWarper(1)),
    "top-k-4": (partial(top_k, k=4), TopKLogitsWarper(4)),
    "top-k-many": (partial(top_k, k=1000), TopKLogitsWarper(1000)),
    "top-p-.9": (partial(top_p, p=0.9), TopPLogitsWarper(0.9)),
    "top-p-.3": (partial(top_p, p=0.3), TopPLogitsWarper(0.3)),
    "top-p-1": (partial(top_p, p=1), TopPLogitsWarper(1.0)),
    "min-p-.1": (partial(min_p, p=0.1), MinPLogitsWarper(0.1)),
    "min-p-0": (partial(min_p, p=0), MinPLogitsWarper(0.0)),
    "min-p-1": (partial(min_p, p=1), MinPLogitsWarper(1.0)),
    "typical-.9": (partial(typical, p=0.9), TypicalLogitsWarper(0.9)),
    "typical-.2": (partial(typical, p=0.2), TypicalLogitsWarper(0.2)),
}
HISTORY_PAIRS = {
    "repetition-1.3": (partial(repetition_penalty, penalty=1.3), RepetitionPenaltyLogitsProcessor(1.3)),
    "repetition-.5": (partial(repetition_penalty, penalty=0.5), RepetitionPenaltyLogitsProcessor(0.5)),
    "repetition-written": (
        partial(repetition_penalty, penalty=1.3, prompt_ignore_length=5),
        RepetitionPenaltyLogitsProcessor(1.3, prompt_ignore_length=5),
    ),
    "no-repeat-1": (partial(no_repeat_ngram, n=1), NoRepeatNGramLogitsProcessor(1)),
    "no-repeat-2": (partial(no_repeat_ngram, n=2), NoRepeatNGramLogitsProcessor(2)),
    "no-repeat-3": (partial(no_repeat_ngram, n=3), NoRepeatNGramLogitsProcessor(3)),
    "no-repeat-long": (partial(no_repeat_ngram, n=T + 1), NoRepeatNGramLogitsProcessor(T + 1)),
}
# Every filter with one parameter, for the promises that hold for all of them.
IDS = random_ids(7, vocab_size=4, length=6)[:1]
ALL = {name: pair[0] for name, pair in PAIRS.items()}
ALL |= {name: partial(pair[0], ids=IDS) for name, pair in HISTORY_PAIRS.items()}
ALL |= {
    "greedy": partial(temperature, tau=0),
    "frequency": partial(frequency_penalty, ids=IDS, penalty=0.4),
    "presence": partial(presence_penalty, ids=IDS, penalty=0.4),
    "top-n-sigma": partial(top_n_sigma, n=0.8),
    "top-0-sigma": partial(top_n_sigma, n=0),
    "bias": partial(logit_bias, bias={0: -7.5}),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("seed", range(5))
def test_equals_transformers_on_random_logits(name, seed):
    ours, theirs = PAIRS[name]
    logits = random_logits(seed)
    torch.testing.assert_close(ours(logits), theirs(None, logits.clone()), rtol=0, atol=1e-6)


STRICTER = {("top-k-1", "flat-pair"), ("top-p-.3", "flat-pair")}  # ties: see the tests below


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name in PAIRS for case in HAND_MADE if (name, case) not in STRICTER]
)
def test_equals_transformers_on_hand_made_logits(name, case):
    ours, theirs = PAIRS[name]
    logits = HAND_MADE[case]
    torch.testing.assert_close(ours(logits), theirs(None, logits.clone()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", HISTORY_PAIRS)
@pytest.mark.parametrize("vocab_size", [2, 3, V])
def test_history_filters_equal_transformers(name, vocab_size):
    ours, theirs = HISTORY_PAIRS[name]
    logits = random_logits(3)
    ids = random_ids(3, vocab_size)
    expected = theirs(ids, logits.clone())
    expected = torch.where(
        (expected == -INF).all(-1, keepdim=True), logits, expected
    )  # no row is ever emptied
    torch.testing.assert_close(ours(logits, ids=ids), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_input_is_untouched_and_dtype_kept(name, dtype):
    logits = random_logits(1, (1, V)).to(dtype)
    before = logits.clone()
    assert ALL[name](logits).dtype == dtype
    assert torch.equal(logits, before)


@pytest.mark.parametrize("name", ALL)
def test_impossible_stays_impossible_and_all_impossible_comes_back(name):
    assert torch.equal(ALL[name](torch.full((1, 5), -INF)), torch.full((1, 5), -INF))
    logits = random_logits(2, (1, V))
    assert ALL[name](logits)[logits == -INF].eq(-INF).all()


@pytest.mark.parametrize("name", ALL)
@given(
    values=st.lists(st.sampled_from([-INF, -2.0, -1.0, 0.0, 0.0, 1.0, 5.0]), min_size=1, max_size=7).filter(
        lambda v: max(v) > -INF
    )
)
@settings(deadline=None, max_examples=40)
def test_row_never_loses_its_last_token(name, values):
    out = ALL[name](torch.tensor([values]))
    assert out.max() > -INF
    assert not out.isnan().any()


@pytest.mark.parametrize("name", PAIRS)
def test_rows_are_independent_whatever_the_leading_axes(name):
    ours = PAIRS[name][0]
    logits = random_logits(4, (2, 3, V))
    together = ours(logits)
    for i in range(2):
        for j in range(3):
            assert torch.equal(together[i, j], ours(logits[i, j]))


@pytest.mark.parametrize("name", HISTORY_PAIRS)
def test_history_rows_are_independent_whatever_the_leading_axes(name):
    ours = HISTORY_PAIRS[name][0]
    logits, ids = random_logits(4), random_ids(5, 3)
    together = ours(logits, ids=ids)
    for i in range(B):
        assert torch.equal(together[i], ours(logits[i], ids=ids[i]))


def test_temperature_zero_keeps_the_first_of_equals():
    out = temperature(torch.tensor([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]]), 0)
    assert out.tolist() == [[-INF, 3.0, -INF], [2.0, -INF, -INF]]


def test_temperature_is_a_power_of_the_probabilities():
    probs = torch.tensor([0.5, 0.3, 0.2])
    expected = probs ** (1 / 0.7) / (probs ** (1 / 0.7)).sum()
    torch.testing.assert_close(temperature(probs.log(), 0.7).softmax(-1), expected)


def test_tiny_temperature_is_greedy_not_nan():
    logits = torch.tensor([1.0, 200.0, -200.0])
    for tau in (1e-45, 1e-31, 1e-30):
        assert temperature(logits, tau).softmax(-1).tolist() == [0.0, 1.0, 0.0]
    assert temperature(logits, 1e-31)[2] == -INF  # by rule
    assert temperature(logits, 1e-30)[2] > -INF  # by division


def test_top_k_keeps_exactly_k_of_equals_the_lowest_ids():
    """DESIGN.md section 4, stricter than transformers, which keeps every token that equals the k-th."""
    logits = torch.tensor([[1.0, 2.0, 1.0, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    kept = top_k(logits, 3) > -INF
    assert kept.tolist() == [[True, True, False, False, True], [True, True, True, False, False]]
    assert (TopKLogitsWarper(3)(None, logits.clone()) > -INF).sum(-1).tolist() == [5, 5]


@pytest.mark.parametrize("k", range(1, 12))
def test_top_k_against_a_stable_sort(k):
    logits = torch.randint(3, (B, 11), generator=torch.Generator().manual_seed(k)).float()
    for row, out in zip(logits.tolist(), top_k(logits, k).tolist(), strict=True):
        best = sorted(range(11), key=lambda i: (-row[i], i))[:k]
        assert [i for i in range(11) if out[i] > -INF] == sorted(best)


def test_top_k_above_v_keeps_everything():
    logits = random_logits(6)
    assert torch.equal(top_k(logits, V), logits)
    assert torch.equal(top_k(logits, V + 1), logits)


def test_top_p_by_hand():
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    kept = [
        (top_p(logits, p) > -INF).nonzero().flatten().tolist() for p in (0.01, 0.39, 0.41, 0.69, 0.71, 0.95)
    ]
    assert kept == [[1], [1], [1, 3], [1, 3], [1, 2, 3], [0, 1, 2, 3]]


def test_top_p_settles_ties_by_lowest_id_and_each_row_by_itself():
    """Section 8, item 8: a mask by sorted place, applied to all rows, is the fault."""
    logits = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.01, 0.01, 0.01, 0.97]]).log()
    assert (top_p(logits, 0.6) > -INF).tolist() == [[True, True, True, False], [False, False, False, True]]
    equals = torch.zeros(64, dtype=torch.float64)  # enough of them for a sort that isn't stable to mix them
    assert (top_p(equals, 0.5) > -INF).tolist() == [True] * 32 + [False] * 32


def test_top_p_of_one_keeps_even_what_rounding_would_lose():
    logits = torch.cat((torch.zeros(3), torch.full((1000,), -30.0)))
    assert top_p(logits, 1.0).isfinite().all()
    assert typical(logits, 1.0).isfinite().all()


def test_half_precision_is_summed_in_float32():
    """Running sums rounded to bfloat16 would keep 2044."""
    assert (top_p(torch.zeros(4096, dtype=torch.bfloat16), 0.5) > -INF).sum() == 2048


def test_min_p_by_hand():
    logits = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()
    kept = [(min_p(logits, p) > -INF).sum().item() for p in (0.0, 0.19, 0.21, 0.31, 0.49, 0.51, 1.0)]
    assert kept == [4, 4, 3, 2, 2, 1, 1]
    assert (min_p(torch.tensor([1.0, 1.0, 0.0]), 1) > -INF).tolist() == [
        True,
        True,
        False,
    ]  # equals stay together


def test_typical_may_drop_the_best_and_keeps_equals_together():
    logits = torch.tensor([0.4, 0.15, 0.15, 0.15, 0.15]).log()  # entropy 1.50, surprises 0.92 and 1.90
    assert (typical(logits, 0.5) > -INF).tolist() == [False, True, True, True, True]
    assert (typical(logits, 0.1) > -INF).tolist() == [False, True, True, True, True]
    assert (typical(logits, 0.61) > -INF).tolist() == [True] * 5
    halves = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64).log()  # 0.25 is nearest, and enough
    assert (typical(halves, 0.25) > -INF).tolist() == [False, True, False, False]


@pytest.mark.parametrize("p", [0.05, 0.3, 0.6, 0.95])
def test_typical_against_a_plain_loop(p):
    logits = random_logits(8)
    for row, out in zip(logits.double(), typical(logits, p), strict=True):
        probs = row.softmax(-1).tolist()
        entropy = -sum(q * math.log(q) for q in probs if q > 0)
        distance = {i: abs(-math.log(q) - entropy) for i, q in enumerate(probs) if q > 0}
        mass, kept = 0.0, set()
        for i in sorted(distance, key=distance.get):
            if mass >= p:
                break
            kept.add(i)
            mass += probs[i]
        assert {i for i in range(V) if out[i] > -INF} == kept


@pytest.mark.parametrize("n", [0, 0.3, 1.0, 1.7, 40])
def test_top_n_sigma_against_a_plain_loop(n):
    logits = random_logits(10)
    for row, out in zip(logits.tolist(), top_n_sigma(logits, n).tolist(), strict=True):
        sigma = statistics.pstdev(x for x in row if x > -INF)
        assert out == [x if x >= max(row) - n * sigma else -INF for x in row]


def test_top_n_sigma_keeps_the_same_tokens_at_every_temperature():
    logits = random_logits(11)
    kept = top_n_sigma(logits, 1.0).isfinite()
    assert 0 < kept.sum() < logits.isfinite().sum()
    for tau in (0.1, 3.0):
        assert top_n_sigma(temperature(logits, tau), 1.0).isfinite().equal(kept)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1.7e308])
def test_top_n_sigma_counts_deviations_at_any_scale(scale):
    logits = torch.tensor([1.0, -1.0, 0.0, -INF, -1.0], dtype=torch.float64) * scale  # 1.25, sigma 0.83
    for n, kept in ((1.1, [0]), (1.3, [0, 2]), (2.3, [0, 2]), (2.5, [0, 1, 2, 4])):
        assert top_n_sigma(logits, n).isfinite().nonzero().flatten().tolist() == kept


def test_logit_bias_is_added_and_stays_within_what_floats_hold():
    logits = torch.tensor([[1.0, 2.0, -INF], [0.0, 0.5, 1.0]])
    assert logit_bias(logits, {0: -4, 2: 0.5}).tolist() == [[-3.0, 2.0, -INF], [-4.0, 0.5, 1.5]]
    assert logit_bias(logits, {}).equal(logits)
    assert logit_bias(logits, {1: 1e308})[:, 1].tolist() == [torch.finfo(torch.float32).max] * 2
    assert logit_bias(torch.tensor([[3.0]]), {7: 1.0}).tolist() == [[3.0]]  # a single token stays certain


def test_logit_bias_shifts_odds_by_its_exponential():
    logits = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]).log()
    odds = logit_bias(logits, {2: math.log(3)}).softmax(-1)
    torch.testing.assert_close(
        odds, torch.tensor([[0.2, 0.5, 0.9], [0.6, 0.3, 0.3]]) / torch.tensor([[1.6], [1.2]])
    )


@pytest.mark.parametrize("seed", range(3))
def test_logit_bias_equals_the_biases_of_transformers(seed):
    bias = {0: 2.5, 3: -100.0, V - 1: 1}
    theirs = SequenceBiasLogitsProcessor({(token,): float(value) for token, value in bias.items()})
    logits = random_logits(seed)
    torch.testing.assert_close(
        logit_bias(logits, bias), theirs(random_ids(), logits.clone()), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("keep", [repetition_penalty, frequency_penalty, presence_penalty, no_repeat_ngram])
@pytest.mark.parametrize("ignored", [0, 1, 6, T, T + 1, 10**30])
def test_what_is_ignored_of_the_prompt_might_as_well_not_be_there(keep, ignored):
    logits, ids = random_logits(12), random_ids(12, 4)
    assert keep(logits, ids, 2, prompt_ignore_length=ignored).equal(keep(logits, ids[:, ignored:], 2))
    assert keep(logits, ids, 2).equal(keep(logits, ids, 2, prompt_ignore_length=0))
    assert not keep(logits, ids, 2).equal(logits)


def test_penalties_by_hand():
    logits = torch.tensor([2.0, -2.0, 0.0, 1.0, -INF])
    ids = torch.tensor([0, 1, 1, 0, 1, -1, 99, 4])
    assert repetition_penalty(logits, ids, 2).tolist() == [1.0, -4.0, 0.0, 1.0, -INF]
    assert frequency_penalty(logits, ids, 0.5).tolist() == [1.0, -3.5, 0.0, 1.0, -INF]
    assert presence_penalty(logits, ids, 0.5).tolist() == [1.5, -2.5, 0.0, 1.0, -INF]
    assert frequency_penalty(logits, ids, -1.0).tolist() == [4.0, 1.0, 0.0, 1.0, -INF]


def test_penalties_ignore_places_without_a_token():
    logits = torch.tensor([3.0, 3.0, 3.0])
    nothing = torch.tensor([-1, -1, 3])
    for penalise in (repetition_penalty, frequency_penalty, presence_penalty):
        assert torch.equal(penalise(logits, nothing, 1.5), logits)


def test_no_repeat_ngram_by_hand():
    logits = torch.zeros(4)
    ids = torch.tensor([0, 1, 2, 0, 1, 3, 0, 1])  # 0 1 was followed by 2 and by 3
    assert (no_repeat_ngram(logits, ids, 3) > -INF).tolist() == [True, True, False, False]
    assert (no_repeat_ngram(logits, ids, 2) > -INF).tolist() == [True, True, False, False]
    assert (no_repeat_ngram(logits, ids, 4) > -INF).tolist() == [True, True, True, True]
    assert (no_repeat_ngram(logits, ids[:3], 3) > -INF).all()  # exactly n tokens, which can't go on as a copy
    assert (no_repeat_ngram(logits, torch.tensor([3, 3]), 2) > -INF).tolist() == [True, True, True, False]


def test_no_repeat_ngram_leaves_a_row_that_it_would_empty():
    """Section 4, stricter than transformers, which leaves no token at all."""
    logits = torch.tensor([[0.3, 0.1], [0.3, -INF], [0.3, 0.2]])
    ids = torch.tensor([[0, 1], [0, 0], [0, 0]])
    assert no_repeat_ngram(logits, ids, 1).tolist() == [
        logits[0].tolist(),
        logits[1].tolist(),
        [-INF, logits[2, 1]],
    ]
    assert NoRepeatNGramLogitsProcessor(1)(ids, logits.clone())[0].eq(-INF).all()


def test_no_repeat_ngram_sees_padding_as_nothing():
    ids = torch.tensor([2, 1, 2, 1, 0, 2])
    padded = torch.cat((torch.tensor([-1, -1, -1]), ids))
    for n in range(1, 8):
        assert torch.equal(
            no_repeat_ngram(torch.zeros(3), ids, n), no_repeat_ngram(torch.zeros(3), padded, n)
        )


def test_compose_applies_in_order_and_hands_out_ids():
    logits, ids = random_logits(9), random_ids(9)
    rule = compose(
        [partial(repetition_penalty, penalty=1.5), partial(temperature, tau=0.5), partial(top_k, k=3)]
    )
    assert torch.equal(rule(logits, ids), top_k(temperature(repetition_penalty(logits, ids, 1.5), 0.5), 3))
    assert torch.equal(compose([lambda logits, ids: logits + ids.shape[-1]])(logits, ids), logits + T)
    assert torch.equal(compose([])(logits, ids), logits)
    swapped = compose([partial(top_p, p=0.5), partial(temperature, tau=9.0)])
    assert torch.equal(swapped(logits, ids), temperature(top_p(logits, 0.5), 9.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, i: temperature(x, -0.1), r"temperature must be at least 0 and finite, got -0\.1"),
        (lambda x, i: temperature(x, INF), "temperature must be at least 0 and finite, got inf"),
        (lambda x, i: temperature(x, math.nan), "temperature must be .* got nan"),
        (lambda x, i: top_k(x, 0), "k must be at least 1, got 0"),
        (lambda x, i: top_p(x, 0), "p must be above 0 and at most 1, got 0"),
        (lambda x, i: top_p(x, 1.1), r"p must be above 0 and at most 1, got 1\.1"),
        (lambda x, i: top_p(x, math.nan), "got nan"),
        (lambda x, i: min_p(x, -0.1), r"min_p must be at least 0 and at most 1, got -0\.1"),
        (lambda x, i: min_p(x, 1.1), r"min_p must be at least 0 and at most 1, got 1\.1"),
        (lambda x, i: typical(x, 0), "typical p must be above 0 and at most 1, got 0"),
        (lambda x, i: typical(x, 1.1), r"typical p must be above 0 and at most 1, got 1\.1"),
        (lambda x, i: repetition_penalty(x, i, 0), "penalty must be above 0 and finite, got 0"),
        (lambda x, i: repetition_penalty(x, i, INF), "penalty must be above 0 and finite, got inf"),
        (lambda x, i: frequency_penalty(x, i, math.nan), "penalty must be finite, got nan"),
        (lambda x, i: presence_penalty(x, i, -INF), "penalty must be finite, got -inf"),
        (lambda x, i: no_repeat_ngram(x, i, 0), "n must be at least 1, got 0"),
        (lambda x, i: top_n_sigma(x, -1), "top-n-sigma n must be at least 0 and finite, got -1"),
        (lambda x, i: logit_bias(x, {V: 1.0}), f"an id in bias must be at most {V - 1}, got {V}"),
        (lambda x, i: logit_bias(x, {-1: 1.0}), "an id in bias must be at least 0, got -1"),
        (lambda x, i: logit_bias(x, {1: INF}), "a bias must be finite, got inf"),
        (lambda x, i: presence_penalty(x, i, 1, -1), "prompt_ignore_length must be at least 0, got -1"),
    ],
)
def test_refuses_with_value_and_limit(call, message):
    with pytest.raises(ValueError, match=message + "$"):
        call(random_logits(), random_ids())


@pytest.mark.parametrize("bad", ["0.9", None, True, [0.9], torch.tensor(0.9)], ids=repr)
@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (temperature, "temperature must be a number, at least 0 and finite; got"),
        (top_k, "k must be an int, at least 1; got"),
        (top_p, "p must be a number, above 0 and at most 1; got"),
        (min_p, "min_p must be a number, at least 0 and at most 1; got"),
        (top_n_sigma, "top-n-sigma n must be a number, at least 0 and finite; got"),
        (logit_bias, "bias must be a map from ids to numbers, got"),
        (typical, "typical p must be a number, above 0 and at most 1; got"),
        (repetition_penalty, "penalty must be a number, above 0 and finite; got"),
        (frequency_penalty, "penalty must be a number, finite; got"),
        (presence_penalty, "penalty must be a number, finite; got"),
        (no_repeat_ngram, "n must be an int, at least 1; got"),
    ],
)
def test_wrong_kinds_are_refused_with_value_and_limit(as_readers_run_it, keep, message, bad):
    history = [random_ids()] if "ids" in inspect.signature(keep).parameters else []
    with pytest.raises(TypeError, match=re.escape(f"{message} {bad!r}")):
        keep(random_logits(), *history, bad)


@pytest.mark.parametrize("bad", ["top_k", [top_k, "top_k"], partial(top_k, k=3), None, 7])
def test_only_functions_are_composed(as_readers_run_it, bad):
    with pytest.raises(
        TypeError, match=re.escape(f"filters must be a list of functions of logits, got {bad!r}")
    ):
        compose(bad)


EACH = [
    partial(temperature, tau=0.5),
    partial(top_k, k=2),
    partial(top_p, p=0.5),
    partial(min_p, p=0.5),
    partial(top_n_sigma, n=1.0),
    partial(typical, p=0.5),
    partial(logit_bias, bias={0: 1.0}),
    partial(repetition_penalty, penalty=2.0),
    partial(frequency_penalty, penalty=2.0),
    partial(presence_penalty, penalty=2.0),
    partial(no_repeat_ngram, n=1),
]


@pytest.mark.parametrize("keep", EACH, ids=lambda keep: keep.func.__name__)
@pytest.mark.parametrize("row", [[0.5, math.nan, 2.0], [math.nan] * 3])
def test_nan_is_not_filtered_away(keep, row):
    """top_k would call it impossible, and no draw would tell."""
    logits, ids = torch.tensor([[1.0, 0.0, -1.0], row]), torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"logits must not be NaN, got it at \(1, [01]\)"):
        compose([keep])(logits, ids)
