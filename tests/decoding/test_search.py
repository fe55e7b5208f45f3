"""Searches against plain enumeration of all continuations, and against each other where they must agree."""

import inspect
import itertools
import math
import re
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from table_models import (
    CachedTableModel,
    FunctionModel,
    SizedFunctionModel,
    TableModel,
    sequence_log_prob,
)
from torch.nn.functional import cosine_similarity
from transformers import LlamaConfig, LlamaForCausalLM

from lmbook.decoding import beam_search, contrastive_search, exhaustive_search, greedy_decode, search
from lmbook.decoding.incremental import left_pad
from lmbook.decoding.search import _score
from lmbook.transformer import CausalLM

PROMPTS = torch.tensor([[0, 2, 1], [1, 1, 0], [2, 0, 0], [0, 0, 0], [1, 2, 2]])
RAGGED = [[4, 1, 0, 2], [3], [2, 2, 1]]


def transformer(seed=0, **options):
    torch.manual_seed(seed)
    model = CausalLM(11, 16, 2, 2, context_length=31, **options)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(6.0 if weight.ndim > 1 else 1.0)
    return model


def best_by_enumeration(model, prompt, length, eos=None, penalty=0.0, count=1):
    """(rank, log P, ids) of the best continuations: one sequence at a time, nothing past an end token."""
    found = []
    for tail in itertools.product(range(model.vocab_size), repeat=length):
        stop = tail.index(eos) + 1 if eos in tail else length
        if any(token != eos for token in tail[stop:]):
            continue
        ids = torch.cat((prompt, torch.tensor(tail)))
        logp = sequence_log_prob(model, ids, len(prompt), eos)
        if logp > -math.inf:
            found.append((logp / stop**penalty, logp, ids.tolist()))
    return sorted(found, reverse=True)[:count]


@pytest.mark.parametrize("eos", [None, 0, 2])
@pytest.mark.parametrize("penalty", [0, 0.7, 1.0, 2.5])
@pytest.mark.parametrize("seed", [1, 2])
def test_exhaustive_and_widest_beam_find_the_best_of_all(eos, penalty, seed):
    model = TableModel(3, seed=seed, impossible=0.1)
    options = {"eos_token_id": eos, "length_penalty": penalty}
    found, scores = exhaustive_search(model, PROMPTS, 4, **options)
    wide, wide_scores = beam_search(CachedTableModel(3, seed=seed, impossible=0.1), PROMPTS, 81, 4, **options)
    for i, prompt in enumerate(PROMPTS):
        ((_, logp, ids),) = best_by_enumeration(model, prompt, 4, eos, penalty)
        assert found[i].tolist() == wide[i].tolist() == ids
        assert scores[i].item() == pytest.approx(logp, abs=1e-5)
        assert wide_scores[i].item() == pytest.approx(logp, abs=1e-5)


def test_exhaustive_search_goes_through_more_than_one_chunk():
    model = TableModel(7, seed=3)
    found, scores = exhaustive_search(model, PROMPTS[:2], 5)  # 2,401 heads
    wide, wide_scores = beam_search(model, PROMPTS[:2], 7**5, 5)
    assert torch.equal(found, wide)
    torch.testing.assert_close(scores, wide_scores)
    assert max(shape[0] for shape in model.calls[:6]) == 1024


COUNTEREXAMPLE = {
    (0,): [0.34, 0.33, 0.33],
    (1,): [0.5, 0.5, 0.0],
    (0, 0): [1.0, 0.0, 0.0],
    (): [0.52, 0.48, 0.0],
}


def test_a_wider_beam_can_be_worse_than_greedy():
    """DESIGN.md section 8, item 9: greedy 0.1768, beam 2 0.0816, and the best of all."""
    model = SizedFunctionModel(lambda prefix: COUNTEREXAMPLE.get(prefix[1:], [0.34, 0.33, 0.33]), 3)
    prompt = torch.tensor([[0]])
    greedy = greedy_decode(model, prompt, 3)
    assert greedy.tolist() == [[0, 0, 0, 0]]
    assert math.exp(sequence_log_prob(model, greedy[0], 1)) == pytest.approx(0.1768, abs=1e-6)
    ids, scores = beam_search(model, prompt, 2, 3)
    assert ids[0, 1].item() == 1
    assert math.exp(scores.item()) == pytest.approx(0.0816, abs=1e-6)
    assert math.exp(exhaustive_search(model, prompt, 3)[1].item()) == pytest.approx(0.1768, abs=1e-6)
    assert beam_search(model, prompt, 3, 3)[0].tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("eos", [None, 1, 3])
def test_one_beam_is_greedy(eos):
    model = CachedTableModel(5, seed=6)
    model.table[::3, 2] = model.table[::3].amax(1)  # ties
    ids, scores = beam_search(model, PROMPTS, 1, 9, eos_token_id=eos)
    assert torch.equal(ids, greedy_decode(model, PROMPTS, 9, eos_token_id=eos))
    for row, score in zip(ids, scores, strict=True):
        assert score.item() == pytest.approx(sequence_log_prob(model, row, 3, eos), abs=1e-5)


def plain_beam(model, prompt, width, length, eos=None, penalty=0.0, count=1):
    """Beam search with lists of tuples: (log P, ids) of the best ones."""
    live, found = [(0.0, tuple(prompt))], []
    for n in range(1, length + 1):
        options = []
        for score, ids in live:
            logp = model(torch.tensor([ids]))[0, -1].double().log_softmax(-1).tolist()
            options += [(score + logp[v], (*ids, v)) for v in range(model.vocab_size) if logp[v] > -math.inf]
        options.sort(key=lambda option: -option[0])
        found += [(score / n**penalty, score, ids) for score, ids in options[:width] if ids[-1] == eos]
        live = [option for option in options if option[1][-1] != eos][:width]
    found += [(score / length**penalty, score, ids) for score, ids in live]
    found.sort(key=lambda each: -each[0])
    whole = length + len(prompt)
    return [(score, list(ids) + [eos] * (whole - len(ids))) for _, score, ids in found[:count]]


@pytest.mark.parametrize("width", [2, 3, 7])
@pytest.mark.parametrize("eos", [None, 1])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("kind", [TableModel, CachedTableModel])
def test_beam_search_is_its_definition(width, eos, penalty, kind):
    for seed, count in enumerate((1, 1, 2, width)):
        model = kind(5, seed=seed, impossible=0.2)
        options = {"length_penalty": penalty, "eos_token_id": eos, "num_return_sequences": count}
        ids, scores = beam_search(model, PROMPTS, width, 6, **options)
        for i, prompt in enumerate(PROMPTS.tolist()):
            plain = TableModel(5, seed=seed, impossible=0.2)
            expected = plain_beam(plain, prompt, width, 6, eos, penalty, count)
            found = ids[i * count : i * count + len(expected)]
            assert found.tolist() == [row for _, row in expected]
            given = scores[i * count : (i + 1) * count].tolist()
            assert given[: len(expected)] == pytest.approx([score for score, _ in expected], abs=1e-5)
            assert given[len(expected) :] == [-math.inf] * (count - len(expected))


@pytest.mark.parametrize("eos", [None, 1])
@pytest.mark.parametrize("penalty", [0, 1.5])
def test_the_widest_beam_ranks_all_continuations(eos, penalty):
    model = TableModel(3, seed=2, impossible=0.1)
    options = {"eos_token_id": eos, "length_penalty": penalty, "num_return_sequences": 81}
    ids, scores = beam_search(model, PROMPTS, 81, 4, **options)
    for i, prompt in enumerate(PROMPTS):
        expected = best_by_enumeration(model, prompt, 4, eos, penalty, count=81)
        assert 20 < len(expected) <= 81
        assert ids[81 * i : 81 * i + len(expected)].tolist() == [row for _, _, row in expected]
        logps = [logp for _, logp, _ in expected] + [-math.inf] * (81 - len(expected))
        assert scores[81 * i : 81 * (i + 1)].tolist() == pytest.approx(logps, abs=1e-5)


def test_where_fewer_are_found_the_rest_say_so():
    model = SizedFunctionModel(lambda prefix: [0.25, 0.75, 0.0], 3)
    ids, scores = beam_search(model, PROMPTS[:2], 4, 1, num_return_sequences=3)
    assert ids[:, 3].tolist() == [1, 0, 0] * 2
    assert scores.exp().tolist() == pytest.approx([0.75, 0.25, 0.0] * 2)


def test_n_best_equal_those_of_transformers():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    theirs = LlamaForCausalLM(LlamaConfig(vocab_size=13, initializer_range=1.0, **sizes, **ends)).eval()
    torch.nn.init.normal_(theirs.model.embed_tokens.weight[0].data)  # zeros, as padding: what follows is tied
    options = {"num_beams": 5, "num_return_sequences": 4, "length_penalty": 0.0, "do_sample": False}
    with torch.no_grad():
        expected = theirs.generate(
            PROMPTS,
            attention_mask=torch.ones_like(PROMPTS),
            max_new_tokens=6,
            output_scores=True,
            return_dict_in_generate=True,
            **options,
        )
    found, scores = beam_search(lambda ids: theirs(ids).logits, PROMPTS, 5, 6, num_return_sequences=4)
    assert found.equal(expected.sequences)
    torch.testing.assert_close(scores, expected.sequences_scores)


def test_length_penalty_favours_length():
    """After 0 the end costs 0.6 at once; going on costs 0.7 + 0.7 and is dearer in all, cheaper a token."""

    def probabilities(prefix):
        return [0.0, math.exp(-0.7), 1 - math.exp(-0.7)] if len(prefix) < 3 else [0.0, 0.0, 1.0]

    model = SizedFunctionModel(probabilities, 3)
    prompt = torch.tensor([[0]])
    for find in (
        lambda **o: beam_search(model, prompt, 4, 3, **o),
        lambda **o: exhaustive_search(model, prompt, 3, **o),
    ):
        short, score = find(eos_token_id=2)
        assert short.tolist() == [[0, 2, 2, 2]]
        assert score.item() == pytest.approx(math.log(1 - math.exp(-0.7)), abs=1e-6)
        long, score = find(eos_token_id=2, length_penalty=1)
        assert long.tolist() == [[0, 1, 1, 2]]
        assert score.item() == pytest.approx(-1.4, abs=1e-6)


def test_search_ends_when_nothing_can_overtake():
    model = CachedTableModel(3, seed=1)
    model.table[:] = torch.tensor([0.0, 0.0, 5.0])
    ids, _ = beam_search(model, PROMPTS[:1], 2, 50, eos_token_id=2)
    assert ids[0, 3:].eq(2).all()
    assert model.calls == [(1, 3)]
    model.calls.clear()
    beam_search(model, PROMPTS[:1], 2, 4, eos_token_id=2, length_penalty=1)
    assert len(model.calls) == 1


def test_all_beams_may_end_at_once():
    model = FunctionModel(lambda prefix: [0.0, 1.0] if len(prefix) == 2 else [1.0, 0.0])
    ids, scores = beam_search(model, torch.tensor([[0]]), 3, 9, eos_token_id=1)
    assert ids.tolist() == [[0, 0, *[1] * 8]]
    assert scores.item() == 0.0


def test_impossible_prefixes_are_never_preferred_nor_read_into():
    """Only one continuation is possible; past an impossible token the model has nothing but NaN."""

    def probabilities(prefix):
        if prefix != (0, 1, 2, 0)[: len(prefix)]:
            return [math.nan] * 3
        return [float(v == (1, 2, 0)[len(prefix) - 1]) for v in range(3)]

    model = SizedFunctionModel(probabilities, 3)
    for ids, scores in (
        beam_search(model, torch.tensor([[0]]), 9, 3),
        exhaustive_search(model, torch.tensor([[0]]), 3),
    ):
        assert ids.tolist() == [[0, 1, 2, 0]]
        assert scores.item() == 0.0


def test_exhaustive_search_ignores_what_follows_an_end_token():
    model = SizedFunctionModel(lambda p: [math.nan] * 3 if 2 in p else [0.1, 0.2, 0.7], 3)
    ids, scores = exhaustive_search(model, torch.tensor([[0]]), 3, eos_token_id=2)
    assert ids.tolist() == [[0, 2, 2, 2]]
    assert scores.item() == pytest.approx(math.log(0.7))


@pytest.mark.parametrize(
    "find", [lambda m, p: beam_search(m, p, 2, 3), lambda m, p: exhaustive_search(m, p, 3)]
)
def test_nan_where_the_prefix_is_possible_is_refused(find):
    model = SizedFunctionModel(lambda prefix: [math.nan] * 2 if prefix == (0, 0, 0) else [0.5, 0.5], 2)
    with pytest.raises(ValueError, match="NaN"):
        find(model, torch.tensor([[0]]))
    model = SizedFunctionModel(lambda prefix: [0.0] * 2 if prefix == (0, 0) else [0.5, 0.5], 2)
    with pytest.raises(ValueError, match="best logit must be finite, got -inf"):
        find(model, torch.tensor([[0]]))


def test_transformer_cached_equals_uncached_and_ragged_equals_alone():
    model = transformer()
    ids, mask = left_pad(RAGGED)
    together, scores = beam_search(model, ids, 3, 12, padding_mask=mask)
    assert together.shape == (3, 16)
    for i, prompt in enumerate(RAGGED):
        assert together[i, : 4 - len(prompt)].eq(0).all()
        alone, score = beam_search(lambda x: model(x), torch.tensor([prompt]), 3, 12)
        assert together[i, 4 - len(prompt) :].tolist() == alone[0].tolist()
        assert scores[i].item() == pytest.approx(score.item(), abs=1e-4)  # sums of 12 terms near 3
    exhausted, _ = exhaustive_search(model, ids, 2, padding_mask=mask)
    assert torch.equal(exhausted, beam_search(model, ids, 121, 2, padding_mask=mask)[0])


def test_defaults_shapes_modes_and_gradients():
    model = transformer(dropout=0.5).train()
    model.context_length = None
    ids, scores = beam_search(TableModel(3), PROMPTS)
    assert ids.shape == (5, 103)
    assert torch.equal(ids, beam_search(TableModel(3), PROMPTS, 4, 100, length_penalty=0.0)[0])
    assert torch.equal(ids[:, :3], PROMPTS)
    ids, scores = beam_search(model, PROMPTS, 2, 5)
    assert model.training
    assert not ids.is_inference()
    assert not scores.is_inference()
    for found, scores in (beam_search(model, PROMPTS, 2, 0), exhaustive_search(model, PROMPTS, 0)):
        assert torch.equal(found, PROMPTS)
        assert scores.tolist() == [0.0] * 5


def test_every_tensor_is_made_where_its_input_is():
    """With `meta` as the default device, a tensor made without one is useless at once (section 8, item 3)."""
    model = TableModel(3)
    with torch.device("meta"):
        for find in (beam_search, exhaustive_search):
            for length in (0, 3):
                ids, scores = find(model, PROMPTS, max_length=length, eos_token_id=1)
                assert ids.device == scores.device == PROMPTS.device


def test_public_defaults():
    def defaults(function):
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    more = {"eos_token_id": None, "padding_mask": None}
    beams = {"num_beams": 4, "max_length": 100, "length_penalty": 0.0, "num_return_sequences": 1}
    assert defaults(beam_search) == beams | more
    assert defaults(exhaustive_search) == {"length_penalty": 0.0, **more}
    assert defaults(contrastive_search) == {"k": 4, "alpha": 0.6, "max_length": 100, **more}


def test_of_equals_the_lowest_ids_win_and_in_a_beam_what_ended_first():
    fair = SizedFunctionModel(lambda prefix: [0.5, 0.5], 2)
    found, scores = exhaustive_search(fair, PROMPTS[3:4], 12)  # 2,048 heads, all alike: two chunks
    assert found[0, 3:].tolist() == [0] * 12
    assert scores.item() == pytest.approx(12 * math.log(0.5), abs=1e-5)
    # [2] and [1, 2] both have P = 1/4
    ends = SizedFunctionModel(lambda prefix: [0.0, 0.5, 0.5] if prefix[-1] == 1 else [0.25, 0.5, 0.25], 3)
    found, scores = beam_search(ends, PROMPTS[3:4], 3, 2, eos_token_id=2)
    assert found[0, 3:].tolist() == [2, 2]
    assert scores.item() == pytest.approx(math.log(0.25), abs=1e-5)


def test_one_new_token_can_be_searched_exhaustively():
    found, scores = exhaustive_search(TableModel(3, seed=1), PROMPTS[:2], 1)
    assert found.dtype == torch.int64
    assert torch.equal(found, greedy_decode(TableModel(3, seed=1), PROMPTS[:2], 1))
    assert scores.shape == (2,)


@pytest.mark.parametrize(
    "find", [lambda m, i: beam_search(m, i, 3, 4), lambda m, i: exhaustive_search(m, i, 4)]
)
def test_half_precision_logits_are_scored_in_single_precision(find):
    single = TableModel(3, seed=4)
    half_logits = lambda ids: single(ids).half()  # noqa: E731
    half_logits.vocab_size = 3
    ids, scores = find(half_logits, PROMPTS[:2])
    assert scores.dtype == torch.float32
    exact = [sequence_log_prob(lambda i: half_logits(i).double(), row, 3) for row in ids]
    torch.testing.assert_close(scores.double(), torch.tensor(exact, dtype=torch.float64), atol=1e-5, rtol=0)


def test_double_precision_scores_stay_double():
    model = TableModel(3)
    model.table = model.table.double()
    assert beam_search(model, PROMPTS, 2, 3)[1].dtype == torch.float64
    model.table = model.table.bfloat16()
    assert beam_search(model, PROMPTS, 2, 3)[1].dtype == torch.float32


# --- contrastive -------------------------------------------------------------------------------------------


class VectorModel(TableModel):
    """A table of hidden states, and an unembedding."""

    def __init__(self, vocab_size, width=5, **options):
        super().__init__(width, **options)
        self.vocab_size = vocab_size
        self.matrix = torch.randn(width, vocab_size, generator=torch.Generator().manual_seed(1))

    def hidden_states(self, input_ids):
        return TableModel.__call__(self, input_ids)

    def unembed(self, states):
        return states @ self.matrix

    def __call__(self, input_ids):
        return self.unembed(self.hidden_states(input_ids))


def plain_contrastive(model, ids, k, alpha, count, eos=None):
    """By the formula of Su et al. 2022, everything read again for each candidate."""
    ids = list(ids)
    for _ in range(count):
        probs = model(torch.tensor([ids]))[0, -1].softmax(-1)
        scores = {}
        for v in sorted(range(len(probs)), key=lambda v: -probs[v])[:k]:
            *before, new = model.hidden_states(torch.tensor([[*ids, v]]))[0]
            likeness = max(cosine_similarity(new, state, dim=0) for state in before)
            scores[v] = (1 - alpha) * probs[v] - alpha * likeness
        ids.append(max(scores, key=scores.get))
        if ids[-1] == eos:
            break
    return ids


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.6), (3, 0.6), (4, 0.3), (7, 1), (99, 0.9)])
@pytest.mark.parametrize("eos", [None, 1])
def test_contrastive_search_is_its_definition(k, alpha, eos):
    for model in (VectorModel(7, seed=3), transformer().eval()):
        out = contrastive_search(model, PROMPTS, k, alpha, 8, eos_token_id=eos)
        for row, prompt in zip(out.tolist(), PROMPTS.tolist(), strict=True):
            expected = plain_contrastive(model, prompt, k, alpha, 8, eos)
            assert row == expected + [eos] * (11 - len(expected))


def test_contrastive_search_without_penalty_is_greedy():
    model = transformer()
    ids, mask = left_pad(RAGGED)
    out = contrastive_search(model, ids, 3, 0, 9, padding_mask=mask)
    assert torch.equal(out, greedy_decode(model, ids, 9, padding_mask=mask))
    table = VectorModel(7)
    default = contrastive_search(table, PROMPTS[:1])
    assert default.shape == (1, 103)
    assert torch.equal(default, contrastive_search(table, PROMPTS[:1], 4, 0.6, 100))


def test_contrastive_search_never_takes_the_impossible():
    model = VectorModel(5)
    inner = model.unembed
    model.unembed = lambda states: inner(states).index_fill(-1, torch.tensor([0, 2, 3]), -math.inf)
    out = contrastive_search(model, PROMPTS, 5, 1.0, 20)
    assert out[:, 3:].unique().tolist() == [1, 4]
    model.unembed = lambda states: inner(states) * math.nan
    with pytest.raises(ValueError, match="NaN"):
        contrastive_search(model, PROMPTS)


# --- refusals ----------------------------------------------------------------------------------------------


class Counting(VectorModel):
    context_length = 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: beam_search(m, PROMPTS, 0, 3), "num_beams must be at least 1, got 0"),
        (
            lambda m: beam_search(m, PROMPTS, 2, 3, num_return_sequences=3),
            "num_return_sequences must be at most 2, got 3",
        ),
        (
            lambda m: beam_search(m, PROMPTS, 2, 3, num_return_sequences=0),
            "num_return_sequences must be at least 1, got 0",
        ),
        (
            lambda m: beam_search(m, PROMPTS, 2, 3, length_penalty=-0.5),
            r"length_penalty must be .* got -0\.5",
        ),
        (
            lambda m: beam_search(m, PROMPTS, 2, 3, length_penalty=math.inf),
            "length_penalty must be .* got inf",
        ),
        (lambda m: exhaustive_search(m, PROMPTS, 3, length_penalty=-1), "length_penalty must be .* got -1"),
        (lambda m: beam_search(m, PROMPTS, 2, 6), "9 tokens long, the model's context_length is 8"),
        (lambda m: exhaustive_search(m, PROMPTS, 6), "9 tokens long, the model's context_length is 8"),
        (
            lambda m: contrastive_search(m, PROMPTS, 2, 0.5, 6),
            "9 tokens long, the model's context_length is 8",
        ),
        (lambda m: contrastive_search(m, PROMPTS, 0, 0.5, 3), "k must be at least 1, got 0"),
        (
            lambda m: contrastive_search(m, PROMPTS, 2, 1.1, 3),
            r"alpha must be at least 0 and at most 1, got 1\.1",
        ),
        (
            lambda m: contrastive_search(m, PROMPTS, 2, -0.1, 3),
            r"alpha must be at least 0 and at most 1, got -0\.1",
        ),
        (
            lambda m: beam_search(m, PROMPTS + 5, 2, 3),
            "input_ids must be at least 0 and below vocab_size 7",
        ),
    ],
)
def test_refusals_before_any_work(call, message):
    model = Counting(7)
    with pytest.raises(ValueError, match=message):
        call(model)
    assert not model.calls


PENALTY = "length_penalty must be a number, at least 0 and finite; got"


@pytest.mark.parametrize("bad", ["a", None, True, [1.0]], ids=repr)
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, bad: beam_search(m, PROMPTS, bad), "num_beams must be an int, at least 1; got"),
        (lambda m, bad: beam_search(m, PROMPTS, length_penalty=bad), PENALTY),
        (lambda m, bad: exhaustive_search(m, PROMPTS, 2, length_penalty=bad), PENALTY),
        (lambda m, bad: exhaustive_search(m, PROMPTS, bad), "max_length must be an int, at least 0; got"),
        (lambda m, bad: contrastive_search(m, PROMPTS, bad), "k must be an int, at least 1; got"),
        (
            lambda m, bad: contrastive_search(m, PROMPTS, alpha=bad),
            "alpha must be a number, at least 0 and at most 1; got",
        ),
    ],
)
def test_wrong_kinds_are_refused_before_any_work(as_readers_run_it, call, message, bad):
    model = VectorModel(7)
    with pytest.raises(TypeError, match=re.escape(f"{message} {bad!r}")):
        call(model, bad)
    assert not model.calls


def test_nan_is_no_penalty_and_no_weight():
    with pytest.raises(ValueError, match="length_penalty must be at least 0 and finite, got nan"):
        beam_search(TableModel(3), PROMPTS, length_penalty=math.nan)
    with pytest.raises(ValueError, match="alpha must be at least 0 and at most 1, got nan"):
        contrastive_search(VectorModel(7), PROMPTS, alpha=math.nan)


def test_exhaustive_search_refuses_large_spaces_with_both_numbers(monkeypatch):
    model = TableModel(101)
    with pytest.raises(ValueError, match=r"at most 1000000 continuations, got 101 \*\* 3 = 1030301"):
        exhaustive_search(model, PROMPTS, 3)
    assert not model.calls
    monkeypatch.setattr(search, "EXHAUSTIVE_LIMIT", 27)
    exhaustive_search(TableModel(3), PROMPTS, 3)
    with pytest.raises(ValueError, match=r"at most 27 .* = 81"):
        exhaustive_search(TableModel(3), PROMPTS, 4)


def test_what_a_search_needs_of_a_model_is_said():
    model = FunctionModel(lambda prefix: [0.5, 0.5])
    with pytest.raises(
        TypeError, match="exhaustive_search needs a model with vocab_size; FunctionModel has none"
    ):
        exhaustive_search(model, torch.tensor([[0]]), 2)
    with pytest.raises(
        TypeError, match=r"contrastive_search needs .*'hidden_states', 'unembed'.* FunctionModel"
    ):
        contrastive_search(model, torch.tensor([[0]]))
    model.predicts = "same"
    for find in (beam_search, contrastive_search):
        with pytest.raises(TypeError, match=f"{find.__name__} needs a model whose row t predicts token t"):
            find(model, torch.tensor([[0]]))
    with pytest.raises(TypeError, match="exhaustive_search needs a model whose row t"):
        exhaustive_search(model, torch.tensor([[0]]), 2)


@pytest.mark.parametrize("seed", range(40))
def test_broken_logits_matter_after_a_possible_prefix_alone(seed):
    """Rows of NaN and impossible tokens at random: an error where a possible prefix meets NaN, else none."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 5, 3, generator=generator)
    logits[torch.rand(logits.shape, generator=generator) < 0.2] = -math.inf
    logits[..., 0] = 0.0
    logits[torch.rand(2, 5, generator=generator) < 0.15] = math.nan
    tokens = torch.randint(3, (2, 3, 5), generator=generator)
    logp, met = logits.log_softmax(-1), False
    for n, v in itertools.product(range(2), range(3)):
        for place, token in enumerate(tokens[n, v]):
            value = logp[n, place, token].item()
            met = met or math.isnan(value)
            if not math.isfinite(value):
                break
    with pytest.raises(ValueError, match="NaN") if met else nullcontext():
        _score(logits, tokens, None)


def test_small_ints_of_numpy_do_not_overflow(as_readers_run_it):
    model, ids = CausalLM(11, 8, 2, 1, context_length=160).eval(), torch.zeros(1, 120, dtype=torch.int64)
    ten, two = np.int8(10), np.int8(2)
    beam = beam_search(model, ids, 2, 10, length_penalty=7)
    for found, expected in [
        (beam_search(model, ids, two, ten, length_penalty=np.int8(7)), beam),
        (exhaustive_search(model, ids, two), exhaustive_search(model, ids, 2)),
    ]:
        assert found[0].equal(expected[0])
        assert found[1].equal(expected[1])
    assert contrastive_search(model, ids, two, 0.5, ten).equal(contrastive_search(model, ids, 2, 0.5, 10))
    model.vocab_size = np.int8(11)
    with pytest.raises(ValueError, match=r"got 11 \*\* 10 = 25937424601 continuations"):
        exhaustive_search(model, ids, 10)
    assert exhaustive_search(model, ids, 2)[0].equal(exhaustive_search(model, ids, two)[0])
