"""Speculative decoding: every path through its random choices is taken, and their weights summed."""

import inspect
import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from table_models import CachedTableModel, FunctionModel, SizedFunctionModel, TableModel, every_outcome

from lmbook.decoding import (
    SpeculationStats,
    acceptance,
    greedy_decode,
    residual,
    sample_decode,
    speculative,
    speculative_decode,
)
from lmbook.decoding import sampling as decoding
from lmbook.decoding.incremental import left_pad
from lmbook.decoding.speculative import toss
from lmbook.filters import no_repeat_ngram, temperature, top_k
from lmbook.transformer import CausalLM

PROMPT = torch.tensor([[0, 2, 1]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def outcomes(monkeypatch, decode):
    """The exact distribution of `decode()`, one row, over its draws and its tosses of acceptance."""

    def run(choose):
        def draw(probs, generator):
            return torch.tensor([choose(probs[0].double().tolist())])

        def scripted_toss(probability, generator):
            return choose([float(probability), 1 - float(probability)]) == 0

        monkeypatch.setattr(decoding, "draw", draw)
        monkeypatch.setattr(speculative, "draw", draw)
        monkeypatch.setattr(speculative, "toss", scripted_toss)
        return tuple(decode()[0].tolist())

    return every_outcome(run)


CASES = {
    "plain": {},
    "hot": {"temperature": 1.7},
    "filtered": {"filters": (partial(top_k, k=2),)},
    "history": {"filters": (partial(no_repeat_ngram, n=2),), "temperature": 0.8},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("kind", "num_draft"), [(TableModel, 1), (CachedTableModel, 4)])
@pytest.mark.parametrize("eos", [None, 2])
def test_target_distribution_is_unchanged_exactly(monkeypatch, case, num_draft, eos, kind):
    options = CASES[case]
    target, draft = kind(3, seed=1, impossible=0.15), kind(3, seed=2, impossible=0.15)
    rule = [partial(temperature, tau=options.get("temperature", 1.0)), *options.get("filters", ())]

    def speculate():
        return speculative_decode(target, draft, PROMPT, 3, num_draft=num_draft, eos_token_id=eos, **options)

    got = outcomes(monkeypatch, speculate)
    expected = outcomes(monkeypatch, lambda: sample_decode(target, PROMPT, rule, 3, eos_token_id=eos))
    for sequence in got.keys() | expected.keys():
        assert got.get(sequence, 0.0) == pytest.approx(expected.get(sequence, 0.0), abs=2e-6)


def test_a_draft_that_is_the_target_is_always_accepted():
    stats = SpeculationStats()
    model = TableModel(5)
    speculative_decode(model, TableModel(5), PROMPT, 20, generator=seeded(), stats=stats)
    assert stats == SpeculationStats(rounds=4, proposed=16, accepted=16, refused=0, emitted=20)
    assert stats.acceptance_rate == 1.0
    assert stats.tokens_per_round == 5.0


def test_stats_count_what_happens():
    """Draft sure of token 1, target sure of token 0: each round proposes, refuses the first, emits one."""
    target, draft = FunctionModel(lambda p: [1.0, 0.0]), FunctionModel(lambda p: [0.0, 1.0])
    stats = SpeculationStats()
    out = speculative_decode(target, draft, torch.tensor([[1], [0]]), 5, num_draft=3, stats=stats)
    assert out[:, 1:].eq(0).all()
    # proposals a row: 3, 3, 2, 1, 0, as the last token is always the target's own
    assert stats == SpeculationStats(rounds=10, proposed=18, accepted=0, refused=8, emitted=10)
    assert stats.acceptance_rate == 0.0
    assert stats.tokens_per_round == 1.0
    assert math.isnan(SpeculationStats().acceptance_rate)
    assert math.isnan(SpeculationStats().tokens_per_round)


def test_acceptance_rate_is_the_overlap_of_the_distributions():
    p, q = [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]
    stats, prompt = SpeculationStats(), torch.zeros(5, 1, dtype=torch.int64)
    target, draft = FunctionModel(lambda prefix: p), FunctionModel(lambda prefix: q)
    speculative_decode(target, draft, prompt, 60, generator=seeded(3), stats=stats)
    overlap = sum(min(a, b) for a, b in zip(p, q, strict=True))
    deviation = math.sqrt(overlap * (1 - overlap) / (stats.accepted + stats.refused))
    assert stats.acceptance_rate == pytest.approx(overlap, abs=3 * deviation)
    assert stats.emitted == 300


def test_acceptance_and_residual_by_hand():
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.2, 0.3, 0.4, 0.1])
    torch.testing.assert_close(acceptance(p, q), torch.tensor([1.0, 1.0, 0.5, 0.0]))
    torch.testing.assert_close(residual(p, q), torch.tensor([1.0, 0.0, 0.0, 0.0]))
    torch.testing.assert_close(residual(p, p), p)
    assert acceptance(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])).tolist() == [1.0, 1.0]
    both = residual(torch.stack((p, q)), torch.stack((q, p)))
    torch.testing.assert_close(both[1], torch.tensor([0.0, 0.0, 2 / 3, 1 / 3]))


def test_toss():
    assert all(toss(torch.tensor(1.0), seeded(i)) for i in range(50))
    assert not any(toss(torch.tensor(0.0), seeded(i)) for i in range(50))
    generator = seeded(1)
    heads = sum(toss(torch.tensor(0.3), generator) for _ in range(4000))
    assert heads / 4000 == pytest.approx(0.3, abs=3 * math.sqrt(0.3 * 0.7 / 4000))


def test_toss_is_strict_and_as_precise_as_its_probability(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "rand", lambda *a, **options: asked.append(options) or torch.tensor(0.0))
    assert not toss(torch.tensor(0.0, dtype=torch.float64), None)
    assert asked == [{"generator": None, "device": torch.device("cpu"), "dtype": torch.float64}]


def test_every_tensor_is_made_where_its_input_is():
    target, draft = TableModel(5, seed=1), TableModel(5, seed=2)
    with torch.device("meta"):
        out = speculative_decode(target, draft, PROMPT, 9, eos_token_id=4)
    assert out.device == PROMPT.device


@pytest.mark.parametrize("num_draft", [1, 3, 8])
def test_temperature_zero_is_the_targets_greedy(num_draft):
    torch.manual_seed(0)
    target, draft = (CausalLM(11, 16, 2, layers, context_length=40) for layers in (2, 1))
    for model in (target, draft):
        for weight in model.parameters():
            weight.data.mul_(6.0 if weight.ndim > 1 else 1.0)
    ids, mask = left_pad([[1, 2, 3], [4], [9, 8]])
    expected = greedy_decode(target, ids, 25, padding_mask=mask, eos_token_id=5)
    out = speculative_decode(
        target, draft, ids, 25, num_draft=num_draft, temperature=0, padding_mask=mask, eos_token_id=5
    )
    assert torch.equal(out, expected)
    assert not out.is_inference()


def test_caches_read_what_is_new_and_forget_what_was_refused():
    target, draft = CachedTableModel(5, seed=1), CachedTableModel(5, seed=1)
    speculative_decode(target, draft, PROMPT, 10, num_draft=4, temperature=0)
    assert target.calls == [(1, 7), (1, 5)]  # prompt and 4 proposals; its own token and 4 proposals
    assert draft.calls == [(1, 3), (1, 1), (1, 1), (1, 1), (1, 2), (1, 1), (1, 1), (1, 1)]


@pytest.mark.parametrize("kind", [TableModel, CachedTableModel])
def test_row_ends_at_eos_wherever_it_comes_from(kind):
    model = kind(5, seed=9)
    for eos in range(5):
        for seed in (9, 10):  # proposals that are all accepted, and others
            expected = greedy_decode(model, PROMPT, 12, eos_token_id=eos)
            out = speculative_decode(model, kind(5, seed=seed), PROMPT, 12, temperature=0, eos_token_id=eos)
            assert torch.equal(out, expected)


def test_what_follows_an_end_token_is_neither_read_nor_counted():
    def probabilities(prefix):
        return [math.nan] * 3 if 0 in prefix else [0.5, 0.25, 0.25]

    model, stats = FunctionModel(probabilities), SpeculationStats()
    prompt = torch.ones(8, 2, dtype=torch.int64)
    out = speculative_decode(model, model, prompt, 9, generator=seeded(), eos_token_id=0, stats=stats)
    for row in out[:, 2:].tolist():
        length = row.index(0) if 0 in row else 9
        assert 0 not in row[:length]
        assert not any(row[length:])
    assert stats.emitted == sum(row.index(0) + 1 if 0 in row else 9 for row in out[:, 2:].tolist())


def test_an_end_token_in_the_prompt_ends_nothing():
    model = FunctionModel(lambda prefix: [0.0, 1.0])
    out = speculative_decode(model, model, torch.tensor([[0]]), 3, eos_token_id=0)
    assert out.tolist() == [[0, 1, 1, 1]]
    assert speculative_decode(model, model, PROMPT[:, :1], 0).tolist() == [[0]]


def test_only_the_given_generator_is_drawn_from():
    before = torch.random.get_rng_state()
    models = TableModel(5, seed=1), TableModel(5, seed=2)
    out = [speculative_decode(*models, PROMPT, 20, generator=seeded(i)) for i in (7, 7, 8)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(out[0], out[1])
    assert not torch.equal(out[0], out[2])


def test_default_length():
    assert speculative_decode(TableModel(5), TableModel(5), PROMPT).shape == (1, 103)


def test_modes_are_left_as_found():
    torch.manual_seed(0)
    target, draft = CausalLM(5, 8, 2, 1, dropout=0.5), CausalLM(5, 8, 2, 1).eval()
    expected = greedy_decode(target, PROMPT, 9)
    assert torch.equal(speculative_decode(target, draft, PROMPT, 9, temperature=0), expected)
    assert target.training
    assert not draft.training


class Small(TableModel):
    context_length = 8


@pytest.mark.parametrize(
    ("target", "draft", "options", "message"),
    [
        (TableModel(3), TableModel(4), {}, "target and draft must have the same vocab_size, got 3 and 4"),
        (TableModel(3), TableModel(3), {"num_draft": 0}, "num_draft must be at least 1, got 0"),
        (TableModel(3), TableModel(3), {"temperature": -1}, "temperature must be at least 0 .* got -1"),
        (TableModel(3), TableModel(3), {"filters": [partial(top_k, k=0)]}, "k must be at least 1, got 0"),
        (Small(3), TableModel(3), {"max_length": 6}, "9 tokens long, the model's context_length is 8"),
        (TableModel(3), Small(3), {"max_length": 6}, "9 tokens long, the model's context_length is 8"),
        (TableModel(3), TableModel(3), {"eos_token_id": 3}, "eos_token_id must be .* got 3"),
    ],
)
def test_refusals_before_any_work(target, draft, options, message):
    with pytest.raises(ValueError, match=message):
        speculative_decode(target, draft, PROMPT, **options)
    assert not target.calls
    assert not draft.calls


class Elsewhere(torch.Generator):
    """A generator that says it draws on a GPU."""

    device = torch.device("cuda")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_draft": "a"}, TypeError, "num_draft must be an int, at least 1; got 'a'"),
        ({"temperature": None}, TypeError, "temperature must be a number, at least 0 and finite; got None"),
        ({"temperature": math.nan}, ValueError, "temperature must be at least 0 and finite, got nan"),
        ({"filters": top_k}, TypeError, "filters must be a list of functions of logits, got <function top_k"),
        ({"generator": "a"}, TypeError, "generator must be a torch.Generator or None, got 'a'"),
        ({"generator": Elsewhere()}, ValueError, "generator must be on cpu, as the ids are; got one on cuda"),
        ({"stats": {}}, TypeError, "stats must be SpeculationStats or None, got {}"),
        ({"draft": None}, TypeError, "speculative_decode needs a language model, a callable"),
    ],
)
def test_wrong_kinds_are_refused_before_any_work(as_readers_run_it, options, error, message):
    models = {"target": TableModel(3), "draft": TableModel(3)}
    with pytest.raises(error, match=re.escape(message)):
        speculative_decode(**models | {"input_ids": PROMPT} | options)
    assert not models["target"].calls
    assert not models["draft"].calls


def test_nan_of_either_model_is_refused():
    good = SizedFunctionModel(lambda prefix: [0.5, 0.5], 2)
    bad = FunctionModel(lambda prefix: [math.nan, 0.5])
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="NaN"):
            speculative_decode(*pair, torch.tensor([[0]]), 3)


def test_four_tokens_are_drafted_unless_told_otherwise():
    assert inspect.signature(speculative_decode).parameters["num_draft"].default == 4


def test_small_ints_of_numpy_do_not_overflow(as_readers_run_it):
    model, ids = CausalLM(11, 8, 2, 1, context_length=160).eval(), torch.zeros(1, 120, dtype=torch.int64)
    new, drafted = np.int8(30), np.int8(4)
    decoded = speculative_decode(model, model, ids, new, num_draft=drafted, temperature=0)
    assert decoded.equal(greedy_decode(model, ids, 30))
