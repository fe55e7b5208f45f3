"""The single-token step against the blocks that it replaces, and every case in which it doesn't apply."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmbook.decoding import greedy_decode
from lmbook.transformer import CausalLM
from lmbook.transformer.single_token import SingleTokenStep

SHAPES = st.fixed_dictionaries(
    {
        "num_kv_heads": st.sampled_from([1, 2, 6]),
        "d_ff": st.sampled_from([17, 128]),
        "tie_embeddings": st.booleans(),
        "norm_eps": st.sampled_from([1e-5, 0.5]),
        "rope_base": st.sampled_from([10.0, 10000.0]),
    }
)


def small(dtype=torch.float32, **options):
    torch.manual_seed(5)
    model = CausalLM(23, 60, 6, 3, **{"context_length": 271, "num_kv_heads": 2, **options}).eval().to(dtype)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.2 + (weight.ndim == 1))
    return model


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def steps(monkeypatch):
    """The places that were read by the short step."""
    places, call = [], SingleTokenStep.__call__

    def noted(self, x, blocks, eps, norm, cache):
        hidden = call(self, x, blocks, eps, norm, cache)
        places.append(cache.length)
        return hidden

    monkeypatch.setattr(SingleTokenStep, "__call__", noted)
    return places


def in_pieces(model, ids, sizes):
    """Logits of ids (B, T), read in pieces of these sizes."""
    cache = model.new_cache(ids.shape[0])
    return torch.cat([model(piece, cache=cache) for piece in ids.split(sizes, dim=1)], dim=1)


@settings(max_examples=30, deadline=None)
@given(SHAPES, st.lists(st.sampled_from([1, 1, 1, 2, 29]), min_size=1, max_size=9))
def test_pieces_of_any_size_give_the_logits_of_the_whole(shape, sizes):
    model = small(torch.float64, **shape)
    ids = torch.randint(23, (1, sum(sizes)))
    with torch.inference_mode():
        torch.testing.assert_close(in_pieces(model, ids, sizes), model(ids), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cached_logits_equal_uncached(steps, mode, dtype):
    model, ids = small(dtype), torch.randint(23, (1, 71))
    with mode():
        close(in_pieces(model, ids, [3] + [1] * 68), model(ids))
    assert steps == list(range(3, 71))


def test_greedy_decoding_reads_all_but_the_prompt_so(steps):
    model, prompt = small(), torch.randint(23, (1, 7))
    ids = greedy_decode(model, prompt, 80)
    assert steps == list(range(7, 86))
    assert torch.equal(ids[0, 7:], model(ids)[0, 6:-1].argmax(-1))


def test_results_are_the_callers_own():
    model, ids = small(), torch.randint(23, (1, 5))
    embedding = model.embedding.weight.clone()
    with torch.inference_mode():
        cache = model.new_cache(1)
        outs = [model.hidden_states(ids[:, t : t + 1], cache=cache) for t in range(5)]
        close(torch.cat(outs, 1), model.hidden_states(ids))
    assert torch.equal(model.embedding.weight, embedding)


def test_it_reads_weights_where_they_are(steps):
    model, ids = small(), torch.randint(23, (1, 9))
    with torch.no_grad():
        cache = model.new_cache(1)
        for weight in model.parameters():
            weight.mul_(1.1)
        out = torch.cat([model(ids[:, t : t + 1], cache=cache) for t in range(9)], 1)
        close(out, model(ids))
    assert len(steps) == 9


def test_a_row_that_was_selected_goes_on_alone(steps):
    model, ids = small(), torch.randint(23, (3, 11))
    with torch.inference_mode():
        cache = model.new_cache(3)
        model(ids[:, :9], cache=cache)
        cache.select(torch.tensor([1]))
        out = torch.cat([model(ids[1:2, t : t + 1], cache=cache) for t in (9, 10)], 1)
        close(out, model(ids[1:2])[:, 9:])
    assert steps == [9, 10]


class Doubled(nn.Linear):
    """Somebody's own layer."""

    def forward(self, x):
        return 2 * super().forward(x)


def own_layer(model):
    model.blocks[1].feed_forward.down = Doubled(model.config.d_ff, 60, bias=False)


def hook(model):
    model.blocks[2].register_forward_hook(lambda module, args, out: out + 1)


def hook_before(model):
    model.blocks[0].attention.out.register_forward_pre_hook(lambda module, args: (args[0] * 3,))


def hook_at_the_end(model):
    model.norm.register_forward_hook(lambda module, args, out: out + 1)


@pytest.mark.parametrize("change", [own_layer, hook, hook_before, hook_at_the_end])
def test_layers_of_somebody_else_and_hooks_have_their_say(steps, change):
    model, ids = small(), torch.randint(23, (1, 9))
    with torch.inference_mode():
        before = model(ids)
        change(model)
        assert (model(ids) - before).abs().max() > 0.1
        close(in_pieces(model, ids, [2] + [1] * 7), model(ids))
    assert not steps


def test_it_stands_aside_for_gradients_padding_and_more_rows(steps):
    model, ids = small(), torch.randint(23, (2, 9))
    close(in_pieces(model, ids[:1], 1), model(ids[:1]))
    assert in_pieces(model, ids[:1], 1).requires_grad
    padding = torch.tensor([[True, True] + [False] * 7])
    with torch.inference_mode():
        close(in_pieces(model, ids, 1), model(ids))
        cache = model.new_cache(1)
        pieces = [model(ids[:1, :3], cache=cache, padding_mask=padding[:, :3])]
        pieces += [model(ids[:1, t : t + 1], cache=cache) for t in range(3, 9)]
        close(torch.cat(pieces, 1)[:, 2:], model(ids[:1, 2:]))
        cache = model.new_cache(1)
        pieces = [
            model(ids[:1, t : t + 1], cache=cache, padding_mask=padding[:, t : t + 1]) for t in range(9)
        ]
        close(torch.cat(pieces, 1)[:, 2:], model(ids[:1, 2:]))
    assert not steps


def test_it_stands_aside_for_dropout_half_precision_and_autocast(steps):
    ids = torch.randint(23, (1, 9))
    dropping = small(dropout=0.5)
    with torch.inference_mode():
        close(in_pieces(dropping, ids, 1), dropping(ids))
        assert len(steps) == 9
        steps.clear()
        first, second = (in_pieces(dropping.train(), ids, 1) for _ in range(2))
        assert not torch.equal(first, second)
        assert in_pieces(small(torch.bfloat16), ids, 1).dtype == torch.bfloat16
        nothing = small(norm_eps=0.0)
        nothing.embedding.weight.zero_()  # a vector of length 0 has no direction: NaN, said by the decoders
        assert in_pieces(nothing, ids, 1).isnan().all()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            in_pieces(small(), ids, 1)
    assert not steps
    with torch.inference_mode():
        close(in_pieces(small().train(), ids, 1), small()(ids))
    assert len(steps) == 9


def test_what_is_refused_elsewhere_is_refused_here():
    model = small(context_length=3)
    with torch.inference_mode():
        cache = model.new_cache(1)
        for token in (5, 6, 7):
            model(torch.tensor([[token]]), cache=cache)
        with pytest.raises(ValueError, match=r"4 tokens long.*context_length is 3"):
            model(torch.tensor([[8]]), cache=cache)
        with pytest.raises(ValueError, match="below vocab_size 23, got 23"):
            model(torch.tensor([[23]]), cache=model.new_cache(1))
    assert cache.length == 3


def test_columns_first_is_the_same():
    model, ids = small(), torch.randint(23, (1, 9))
    with torch.inference_mode():
        whole = model(ids)
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.set_(weight.t().contiguous().t())
        close(in_pieces(model, ids, 1), whole)
