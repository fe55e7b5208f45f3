"""Any logits, ids and arguments: a filter leaves distributions, or says what is wrong."""

import contextlib

import pytest
import torch
from any_arguments import Own, models, numbers, often, outcome, prompts, rows_of_logits, st
from hypothesis import given

from lmbook.decoding import acceptance, residual, sample_decode
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


def bias_two(logits, number):
    bias = {0: number}
    with contextlib.suppress(TypeError):  # a map can't hold what has no hash
        bias[number] = 1.5
    return logit_bias(logits, bias)


FILTERS = [temperature, top_k, top_p, min_p, top_n_sigma, typical, bias_two]
LOOKING_BACK = [repetition_penalty, frequency_penalty, presence_penalty, no_repeat_ngram]


def check_filtered(logits, before, kept):
    """Rows that were distributions are distributions, the impossible stays impossible."""
    assert logits.equal(before) or logits.isnan().any()
    if kept is None:
        return
    assert kept.shape == logits.shape
    assert kept.dtype == logits.dtype
    good = logits.amax(-1).isfinite()  # False with NaN too
    assert kept[good].amax(-1).isfinite().all()
    assert kept[good & (logits.ndim > 0)][logits[good].isneginf()].isneginf().all()


def readable(x):
    return isinstance(x, torch.Tensor) and x.layout == torch.strided and not x.is_meta


@pytest.mark.parametrize("keep", FILTERS)
@often
@given(rows_of_logits, numbers)
def test_a_filter_leaves_distributions_or_says_what_is_wrong(as_readers_run_it, keep, logits, number):
    before = logits.clone() if readable(logits) else logits
    kept = outcome(lambda: keep(logits, number))
    if readable(logits):
        check_filtered(logits, before, kept)


@pytest.mark.parametrize("keep", LOOKING_BACK)
@often
@given(rows_of_logits, prompts, st.booleans(), numbers)
def test_a_filter_that_looks_back_leaves_distributions_or_says_what_is_wrong(
    as_readers_run_it, keep, logits, ids, fitting, number
):
    if fitting and readable(logits) and logits.ndim:
        ids = torch.tensor([0, -1, 2, 0]).expand(*logits.shape[:-1], 4)
    before = logits.clone() if readable(logits) else logits
    kept = outcome(lambda: keep(logits, ids, number))
    if readable(logits):
        check_filtered(logits, before, kept)


def fails(logits):
    raise Own


READERS = [
    lambda logits: logits.mul_(2),
    lambda logits, ids: logits.masked_fill_(logits < logits.max(), -3.0) + ids.fill_(1).sum(),
    lambda logits: logits[..., :1],
    lambda logits: None,
    lambda logits: logits.to(torch.float8_e4m3fn),
    lambda logits: logits.to_sparse(),
    lambda logits: logits.log(),
    fails,
    torch.tanh,
    3,
]


@often
@given(st.one_of(st.lists(st.sampled_from(READERS), max_size=3), numbers), models, prompts)
def test_readers_filters_are_obeyed_or_refused_and_write_nowhere_else(as_readers_run_it, steps, model, ids):
    outcome(lambda: compose(steps))
    table = getattr(model, "table", None)
    before = None if table is None else table.detach().clone()
    try:
        out = outcome(lambda: sample_decode(model, ids, steps, 3))
    except Own:
        out = None
    assert table is None or torch.equal(table.nan_to_num(7), before.nan_to_num(7))
    assert out is None or out[:, : ids.shape[1]].equal(ids)


@pytest.mark.parametrize("function", [acceptance, residual])
@often
@given(rows_of_logits, rows_of_logits, st.booleans())
def test_speculation_gives_probabilities_or_says_what_is_wrong(as_readers_run_it, function, p, q, fitting):
    if fitting and readable(p) and p.is_floating_point() and p.dtype.itemsize > 1:
        p = p.abs()
        q = p.flip(-1) if p.ndim else p
    found = outcome(lambda: function(p, q))
    if found is not None:
        assert found.shape == p.shape
        assert ((found >= 0) & found.isfinite()).all()
