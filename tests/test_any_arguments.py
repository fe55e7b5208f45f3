"""Any model, shape and argument: what is documented comes back, or a TypeError or ValueError says why not."""

import inspect
import itertools

import pytest
import torch
from any_arguments import (
    ODD,
    Own,
    ends,
    lengths,
    masks,
    models,
    numbers,
    often,
    outcome,
    prompts,
    rows_of_logits,
)
from hypothesis import given
from hypothesis import strategies as st

import lmbook
from lmbook import (
    NGramLM,
    beam_search,
    contrastive_search,
    cross_entropy,
    exhaustive_search,
    greedy_decode,
    left_pad,
    nucleus_decode,
    perplexity,
    pseudo_perplexity,
    sample_decode,
    speculative_decode,
    top_k_decode,
)
from lmbook.decoding import SpeculationStats
from lmbook.evaluation import bits_per_byte, calibration, distinct_n, self_similarity, surprisal

DOCUMENTED = (TypeError, ValueError)
DECODERS = {
    "greedy": lambda m, x, n, number, other, **o: greedy_decode(m, x, n, **o),
    "sample": lambda m, x, n, number, other, **o: sample_decode(m, x, (), n, **o),
    "top_k": lambda m, x, n, number, other, **o: top_k_decode(m, x, number, n, other, **o),
    "nucleus": lambda m, x, n, number, other, **o: nucleus_decode(m, x, number, n, other, **o),
    "beam": lambda m, x, n, number, other, **o: beam_search(m, x, number, n, length_penalty=other, **o)[0],
    "exhaustive": lambda m, x, n, number, other, **o: exhaustive_search(m, x, n, length_penalty=other, **o)[
        0
    ],
    "contrastive": lambda m, x, n, number, other, **o: contrastive_search(m, x, number, other, n, **o),
    "speculative": lambda m, x, n, number, other, **o: speculative_decode(
        m, m, x, n, num_draft=number, temperature=other, stats=SpeculationStats(), **o
    ),
}


def tokens_of(model):
    return getattr(model, "vocab_size", None) or len(model.table)


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
@often
@given(model=models, ids=prompts, length=lengths, number=numbers, other=numbers, eos=ends, mask=masks)
def test_a_decoder_returns_prompt_and_continuation_or_says_what_is_wrong(
    as_readers_run_it, decode, model, ids, length, number, other, eos, mask
):
    if isinstance(length, int) and 100 < length <= 100_000:
        return
    before = ids.clone() if isinstance(ids, torch.Tensor) else ids
    try:
        out = outcome(
            lambda: decode(model, ids, length, number, other, eos_token_id=eos, padding_mask=mask), DOCUMENTED
        )
    except Own:
        return
    if isinstance(ids, torch.Tensor) and not ids.is_meta:
        assert ids.to_dense().equal(before.to_dense())
    if out is None:
        return
    assert out.dtype == torch.int64
    assert out.shape == (ids.shape[0], ids.shape[1] + length)
    assert out[:, : ids.shape[1]].equal(ids)
    assert out.min() >= 0
    if length:
        assert out[:, ids.shape[1] :].max() < max(tokens_of(model), (eos or 0) + 1)


@often
@given(models, models, prompts, lengths, ends)
def test_two_models_speculate_or_say_what_is_wrong(as_readers_run_it, target, draft, ids, length, eos):
    try:
        out = outcome(lambda: speculative_decode(target, draft, ids, length, eos_token_id=eos), DOCUMENTED)
    except Own:
        return
    assert out is None or out.shape == (ids.shape[0], ids.shape[1] + length)


MEASURES = {
    "surprisal": lambda m, x, number: surprisal(m, x, batch_size=number).sum(),
    "cross_entropy": lambda m, x, number: cross_entropy(m, x, batch_size=number),
    "perplexity": lambda m, x, number: perplexity(m, x, batch_size=number),
    "bits_per_byte": lambda m, x, number: bits_per_byte(m, x, number),
    "pseudo_perplexity": lambda m, x, number: pseudo_perplexity(m, x, batch_size=number),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@often
@given(model=models, ids=prompts, number=st.one_of(st.none(), numbers))
def test_a_measure_is_no_nan_or_says_what_is_wrong(as_readers_run_it, measure, model, ids, number):
    try:
        value = outcome(lambda: measure(model, ids, number), DOCUMENTED)
    except Own:
        return
    assert value is None or float(value) >= 0  # False for NaN


@often
@given(rows_of_logits, prompts, st.booleans(), numbers)
def test_calibration_counts_each_target_once_or_says_what_is_wrong(
    as_readers_run_it, logits, targets, fitting, bins
):
    if fitting and isinstance(logits, torch.Tensor) and logits.ndim:
        targets = torch.zeros(logits.shape[:-1], dtype=torch.int64)
    found = outcome(lambda: calibration(logits, targets, bins), DOCUMENTED)
    if found is not None:
        assert logits.shape[:-1] == targets.shape
        assert int(found.count.sum()) == targets.numel()
        assert 0 <= found.expected_error <= 1


tokens = st.one_of(st.integers(0, 2), st.integers(0, 2), st.sampled_from([0, 1, 2, "a", *ODD]))
texts = st.one_of(
    st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=4),
    st.lists(st.one_of(st.lists(tokens, max_size=4), tokens), max_size=4),
    prompts,
)


@pytest.mark.parametrize("measure", [distinct_n, self_similarity])
@often
@given(texts, numbers)
def test_measures_of_texts_are_shares_or_say_what_is_wrong(as_readers_run_it, measure, texts, n):
    share = outcome(lambda: measure(texts, n), DOCUMENTED)
    assert share is None or 0 <= share <= 1 + 1e-12


@often
@given(texts, tokens)
def test_left_pad_gives_ids_and_a_mask_or_says_what_is_wrong(as_readers_run_it, texts, pad):
    padded = outcome(lambda: left_pad(texts, pad), DOCUMENTED)
    if padded is not None:
        ids, mask = padded
        assert [row[~gone].tolist() for row, gone in zip(ids, mask, strict=True)] == [list(t) for t in texts]
        assert (ids[mask] == pad).all()


@often
@given(
    st.one_of(numbers, st.integers(990, 1100)),
    numbers,
    st.sampled_from(["mle", "add-k", "interpolated", "kneser-ney", "other", 3]),
    numbers,
    st.one_of(st.none(), numbers),
    st.one_of(st.none(), st.lists(st.sampled_from([*ODD, 0.5, 0.25]), max_size=4), numbers),
)
def test_an_ngram_model_is_a_distribution_or_says_what_is_wrong(
    as_readers_run_it, order, vocab_size, smoothing, k, discount, weights
):
    model = outcome(
        lambda: NGramLM(order, vocab_size, smoothing=smoothing, k=k, discount=discount, weights=weights),
        DOCUMENTED,
    )
    ids = torch.tensor([[0, 1, 2, 0, 1, 1]])
    if model is None or outcome(lambda: model.fit(ids), DOCUMENTED) is None:
        return
    ids = torch.tensor(list(itertools.product(range(3), repeat=3)))
    torch.testing.assert_close(model(ids).exp().sum(-1), torch.ones(27, 3).double())


@often
@given(prompts, prompts, st.one_of(st.lists(tokens, max_size=3), prompts))
def test_what_an_ngram_model_reads_is_counted_or_refused(as_readers_run_it, text, ids, ngram):
    model = NGramLM(2, 3)
    counted = outcome(lambda: model.fit(text), DOCUMENTED) is not None
    model = model if counted else NGramLM(2, 3).fit(torch.tensor([0, 1, 2, 0]))
    logits = outcome(lambda: model(ids), DOCUMENTED)
    if logits is not None:
        assert logits.shape == (*ids.shape, 3)
        torch.testing.assert_close(logits.exp().sum(-1), torch.ones(ids.shape).double())
    count = outcome(lambda: model.count(ngram), DOCUMENTED)
    assert count is None or count >= 0


def test_every_public_function_is_tried_with_any_arguments():
    """The rest is tried beside the tests of its room; training and published files have their own tests."""
    elsewhere = {"CausalLM", "MaskedLM", "ToyLanguage", "WindowLM", "LanguageModel"}
    of_others = {"train_clm", "train_mlm", "load_smollm2", "load_smollm2_tokenizer"}
    here = {name for name in lmbook.__all__ if f"{name}(" in inspect.getsource(inspect.getmodule(tokens_of))}
    assert here == {*lmbook.__all__} - elsewhere - of_others
