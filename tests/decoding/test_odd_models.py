"""Decoders of models that write into their input, tell odd sizes, or return other hidden states."""

import math
from functools import partial

import pytest
import torch
from table_models import TABLE, Bigram

from lmbook import (
    beam_search,
    contrastive_search,
    exhaustive_search,
    greedy_decode,
    left_pad,
    perplexity,
    pseudo_perplexity,
    speculative_decode,
)
from lmbook.decoding import sample_decode
from lmbook.evaluation import distinct_n, surprisal
from lmbook.filters import presence_penalty, temperature, top_k, top_p


class Model:
    """The next token depends on the last one alone; `told` is what the model tells of itself."""

    def __init__(self, **told):
        vars(self).update({"vocab_size": 5} | told)

    def __call__(self, ids):
        return TABLE[ids]


class Scribbler(Model):
    """Writes into the ids that it is given."""

    def __call__(self, ids):
        logits = TABLE[ids]
        ids.fill_(3)
        return logits


READERS = {
    "greedy_decode": lambda model, ids: greedy_decode(model, ids, 3),
    "sample_decode": lambda model, ids: sample_decode(model, ids, [partial(top_k, k=1)], 3),
    "beam_search": lambda model, ids: beam_search(model, ids, 2, 3)[0],
    "exhaustive_search": lambda model, ids: exhaustive_search(model, ids, 2)[0],
    "speculative_decode": lambda model, ids: speculative_decode(model, model, ids, 3, temperature=0),
    "surprisal": surprisal,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_model_that_writes_into_its_input_changes_neither_prompt_nor_result(as_readers_run_it, read):
    ids = torch.tensor([[0, 1, 2], [4, 0, 1]])
    found = read(Scribbler(), ids)
    assert ids.tolist() == [[0, 1, 2], [4, 0, 1]]
    assert found.equal(read(Model(), ids))


ODD = [0, -1, 5.0, math.nan, "5", [5], True, torch.tensor(5)]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("name", ["vocab_size", "context_length"])
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_model_that_tells_an_odd_size_is_refused_by_name(as_readers_run_it, read, name, value):
    with pytest.raises((TypeError, ValueError), match=f"Model.{name} must be"):
        read(Model(**{name: value}), torch.tensor([[0, 1, 2]]))


@pytest.mark.parametrize("value", [-1, 1.5, "2"], ids=repr)
def test_an_odd_markov_order_is_refused_by_name(as_readers_run_it, value):
    with pytest.raises((TypeError, ValueError), match=r"Model.markov_order must be"):
        perplexity(Model(markov_order=value), torch.tensor([[0, 1, 2]]))


@pytest.mark.parametrize("value", [None, 5.0, -1, "4", True], ids=repr)
def test_an_odd_mask_token_is_refused_by_name(as_readers_run_it, value):
    model = Model(predicts="same", mask_token_id=value)
    with pytest.raises((TypeError, ValueError), match="mask_token_id must be"):
        pseudo_perplexity(model, torch.tensor([[0, 1, 2]]))


class Hidden(Model):
    def __init__(self, change):
        super().__init__(change=change)

    def hidden_states(self, ids, **keywords):
        return self.change(TABLE[ids])

    def unembed(self, states):
        return states


@pytest.mark.parametrize(
    "change", [lambda x: (x,), lambda x: x[:, -1], lambda x: x[:, :-1], lambda x: None], ids=range(4)
)
def test_hidden_states_of_another_shape_are_refused(as_readers_run_it, change):
    for decode in (greedy_decode, partial(contrastive_search, k=3, alpha=0.6)):
        with pytest.raises(TypeError, match=r"hidden_states must return \(B, T, D\) for ids \(1, 3\)"):
            decode(Hidden(change), torch.tensor([[0, 1, 2]]), max_length=2)


def test_a_candidate_whose_state_is_nan_is_not_chosen(as_readers_run_it):
    def spoil(states):
        return states.masked_fill(states == TABLE[2], math.nan) if states.shape[1] == 4 else states

    with pytest.raises(ValueError, match="hidden states that are NaN"):
        contrastive_search(Hidden(spoil), torch.tensor([[0, 1, 2]]), 5, 0.6, 1)


def test_prompts_from_an_iterator_are_padded_as_a_list_is(as_readers_run_it):
    for found, wanted in zip(left_pad(iter([[1], [2, 3]])), left_pad([[1], [2, 3]]), strict=True):
        assert found.equal(wanted)


def test_an_end_token_beyond_int64_is_refused(as_readers_run_it):
    for decode in (greedy_decode, partial(beam_search, num_beams=2)):
        with pytest.raises(ValueError, match="eos_token_id must be at most 9,223,372,036,854,775,807"):
            decode(lambda ids: TABLE[ids], torch.tensor([[0]]), max_length=2, eos_token_id=10**30)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_hottest_temperature_leaves_the_impossible_impossible(as_readers_run_it, dtype):
    logits = torch.tensor([[1.0, 10.0, -math.inf, -3.0]], dtype=dtype)
    for tau in (1e39, 1e300, 1.7e308):
        hot = temperature(logits, tau)
        assert hot[0, 2] == -math.inf
        torch.testing.assert_close(hot[:, [0, 1, 3]].float().softmax(-1), torch.full((1, 3), 1 / 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("p", [5e-324, 1e-300, 1e-46])
def test_the_smallest_nucleus_is_the_best_token(as_readers_run_it, dtype, p):
    logits = torch.tensor([[1.0, 10.0, -math.inf, -3.0]], dtype=dtype)
    assert top_p(logits, p).isfinite().tolist() == [[False, True, False, False]]


def test_a_number_beyond_all_floats_is_refused(as_readers_run_it):
    for call in (
        lambda: temperature(TABLE, 10**400),
        lambda: presence_penalty(TABLE[:1], torch.tensor([[1]]), -(10**400)),
        lambda: beam_search(Model(), torch.tensor([[0]]), 2, 2, length_penalty=10**5000),
    ):
        with pytest.raises(ValueError, match="got an int of over 308 digits"):
            call()


def test_ngrams_longer_than_any_text_are_refused_at_once(as_readers_run_it):
    with pytest.raises(ValueError, match="n must be at most 100"):
        distinct_n([[1, 2, 3]], 10**12)


DECODERS = {
    "greedy": lambda model, ids, end: greedy_decode(model, ids, 3, eos_token_id=end),
    "sample": lambda model, ids, end: sample_decode(model, ids, (), 3, eos_token_id=end),
    "beam": lambda model, ids, end: beam_search(model, ids, 2, 3, eos_token_id=end),
    "speculative": lambda model, ids, end: speculative_decode(model, model, ids, 3, eos_token_id=end),
}


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
def test_an_end_token_that_the_logits_lack_is_refused(decode):
    model, ids = Bigram(torch.zeros(5, 5)), torch.tensor([[0, 1]])
    decode(model, ids, 4)
    for end in 5, 2**62:
        with pytest.raises(
            ValueError, match=f"eos_token_id must be below 5, the number of logits; got {end}"
        ):
            decode(model, ids, end)
