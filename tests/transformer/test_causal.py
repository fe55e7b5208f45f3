"""The causal model: cache against no cache."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lmbook import greedy_decode
from lmbook.interface import Cache, LanguageModel, check_causal
from lmbook.transformer import CausalLM, KeyValueCache, MaskedLM, TransformerConfig


def small(**options):
    torch.manual_seed(5)
    model = CausalLM(23, 42, 3, 2, **{"context_length": 211, "num_kv_heads": 1, **options}).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.2 + (weight.ndim == 1))
    return model


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def exact(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def in_chunks(model, ids, chunks, padding=None):
    """Logits of `ids`, fed to a cache in pieces of these sizes; padding is told while there is some."""
    cache, start, out = model.new_cache(ids.shape[0]), 0, []
    with torch.inference_mode():
        for size in chunks:
            piece = slice(start, start + size)
            told = padding[:, piece] if padding is not None and padding[:, piece].any() else None
            out.append(model(ids[:, piece], cache=cache, padding_mask=told))
            start += size
            assert cache.length == start
    return torch.cat(out, 1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 19), min_size=1, max_size=9),
    st.sampled_from([1, 3]),
    st.data(),
)
def test_cached_logits_equal_uncached(rows, chunks, kv_heads, data):
    """In double precision: in single, sums of another order differ by up to 2e-5, once in 1,000 cases.

    The rotary tables stay float32. Near place 171, the last one here, they round an angle by up to 8e-6,
    so the scores of a row that stands elsewhere are the same to some 1e-5: 1e-4 leaves room for their size.
    """
    model, length = small(num_kv_heads=kv_heads).double(), sum(chunks)
    ids = torch.randint(23, (rows, length))
    lefts = data.draw(st.lists(st.integers(0, length - 1), min_size=rows, max_size=rows))
    padding = torch.arange(length) < torch.tensor(lefts)[:, None]
    with torch.inference_mode():
        exact(in_chunks(model, ids, chunks), model(ids))
        padded = in_chunks(model, ids, chunks, padding)
        exact(padded, model(ids, padding_mask=padding))
        for row, left in enumerate(lefts):  # … and each row is what it is alone
            alone = model(ids[row : row + 1, left:])[0]
            torch.testing.assert_close(padded[row, left:], alone, rtol=1e-4, atol=1e-4)


def test_padding_is_not_read():
    model, ids = small(), torch.randint(23, (2, 13))
    padding = torch.arange(13) < torch.tensor([5, 0])[:, None]
    other = ids.masked_fill(padding, 7)
    close(model(ids, padding_mask=padding)[0, 5:], model(other, padding_mask=padding)[0, 5:])
    assert model(ids, padding_mask=torch.ones(2, 13, dtype=torch.bool)).isfinite().all()


def test_decoding_to_the_end_of_the_context_grows_the_cache_by_doubling():
    model, ids = small(), torch.randint(23, (3, 211))
    cache, capacities, out = model.new_cache(3), [], []
    with torch.inference_mode():
        for t in range(211):
            out.append(model(ids[:, t : t + 1], cache=cache))
            capacities.append(cache.keys[0].shape[2])
        close(torch.cat(out, 1), model(ids))
    assert sorted(set(capacities)) == [64, 128, 211]
    with pytest.raises(ValueError, match=r"212 tokens long.*context_length is 211"):
        model(ids[:, :1], cache=cache)
    assert cache.length == 211


def test_a_step_reuses_the_buffers():
    model = small()
    cache = model.new_cache(2)
    with torch.inference_mode():
        model(torch.randint(23, (2, 70)), cache=cache)
        before = [t.data_ptr() for t in cache.keys + cache.values]
        for _ in range(57):
            model(torch.randint(23, (2, 1)), cache=cache)
    assert [t.data_ptr() for t in cache.keys + cache.values] == before


@pytest.mark.parametrize("padded", [False, True])
def test_select_reorders_rows_and_truncate_forgets(padded):
    model, ids, rows = small(), torch.randint(23, (3, 11)), torch.tensor([2, 0, 0, 1, 2])
    padding = torch.arange(11) < torch.tensor([0, 2, 5])[:, None] if padded else None
    new = torch.randint(23, (5, 7))
    with torch.inference_mode():
        cache = model.new_cache(3)
        model(ids, cache=cache, padding_mask=padding)
        model(ids[:, :4], cache=cache)
        cache.truncate(11)
        cache.select(rows)
        assert (cache.length, cache.batch_size) == (11, 5)
        whole = torch.cat((ids[rows], new), 1)
        mask = None if padding is None else F.pad(padding[rows], (0, 7))
        close(model(new, cache=cache), model(whole, padding_mask=mask)[:, 11:])
        with pytest.raises(ValueError, match=r"from 0 to 18.* got 19"):
            cache.truncate(19)
        with pytest.raises(ValueError, match="got -1"):
            cache.truncate(-1)
        cache.truncate(0)
        close(model(new, cache=cache)[0] if not padded else model(new)[0], model(new)[0])


def test_truncating_into_padding_and_going_on():
    model, ids = small(), torch.randint(23, (2, 9))
    padding = torch.arange(9) < torch.tensor([0, 3])[:, None]
    with torch.inference_mode():
        cache = model.new_cache(2)
        model(ids, cache=cache, padding_mask=padding)
        cache.truncate(2)
        rest = model(ids[:, 2:], cache=cache, padding_mask=padding[:, 2:])
        close(rest, model(ids, padding_mask=padding)[:, 2:])


@pytest.mark.parametrize("first", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("then", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("padded", [False, True])
def test_a_cache_serves_in_every_mode(first, then, rows, padded):
    model, ids = small(), torch.randint(23, (rows, 83))
    padding = (torch.arange(83) < 2).expand(rows, 83) if padded else None
    with torch.no_grad():
        whole = model(ids, padding_mask=padding)
    with first():
        cache = model.new_cache(rows)
        parts = [model(ids[:, :5], cache=cache, padding_mask=None if padding is None else padding[:, :5])]
        parts += [model(ids[:, t : t + 1], cache=cache) for t in range(5, 9)]
        order = torch.arange(rows).flip(0)
        cache.select(order)
    with then():
        cache.select(order)
        parts += [model(ids[:, t : t + 1], cache=cache) for t in range(9, 80)]  # the buffers grow on the way
    with first():
        parts.append(model(ids[:, 80:], cache=cache))
    close(torch.cat([part.detach() for part in parts], 1), whole)


def test_a_cache_is_no_longer_than_the_context():
    config = TransformerConfig(vocab_size=5, d_model=4, num_heads=1, num_layers=1, context_length=7)
    cache = KeyValueCache(config, 2, dtype=torch.float64)
    assert cache.keys[0].shape == cache.values[0].shape == (2, 1, 7, 4)
    assert cache.keys[0].dtype == torch.float64
    assert isinstance(cache, Cache)
    cache.reserve(7)
    with pytest.raises(ValueError, match="room for 7 tokens, the sequence is 8 tokens long"):
        cache.reserve(8)


def test_last_only_is_the_last_row():
    model, ids = small(), torch.randint(23, (3, 7))
    assert model(ids, last_only=True).shape == (3, 1, 23)
    close(model(ids, last_only=True)[:, 0], model(ids)[:, -1])


def test_what_does_not_fit_together_is_refused():
    model, ids = small(), torch.randint(23, (3, 7))
    with pytest.raises(ValueError, match="cache holds 2 rows, input_ids 3"):
        model(ids, cache=model.new_cache(2))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        model.new_cache(0)


def test_is_a_causal_language_model():
    check_causal(small(), "test")
    assert isinstance(small(), LanguageModel)
    assert (small().vocab_size, small().context_length, small().accepts_padding) == (23, 211, True)


def test_a_model_without_the_causal_mask_is_decoded_without_a_cache():
    model, ids = small(causal=False), torch.randint(23, (2, 5), generator=torch.Generator().manual_seed(3))
    assert model.new_cache(2) is None
    expected = ids
    for _ in range(4):
        with torch.no_grad():
            expected = torch.cat((expected, model(expected)[:, -1:].argmax(-1)), dim=1)
    assert greedy_decode(model, ids, 4).equal(expected)


def test_a_cache_without_the_causal_mask_is_refused(as_readers_run_it):
    causal = CausalLM(11, 12, 3, 2, context_length=16)
    for model in CausalLM(11, 12, 3, 2, context_length=16, causal=False), MaskedLM(11, 12, 3, 2):
        with pytest.raises(ValueError, match="a cache needs the causal mask"):
            model.hidden_states(torch.zeros(1, 3, dtype=torch.int64), None, causal.new_cache(1))
