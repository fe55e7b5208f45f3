"""Extreme arguments and logits: filters and searches stay right, or raise an error."""

import itertools
import math
from functools import partial

import pytest
import torch

from lmbook.decoding import (
    acceptance,
    beam_search,
    exhaustive_search,
    greedy_decode,
    residual,
    sample_decode,
    speculative_decode,
)
from lmbook.filters import (
    compose,
    frequency_penalty,
    min_p,
    no_repeat_ngram,
    presence_penalty,
    repetition_penalty,
    temperature,
    top_k,
    top_p,
    typical,
)

INF, NAN = math.inf, math.nan
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


class Bigram:
    """The next token depends on the last one alone; `attributes` are what the model tells of itself."""

    def __init__(self, logits, **attributes):
        self.logits = torch.as_tensor(logits, dtype=torch.float32)
        vars(self).update(attributes)

    def __call__(self, ids):
        return self.logits[ids]


def random_rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# Temperature near 0


@pytest.mark.parametrize("tau", [1e-3, 1e-5, 1e-8, 1e-30])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "row",
    [[1.0, 300.0, 295.0, -3.0, -INF], [0.1, 10.0, 0.2, 0.3, 0.4], [-9e3, -8e3, -3e4, -INF, -INF]],
    ids=str,
)
def test_a_low_temperature_leaves_the_best_token_alone(row, dtype, tau):
    cold = temperature(torch.tensor([row], dtype=dtype), tau)
    assert not cold.isposinf().any()
    assert cold.double().softmax(-1)[0].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_only_the_row_that_overflows_is_shifted():
    logits = torch.tensor([[1.0, 2.0], [0.0, 60000.0], [-INF, -INF]], dtype=torch.float16)
    cold = temperature(logits, 0.5)
    assert cold.tolist() == [[2.0, 4.0], [-INF, 0.0], [-INF, -INF]]


# Penalties

PENALTIES = [
    *((presence_penalty, size) for size in (1e39, -1e39, 1e300, 7e4, -7e4)),
    *((frequency_penalty, size) for size in (1e39, -1e39, 2e38, -2e38, 1.7e308)),
    *((repetition_penalty, size) for size in (1e39, 1e308, 1e-39, 1e-46, 5e-324)),
]
SEEN = {"two": [0, 1], "often": [0] * 9 + [1], "all": [0, 1, 2, 3, 4], "the impossible": [3]}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
@pytest.mark.parametrize(("keep", "penalty"), PENALTIES)
def test_a_huge_penalty_changes_seen_tokens_alone_and_leaves_a_distribution(keep, penalty, seen, dtype):
    logits = torch.tensor([[0.5, -1.0, 2.0, -INF, 0.0], [-1.0, -2.0, -3.0, -INF, -4.0]], dtype=dtype)
    left = keep(logits, torch.tensor([seen, seen]), penalty)
    unseen = [token for token in range(5) if token not in seen]
    assert left[:, unseen].equal(logits[:, unseen])
    assert left.dtype == dtype
    assert not (left.isnan() | left.isposinf()).any()
    assert left.isneginf().equal(logits.isneginf())


def test_repetition_penalty_leaves_a_logit_of_zero_where_it_is():
    got = repetition_penalty(torch.tensor([0.0, -0.0, 1.0]), torch.tensor([0, 1]), 1e-46)
    assert got.tolist() == [0.0, 0.0, 1.0]


# What a filter is given

FILTERS = {
    "temperature": partial(temperature, tau=0.5),
    "temperature 0": partial(temperature, tau=0),
    "top_k": partial(top_k, k=2),
    "top_k above V": partial(top_k, k=10**400),
    "top_p": partial(top_p, p=0.5),
    "top_p 1": partial(top_p, p=1),
    "min_p": partial(min_p, p=0.5),
    "min_p 0": partial(min_p, p=0),
    "typical": partial(typical, p=0.5),
    "typical 1": partial(typical, p=1),
}
LOOKING_BACK = {
    "presence": partial(presence_penalty, penalty=5.0),
    "frequency": partial(frequency_penalty, penalty=5.0),
    "repetition": partial(repetition_penalty, penalty=5.0),
    "no_repeat_ngram": partial(no_repeat_ngram, n=1),
}
NO_LOGITS = [[1.0, 2.0], None, torch.tensor([1, 2]), torch.tensor([True]), torch.tensor([1j])]


@pytest.mark.parametrize("bad", NO_LOGITS, ids=str)
@pytest.mark.parametrize("name", [*FILTERS, *LOOKING_BACK])
def test_what_is_no_tensor_of_floats_is_refused(as_readers_run_it, name, bad):
    keep = FILTERS.get(name) or partial(LOOKING_BACK[name], ids=torch.tensor([0]))
    with pytest.raises(TypeError, match="logits must be a tensor of floats"):
        keep(bad)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)], ids=str)
@pytest.mark.parametrize("keep", FILTERS.values(), ids=FILTERS)
def test_logits_without_a_vocabulary_are_refused(as_readers_run_it, keep, shape):
    with pytest.raises(ValueError, match="V at least 1"):
        keep(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (1, 4), (3, 4), (1, 2, 4)], ids=str)
@pytest.mark.parametrize("keep", LOOKING_BACK.values(), ids=LOOKING_BACK)
def test_ids_of_other_rows_are_not_stretched(as_readers_run_it, keep, shape):
    with pytest.raises(ValueError, match="rows of the logits"):
        keep(torch.zeros(2, 5), torch.zeros(shape, dtype=torch.int64))
    with pytest.raises(TypeError, match="ids must be a tensor of int64"):
        keep(torch.zeros(2, 5), torch.zeros(2, 4))
    with pytest.raises(TypeError, match="ids must be a tensor of int64"):
        keep(torch.zeros(2, 5), [[0, 1], [1, 2]])


# Readers' own filters

BOUND, OTHER = torch.tensor([[2, 1, 2]]), torch.tensor([[0, 4, 0]])


@pytest.mark.parametrize("keep", LOOKING_BACK.values(), ids=LOOKING_BACK)
def test_bound_ids_stay_bound(keep):
    logits = torch.tensor([[0.5, -1.0, 2.0, 1.0, 0.0]])
    assert compose([partial(keep, ids=BOUND)])(logits, OTHER).equal(keep(logits, ids=BOUND))
    assert compose([keep])(logits, OTHER).equal(keep(logits, ids=OTHER))


@pytest.mark.parametrize(
    "keep",
    [
        torch.nan_to_num,
        torch.tanh,
        partial(torch.clamp, min=-5.0),
        partial(torch.mul, other=2.0),
        torch.Tensor.double,
    ],
    ids=["nan_to_num", "tanh", "clamp", "mul", "double"],
)
def test_functions_without_a_signature_are_filters(keep):
    logits = random_rows(2, 5)
    assert compose([keep])(logits, OTHER.expand(2, -1)).equal(keep(logits))


@pytest.mark.parametrize("attributes", [{}, {"vocab_size": 5}], ids=["V hidden", "V known"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_readers_filter_is_called_once_for_each_token(count, attributes):
    seen = []
    model = Bigram(random_rows(5, 5), **attributes)
    note = lambda logits: seen.append(tuple(logits.shape)) or logits  # noqa: E731
    sample_decode(model, torch.tensor([[0], [1]]), [note], count)
    assert seen == [(2, 5)] * count


def looking_up(logits):
    return logits + {3: 1.0}[logits.shape[-1]]


def test_a_filter_for_three_tokens_serves_a_model_that_hides_v():
    model, start = Bigram(random_rows(3, 3)), torch.tensor([[0]])
    assert sample_decode(model, start, [looking_up], 4).shape == (1, 5)
    assert speculative_decode(model, model, start, filters=[looking_up], max_length=4).shape == (1, 5)


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        (lambda logits: logits[:, :1], ValueError, r"filter returns must have shape \(1, 3\), got \(1, 1\)"),
        (lambda logits: logits.sum(), ValueError, "filter returns must have shape"),
        (lambda logits: None, TypeError, "a filter must return logits"),
        (lambda logits: logits > 0, TypeError, "a filter must return logits"),
        (lambda logits: logits * NAN, ValueError, "NaN"),
    ],
)
def test_a_filter_that_returns_no_logits_is_refused(keep, error, message):
    with pytest.raises(error, match=message):
        sample_decode(Bigram(random_rows(3, 3)), torch.tensor([[0]]), [keep], 2)


# Length penalties

THREE = Bigram(torch.tensor([[0.2, 0.5, 0.3], [0.35, 0.25, 0.4], [0.6, 0.3, 0.1]]).log(), vocab_size=3)


def best_by_rank(ids, length, penalty, eos):
    """Of all continuations the one with the highest log P / n ** penalty, by logarithms."""
    ranked = {}
    for tokens in itertools.product(range(3), repeat=length):
        n = tokens.index(eos) + 1 if eos in tokens else length
        tokens = tokens[:n] + (eos,) * (length - n)
        path = [int(ids[0, -1]), *tokens[:n]]
        logp = THREE.logits.double().log_softmax(-1)
        score = sum(float(logp[a, b]) for a, b in itertools.pairwise(path))
        ranked[tokens] = math.log(-score) - penalty * math.log(n)  # the smaller the better: ranks are below 0
    return min(ranked, key=ranked.get)


@pytest.mark.parametrize("penalty", [0, 0.7, 40, 41, 100.0, 600])
def test_a_large_length_penalty_ranks_as_its_formula_says(penalty):
    ids, options = torch.tensor([[0]]), {"length_penalty": penalty, "eos_token_id": 1}
    want = best_by_rank(ids, 3, penalty, 1)
    assert tuple(beam_search(THREE, ids, 27, 3, **options)[0][0, 1:].tolist()) == want
    assert tuple(exhaustive_search(THREE, ids, 3, **options)[0][0, 1:].tolist()) == want


@pytest.mark.parametrize("penalty", [640, 1000, 1000.0, 1e300])
def test_a_length_penalty_whose_power_overflows_is_refused(penalty):
    ids, options = torch.tensor([[0]]), {"length_penalty": penalty, "eos_token_id": 1}
    for search in (partial(beam_search, THREE, ids, 4, 3), partial(exhaustive_search, THREE, ids, 3)):
        with pytest.raises(ValueError, match="length_penalty must be at most 637 for 3 tokens, got"):
            search(**options)
    assert beam_search(THREE, ids, 4, 1, **options)[0].shape == (1, 2)  # 1 to any power is 1


def test_one_beam_is_greedy_without_a_length_penalty_only():
    model, ids = Bigram(torch.tensor([[0.4, 0.6], [0.5, 0.5]]).log()), torch.tensor([[0]])
    greedy = greedy_decode(model, ids, 6, eos_token_id=1)
    assert beam_search(model, ids, 1, 6, eos_token_id=1)[0].equal(greedy)
    assert not beam_search(model, ids, 1, 6, eos_token_id=1, length_penalty=5.0)[0].equal(greedy)


@pytest.mark.parametrize("vocab_size", [7, 100])
def test_a_space_of_thousands_of_digits_is_refused_in_one_line(vocab_size):
    model = Bigram(torch.zeros(vocab_size, vocab_size), vocab_size=vocab_size)
    with pytest.raises(ValueError, match=rf"got {vocab_size} \*\* 3000 continuations$") as error:
        exhaustive_search(model, torch.tensor([[0]]), 3000)
    assert len(str(error.value)) < 200


def test_an_end_token_beyond_a_hidden_vocabulary_is_refused():
    with pytest.raises(ValueError, match="eos_token_id must be below 3"):
        beam_search(Bigram(random_rows(3, 3)), torch.tensor([[0]]), 2, 3, eos_token_id=3)


# Speculation by hand


@pytest.mark.parametrize("function", [acceptance, residual])
@pytest.mark.parametrize("bad", [NAN, INF, -INF, -0.1])
def test_what_are_no_probabilities_is_refused(function, bad):
    good, wrong = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.5, bad]])
    with pytest.raises(ValueError, match="draft must be at least 0 and finite"):
        function(good, wrong)
    with pytest.raises(ValueError, match="target must be at least 0 and finite"):
        function(wrong, good)


@pytest.mark.parametrize("function", [acceptance, residual])
def test_probabilities_of_another_shape_or_kind_are_refused(as_readers_run_it, function):
    with pytest.raises(ValueError, match=r"draft must have shape \(2, 3\), got \(1, 3\)"):
        function(torch.full((2, 3), 1 / 3), torch.full((1, 3), 1 / 3))
    with pytest.raises(TypeError, match="target must be probabilities"):
        function([0.5, 0.5], torch.full((2,), 0.5))
