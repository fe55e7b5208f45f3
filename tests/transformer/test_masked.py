"""The masked model: what is masked how often, what is refused, what the trunk sees."""

import inspect
import re
from dataclasses import fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from masked_models import close, generator, small
from scipy.stats import binomtest, chisquare

from lmbook.interface import check_causal
from lmbook.transformer import CausalLM, MaskedLM, TransformerConfig, masked


def test_eighty_ten_ten():
    """Chi-square over hidden, replaced, kept and left alone; a token drawn at random can be the old one."""
    model = small(special_token_ids=(0, 7, 22))
    ids = torch.randint(23, (1499, 211), generator=generator(1))
    masked, mask = model.create_masked_input(ids, generator=generator(2))
    special = (ids == 0) | (ids == 7) | (ids == 22)
    assert not mask[special].any()
    assert torch.equal(masked[~mask], ids[~mask])
    n, m = int((~special).sum()), int(mask.sum())
    assert binomtest(m, n, 0.15).pvalue > 0.01
    hidden = int((masked == 23).sum())
    same = int((masked[mask] == ids[mask]).sum())
    expected = torch.tensor([0.8, 0.1 * 19 / 20, 0.1 + 0.1 / 20], dtype=torch.float64) * m
    assert chisquare([hidden, m - hidden - same, same], expected.numpy()).pvalue > 0.01
    changed = masked[mask & (masked != ids) & (masked != 23)]
    counts = torch.bincount(changed, minlength=23)
    assert counts[[0, 7, 22]].sum() == 0
    ordinary = [i for i in range(23) if i not in (0, 7, 22)]
    assert chisquare(counts[ordinary].numpy()).pvalue > 0.01


def test_random_tokens_are_uniform_over_the_ordinary_vocabulary_whatever_stood_there():
    model = small(special_token_ids=(3, 4, 11), mask_prob=1.0, split=(0.0, 1.0, 0.0))
    ids = torch.full((101, 199), 5)
    masked, mask = model.create_masked_input(ids, generator=generator())
    assert mask.all()
    counts = torch.bincount(masked.flatten(), minlength=23)
    assert counts[[3, 4, 11]].sum() == 0
    assert chisquare(counts[[i for i in range(23) if i not in (3, 4, 11)]].numpy()).pvalue > 0.01


@pytest.mark.parametrize("split", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.25, 0.25)])
def test_other_splits(split):
    model = small(mask_prob=0.6, split=split)
    ids = torch.randint(23, (199, 101), generator=generator(1))
    masked, mask = model.create_masked_input(ids, generator=generator(2))
    m = int(mask.sum())
    assert binomtest(m, ids.numel(), 0.6).pvalue > 0.01
    hidden = int((masked == 23).sum())
    assert hidden == split[0] * m or binomtest(hidden, m, split[0]).pvalue > 0.01
    changed = int(((masked != 23) & (masked != ids)).sum())
    assert changed == split[1] * m or binomtest(changed, m, split[1] * 22 / 23).pvalue > 0.01


@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_none_and_all(prob):
    ids = torch.randint(23, (3, 7))
    masked, mask = small(mask_prob=prob, split=(1.0, 0.0, 0.0)).create_masked_input(ids)
    assert mask.float().mean() == prob
    assert torch.equal(masked, ids if prob == 0 else torch.full_like(ids, 23))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 31), st.sampled_from([None, 4]))
def test_masking_is_pure_reproducible_and_touches_only_the_mask(seed, rows, length, mask_id):
    model = small(mask_token_id=mask_id, special_token_ids=(0, 1), mask_prob=0.5)
    ids = torch.randint(23, (rows, length), generator=generator(seed))
    copy, state = ids.clone(), torch.get_rng_state()
    masked, mask = model.create_masked_input(ids, generator=generator(seed))
    again = model.create_masked_input(ids, generator=generator(seed))
    assert torch.equal(ids, copy)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(masked, again[0])
    assert torch.equal(mask, again[1])
    assert torch.equal(masked[~mask], ids[~mask])
    specials = {0, 1} | ({mask_id} - {None})
    assert not any(int(token) in specials for token in ids[mask])
    assert not any(int(token) in {0, 1} for token in masked[mask])
    assert masked.max() <= 23 - (mask_id is not None)


def test_default_generator_is_used_where_none_is_given():
    ids = torch.randint(23, (5, 31))
    model = small()
    torch.manual_seed(3)
    first = model.create_masked_input(ids)
    torch.manual_seed(3)
    assert torch.equal(first[0], model.create_masked_input(ids)[0])


def test_masks_are_drawn_where_the_generator_is_and_end_where_the_ids_are(monkeypatch):
    """Section 8, item 3; shown on `meta`, where ids hold no numbers that could be checked."""
    monkeypatch.setattr(masked, "check_ids", lambda *args, **options: None)
    model = small(special_token_ids=(0,)).to("meta")
    ids = torch.zeros(3, 7, dtype=torch.int64, device="meta")
    for draws in (None, generator()):
        hidden, mask = model.create_masked_input(ids, generator=draws)
        assert hidden.device == mask.device == ids.device
    with torch.device("meta"):
        ids = torch.randint(23, (3, 7), device="cpu")
        for draws in (None, generator()):
            assert small().create_masked_input(ids, generator=draws)[0].device == ids.device


def test_padding_and_masks_already_there_are_left_alone():
    model = small(mask_prob=1.0, split=(1.0, 0.0, 0.0))
    ids = torch.tensor([[1, 2, 23, 3, 0, 0]])
    masked, mask = model.create_masked_input(ids, padding_mask=torch.tensor([[0, 0, 0, 0, 1, 1]]) == 1)
    assert masked.tolist() == [[23, 23, 23, 23, 0, 0]]
    assert mask.tolist() == [[True, True, False, True, False, False]]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_pieces_of_a_word_share_one_fate(seed):
    model = small(mask_prob=0.5)
    ids = torch.randint(23, (5, 31), generator=generator(seed))
    starts = torch.rand(5, 31, generator=generator(seed)) < 0.4
    word_ids = starts.cumsum(1) - 1  # −1 before the first start
    masked, mask = model.create_masked_input(ids, generator=generator(seed), word_ids=word_ids)
    assert not mask[word_ids < 0].any()
    for row in range(5):
        for word in range(int(word_ids[row].max()) + 1):
            pieces = word_ids[row] == word
            assert mask[row, pieces].unique().numel() == 1
            assert (masked[row, pieces] == 23).unique().numel() == 1


def test_whole_words_are_chosen_as_often_as_mask_prob():
    model = small()
    word_ids = torch.arange(210).expand(199, 210) // 3
    _, mask = model.create_masked_input(
        torch.zeros(199, 210).long(), generator=generator(), word_ids=word_ids
    )
    assert binomtest(int(mask[:, ::3].sum()), 199 * 70, 0.15).pvalue > 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_prob": 1.1}, r"mask_prob must be at least 0 and at most 1, got 1\.1"),
        ({"mask_prob": -0.1}, r"got -0\.1"),
        ({"mask_token_id": 23}, "a special id must be at most 22, got 23"),
        ({"special_token_ids": (-1,)}, "a special id must be at least 0, got -1"),
        ({"special_token_ids": tuple(range(23))}, "all 23 ids are special"),
        ({"split": (0.8, 0.1, 0.2)}, "sum to 1"),
        ({"split": (1.2, -0.2, 0.0)}, "at least 0"),
        ({"split": (0.5, 0.5, float("nan"))}, "at most 1, got nan"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MaskedLM(23, 42, 3, 2, **options)


def test_bad_masking_arguments_are_refused():
    model, ids = small(), torch.zeros(1, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="got 24"):
        model.create_masked_input(ids + 24)
    with pytest.raises(ValueError, match="word_ids must be from -1 to 2, got 3"):
        model.create_masked_input(ids, word_ids=ids + 3)
    with pytest.raises(ValueError, match="word_ids must be from -1 to 2, got -2"):
        model.create_masked_input(ids, word_ids=ids - 2)


WORD_SHAPES = [(1, 7), (2, 7), (13, 1), (1, 1), (7,), (13, 6), (13, 8), (12, 7), (14, 7)]
PADDING_SHAPES = [(1, 7), (7,), (13, 1), (1, 1), (1,), (), (2, 7), (13, 6), (13, 8), (14, 7)]


@pytest.mark.parametrize("shape", WORD_SHAPES, ids=str)
def test_word_ids_are_not_stretched(as_readers_run_it, shape):
    model, ids = small(), torch.zeros(13, 7, dtype=torch.int64)
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=re.escape(f"word_ids must have shape (13, 7), got {shape}")):
        model.create_masked_input(ids, word_ids=torch.zeros(shape, dtype=torch.int64))
    assert torch.equal(torch.get_rng_state(), state)


def test_word_ids_are_int64(as_readers_run_it):
    ids = torch.zeros(13, 7, dtype=torch.int64)
    for wrong in (ids.int(), ids.float(), ids.tolist()):
        with pytest.raises(TypeError, match="word_ids must be a tensor of"):
            small().create_masked_input(ids, word_ids=wrong)


@pytest.mark.parametrize("shape", PADDING_SHAPES, ids=str)
@pytest.mark.parametrize("cls", [MaskedLM, CausalLM])
def test_padding_masks_are_not_stretched(as_readers_run_it, cls, shape):
    model, ids, mask = cls(23, 8, 2, 1), torch.zeros(13, 7, dtype=torch.int64), torch.zeros(shape).bool()
    calls = [
        lambda: model(ids, padding_mask=mask),
        lambda: model.hidden_states(ids, mask),
        lambda: model.attention_weights(ids, mask),
    ]
    if cls is MaskedLM:
        calls.append(lambda: model.create_masked_input(ids, padding_mask=mask))
    else:
        calls.append(lambda: model(ids, padding_mask=mask, cache=model.new_cache(13)))
    for call in calls:
        message = re.escape(f"padding_mask must be (13, 7) torch.bool, got {shape} torch.bool")
        with pytest.raises(ValueError, match=message):
            call()


def test_padding_masks_are_bool(as_readers_run_it):
    model, ids = small(), torch.zeros(2, 3, dtype=torch.int64)
    for call in (
        model,
        model.attention_weights,
        lambda x, mask: model.create_masked_input(x, padding_mask=mask),
    ):
        for dtype in (torch.int64, torch.float32, torch.uint8):
            with pytest.raises(ValueError, match=rf"\(2, 3\) torch.bool, got \(2, 3\) {dtype}"):
                call(ids, torch.zeros(2, 3, dtype=dtype))
        with pytest.raises(TypeError, match="padding_mask must be a tensor of bool, got list"):
            call(ids, [[False] * 3] * 2)


@pytest.mark.parametrize("cls", [MaskedLM, CausalLM])
def test_help_tells_every_keyword(cls):
    parameters = inspect.signature(cls).parameters
    assert not [p.name for p in parameters.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    shape = {f.name: f.default for f in fields(TransformerConfig)}
    for name in (
        "context_length",
        "num_kv_heads",
        "d_ff",
        "rope_base",
        "norm_eps",
        "tie_embeddings",
        "dropout",
    ):
        assert parameters[name].default == shape[name]
        assert f" {name}: " in cls.__doc__
    with pytest.raises(TypeError, match="depth"):
        cls(23, 8, 2, 1, depth=3)


def test_own_mask_id_is_read_and_never_predicted():
    model = small()
    assert (model.mask_token_id, model.vocab_size, model.predicts) == (23, 23, "same")
    assert model(torch.full((2, 5), 23)).shape == (2, 5, 23)
    assert small(mask_token_id=4).embedding.num_embeddings == 23
    assert small(mask_token_id=4).special_token_ids == (4,)
    with pytest.raises(TypeError, match="pseudo_perplexity"):
        check_causal(model, "greedy_decode")


def test_padding_changes_nothing_for_real_tokens():
    model, row = small(), torch.randint(1, 23, (1, 7))
    for left, right in ((3, 0), (0, 4), (2, 2)):
        ids = F.pad(row, (left, right))
        close(model(ids, ids == 0)[:, left : left + 7], model(row))


def test_the_trunk_sees_both_sides_and_takes_its_options():
    model = small(context_length=17, num_kv_heads=1)
    assert (model.config.context_length, model.config.num_kv_heads, model.config.causal) == (17, 1, False)
    ids = torch.zeros(1, 5, dtype=torch.int64)
    other = ids.clone()
    other[0, -1] = 1
    assert not torch.allclose(model(ids)[:, 0], model(other)[:, 0])


def test_words_of_one_piece_are_masked_like_tokens():
    model, ids = small(mask_prob=0.5), torch.zeros(19, 11, dtype=torch.int64)
    word_ids = torch.arange(11).expand(19, 11)
    by_word = model.create_masked_input(ids, generator=generator(), word_ids=word_ids)
    by_token = model.create_masked_input(ids, generator=generator())
    assert all(map(torch.equal, by_word, by_token))


def test_a_draw_of_exactly_0_is_below_no_share_of_0(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    ids = torch.zeros(3, 31, dtype=torch.int64)
    assert not small(mask_prob=0.0).create_masked_input(ids)[1].any()
    masked_ids, mask = small(mask_prob=1.0, split=(0.0, 0.0, 1.0)).create_masked_input(ids)
    assert mask.all()
    assert torch.equal(masked_ids, ids)


def test_small_ints_of_numpy_do_not_overflow(as_readers_run_it):
    model = MaskedLM(np.int8(127), 8, 2, 1, special_token_ids=[np.int8(3)])
    assert (model.mask_token_id, type(model.mask_token_id), model.special_token_ids) == (127, int, (3,))
    named = MaskedLM(np.int8(127), 8, 2, 1, mask_token_id=np.int8(5), special_token_ids=(np.int8(7), 5))
    assert (named.mask_token_id, named.special_token_ids) == (5, (5, 7))
    assert {type(token) for token in (named.mask_token_id, *named.special_token_ids)} == {int}
