"""The trunk against an independent implementation, closed forms, and properties any trunk must have."""

import math
from dataclasses import FrozenInstanceError
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lmbook.transformer import (
    CausalLM,
    MaskedLM,
    RMSNorm,
    Transformer,
    TransformerConfig,
    rotary_tables,
    rotate,
)
from lmbook.transformer.model import attention_mask

SIZES = {"vocab_size": 23, "d_model": 42, "num_heads": 3, "num_layers": 2}


def small(cls=CausalLM, seed=5, **options):
    """A model with weights large enough that each part matters, and norms that are not 1."""
    torch.manual_seed(seed)
    model = cls(23, 42, 3, 2, **{"context_length": 41, "num_kv_heads": 1, **options}).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.2 + (weight.ndim == 1))
    return model


def llama_twin(**shape):
    """LlamaForCausalLM and our model with the same random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(2)
    ours = CausalLM(**shape).eval()
    with torch.no_grad():
        for weight in ours.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.1 + (weight.ndim == 1))
    c = ours.config
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=c.vocab_size,
            hidden_size=c.d_model,
            num_attention_heads=c.num_heads,
            num_key_value_heads=c.num_kv_heads,
            num_hidden_layers=c.num_layers,
            intermediate_size=c.d_ff,
            max_position_embeddings=c.context_length,
            rms_norm_eps=c.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": c.rope_base},
            tie_word_embeddings=c.tie_embeddings,
        )
    ).eval()
    kv = c.num_kv_heads * c.d_head
    weights = {"model.embed_tokens.weight": ours.embedding.weight, "model.norm.weight": ours.norm.weight}
    weights["lm_head.weight"] = ours.embedding.weight if c.tie_embeddings else ours.unembedding.weight
    for i, block in enumerate(ours.blocks):
        q, k, v = block.attention.qkv.weight.split((c.d_model, kv, kv))
        gate, up = block.feed_forward.gate_up.weight.chunk(2)
        parts = {
            "self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v,
            "self_attn.o_proj": block.attention.out.weight,
            "mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": block.feed_forward.down.weight,
            "input_layernorm": block.attention_norm.weight,
            "post_attention_layernorm": block.feed_forward_norm.weight,
        }  # fmt: skip
        weights |= {f"model.layers.{i}.{name}.weight": weight for name, weight in parts.items()}
    theirs.load_state_dict(weights)
    return ours, theirs


SHAPES = [
    {"vocab_size": 61, "d_model": 70, "num_heads": 7, "num_layers": 3, "d_ff": 97, "context_length": 53},
    {"vocab_size": 89, "d_model": 84, "num_heads": 6, "num_layers": 2, "num_kv_heads": 2, "norm_eps": 1e-2},
    {"vocab_size": 67, "d_model": 40, "num_heads": 5, "num_layers": 5, "num_kv_heads": 1, "rope_base": 1e5},
    {"vocab_size": 59, "d_model": 66, "num_heads": 3, "num_layers": 1, "tie_embeddings": False},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_equal_transformers_llama(shape):
    ours, theirs = llama_twin(**shape)
    ids = torch.randint(shape["vocab_size"], (11, 47))
    with torch.inference_mode():
        expected = theirs(ids).logits
        torch.testing.assert_close(ours(ids), expected, rtol=1e-5, atol=1e-5 * max(1, expected.abs().max()))


def test_gradients_equal_transformers_llama():
    ours, theirs = llama_twin(**SHAPES[1])
    ids = torch.randint(89, (3, 17))
    ours(ids).logsumexp(-1).sum().backward()
    theirs(ids).logits.logsumexp(-1).sum().backward()
    expected = theirs.model.embed_tokens.weight.grad
    scale = expected.abs().max()
    torch.testing.assert_close(ours.embedding.weight.grad / scale, expected / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 4}, "must divide d_model 42, got 4"),
        ({"num_heads": 14, "d_model": 42}, "must be even.* got 3"),
        ({"num_kv_heads": 2}, "must divide num_heads 3, got 2"),
        ({"num_kv_heads": -3}, "num_kv_heads.* got -3"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"context_length": -1}, "context_length must be at least 1, got -1"),
        ({"d_ff": 0}, "d_ff must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout .* got 1\.0"),
        ({"dropout": -0.1}, r"dropout .* got -0\.1"),
        ({"rope_base": 1e-60}, "rope_base must be at least 1 and finite, got 1e-60"),
        ({"rope_base": math.inf}, "rope_base must be at least 1 and finite, got inf"),
        ({"norm_eps": math.nan}, "norm_eps must be at least 0 and finite, got nan"),
        ({"norm_eps": -1.0}, r"norm_eps must be at least 0 and finite, got -1\.0"),
        ({"norm_eps": math.inf}, "norm_eps must be at least 0 and finite, got inf"),
        ({"extra_input_ids": -1}, "extra_input_ids must be at least 0, got -1"),
    ],
)
def test_config_refuses_and_names_the_value(change, message):
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**{**SIZES, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 2.0}, "num_layers must be an int, at least 1; got 2.0"),
        ({"dropout": "0.1"}, "dropout must be a number, at least 0 and below 1; got '0.1'"),
    ],
)
def test_config_refuses_other_kinds_and_names_the_limit(as_readers_run_it, change, message):
    with pytest.raises(TypeError, match=message):
        TransformerConfig(**{**SIZES, **change})


def test_config_defaults():
    config = TransformerConfig(vocab_size=5, d_model=256, num_heads=4, num_layers=1)
    assert (config.d_ff, config.num_kv_heads, config.d_head, config.causal) == (704, 4, 64, True)
    assert TransformerConfig(vocab_size=5, d_model=24, num_heads=1, num_layers=1).d_ff == 64  # 8·24/3 exactly
    assert (config.context_length, config.norm_eps, config.rope_base) == (1024, 1e-5, 10000.0)
    with pytest.raises(FrozenInstanceError):
        config.d_model = 3
    with pytest.raises(TypeError, match="positional"):
        TransformerConfig(5, 256, 4, 1)
    with pytest.raises(TypeError, match="num_head"):
        CausalLM(5, 8, 1, 1, num_head=2)


def test_parameter_count_has_its_closed_form():
    model, c = small(), small().config
    qkv_out = c.d_model * (2 * c.d_model + 2 * c.num_kv_heads * c.d_head)
    per_block = qkv_out + 3 * c.d_model * c.d_ff + 2 * c.d_model
    expected = c.vocab_size * c.d_model + c.num_layers * per_block + c.d_model
    assert sum(p.numel() for p in model.parameters()) == expected


def test_rms_norm_closed_form_and_float32_inside():
    norm = RMSNorm(4, eps=3.0)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    x = torch.tensor([[[1.0, -1.0, 1.0, 1.0]]])  # mean square 1, so everything is divided by √(1 + 3)
    torch.testing.assert_close(norm(x), torch.tensor([[[0.5, -1.0, 1.5, 2.0]]]))
    huge = torch.full((1, 1, 4), 1e4, dtype=torch.float16)  # its square is beyond float16
    assert norm.half()(huge).tolist() == [[[1.0, 2.0, 3.0, 4.0]]]


def test_rotation_turns_pairs_of_halves_by_position_times_frequency():
    cos, sin = rotary_tables(8, 4, 100.0, torch.device("cpu"))
    x = torch.tensor([1.0, 0.0, 0.0, 1.0]).expand(1, 8, 1, 4)
    t = torch.arange(8.0)
    expected = torch.stack(
        (t.cos(), -(t / 10).sin(), t.sin(), (t / 10).cos()), -1
    )  # frequencies 1 and 100^−½
    torch.testing.assert_close(rotate(x, cos, sin)[0, :, 0], expected, rtol=0, atol=1e-6)


def test_tables_are_float32_whatever_the_default():
    rotary_tables.cache_clear()
    torch.set_default_dtype(torch.float64)
    try:
        tables = rotary_tables(8, 4, 100.0, torch.device("cpu"))
    finally:
        torch.set_default_dtype(torch.float32)
        rotary_tables.cache_clear()
    assert {table.dtype for table in tables} == {torch.float32}


def test_tables_first_made_in_inference_mode_serve_training():
    rotary_tables.cache_clear()
    model = small()
    with torch.inference_mode():
        model(torch.tensor([[1, 2, 3]]))
    model(torch.tensor([[1, 2, 3]])).sum().backward()


def test_attention_mask_by_hand():
    pad = torch.tensor([[True, False, False]])
    assert attention_mask(2, 3, True)[0, 0].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert attention_mask(2, 3, True, pad)[0, 0].tolist() == [[0, 1, 0], [0, 1, 1]]
    assert attention_mask(2, 3, False, pad)[0, 0].tolist() == [[0, 1, 1], [0, 1, 1]]
    assert attention_mask(3, 3, True, pad)[0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize("cls", [CausalLM, MaskedLM])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_weights_are_those_of_the_forward_pass(cls, padded):
    model = small(cls)
    ids = torch.randint(23, (5, 13))
    padding = (torch.arange(13) < torch.tensor([0, 2, 3, 0, 7])[:, None]) if padded else None
    inputs, contexts = [], []
    for block in model.blocks:
        block.attention.register_forward_pre_hook(
            lambda module, args, named: inputs.append((*args, named["cos"], named["sin"])), with_kwargs=True
        )
        block.attention.register_forward_hook(lambda module, args, out: contexts.append(out))
    with torch.inference_mode():
        model(ids, padding_mask=padding)
        seen = model.attention_weights(ids, padding)
        assert len(seen) == len(model.blocks)
        for i, weights in enumerate(seen):
            assert weights.shape == (5, 3, 13, 13)
            torch.testing.assert_close(weights.sum(-1), torch.ones(5, 3, 13))
            attention = model.blocks[i].attention
            values = attention.project(*inputs[i])[2].repeat_interleave(3, dim=1)
            mixed = attention.out((weights @ values).transpose(1, 2).flatten(2))
            torch.testing.assert_close(mixed, contexts[i], rtol=1e-5, atol=1e-5)
            future = weights.triu(1)
            assert (future.abs().max() == 0) == (cls is CausalLM)


def test_gradient_reaches_every_parameter():
    for model in (small(), small(MaskedLM, mask_token_id=0), small(tie_embeddings=False)):
        model(torch.arange(23)[None]).square().sum().backward()
        for name, weight in model.named_parameters():
            assert weight.grad is not None, name
            assert (weight.grad != 0).any(dim=-1).all(), name


def test_initial_weights():
    torch.manual_seed(0)
    model = CausalLM(499, 256, 4, 8)
    expected = {"embedding": 1 / 16, "qkv": 1 / 16, "out": 1 / 64, "gate_up": 1 / 16, "down": 704**-0.5 / 4}
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            assert (weight == 1).all()
        else:  # at least 256² draws: the standard deviation is known to 0.3 %
            deviation = expected[name.split(".")[-2]]
            assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.015)
            assert float(weight.detach().mean()) == pytest.approx(0, abs=0.02 * deviation)
    torch.manual_seed(0)
    again = CausalLM(499, 256, 4, 8)
    assert torch.equal(again.blocks[7].feed_forward.down.weight, model.blocks[7].feed_forward.down.weight)
    torch.nn.init.constant_(again.norm.weight, 3.0)
    again.init_weights(torch.Generator().manual_seed(3))
    model.init_weights(torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_dropout_acts_in_training_only():
    model = small(dropout=0.5)
    ids = torch.randint(23, (2, 7))
    assert torch.equal(model(ids), model(ids))
    assert torch.equal(model(ids), small(dropout=0.0)(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


class Devices(TorchDispatchMode):
    """Notes the device of each tensor that an operation returns."""

    seen = frozenset()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.seen |= {t.device.type for t in tree_leaves(out) if isinstance(t, torch.Tensor)}
        return out


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kv_heads", [1, 3])
def test_no_tensor_is_made_away_from_the_models_device(padded, kv_heads):
    rotary_tables.cache_clear()
    with torch.device("meta"):
        causal = CausalLM(23, 42, 3, 2, num_kv_heads=kv_heads)
        masked = MaskedLM(23, 42, 3, 2, num_kv_heads=kv_heads)
        ids = torch.zeros(5, 7, dtype=torch.int64)
        padding = torch.zeros(5, 7, dtype=torch.bool) if padded else None
    with Devices() as devices:
        causal(ids, padding_mask=padding).sum().backward()
        masked(ids, padding)
        causal.attention_weights(ids, padding)
        cache = causal.new_cache(5)
        for _ in range(11):
            causal(ids, cache=cache, padding_mask=padding, last_only=True)
        cache.select(torch.zeros(2, dtype=torch.int64, device="meta"))
    assert devices.seen == {"meta"}


@pytest.mark.parametrize("kind", [CausalLM, MaskedLM])
def test_ids_without_numbers_are_refused_by_a_model_that_has_some(kind, as_readers_run_it):
    """PyTorch looks them up without a word, in memory that nobody has written."""
    model = kind(23, 42, 3, 2)
    ids = torch.zeros(5, 7, dtype=torch.int64, device="meta")
    for padding in (None, torch.zeros(5, 7, dtype=torch.bool, device="meta")):
        with pytest.raises(ValueError, match="input_ids must be on cpu, as the model is; got ids on meta"):
            model(ids, padding_mask=padding)


lengths = st.integers(2, 31)


@settings(max_examples=25, deadline=None)
@given(lengths, st.data())
def test_causal_rows_know_nothing_of_later_tokens_and_all_of_earlier_ones(length, data):
    model = small()
    cut = data.draw(st.integers(1, length - 1))
    ids = torch.randint(23, (1, length))
    other = ids.clone()
    other[:, cut] = (ids[:, cut] + data.draw(st.integers(1, 22))) % 23
    with torch.inference_mode():
        difference = (model(ids) - model(other)).abs().amax(-1)[0]
    assert difference[:cut].max() < 1e-5  # a shorter product may round otherwise
    assert difference[cut:].min() > 1e-5


@settings(max_examples=25, deadline=None)
@given(lengths, st.data())
def test_masked_rows_know_every_token(length, data):
    model = small(MaskedLM)
    place = data.draw(st.integers(0, length - 1))
    ids = torch.randint(23, (1, length))
    other = ids.clone()
    other[:, place] = (ids[:, place] + data.draw(st.integers(1, 22))) % 23
    with torch.inference_mode():
        assert (model(ids) - model(other)).abs().amax(-1).min() > 1e-5


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([CausalLM, MaskedLM]), st.integers(2, 5), lengths)
def test_batch_rows_are_independent(cls, rows, length):
    model = small(cls)
    ids = torch.randint(23, (rows, length))
    with torch.inference_mode():
        together = model(ids)
        alone = torch.cat([model(row[None]) for row in ids])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([CausalLM, MaskedLM]), st.integers(4, 31))
def test_order_matters(cls, length):
    """Exchanging two earlier, different tokens changes the last row's logits."""
    model = small(cls)
    ids = torch.randint(23, (1, length))
    ids[0, 0], ids[0, 1] = 3, 7
    other = ids.clone()
    other[0, :2] = ids[0, :2].flip(0)
    with torch.inference_mode():
        assert (model(ids) - model(other))[0, -1].abs().max() > 1e-5


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (torch.tensor([[0, 23]]), ValueError, "below vocab_size 23, got 23"),
        (torch.tensor([[-1, 2]]), ValueError, "at least 0.*got -1"),
        (torch.zeros(1, 0, dtype=torch.int64), ValueError, "at least 1 row of 1 token"),
        (torch.zeros(0, 3, dtype=torch.int64), ValueError, "at least 1 row"),
        (torch.zeros(1, 3, dtype=torch.int32), TypeError, "int64"),
        (torch.zeros(1, 42, dtype=torch.int64), ValueError, "42 tokens long.* context_length is 41"),
    ],
)
def test_bad_ids_are_refused(ids, error, message):
    with pytest.raises(error, match=message):
        small()(ids)


def test_hidden_states_and_unembed_make_the_logits():
    model, ids = small(), torch.randint(23, (2, 7))
    hidden = model.hidden_states(ids)
    assert hidden.shape == (2, 7, 42)
    torch.testing.assert_close(hidden @ model.embedding.weight.T, model(ids))
    torch.testing.assert_close(model.unembed(hidden[:, 3]), model(ids)[:, 3])


def test_float64_and_bfloat16_run_in_their_own_precision():
    ids = torch.randint(23, (2, 7))
    reference = small().double()(ids)
    assert reference.dtype == torch.float64
    torch.testing.assert_close(small()(ids).double(), reference, rtol=1e-5, atol=1e-5)
    half = small().bfloat16()(ids)
    assert half.dtype == torch.bfloat16
    assert (half.double() - reference).norm() < 0.05 * reference.norm()  # bfloat16 keeps 8 bits


def test_trunk_alone_is_bidirectional_only_if_asked():
    assert not Transformer(TransformerConfig(**SIZES, causal=False)).config.causal
    assert math.isclose(small().config.rope_base, 10000.0)


def test_dropout_acts_inside_attention_too_and_in_training_alone():
    torch.manual_seed(0)
    config = TransformerConfig(vocab_size=11, d_model=8, num_heads=2, num_layers=1, dropout=0.5)
    attention, x = Transformer(config).blocks[0].attention, torch.randn(2, 13, 8)
    cos, sin = rotary_tables(13, 4, 10000.0, x.device)
    mixed = partial(attention, x, cos=cos, sin=sin, is_causal=True)
    assert not torch.equal(mixed(), mixed())
    attention.eval()
    assert torch.equal(mixed(), mixed())


def test_dropout_acts_on_the_embedding_and_before_each_addition():
    model, ids = small(dropout=0.5), torch.randint(23, (2, 7))
    model.train()
    model.blocks.eval()
    assert not torch.equal(model(ids), model(ids))
    for part in ("attention", "feed_forward"):
        model.eval()
        block = model.blocks[0]
        block.dropout.train()
        torch.nn.init.zeros_(
            getattr(block, part).get_submodule({"attention": "out"}.get(part, "down")).weight
        )
        assert not torch.equal(model(ids), model(ids)), f"the other of {part} is left, and drops"
        model = small(dropout=0.5)


@pytest.mark.parametrize(
    "options",
    [{"num_kv_heads": 1}, {"norm_eps": 0.0}, {"norm_eps": 7.0}, {"rope_base": 1.0}, {"dropout": 0.99}],
)
def test_what_the_limits_allow_is_taken(options):
    config = TransformerConfig(**SIZES, **options)
    assert all(getattr(config, name) == value for name, value in options.items())


def test_the_feed_forward_width_is_the_next_multiple_of_64():
    for d_model, d_ff in [(192, 512), (194, 576), (1560, 4160)]:
        assert TransformerConfig(**{**SIZES, "d_model": d_model, "num_heads": 1}).d_ff == d_ff


def test_an_error_that_is_not_about_ids_is_passed_on():
    model = small()

    def broken(module, args):
        raise IndexError("mine")

    model.embedding.register_forward_pre_hook(broken)
    with pytest.raises(IndexError, match="mine"):
        model(torch.tensor([[1, 2]]))


def test_sizes_that_no_memory_holds_are_refused(as_readers_run_it):
    for change, message in (
        ({"num_layers": 10**9}, "num_layers must be at most 10,000, got 1000000000"),
        ({"vocab_size": 10**12}, "the number of weights must be at most 10,000,000,000, got 8"),
        ({"d_ff": 10**30}, "the number of weights must be at most"),
        ({"context_length": 10**12}, "heads of width 4 context_length must be at most 33,554,432, got 10"),
        ({"d_model": 10**400}, "the number of weights must be at most"),
    ):
        sizes = {"vocab_size": 5, "d_model": 8, "num_heads": 2, "num_layers": 1} | change
        with pytest.raises(ValueError, match=message):
            CausalLM(**sizes)


def test_the_number_of_weights_is_that_of_the_model(monkeypatch):
    for change in ({}, {"tie_embeddings": False}, {"num_kv_heads": 1}, {"d_ff": 7}):
        model = CausalLM(5, 12, 2, 3, **change)
        total = sum(weight.numel() for weight in model.parameters())
        with monkeypatch.context() as limited:
            limited.setattr("lmbook.transformer.model.MAX_WEIGHTS", total - 1)
            with pytest.raises(ValueError, match=f"at most {total - 1:,}, got {total}"):
                CausalLM(5, 12, 2, 3, **change)


def test_a_cache_refuses_rows_and_lengths_that_it_has_not(as_readers_run_it):
    model = CausalLM(5, 8, 2, 1, context_length=16).eval()
    cache = model.new_cache(2)
    model(torch.tensor([[0, 1], [2, 3]]), cache=cache)
    for rows, error in (
        (torch.tensor([2]), ValueError),
        (torch.tensor([-1]), ValueError),
        (torch.tensor([], dtype=torch.int64), ValueError),
        (torch.tensor([[0]]), ValueError),
        (torch.tensor([0.0]), TypeError),
        ([0], TypeError),
    ):
        with pytest.raises(error, match="rows must"):
            cache.select(rows)
    with pytest.raises(TypeError, match="length must be an int"):
        cache.truncate(0.5)
    with pytest.raises(TypeError, match="cache must come from new_cache"):
        model(torch.tensor([[0]]), cache=3)
    assert (cache.length, cache.batch_size) == (2, 2)


def test_keys_of_another_models_heads_are_not_stretched():
    first, ids = CausalLM(5, 8, 2, 1, num_kv_heads=1, context_length=16).eval(), torch.tensor([[0, 1]])
    for other in (CausalLM(5, 8, 2, 1, context_length=16), CausalLM(5, 8, 1, 2, context_length=16)):
        cache = first.new_cache(1)
        with torch.no_grad():
            first(ids, cache=cache)
            with pytest.raises(ValueError, match="the cache has heads"):
                other.eval()(ids[:, :1], cache=cache)


def test_states_of_another_width_are_no_hidden_states(as_readers_run_it):
    with pytest.raises(ValueError, match=r"hidden must be \(…, 8\), got \(2, 3\)"):
        CausalLM(5, 8, 2, 1).unembed(torch.zeros(2, 3))


@pytest.mark.parametrize("base", [1, 10**25, 1e300])
def test_the_logits_are_numbers_at_any_base(base):
    model = small(rope_base=base)
    assert model(torch.tensor([[1, 2, 3]])).isfinite().all()


@pytest.mark.parametrize("states", [torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8).to_sparse(), [1.0]])
def test_what_is_no_tensor_of_floats_has_no_logits(as_readers_run_it, states):
    with pytest.raises(TypeError, match="hidden must be a tensor of floats, got "):
        CausalLM(5, 8, 2, 1).unembed(states)


def test_small_ints_of_numpy_do_not_overflow(as_readers_run_it):
    sizes = {"vocab_size": 100, "d_model": 96, "num_heads": 2, "num_layers": 1, "context_length": 120}
    sizes |= {"num_kv_heads": 1, "d_ff": 100, "extra_input_ids": 100}
    config = TransformerConfig(**{name: np.int8(size) for name, size in sizes.items()})
    assert config == TransformerConfig(**sizes)
    assert {type(getattr(config, name)) for name in sizes} == {int}
    default = TransformerConfig(**{**SIZES, "d_model": np.int8(96), "num_heads": np.int8(2)})
    assert default.d_ff == 256


def test_export_leaves_no_tables_without_numbers_behind():
    rotary_tables.cache_clear()
    model, ids = small().eval(), torch.tensor([[1, 2, 3]])
    exported = torch.export.export(model, (ids,)).module()
    logits = model(ids)
    assert type(logits) is torch.Tensor
    torch.testing.assert_close(exported(ids), logits)


def test_reading_without_numbers_leaves_none_behind():
    rotary_tables.cache_clear()
    model, ids = small().eval(), torch.tensor([[1, 2, 3]])
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        cache = model.new_cache(1)
        model(ids, cache=cache)
        model(ids[:, :1], cache=cache)
    with torch.no_grad():
        cache = model.new_cache(1)
        model(ids[:, :2], cache=cache)
        torch.testing.assert_close(model(ids[:, 2:], cache=cache), model(ids)[:, 2:])
