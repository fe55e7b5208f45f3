"""Any model, shape and argument: what is documented comes back, or a TypeError or ValueError."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmbook import (
    NGramLM,
    beam_search,
    cross_entropy,
    exhaustive_search,
    greedy_decode,
    nucleus_decode,
    perplexity,
    speculative_decode,
    top_k_decode,
)
from lmbook.decoding import sample_decode
from lmbook.evaluation import bits_per_byte, calibration, distinct_n, self_similarity, surprisal

NAN, INF = math.nan, math.inf
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = {
    "right": lambda logits: logits,
    "no time": lambda logits: logits[:, -1],
    "no batch": lambda logits: logits[0],
    "one row more": lambda logits: torch.cat((logits, logits[:1])),
    "one token less": lambda logits: logits[:, 1:],
    "V + 1": lambda logits: torch.cat((logits, logits[..., :1]), -1),
    "transposed": lambda logits: logits.transpose(0, 1),
    "ints": lambda logits: logits.nan_to_num(0, 0, 0).long(),
    "a tuple": lambda logits: (logits,),
    "a view": lambda logits: logits.repeat_interleave(2, -1)[..., ::2],
}


class Model:
    """A table of logits, some of which may be broken; the last token chooses the row."""

    def __init__(self, vocab_size, dtype, broken, shape, tells):
        self.table = torch.randn(vocab_size, vocab_size, generator=torch.Generator().manual_seed(0))
        for (row, token), value in broken.items():
            self.table[row % vocab_size, token % vocab_size] = value
        self.table, self.shape = self.table.to(dtype).requires_grad_(), SHAPES[shape]
        if tells:
            self.vocab_size = vocab_size

    def __call__(self, ids):
        return self.shape(self.table[ids])


models = st.builds(
    Model,
    st.integers(1, 4),
    st.sampled_from(DTYPES),
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from([NAN, INF, -INF, 1e4]), max_size=2
    ),
    st.sampled_from(["right"] * 4 + [*SHAPES]),
    st.booleans(),
)


def prompt_of(shape, dtype, strided):
    ids = torch.zeros(shape, dtype=dtype)
    return ids.repeat(1, 2)[:, ::2] if strided and len(shape) == 2 else ids


prompts = st.builds(
    prompt_of,
    st.sampled_from([(1, 1), (2, 3), (3, 3), (2, 3), (0, 3), (2, 0), (3,), (), (1, 2, 3)]),
    st.sampled_from([torch.int64] * 5 + [torch.int32, torch.float32, torch.bool]),
    st.booleans(),
)
ODD = [NAN, INF, -INF, -1, 0, 1, 2, True, None, "2", 1.5, np.int64(2), np.float32(0.5), 1e308, 1e-308, 10**30]
usual = st.integers(0, 4)
numbers = st.one_of(usual, st.sampled_from(ODD))
lengths = st.one_of(usual, st.sampled_from([-1, True, None, "2", 1.5, np.int64(2)]))
ends = st.sampled_from([None, None, 0, 1, 3, 7, -1, True, 1.0, "0", np.int64(0)])
masks = st.sampled_from(
    [None, None, (2, 3), (1, 3), (3,), (2, 3, "left"), (2, 3, "right"), (2, 3, "ints"), "mask"]
)


def mask_of(kind):
    if not isinstance(kind, tuple):
        return kind
    mask = torch.zeros(kind[:2] if len(kind) == 3 else kind, dtype=torch.bool)
    if kind[-1] == "left":
        mask[0, 0] = True
    if kind[-1] == "right":
        mask[0, -1] = True
    return mask.long() if kind[-1] == "ints" else mask


DECODERS = {
    "greedy": lambda m, x, n, number, other, **o: greedy_decode(m, x, n, **o),
    "sample": lambda m, x, n, number, other, **o: sample_decode(m, x, (), n, **o),
    "top_k": lambda m, x, n, number, other, **o: top_k_decode(m, x, number, n, other, **o),
    "nucleus": lambda m, x, n, number, other, **o: nucleus_decode(m, x, number, n, other, **o),
    "beam": lambda m, x, n, number, other, **o: beam_search(m, x, number, n, length_penalty=other, **o)[0],
    "exhaustive": lambda m, x, n, number, other, **o: exhaustive_search(m, x, n, length_penalty=other, **o)[
        0
    ],
    "speculative": lambda m, x, n, number, other, **o: speculative_decode(
        m, m, x, n, num_draft=number, temperature=other, **o
    ),
}
often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
@often
@given(model=models, ids=prompts, length=lengths, number=numbers, other=numbers, eos=ends, mask=masks)
def test_a_decoder_returns_prompt_and_continuation_or_says_what_is_wrong(
    as_readers_run_it, decode, model, ids, length, number, other, eos, mask
):
    before = ids.clone()
    try:
        out = decode(model, ids, length, number, other, eos_token_id=eos, padding_mask=mask_of(mask))
    except (TypeError, ValueError):
        return
    finally:
        assert ids.equal(before)
    assert out.dtype == torch.int64
    assert out.shape == (ids.shape[0], ids.shape[1] + length)
    assert out[:, : ids.shape[1]].equal(ids)
    assert out.min() >= 0
    assert out.max() < max(len(model.table), (eos or 0) + 1)


MEASURES = {
    "surprisal": lambda m, x, number: surprisal(m, x, batch_size=number).sum(),
    "cross_entropy": lambda m, x, number: cross_entropy(m, x, batch_size=number),
    "perplexity": lambda m, x, number: perplexity(m, x, batch_size=number),
    "bits_per_byte": lambda m, x, number: bits_per_byte(m, x, number),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@often
@given(model=models, ids=prompts, number=numbers)
def test_a_measure_is_no_nan_or_says_what_is_wrong(as_readers_run_it, measure, model, ids, number):
    try:
        value = measure(model, ids, number)
    except (TypeError, ValueError):
        return
    assert float(value) >= 0  # False for NaN


@often
@given(
    st.sampled_from([(), (3,), (2, 3), (0, 3), (2, 0), (2, 2, 3)]),
    st.sampled_from([(), (3,), (2,), (2, 2), (0,), (3, 2)]),
    st.sampled_from([*DTYPES, torch.int64]),
    st.sampled_from([0.0, NAN, INF, -INF, 1e4]),
    numbers,
)
def test_calibration_counts_each_target_once_or_says_what_is_wrong(
    as_readers_run_it, shape, targets, dtype, value, bins
):
    logits = (
        torch.zeros(shape).index_fill_(-1, torch.tensor([0]), value)
        if shape and shape[-1]
        else torch.zeros(shape)
    )
    logits = logits.nan_to_num().to(dtype) if dtype == torch.int64 else logits.to(dtype)
    if isinstance(bins, int) and bins > 1000:
        return  # as many bins as that need more memory than there is
    try:
        found = calibration(logits, torch.zeros(targets, dtype=torch.int64), bins)
    except (TypeError, ValueError):
        return
    assert shape[:-1] == targets
    assert int(found.count.sum()) == math.prod(targets)
    assert 0 <= found.expected_error <= 1


tokens = st.sampled_from([0, 1, 2, -1, True, 1.5, "a", None, np.int64(1)])


@pytest.mark.parametrize("measure", [distinct_n, self_similarity])
@often
@given(st.lists(st.one_of(st.lists(tokens, max_size=4), tokens), max_size=4), numbers)
def test_measures_of_texts_are_shares_or_say_what_is_wrong(as_readers_run_it, measure, texts, n):
    if isinstance(n, int) and n > 1000:
        return  # n-grams of that order would be counted one order after the other
    try:
        share = measure(texts, n)
    except (TypeError, ValueError):
        return
    assert 0 <= share <= 1 + 1e-12


@often
@given(
    numbers.filter(lambda n: not (isinstance(n, int) and n > 1000)),
    st.sampled_from(["mle", "add-k", "interpolated", "kneser-ney", "other", 3]),
    numbers,
    st.one_of(st.none(), numbers),
    st.one_of(st.none(), st.lists(st.sampled_from([*ODD, 0.5, 0.25]), max_size=4)),
)
def test_an_ngram_model_is_a_distribution_or_says_what_is_wrong(
    as_readers_run_it, order, smoothing, k, discount, weights
):
    try:
        model = NGramLM(order, 3, smoothing=smoothing, k=k, discount=discount, weights=weights)
        model.fit(torch.tensor([[0, 1, 2, 0, 1, 1]]))
    except (TypeError, ValueError):
        return
    ids = torch.tensor(list(itertools.product(range(3), repeat=3)))
    torch.testing.assert_close(model(ids).exp().sum(-1), torch.ones(27, 3).double())
