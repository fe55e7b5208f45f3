"""Extreme arguments and logits: filters and searches stay right, or raise an error."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from table_models import Bigram

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

INF, NAN = math.inf, math.nan
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


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
    "top_n_sigma": partial(top_n_sigma, n=1),
    "logit_bias": partial(logit_bias, bias={0: 2.0}),
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


# Limits: what would take all memory or never end is refused first

FIVE, START = random_rows(5, 5), torch.tensor([[0]])
KNOWN, HIDDEN = Bigram(FIVE, vocab_size=5), Bigram(FIVE)


def never(ids):
    raise AssertionError("this model was read")


never.vocab_size = 1000


@pytest.mark.parametrize(
    "decode",
    [
        partial(greedy_decode, never, START),
        partial(sample_decode, never, START, ()),
        partial(beam_search, never, START, 2),
        partial(speculative_decode, never, never, START),
    ],
)
@pytest.mark.parametrize(
    "length", [100_001, 2**40, 10**30, 10**5000], ids=["a little", "a lot", "1e30", "1e5000"]
)
def test_a_length_that_never_ends_is_refused(decode, length):
    with pytest.raises(ValueError, match="max_length must be at most 100,000, got"):
        decode(length)


def test_a_beam_that_fits_no_memory_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="with 1,000 tokens num_beams must be at most 67,108, got 67109"):
        beam_search(never, START, 67_109, 3)
    wide, best = beam_search(KNOWN, START, 10**12, 4), exhaustive_search(KNOWN, START, 4)
    assert wide[0].equal(best[0])  # there are but 5 ** 3 prefixes
    assert beam_search(never, START, 10**12, 0)[0].equal(START)
    monkeypatch.setattr("lmbook.decoding.search.MAX_PREFIXES", 100)
    with pytest.raises(ValueError, match="with 5 tokens num_beams must be at most 100, got 1000000000"):
        beam_search(HIDDEN, START, 10**9, 12)
    assert beam_search(HIDDEN, START, 10**9, 3)[0].equal(exhaustive_search(KNOWN, START, 3)[0])


def test_exhaustive_search_reads_as_many_texts_at_once_as_fit(monkeypatch):
    want, calls = exhaustive_search(KNOWN, START, 4), []
    monkeypatch.setattr("lmbook.decoding.search.MAX_SCORES", 5 * 5 * 10)
    noted = lambda ids: calls.append(len(ids)) or KNOWN(ids)  # noqa: E731
    noted.vocab_size = 5
    got = exhaustive_search(noted, START, 4)
    assert got[0].equal(want[0])
    assert calls == [10] * 12 + [5]


def test_speculation_proposes_at_most_a_thousand_tokens():
    with pytest.raises(ValueError, match="num_draft must be at most 1,000, got 1001"):
        speculative_decode(never, never, START, 2, num_draft=1001)


def test_torch_draws_from_no_more_than_16_million_tokens():
    model = lambda ids: torch.zeros(1).expand(1, 1, 2**24 + 1)  # noqa: E731
    with pytest.raises(ValueError, match=r"at most 16,777,216 tokens .* the model has 16,777,217"):
        sample_decode(model, START, max_length=1)


# Kinds of logits

KINDS = {
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "bool": lambda x: x > 0,
    "int": lambda x: x.long(),
    "complex": lambda x: x + 0j,
}
CONSUMERS = {
    "greedy": lambda m: greedy_decode(m, START, 2),
    "sample": lambda m: sample_decode(m, START, (), 2),
    "beam": lambda m: beam_search(m, START, 2, 2),
    "exhaustive": lambda m: exhaustive_search(m, START, 2),
    "speculative": lambda m: speculative_decode(m, KNOWN, START, 2),
    "filter": lambda m: top_k(m(START), 2),
    "probabilities": lambda m: acceptance(m(START), m(START)),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("consume", CONSUMERS.values(), ids=CONSUMERS)
def test_logits_that_torch_cannot_calculate_with_are_refused(as_readers_run_it, consume, kind):
    model = lambda ids: kind(KNOWN(ids))  # noqa: E731
    model.vocab_size = 5
    with pytest.raises(TypeError, match="a tensor of floats"):
        consume(model)


@pytest.mark.parametrize("kind", ["sparse", "meta"])
def test_ids_and_masks_without_readable_numbers_are_refused(as_readers_run_it, kind):
    with pytest.raises(TypeError, match="must be a tensor of int64"):
        greedy_decode(KNOWN, KINDS[kind](START), 1)
    with pytest.raises((TypeError, ValueError), match="padding_mask must be"):
        greedy_decode(KNOWN, START, 1, padding_mask=KINDS[kind](START == 1))


@pytest.mark.parametrize("keep", LOOKING_BACK.values(), ids=LOOKING_BACK)
def test_unsigned_ids_are_refused(as_readers_run_it, keep):
    with pytest.raises(TypeError, match=r"ids must be a tensor of int64, got torch\.uint64"):
        keep(torch.zeros(1, 5), ids=START.to(torch.uint64))


@pytest.mark.parametrize("keep", [presence_penalty, frequency_penalty, repetition_penalty])
def test_an_int_beyond_int64_is_a_penalty_like_its_float(keep):
    logits = torch.tensor([[0.5, -1.0, 2.0]])
    assert keep(logits, torch.tensor([[0, 1]]), 10**30).equal(keep(logits, torch.tensor([[0, 1]]), 1e30))


def test_padding_completes_no_ngram():
    logits = torch.zeros(1, 4)
    assert no_repeat_ngram(logits, torch.tensor([[-1, -1, 2]]), 2).equal(logits)
    assert no_repeat_ngram(logits, torch.tensor([[-1, 3, -1]]), 2).equal(logits)
    assert no_repeat_ngram(logits, torch.tensor([[4, 3, 4]]), 2).equal(logits)
    assert no_repeat_ngram(logits, torch.tensor([[2, -1, 3, 2, -1]]), 3).equal(logits)
    assert no_repeat_ngram(logits, torch.tensor([[-1, 0, 3, -1, 0]]), 2).tolist() == [[0.0, 0.0, 0.0, -INF]]


def test_half_precision_counts_as_exactly_as_others():
    ids = torch.cat((torch.zeros(1, 70_000, dtype=torch.int64), torch.ones(1, 2049, dtype=torch.int64)), 1)
    logits = torch.zeros(1, 3, dtype=torch.float16)
    assert frequency_penalty(logits, ids, 0).equal(logits)
    penalised = frequency_penalty(logits, ids, 0.001)
    assert penalised.dtype == torch.float16
    assert penalised.equal(torch.tensor([[-70.0, -2.049, 0.0]]).half())
    assert frequency_penalty(logits, ids, 1).tolist() == [[-65504.0, -2048.0, 0.0]]  # float16's limit


def test_small_ints_of_numpy_do_not_overflow(as_readers_run_it):
    logits, ids = torch.zeros(1, 200), torch.arange(150)[None]
    assert top_k(logits, np.int8(100)).equal(top_k(logits, 100))
    again = torch.cat((ids, ids[:, :-1]), 1)
    assert no_repeat_ngram(logits, again, np.int8(100)).equal(no_repeat_ngram(logits, again, 100))


@pytest.mark.parametrize("filters", [3, None, torch.tensor(2), torch.zeros(2), [3]], ids=str)
def test_what_is_no_list_of_functions_is_refused(as_readers_run_it, filters):
    with pytest.raises(TypeError, match="filters must be a list of functions of logits"):
        sample_decode(KNOWN, START, filters, 1)


# Filters that write


def test_a_filter_that_writes_changes_neither_the_models_table_nor_the_text():
    table = random_rows(5, 5)
    model = lambda ids: table[None, ids[0, -1] : ids[0, -1] + 1].expand(1, ids.shape[1], 5)  # noqa: E731

    def writing(logits, ids):
        logits[:, int(ids[0, -1])] = -INF
        ids.fill_(4)
        return logits

    def pure(logits, ids):
        return logits.index_fill(1, ids[0, -1:], -INF)

    before, draws = table.clone(), lambda: torch.Generator().manual_seed(0)
    want = sample_decode(model, START, [pure], 20, generator=draws())
    assert sample_decode(model, START, [writing], 20, generator=draws()).equal(want)
    assert speculative_decode(model, model, START, 20, filters=[writing]).shape == (1, 21)
    assert table.equal(before)
