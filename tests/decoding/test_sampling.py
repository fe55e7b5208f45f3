"""Decoders against exact distributions: each random choice of the real loop is enumerated, not sampled."""

import inspect
import itertools
import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from table_models import (
    CachedTableModel,
    FunctionModel,
    PaddedTableModel,
    SizedFunctionModel,
    TableModel,
    every_outcome,
    sequence_log_prob,
)

from lmbook.decoding import TokenLogProbs, greedy_decode, nucleus_decode, sample_decode, top_k_decode
from lmbook.decoding import sampling as decoding
from lmbook.decoding.incremental import check_request, left_pad
from lmbook.filters import (
    compose,
    no_repeat_ngram,
    presence_penalty,
    repetition_penalty,
    temperature,
    top_k,
    top_p,
)
from lmbook.transformer import CausalLM

PROMPTS = torch.tensor([[0, 2, 1], [1, 1, 0], [2, 0, 0], [0, 0, 0], [1, 2, 2]])
ALONE = PROMPTS[:1]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def transformer(seed=0, **options):
    torch.manual_seed(seed)
    model = CausalLM(11, 16, 2, 2, context_length=31, **options)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(6.0 if weight.ndim > 1 else 1.0)  # far from uniform
    return model


class Uncached:
    """A model's logits and nothing else that it offers."""

    def __init__(self, model):
        self.model = model

    def __call__(self, input_ids):
        return self.model(input_ids)


def plain_greedy(model, row, count, eos=None):
    """One row by the definition: read everything, take the best, append."""
    row = list(row)
    for _ in range(count):
        row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
        if row[-1] == eos:
            break
    return row


# --- greedy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TableModel, CachedTableModel, PaddedTableModel])
def test_greedy_is_its_definition(kind):
    model = kind(7, seed=3)
    out = greedy_decode(model, PROMPTS, 6)
    assert out.tolist() == [plain_greedy(TableModel(7, seed=3), row, 6) for row in PROMPTS.tolist()]


def test_greedy_takes_the_lowest_of_equals():
    model = FunctionModel(lambda prefix: [0.1, 0.3, 0.3, 0.3])
    assert greedy_decode(model, torch.tensor([[0]]), 3).tolist() == [[0, 1, 1, 1]]


@pytest.mark.parametrize("decode", [greedy_decode, top_k_decode, nucleus_decode, sample_decode])
def test_shapes_and_defaults(decode):
    model = TableModel(5)
    out = decode(model, PROMPTS)
    assert out.shape == (5, 103)
    assert out.dtype == torch.int64
    assert torch.equal(out[:, :3], PROMPTS)
    again = decode(model, PROMPTS, max_length=0)
    assert torch.equal(again, PROMPTS)
    assert again.data_ptr() != PROMPTS.data_ptr()


def test_positions_of_arguments():
    model, rule = TableModel(7, seed=1), [partial(temperature, tau=0.5), partial(top_k, k=3)]
    expected = sample_decode(model, PROMPTS, rule, 4, generator=seeded())
    assert torch.equal(top_k_decode(model, PROMPTS, 3, 4, 0.5, generator=seeded()), expected)
    rule = [partial(temperature, tau=0.5), partial(top_p, p=0.6)]
    expected = sample_decode(model, PROMPTS, rule, 4, generator=seeded())
    assert torch.equal(nucleus_decode(model, PROMPTS, 0.6, 4, 0.5, generator=seeded()), expected)


def test_default_k_p_and_temperature(monkeypatch):
    seen, model = [], TableModel(3)
    monkeypatch.setattr(decoding, "sample_decode", lambda m, ids, steps, *a, **o: seen.append(steps) or ids)
    top_k_decode(model, PROMPTS)
    nucleus_decode(model, PROMPTS)
    expected = [{"tau": 1.0}, {"k": 50}, {"tau": 1.0}, {"p": 0.9}]
    assert [step.keywords for steps in seen for step in steps] == expected


# --- exact distributions -----------------------------------------------------------------------------------


def outcomes(monkeypatch, decode):
    """The exact distribution of `decode()`, one row, over all choices of its draws."""

    def run(choose):
        def draw(probs, generator):
            return torch.tensor([choose(probs[0].double().tolist())])

        monkeypatch.setattr(decoding, "draw", draw)
        return tuple(decode()[0].tolist())

    return every_outcome(run)


def reference(model, prompt, length, rule, eos=None):
    """The same by plain Python: `rule` maps probabilities and the tokens so far to probabilities."""
    total = {tuple(prompt): 1.0}
    for _ in range(length):
        grown = {}
        for prefix, weight in total.items():
            if eos is not None and prefix[-1] == eos and len(prefix) > len(prompt):
                grown[(*prefix, eos)] = weight
                continue
            probs = rule(model(torch.tensor([prefix]))[0, -1].double().softmax(-1).tolist(), prefix)
            grown |= {(*prefix, v): weight * p for v, p in enumerate(probs) if p > 0}
        total = grown
    return total


def normalised(weights):
    return [w / sum(weights) for w in weights]


def k_best(probs, k, tau=1.0):
    best = sorted(range(len(probs)), key=lambda i: (-probs[i], i))[:k]
    return normalised([p ** (1 / tau) if i in best else 0.0 for i, p in enumerate(probs)])


def nucleus(probs, p, tau=1.0):
    probs = normalised([q ** (1 / tau) for q in probs])
    kept, mass = set(), 0.0
    for i in sorted(range(len(probs)), key=lambda i: (-probs[i], i)):
        if mass >= p:
            break
        kept.add(i)
        mass += probs[i]
    return normalised([q if i in kept else 0.0 for i, q in enumerate(probs)])


def no_bigram_twice(probs, prefix):
    seen = set(itertools.pairwise(prefix))
    kept = [0.0 if (prefix[-1], v) in seen else p for v, p in enumerate(probs)]
    return normalised(kept) if sum(kept) else probs


SAMPLERS = {
    "plain": (partial(sample_decode), lambda p, s: p),
    "hot": (partial(sample_decode, filters=[partial(temperature, tau=1.7)]), lambda p, s: k_best(p, 9, 1.7)),
    "top-k": (partial(top_k_decode, k=2, temperature=0.6), lambda p, s: k_best(p, 2, 0.6)),
    "nucleus": (partial(nucleus_decode, p=0.7, temperature=1.4), lambda p, s: nucleus(p, 0.7, 1.4)),
    "bigrams": (partial(sample_decode, filters=[partial(no_repeat_ngram, n=2)]), no_bigram_twice),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("eos", [None, 0, 1])
@pytest.mark.parametrize("kind", [TableModel, CachedTableModel])
def test_exact_distribution_of_every_sampler(monkeypatch, name, eos, kind):
    decode, rule = SAMPLERS[name]
    model = kind(3, seed=5, impossible=0.1)
    got = outcomes(monkeypatch, lambda: decode(model, ALONE, max_length=4, eos_token_id=eos))
    expected = reference(TableModel(3, seed=5, impossible=0.1), tuple(ALONE[0].tolist()), 4, rule, eos)
    assert got.keys() == expected.keys()
    for sequence, probability in expected.items():
        assert got[sequence] == pytest.approx(probability, abs=1e-6)
    assert sum(got.values()) == pytest.approx(1.0, abs=1e-5)


def test_draws_follow_the_probabilities_by_chi_square():
    n, model = 20_000, TableModel(3, seed=5, impossible=0.1)
    prompt = ALONE.expand(n, -1)
    out = sample_decode(model, prompt, max_length=3, generator=seeded(11))
    expected = reference(model, tuple(ALONE[0].tolist()), 3, lambda p, s: p)
    counts = dict.fromkeys(expected, 0)
    for row in out.tolist():
        counts[tuple(row)] += 1  # KeyError: an impossible sequence was drawn
    result = chisquare(list(counts.values()), [n * p / sum(expected.values()) for p in expected.values()])
    assert result.pvalue > 0.01


def test_temperature_zero_is_greedy_exactly():
    model = TableModel(7, seed=2)
    model.table[::2, 3] = model.table[::2].amax(1)  # many ties
    expected = greedy_decode(model, PROMPTS, 9)
    for k in (1, 4, 100):
        assert torch.equal(top_k_decode(model, PROMPTS, k, 9, 0), expected)
    for p in (0.1, 1.0):
        assert torch.equal(nucleus_decode(model, PROMPTS, p, 9, 0.0), expected)
    assert torch.equal(top_k_decode(model, PROMPTS, 1, 9, 2.5), expected)


# --- what the model offers changes nothing -----------------------------------------------------------------


@given(batch=st.integers(1, 4), length=st.integers(1, 7), count=st.integers(1, 9), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_cached_equals_uncached(batch, length, count, seed):
    plain, cached = TableModel(5, seed=seed), CachedTableModel(5, seed=seed)
    ids = torch.randint(5, (batch, length), generator=seeded(seed))
    assert torch.equal(greedy_decode(plain, ids, count), greedy_decode(cached, ids, count))
    one, two = (nucleus_decode(m, ids, 0.8, count, generator=seeded(seed)) for m in (plain, cached))
    assert torch.equal(one, two)


def test_cache_reads_each_token_once_and_no_cache_reads_all():
    cached, plain = CachedTableModel(5), TableModel(5)
    greedy_decode(cached, PROMPTS, 4)
    greedy_decode(plain, PROMPTS, 4)
    assert cached.calls == [(5, 3), (5, 1), (5, 1), (5, 1)]
    assert plain.calls == [(5, 3), (5, 4), (5, 5), (5, 6)]


def test_transformer_cached_equals_uncached():
    model, ids = transformer(), torch.randint(11, (3, 5), generator=seeded(1))
    assert torch.equal(greedy_decode(model, ids, 12), greedy_decode(Uncached(model), ids, 12))
    one = nucleus_decode(model, ids, 0.9, 12, generator=seeded(3))
    assert torch.equal(one, nucleus_decode(Uncached(model), ids, 0.9, 12, generator=seeded(3)))


def test_long_prompt_computes_the_last_logits_only():
    model, asked = transformer(), []
    inner = model.unembed
    model.unembed = lambda hidden: asked.append(hidden.shape[1]) or inner(hidden)
    greedy_decode(model, torch.randint(11, (2, 7), generator=seeded()), 3)
    assert asked == [1, 1, 1]


RAGGED = [[4, 1, 0, 2], [3], [2, 2, 1], [1, 0, 4], [0, 3]]


@pytest.mark.parametrize("make", [TableModel, CachedTableModel, PaddedTableModel])
def test_prompts_of_different_lengths_decode_as_alone(make):
    ids, mask = left_pad(RAGGED)
    model = make(5, seed=4)
    together = greedy_decode(model, ids, 6, padding_mask=mask)
    for i, prompt in enumerate(RAGGED):
        assert together[i, : 4 - len(prompt)].eq(0).all()
        alone = greedy_decode(model, torch.tensor([prompt]), 6)[0]
        assert together[i, 4 - len(prompt) :].tolist() == alone.tolist()


def test_transformer_left_padding_equals_alone():
    for model in (transformer(), Uncached(transformer())):
        ids, mask = left_pad(RAGGED)
        together = greedy_decode(model, ids, 15, padding_mask=mask)
        for i, prompt in enumerate(RAGGED):
            alone = greedy_decode(model, torch.tensor([prompt]), 15)[0]
            assert together[i, 4 - len(prompt) :].tolist() == alone.tolist()


@pytest.mark.parametrize("make", [TableModel, CachedTableModel, PaddedTableModel])
def test_padding_is_no_history_for_filters(make):
    """Padding is id 0; a filter that took it for a token would punish 0."""
    ids, mask = left_pad(RAGGED)
    model = make(5, seed=6)
    rule = [
        partial(repetition_penalty, penalty=5.0),
        partial(no_repeat_ngram, n=2),
        partial(temperature, tau=0),
    ]
    together = sample_decode(model, ids, rule, 6, padding_mask=mask)
    for i, prompt in enumerate(RAGGED):
        alone = sample_decode(model, torch.tensor([prompt]), rule, 6)[0]
        assert together[i, 4 - len(prompt) :].tolist() == alone.tolist()


def test_rows_of_equal_length_are_read_together():
    model = TableModel(5)
    ids, mask = left_pad(RAGGED)
    greedy_decode(model, ids, 1, padding_mask=mask)
    assert sorted(model.calls) == [(1, 1), (1, 2), (1, 4), (2, 3)]
    padded = PaddedTableModel(5)
    greedy_decode(padded, ids, 1, padding_mask=mask)
    assert padded.calls[0] == (5, 4)


def test_rows_do_not_influence_one_another():
    """With the same generator, a row's draws stay what they are when its neighbours change."""
    model = TableModel(5, seed=8)
    first = nucleus_decode(model, PROMPTS, 0.9, 7, generator=seeded(1))
    changed = PROMPTS.clone()
    changed[1:] = changed[1:].flip(0)
    second = nucleus_decode(model, changed, 0.9, 7, generator=seeded(1))
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1:], second[1:])


# --- end tokens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TableModel, CachedTableModel])
def test_rows_stop_at_eos_and_are_filled_with_it(kind):
    model = kind(5, seed=9)
    free = greedy_decode(model, PROMPTS, 12)
    out = greedy_decode(model, PROMPTS, 12, eos_token_id=3)
    for loose, row in zip(free[:, 3:].tolist(), out[:, 3:].tolist(), strict=True):
        stop = loose.index(3) if 3 in loose else 12
        assert row[:stop] == loose[:stop]
        assert row[stop:] == [3] * (12 - stop)


def test_decoding_ends_when_all_rows_have():
    model = FunctionModel(lambda prefix: [0.1, 0.9] if len(prefix) > 2 else [0.9, 0.1])
    calls = []
    out = greedy_decode(
        lambda ids: calls.append(ids.shape) or model(ids), torch.tensor([[0], [1]]), 50, eos_token_id=1
    )
    assert out[:, :4].tolist() == [[0, 0, 0, 1], [1, 0, 0, 1]]  # an end token in the prompt ends nothing
    assert out[:, 4:].eq(1).all()
    assert len(calls) == 3


def test_what_follows_an_end_token_does_not_matter():
    def probabilities(prefix):
        if 0 in prefix[1:]:
            return [math.nan] * 3
        return [0.8, 0.1, 0.1] if len(prefix) == 2 and prefix[0] == 1 else [0.1, 0.2, 0.7]

    model = FunctionModel(probabilities)
    prompt = torch.tensor([[1], [2]])
    assert greedy_decode(model, prompt, 4, eos_token_id=0).tolist() == [[1, 2, 0, 0, 0], [2, 2, 2, 2, 2]]
    out = top_k_decode(model, prompt, 1, 4, eos_token_id=0)
    assert out.tolist() == [[1, 2, 0, 0, 0], [2, 2, 2, 2, 2]]


# --- manners -----------------------------------------------------------------------------------------------


# --- log-probabilities, several texts a prompt --------------------------------------------------------------


@pytest.mark.parametrize("kind", [TableModel, CachedTableModel])
@pytest.mark.parametrize("eos", [None, 2])
def test_log_probs_are_those_of_the_model_token_by_token(kind, eos):
    told = TokenLogProbs()
    out = sample_decode(
        kind(3, seed=5, impossible=0.1), PROMPTS, (), 6, generator=seeded(1), eos_token_id=eos, log_probs=told
    )
    assert told.model.shape == told.drawn.shape == (5, 6)
    ends = 0
    for row, each in zip(out, told.model, strict=True):
        logp = TableModel(3, seed=5, impossible=0.1)(row[None])[0].double().log_softmax(-1)
        over = False
        for t in range(3, 9):
            expected = 0.0 if over else logp[t - 1, row[t]].item()
            assert each[t - 3].item() == pytest.approx(expected, abs=1e-6)
            over = over or int(row[t]) == eos
        ends += over
        total = sequence_log_prob(TableModel(3, seed=5, impossible=0.1), row, 3, eos)
        assert each.sum().item() == pytest.approx(total, abs=1e-5)
    assert (ends > 0) == (eos is not None)
    torch.testing.assert_close(told.drawn, told.model, rtol=0, atol=1e-6)  # no filter: the same


def test_log_probs_of_the_draw_are_those_after_the_filters():
    told, model = TokenLogProbs(), TableModel(7, seed=2)
    rule = [partial(temperature, tau=0.5), partial(top_k, k=3)]
    out = sample_decode(model, PROMPTS, rule, 5, generator=seeded(2), log_probs=told)
    logits = model(out)[:, 2:-1].double()
    after = top_k(temperature(logits, 0.5), 3).log_softmax(-1).gather(-1, out[:, 3:, None])[..., 0]
    torch.testing.assert_close(told.drawn, after, rtol=0, atol=1e-6)
    assert not torch.allclose(told.drawn, told.model, atol=1e-2)


def test_log_probs_of_greedy_decoding_and_of_no_tokens():
    told, model = TokenLogProbs(), CachedTableModel(7, seed=2)
    out = greedy_decode(model, PROMPTS, 4, log_probs=told)
    for row, total in zip(out, told.model.sum(1).tolist(), strict=True):
        assert total == pytest.approx(sequence_log_prob(TableModel(7, seed=2), row, 3), abs=1e-5)
    assert told.drawn.tolist() == [[0.0] * 4] * 5
    greedy_decode(model, PROMPTS, 0, log_probs=told)
    assert told.model.shape == (5, 0)


@pytest.mark.parametrize("make", [TableModel, PaddedTableModel])
def test_several_texts_of_a_prompt_are_those_of_a_repeated_prompt(make):
    model, (ids, mask) = make(5, seed=1), left_pad([[4, 1, 0], [3]])
    several = sample_decode(model, ids, (), 6, generator=seeded(), padding_mask=mask, num_return_sequences=3)
    ids, mask = left_pad([[4, 1, 0]] * 3 + [[3]] * 3)
    assert several.equal(sample_decode(model, ids, (), 6, generator=seeded(), padding_mask=mask))
    assert len(several.unique(dim=0)) > 2


def test_only_the_given_generator_is_drawn_from():
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    one = top_k_decode(TableModel(5), PROMPTS, 3, 9, generator=seeded(7))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one, top_k_decode(TableModel(5), PROMPTS, 3, 9, generator=seeded(7)))
    assert not torch.equal(one, top_k_decode(TableModel(5), PROMPTS, 3, 9, generator=seeded(8)))
    torch.manual_seed(5)
    one = top_k_decode(TableModel(5), PROMPTS, 3, 9)
    torch.manual_seed(5)
    assert torch.equal(one, top_k_decode(TableModel(5), PROMPTS, 3, 9))


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_left_as_found_and_dropout_off(training):
    model = transformer(dropout=0.5).train(training)
    model.blocks[0].train(not training)
    modes = [m.training for m in model.modules()]
    one = greedy_decode(model, PROMPTS, 5)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(one, greedy_decode(model.eval(), PROMPTS, 5))


def test_result_may_be_trained_on():
    model = transformer()
    out = greedy_decode(model, PROMPTS, 2)
    assert not out.is_inference()
    model(out).sum().backward()


def test_half_precision_is_sampled_in_float32(monkeypatch):
    model, seen = TableModel(5), []
    model.table = model.table.bfloat16()
    monkeypatch.setattr(
        decoding, "draw", lambda probs, g: seen.append(probs.dtype) or torch.zeros(1, dtype=torch.int64)
    )
    sample_decode(model, ALONE, max_length=1)
    model.table = model.table.double()
    sample_decode(model, ALONE, max_length=1)
    assert seen == [torch.float32, torch.float64]


@pytest.mark.parametrize("decode", [greedy_decode, top_k_decode, nucleus_decode])
def test_every_tensor_is_made_where_its_input_is(decode):
    """With `meta` as the default device, a tensor made without one is useless at once (section 8, item 3)."""
    ids, mask = left_pad(RAGGED)
    models = TableModel(5), CachedTableModel(5)
    with torch.device("meta"):
        for model in models:
            out = decode(model, ids, max_length=3, eos_token_id=1, padding_mask=mask)
            assert out.device == ids.device


def test_public_defaults():
    def defaults(function):
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    more = {"eos_token_id": None, "padding_mask": None}
    sampling = {"max_length": 100, "generator": None, **more}
    extras = {"stop": None, "log_probs": None}
    assert defaults(greedy_decode) == {"max_length": 100, **more, **extras}
    assert defaults(sample_decode) == {"filters": (), **sampling, "num_return_sequences": 1, **extras}
    assert defaults(top_k_decode) == {"k": 50, "temperature": 1.0, **sampling}
    assert defaults(nucleus_decode) == {"p": 0.9, "temperature": 1.0, **sampling}


# --- refusals ----------------------------------------------------------------------------------------------


class Small(TableModel):
    context_length = 8


def test_context_is_checked_with_both_numbers():
    greedy_decode(Small(3), PROMPTS, 5)
    with pytest.raises(
        ValueError, match="prompt plus max_length is 9 tokens long, the model's context_length is 8"
    ):
        greedy_decode(Small(3), PROMPTS, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_ids": PROMPTS[:, :0]}, r"input_ids must hold at least 1 row of 1 token\(s\), got"),
        ({"input_ids": PROMPTS + 1}, "input_ids must be at least 0 and below vocab_size 3, got 3"),
        ({"max_length": -1}, "max_length must be at least 0, got -1"),
        ({"eos_token_id": 3}, "eos_token_id must be below vocab_size 3, got 3"),
        ({"eos_token_id": -1}, "eos_token_id must be at least 0, got -1"),
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"temperature": -0.5}, r"temperature must be at least 0 and finite, got -0\.5"),
        (
            {"padding_mask": torch.ones(5, 3).bool()},
            "padding_mask must be True on the left .* at least 1 token",
        ),
        ({"padding_mask": torch.tensor([[False, True, False]] * 5)}, "padding_mask must be True on"),
    ],
)
def test_wrong_arguments_are_refused_before_the_model_is_called(options, message):
    model = TableModel(3)
    with pytest.raises(ValueError, match=message):
        top_k_decode(model, **{"input_ids": PROMPTS, **options})
    assert not model.calls


class Elsewhere(torch.Generator):
    """A generator that says it draws on a GPU."""

    device = torch.device("cuda")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_ids": [[0, 2, 1]]}, "input_ids must be a tensor of int64 ids, got list"),
        ({"max_length": 2.0}, "max_length must be an int, at least 0; got 2.0"),
        ({"k": "a"}, "k must be an int, at least 1; got 'a'"),
        ({"k": True}, "k must be an int, at least 1; got True"),
        ({"temperature": None}, "temperature must be a number, at least 0 and finite; got None"),
        ({"temperature": "hot"}, "temperature must be a number, at least 0 and finite; got 'hot'"),
        ({"temperature": True}, "temperature must be a number, at least 0 and finite; got True"),
        ({"generator": "a"}, "generator must be a torch.Generator or None, got 'a'"),
        ({"generator": 0}, "generator must be a torch.Generator or None, got 0"),
        ({"eos_token_id": "."}, "eos_token_id must be an int, at least 0; got '.'"),
        ({"padding_mask": [[False] * 3] * 5}, "padding_mask must be a tensor of bool, got list"),
    ],
)
def test_wrong_kinds_are_refused_before_the_model_is_called(as_readers_run_it, options, message):
    model = TableModel(3)
    with pytest.raises(TypeError, match=re.escape(message)):
        top_k_decode(model, **{"input_ids": PROMPTS, **options})
    assert not model.calls


def test_other_wrong_kinds_are_refused_before_the_model_is_called(as_readers_run_it):
    model = TableModel(3)
    with pytest.raises(ValueError, match="generator must be on cpu, as the ids are; got one on cuda"):
        nucleus_decode(model, PROMPTS, generator=Elsewhere())
    for bad, error in (("a", TypeError), (None, TypeError), (True, TypeError), (math.nan, ValueError)):
        with pytest.raises(error, match=f"p must be .* got {bad!r}"):
            nucleus_decode(model, PROMPTS, bad)
    with pytest.raises(TypeError, match=r"filters must be a list of functions of logits, got functools\.p"):
        sample_decode(model, PROMPTS, partial(top_k, k=2))
    with pytest.raises(TypeError, match=r"greedy_decode needs a language model, .* got 'gpt'"):
        greedy_decode("gpt", PROMPTS)
    assert not model.calls


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_return_sequences": 0}, ValueError, "num_return_sequences must be at least 1, got 0"),
        ({"num_return_sequences": 10**9}, ValueError, "num_return_sequences must be at most 100,000, got 1"),
        ({"stop": lambda new: True}, ValueError, "stop needs an eos_token_id, with which a stopped row"),
        ({"stop": "end"}, TypeError, "stop must be a function of a row's new tokens, got 'end'"),
        ({"log_probs": []}, TypeError, "log_probs must be TokenLogProbs or None, got []"),
    ],
)
def test_what_is_asked_for_besides_is_refused_before_the_model_is_called(
    as_readers_run_it, options, error, message
):
    model = TableModel(3)
    with pytest.raises(error, match=re.escape(message)):
        sample_decode(model, PROMPTS, **options)
    if "num_return_sequences" not in options:
        with pytest.raises(error, match=re.escape(message)):
            greedy_decode(model, PROMPTS, **options)
    assert not model.calls


def test_no_row_may_be_all_padding():
    mask = torch.zeros(5, 3).bool()
    mask[3] = True
    with pytest.raises(ValueError, match="leave it at least 1 token"):
        greedy_decode(TableModel(3), PROMPTS, 1, padding_mask=mask)


@pytest.mark.parametrize("mask", [torch.zeros(5, 2).bool(), torch.zeros(5, 3)])
def test_padding_mask_must_fit(mask):
    shape = re.escape(f"padding_mask must be (5, 3) torch.bool, got {tuple(mask.shape)} {mask.dtype}")
    with pytest.raises(ValueError, match=shape):
        check_request(TableModel(3), "greedy_decode", PROMPTS, 1, None, mask)


def test_filters_are_checked_first_even_if_the_vocabulary_is_unknown():
    calls = []
    with pytest.raises(ValueError, match="p must be above 0 and at most 1, got 2"):
        nucleus_decode(lambda ids: calls.append(ids), PROMPTS, 2)
    assert not calls
    with pytest.raises(ValueError, match="eos_token_id must be at least 0, got -2"):
        greedy_decode(lambda ids: calls.append(ids), PROMPTS, eos_token_id=-2)
    bias = torch.tensor([0.0, 0.0, 0.0, 0.0, 9e9])  # fits the model's V, which nobody but it knows
    model = FunctionModel(lambda prefix: [0.2] * 5)
    assert sample_decode(model, PROMPTS, [lambda logits: logits + bias], 2)[:, 3:].eq(4).all()


def test_a_model_of_the_same_place_is_refused():
    model = TableModel(3)
    model.predicts = "same"
    with pytest.raises(TypeError, match=r"greedy_decode needs a model .* TableModel .* pseudo_perplexity"):
        greedy_decode(model, PROMPTS)
    with pytest.raises(TypeError, match="sample_decode needs"):
        nucleus_decode(model, PROMPTS)


@pytest.mark.parametrize("decode", [greedy_decode, partial(top_k_decode, k=2), sample_decode])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.5, math.nan, 0.5], r"NaN logits, first at index \(1, 1\)"),
        ([0.0, 0.0, 0.0], r"the best logit must be finite, got -inf in row \(1,\)"),
        ([math.inf, 1.0, 1.0], r"the best logit must be finite, got inf in row \(1,\)"),
    ],
)
def test_bad_logits_are_refused_at_their_step(decode, bad, message):
    steps = []

    def probabilities(prefix):
        return bad if prefix[0] == 2 and len(prefix) == 3 else [0.2, 0.3, 0.5]

    inner = SizedFunctionModel(probabilities, 3)
    with pytest.raises(ValueError, match=message):
        decode(lambda ids: steps.append(ids.shape) or inner(ids), torch.tensor([[1], [2]]), max_length=9)
    assert len(steps) == 3


def test_a_filter_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="the best logit must be finite, got -inf"):
        sample_decode(TableModel(3), PROMPTS, [lambda logits: logits - math.inf], 2)


def test_impossible_tokens_are_welcome_and_never_chosen():
    model = FunctionModel(lambda prefix: [0.0, 1.0, 0.0])
    for decode in (greedy_decode, top_k_decode, nucleus_decode, sample_decode):
        assert decode(model, torch.tensor([[0]] * 7), max_length=3)[:, 1:].eq(1).all()


def test_filters_check_their_arguments_whatever_the_default_device():
    with torch.device("meta"):  # where tensors go that nobody places, and can't be compared
        rule = compose([partial(temperature, tau=2.0), partial(presence_penalty, penalty=1.0)])
        with pytest.raises(ValueError, match="temperature must be at least 0"):
            compose([partial(temperature, tau=-1.0)])
    got = rule(torch.tensor([[2.0, 4.0]]), torch.tensor([[1]]))
    assert got.tolist() == [[1.0, 1.0]]


def test_small_ints_of_numpy_do_not_overflow(as_readers_run_it):
    model, ids = CausalLM(11, 8, 2, 1, context_length=160).eval(), torch.zeros(1, 50, dtype=torch.int64)
    for eos in (None, 10):
        told = None if eos is None else np.int8(eos)
        expected = greedy_decode(model, ids, 100, eos_token_id=eos)
        assert greedy_decode(model, ids, np.int8(100), eos_token_id=told).equal(expected)
        drawn = [
            top_k_decode(model, ids, k, n, generator=torch.Generator().manual_seed(1))
            for k, n in ((5, 100), (np.int8(5), np.int8(100)))
        ]
        assert drawn[0].equal(drawn[1])
    with pytest.raises(ValueError, match="prompt plus max_length is 177 tokens long"):
        greedy_decode(model, ids, np.int8(127))
