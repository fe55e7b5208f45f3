"""A model that was changed, before or after its cache was made: cached logits are those without a cache."""

import copy
import math
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils import parametrizations, parametrize, prune
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lmbook.decoding import greedy_decode
from lmbook.transformer import Attention, Block, CausalLM, FeedForward, RMSNorm, single_token
from lmbook.transformer import model as trunk

WIDTH = 12


def small(seed=0, **options):
    torch.manual_seed(seed)
    return CausalLM(11, WIDTH, 3, 2, **{"context_length": 64, "d_ff": 16, **options}).eval()


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def set_bias(owner, name):
    old = getattr(owner, name)
    new = nn.Linear(old.in_features, old.out_features)
    with torch.no_grad():
        new.weight.copy_(old.weight)
        new.bias.normal_(generator=gen())
    setattr(owner, name, new)


def patch(owner, name, change):
    method = getattr(owner, name)
    setattr(owner, name, lambda *args, **options: change(method(*args, **options)))


def other_keys(projected):
    q, k, v = projected
    return q, -k, 3 * v


def other_weight(owner):
    owner.weight = nn.Parameter(torch.randn(owner.weight.shape, generator=gen(5)))


def plain_weight(owner):
    """A tensor in place of the parameter, as some libraries leave it."""
    weight = owner.weight.detach()
    del owner.weight
    owner.weight = -2 * weight


class Negative(nn.Module):
    def forward(self, weight):
        return -weight


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Loud(torch.Tensor):
    """A tensor whose products are twice as large."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        out = super().__torch_function__(func, types, args, kwargs or {})
        return 2 * out.as_subclass(torch.Tensor) if func is F.linear else out


def loud(owner):
    weight = owner.weight.detach().as_subclass(Loud)
    del owner.weight
    owner.register_buffer("weight", weight)


def another_norm(norm):
    norm.eps = 3.0
    norm.register_buffer("wide", torch.ones(WIDTH))
    norm.forward = lambda x: F.rms_norm(x, (WIDTH,), norm.weight, norm.eps) * norm.wide * 2


# Each is given a model and leaves one whose logits are others.
CHANGES = {
    "qkv with bias": lambda m: set_bias(m.blocks[0].attention, "qkv"),
    "out with bias": lambda m: set_bias(m.blocks[1].attention, "out"),
    "gate_up with bias": lambda m: set_bias(m.blocks[0].feed_forward, "gate_up"),
    "down with bias": lambda m: set_bias(m.blocks[1].feed_forward, "down"),
    "last norm's eps": lambda m: setattr(m.norm, "eps", 30.0),
    "attention norm's eps": lambda m: setattr(m.blocks[0].attention_norm, "eps", 30.0),
    "feed-forward norm's eps": lambda m: setattr(m.blocks[1].feed_forward_norm, "eps", 30),
    "another norm": lambda m: another_norm(m.blocks[0].attention_norm),
    "block.forward patched": lambda m: patch(m.blocks[0], "forward", lambda x: -2 * x),
    "attention.forward patched": lambda m: patch(m.blocks[0].attention, "forward", lambda x: -3 * x),
    "attention.project patched": lambda m: patch(m.blocks[0].attention, "project", other_keys),
    "feed_forward.forward patched": lambda m: patch(m.blocks[1].feed_forward, "forward", lambda x: -3 * x),
    "qkv.forward patched": lambda m: patch(m.blocks[0].attention.qkv, "forward", lambda x: -3 * x),
    "last norm's forward patched": lambda m: patch(m.norm, "forward", lambda x: x.flip(-1)),
    "a norm's forward patched": lambda m: patch(m.blocks[0].attention_norm, "forward", lambda x: x.flip(-1)),
    "_call_impl patched": lambda m: patch(m.blocks[0].feed_forward, "_call_impl", lambda x: -3 * x),
    "no feed-forward norm": lambda m: setattr(m.blocks[0], "feed_forward_norm", nn.Identity()),
    "no last norm": lambda m: setattr(m, "norm", nn.Identity()),
    "feed-forward is the identity": lambda m: setattr(m.blocks[0], "feed_forward", nn.Identity()),
    "out is the identity": lambda m: setattr(m.blocks[0].attention, "out", nn.Identity()),
    "a wider feed-forward part": lambda m: setattr(
        m.blocks[0], "feed_forward", small(7, d_ff=40).blocks[0].feed_forward
    ),
    "a linear map where dropout stood": lambda m: setattr(m.blocks[0], "dropout", nn.Linear(WIDTH, WIDTH)),
    "somebody's own layer": lambda m: setattr(
        m.blocks[1].feed_forward, "down", Doubled(16, WIDTH, bias=False)
    ),
    "a parameter of another kind": lambda m: loud(m.blocks[0].attention.qkv),
    "a tensor for a parameter": lambda m: plain_weight(m.blocks[1].feed_forward.down),
    "a weight replaced": lambda m: other_weight(m.blocks[0].attention.qkv),
    "a norm's weight replaced": lambda m: other_weight(m.blocks[1].attention_norm),
    "last norm's weight replaced": lambda m: other_weight(m.norm),
    "weights written to": lambda m: m.blocks[0].attention.out.weight.data.mul_(-2),
    "data replaced": lambda m: setattr(m.norm.weight, "data", torch.arange(WIDTH) / 3),
    "another checkpoint assigned": lambda m: m.load_state_dict(small(9).state_dict(), assign=True),
    "in double precision": lambda m: other_weight(m.norm) or m.double(),
    "a module replaced": lambda m: setattr(m.blocks[0], "feed_forward", small(9).blocks[0].feed_forward),
    "a block replaced": lambda m: m.blocks.__setitem__(0, small(9).blocks[0]),
    "the last block removed": lambda m: setattr(m, "blocks", m.blocks[:1]),
    "the first block removed": lambda m: setattr(m, "blocks", m.blocks[1:]),
    "blocks in another order": lambda m: setattr(m, "blocks", nn.ModuleList([m.blocks[1], m.blocks[0]])),
    "one block twice": lambda m: setattr(m, "blocks", nn.ModuleList([m.blocks[1], m.blocks[1]])),
    "a block more": lambda m: m.blocks.append(copy.deepcopy(m.blocks[0])),
    "a third block, of another shape": lambda m: m.blocks.append(small(3, num_kv_heads=1).blocks[0]),
    "a hook on a block": lambda m: m.blocks[0].register_forward_hook(lambda mod, args, out: -2 * out),
    "a hook on attention": lambda m: m.blocks[0].attention.register_forward_hook(
        lambda mod, args, out: -2 * out, always_call=True
    ),
    "a hook on the last norm": lambda m: m.norm.register_forward_hook(lambda mod, args, out: out.flip(-1)),
    "a hook on dropout": lambda m: m.blocks[1].dropout.register_forward_hook(lambda mod, args, out: -out),
    "a hook before qkv": lambda m: m.blocks[0].attention.qkv.register_forward_pre_hook(
        lambda mod, args: (-2 * args[0],)
    ),
    "a hook that knows keywords": lambda m: m.blocks[1].register_forward_pre_hook(
        lambda mod, args, options: ((-args[0],), options), with_kwargs=True
    ),
    "hooks in a new dict": lambda m: (
        setattr(m.blocks[0], "_forward_hooks", type(m._forward_hooks)()),
        m.blocks[0].register_forward_hook(lambda mod, args, out: -2 * out),
    ),
    "a parametrisation": lambda m: parametrize.register_parametrization(
        m.blocks[0].attention.out, "weight", Negative()
    ),
    "weight norm": lambda m: (
        parametrizations.weight_norm(m.blocks[0].attention.out),
        m.blocks[0].attention.out.parametrizations.weight.original0.data.mul_(3),
    ),
    "pruned": lambda m: prune.l1_unstructured(m.blocks[0].feed_forward.gate_up, "weight", amount=0.7),
    "pruned for good": lambda m: prune.remove(
        prune.l1_unstructured(m.blocks[0].feed_forward.gate_up, "weight", amount=0.7), "weight"
    ),
    "no gradient": lambda m: (m.requires_grad_(False), other_weight(m.norm)),
}


def logits_in_pieces(model, cache, ids, sizes):
    return torch.cat([model(part, cache=cache) for part in ids.split(sizes, dim=1)], 1)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def compare(model, cache, seed=1):
    ids = torch.randint(11, (1, 9), generator=gen(seed))
    close(logits_in_pieces(model, cache, ids, [3, 1, 1, 1, 1, 1, 1]), model(ids))


both_modes = pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@both_modes
@each_change
def test_what_was_changed_before_is_computed(mode, change):
    model, ids = small(), torch.randint(11, (1, 9))
    with torch.no_grad():
        before = model(ids)
        change(model)
    with mode():
        assert (model(ids) - before).abs().max() > 1e-3, "a change that changes nothing shows nothing"
        compare(model, model.new_cache(1))


@both_modes
@each_change
def test_what_is_changed_later_is_seen(mode, change):
    model = small()
    with mode():
        cache = model.new_cache(1)
        compare(model, cache)  # the short way was taken, and has kept what it keeps
        cache.truncate(0)
    with torch.no_grad():
        change(model)
    with mode():
        compare(model, cache)


@each_change
def test_greedy_decoding_is_that_of_the_changed_model(change):
    model = small()
    with torch.no_grad():
        change(model)
    ids = torch.randint(11, (1, 3), generator=gen(3))
    assert greedy_decode(model, ids, 20).equal(greedy_decode(lambda ids: model(ids), ids, 20))


def feed_forward_alone(change):
    return lambda mod, args, *out: change(*args, *out) if isinstance(mod, FeedForward) else None


@torch.inference_mode()
@pytest.mark.parametrize(
    ("register", "hook"),
    [
        (register_module_forward_hook, feed_forward_alone(lambda x, out: -2 * out)),
        (register_module_forward_pre_hook, feed_forward_alone(lambda x: (-2 * x,))),
    ],
)
def test_hooks_on_all_modules_are_called(register, hook):
    model, ids = small(), torch.randint(11, (1, 9))
    before, cache = model(ids), model.new_cache(1)
    handle = register(hook)
    try:
        assert (model(ids) - before).abs().max() > 1e-3
        compare(model, cache)
    finally:
        handle.remove()


CLASSES = [Block, Attention, FeedForward, RMSNorm, nn.Linear, nn.Identity, nn.Module]


@torch.inference_mode()
@pytest.mark.parametrize(
    ("owner", "name"),
    [(cls, "forward") for cls in CLASSES[:-1]] + [(cls, "__call__") for cls in CLASSES]
    + [(F, "linear"), (F, "rms_norm"), (F, "silu"), (F, "scaled_dot_product_attention"), (trunk, "rotate")],
)  # fmt: skip
def test_what_is_patched_for_all_is_seen(monkeypatch, owner, name):
    model, ids = small(), torch.randint(11, (1, 9))
    before, cache, method = model(ids), model.new_cache(1), getattr(owner, name)
    compare(model, cache)
    cache.truncate(0)
    monkeypatch.setattr(owner, name, lambda *args, **options: -2 * method(*args, **options) + 0.1)
    assert (model(ids) - before).abs().max() > 1e-3
    compare(model, cache)


@torch.inference_mode()
def test_a_single_part_in_training_drops():
    for part in ("attention", "dropout"):
        model = small(dropout=0.5)
        getattr(model.blocks[1], part).train()
        ids = torch.randint(11, (1, 9))
        first, second = (logits_in_pieces(model, model.new_cache(1), ids, 1) for _ in range(2))
        assert (first - second).abs().max() > 1e-3


@torch.inference_mode()
@pytest.mark.parametrize("value", [math.inf, math.nan, 1e30])  # the square of the last is infinite
def test_infinite_and_missing_numbers_are_not_hidden(value):
    model, ids = small(), torch.tensor([[3, 1, 2, 4, 5]])
    model.embedding.weight[3, 2] = value
    expected = model(ids)
    out = logits_in_pieces(model, model.new_cache(1), ids, [1] * 5)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_a_copy_takes_the_short_way_too(monkeypatch):
    taken, call = [], single_token.SingleTokenStep.__call__
    monkeypatch.setattr(
        single_token.SingleTokenStep, "__call__", lambda self, *args: taken.append(0) or call(self, *args)
    )
    model = small()
    model.blocks[0].attention.config = replace(model.config)  # equal, and another
    with torch.inference_mode():
        compare(copy.deepcopy(model), copy.deepcopy(model.new_cache(1)))
    assert len(taken) == 6


class TwiceAsLoud(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return 2 * out if func is F.linear else out


class Rounding(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return out.round(decimals=1) if func is torch.ops.aten.mm.default else out


@torch.no_grad()
@pytest.mark.parametrize("mode", [TwiceAsLoud, Rounding])
def test_what_a_mode_of_pytorch_changes_is_seen(mode):
    model, ids = small(), torch.randint(11, (1, 9))
    before, cache = model(ids), model.new_cache(1)
    with mode():
        assert (model(ids) - before).abs().max() > 1e-3
        compare(model, cache)


@torch.no_grad()
def test_a_configuration_that_was_written_to_is_seen():
    model = small()
    cache = model.new_cache(1)
    compare(model, cache)
    cache.truncate(0)
    object.__setattr__(model.config, "rope_base", 3.0)
    compare(model, cache)


def test_one_cache_serves_two_models():
    first, second = small(), small(3)
    cache = first.new_cache(1)
    with torch.inference_mode():
        compare(first, cache)
        cache.truncate(0)
        compare(second, cache)
        cache.truncate(0)
        compare(small(4, rope_base=7.0), cache)


GONE = (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.sampled_from(["before", "later"])), max_size=4),
    st.lists(st.sampled_from([1, 1, 1, 2, 5]), min_size=1, max_size=9),
    st.sampled_from([torch.no_grad, torch.inference_mode]),
)
def test_a_model_changed_at_random_is_computed_as_it_is(changes, sizes, mode):
    model, cache = small(), None
    for when in ("before", "later"):
        for name, moment in changes:
            if moment == when:
                # what it would change may be gone
                with torch.no_grad(), suppress(*GONE):
                    CHANGES[name](model)
        if cache is None:
            cache = model.new_cache(1)
    ids = torch.randint(11, (1, sum(sizes)))
    with mode():
        try:
            expected = model(ids)
        except (RuntimeError, TypeError):  # changes that don't fit together: then neither way works
            with pytest.raises((RuntimeError, TypeError)):
                logits_in_pieces(model, cache, ids, sizes)
            return
        actual = logits_in_pieces(model, cache, ids, sizes)
        torch.testing.assert_close(
            actual, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max().clamp(min=1))
        )
