"""A faster path for one token of one row: the step that decoding repeats.

`Transformer.transform` handles any number of rows and tokens, padding and training. This module repeats the
arithmetic of its blocks for a single vector x (D,). In a small model this is faster, because calling modules,
making masks and rearranging axes take as long there as the matrix products.

- RMSNorm multiplies a vector by one number, so W · norm(x) is a product with a factor: `alpha` of `addmv_`.
- The last product of a branch also adds it to x: x += W · y is one operation.
- A single token sees all stored tokens, so there is no mask; heads that share keys are one product.
- Queries, keys and values have buffers of their own, whose views are made once.

The result must be right even if a reader has changed the model. So the step stores no weights: each time,
`known_weights` checks that every part of the model is one that this module implements, and returns its
current weights. Otherwise the step isn't taken.

Axes: D model width, H query heads, K key/value heads, E a head's width, F width of the feed-forward part,
S tokens read, N numbers.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from lmbook.transformer import model as trunk
from lmbook.transformer.cache import KeyValueCache, ordinary_tensors
from lmbook.transformer.model import (
    Attention,
    Block,
    FeedForward,
    RMSNorm,
    Transformer,
    TransformerConfig,
    rotary_tables,
)

# The functions that the step replaces. If one of them has been patched since, the step isn't taken.
WRITTEN_OUT = [
    (owner, name, getattr(owner, name))
    for owner, names in {
        Block: ("__call__", "forward"),
        Attention: ("__call__", "forward", "project"),
        FeedForward: ("__call__", "forward"),
        RMSNorm: ("__call__", "forward"),
        nn.Linear: ("__call__", "forward"),
        nn.Dropout: ("__call__", "forward"),
        nn.Identity: ("__call__", "forward"),
        nn.Module: ("_call_impl",),
        Transformer: ("transform",),
        trunk: ("attention_inputs", "rotary_tables", "rotate"),
        F: ("linear", "rms_norm", "scaled_dot_product_attention", "silu"),
    }.items()
    for name in names
]
# How many attributes an unchanged module has.
BARE = len(vars(nn.Module()))
NUM_ATTRIBUTES = {
    Block: BARE,
    Attention: BARE + len(("config",)),
    FeedForward: BARE,
    RMSNorm: BARE + len(("eps",)),
    nn.Linear: BARE + len(("in_features", "out_features")),
    nn.Dropout: BARE + len(("p", "inplace")),
    nn.Identity: BARE,
}


class BlockWeights(NamedTuple):
    """The weights of one block."""

    attention_eps: float
    attention_norm: Float[Tensor, " D"]
    qkv: Float[Tensor, "(H+2*K)*E D"]
    out: Float[Tensor, "D D"]
    feed_forward_eps: float
    feed_forward_norm: Float[Tensor, " D"]
    gate_up: Float[Tensor, "2*F D"]
    down: Float[Tensor, "D F"]


class Unknown(Exception):
    """The model has a part that the step doesn't implement."""


def read_single_token(
    model: Transformer, x: Float[Tensor, "B T D"], cache: KeyValueCache
) -> Float[Tensor, "1 1 D"] | None:
    """The result of `Transformer.transform` for x, or None if the step doesn't apply.

    It applies to one token of one row, without padding, gradient, autocast or PyTorch's modes, in float32 or
    float64 on a CPU: reading the norm's factor would stall a GPU, and half precision would round it.
    """
    c = model.config
    exact = x.dtype in (torch.float32, torch.float64) and x.is_cpu and type(x) is Tensor  # no tracer's
    if (
        x.shape != (1, 1, c.d_model)
        or not exact
        or type(cache) is not KeyValueCache
        or cache.padding is not None
    ):
        return None
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return None
    if torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
        return None  # a mode may change what the functions do that the step replaces
    step = cache.workspace
    if not isinstance(step, SingleTokenStep) or step.config != c or step.dtype != x.dtype:
        step = cache.workspace = SingleTokenStep(c, x.dtype)
    try:
        return step(x, *known_weights(model, x.dtype), cache)
    except Unknown:
        return None


def known_weights(model: Transformer, dtype: torch.dtype) -> tuple[list[BlockWeights], float, Tensor]:
    """The weights of all blocks, then epsilon and weight of the last norm.

    Raises:
        Unknown: the model has a part that this module doesn't implement.
    """
    if hooks._global_forward_hooks or hooks._global_forward_pre_hooks:
        raise Unknown
    for owner, name, function in WRITTEN_OUT:
        if getattr(owner, name) is not function:
            raise Unknown
    if type(model.blocks) is not nn.ModuleList:
        raise Unknown
    blocks = [_block_weights(block, model.config, dtype) for block in model.blocks]
    return blocks, *_norm(model.norm, model.config.d_model, dtype)


def _block_weights(block: nn.Module, c: TransformerConfig, dtype: torch.dtype) -> BlockWeights:
    parts = _state(block, Block)["_modules"]
    attention = _state(parts.get("attention"), Attention)
    if not (attention.get("config") is c or attention.get("config") == c) or (
        attention["training"] and c.dropout
    ):
        raise Unknown
    projections = attention["_modules"]
    feed_forward = _state(parts.get("feed_forward"), FeedForward)["_modules"]
    dropout = parts.get("dropout")
    kind = nn.Dropout if type(dropout) is nn.Dropout else nn.Identity
    if _state(dropout, kind)["training"] and kind is nn.Dropout:
        raise Unknown
    d, heads = c.d_model, c.num_heads + 2 * c.num_kv_heads
    return BlockWeights(
        *_norm(parts.get("attention_norm"), d, dtype),
        _matrix(projections.get("qkv"), (heads * c.d_head, d), dtype),
        _matrix(projections.get("out"), (d, d), dtype),
        *_norm(parts.get("feed_forward_norm"), d, dtype),
        _matrix(feed_forward.get("gate_up"), (2 * c.d_ff, d), dtype),
        _matrix(feed_forward.get("down"), (d, c.d_ff), dtype),
    )


def _state(module: nn.Module, kind: type[nn.Module]) -> dict:
    """The attributes of `module`, which must be a `kind` without hooks or additional attributes."""
    if type(module) is not kind:
        raise Unknown
    state = module.__dict__
    if len(state) != NUM_ATTRIBUTES[kind] or "forward" in state:
        raise Unknown
    if state["_forward_hooks"] or state["_forward_pre_hooks"]:
        raise Unknown
    return state


def _matrix(module: nn.Module, shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    parameters = _state(module, nn.Linear)["_parameters"]
    if parameters.get("bias") is not None:
        raise Unknown
    return _weight(parameters, shape, dtype)


def _norm(module: nn.Module, width: int, dtype: torch.dtype) -> tuple[float, Tensor]:
    state = _state(module, RMSNorm)
    eps = state.get("eps")
    if type(eps) is not float or not 0 < eps < math.inf:  # a vector of zeros would divide by 0
        raise Unknown
    return eps, _weight(state["_parameters"], (width,), dtype)


def _weight(parameters: dict, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    weight = parameters.get("weight")
    if type(weight) is not nn.Parameter and type(weight) is not Tensor:
        raise Unknown
    if weight.dtype != dtype or weight.shape != shape or not weight.is_cpu or weight.layout != torch.strided:
        raise Unknown
    return weight


class SingleTokenStep:
    """The arithmetic of the step, with buffers for its intermediate results; a cache stores it."""

    def __init__(self, config: TransformerConfig, dtype: torch.dtype):
        self.config, self.dtype = replace(config), dtype  # a copy shows what is changed in the model's own
        c, half, cpu = config, config.d_head // 2, torch.device("cpu")
        with ordinary_tensors():
            tables = rotary_tables(c.context_length, c.d_head, c.rope_base, cpu)
            self.cos, self.sin = (table.to(dtype).view(-1, 2, half) for table in tables)
            room = torch.empty(0, dtype=dtype, device=cpu)
            self.scaled, self.gate_up = room.new_empty(c.d_model), room.new_empty(2 * c.d_ff)
            self.gate, self.up = self.gate_up.chunk(2)
            self.qkv = room.new_empty((c.num_heads + 2 * c.num_kv_heads) * c.d_head)
            qk, v = self.qkv.view(-1, c.d_head).tensor_split((c.num_heads + c.num_kv_heads,))
            self.halves = qk.view(-1, 2, half)
            self.rotated = torch.empty_like(self.halves)
            q, k = self.rotated.flatten(1).tensor_split((c.num_heads,))
            self.q = q.view(c.num_kv_heads, -1, c.d_head)  # (K, H / K, E)
            self.k, self.v = (new.view(1, c.num_kv_heads, 1, c.d_head) for new in (k, v))
            self.context = torch.empty_like(self.q)
            self.factor = room.new_ones(len(self.halves), 1, 1)  # divides queries by sqrt(E), not scores
            self.factor[: c.num_heads] = c.d_head**-0.5

    def __call__(
        self,
        x: Float[Tensor, "1 1 D"],
        blocks: list[BlockWeights],
        eps: float,
        norm: Tensor,
        cache: KeyValueCache,
    ) -> Float[Tensor, "1 1 D"]:
        """Pass one vector through the blocks and append its keys and values to `cache`."""
        t = cache.length
        cache.reserve(1)
        x, cos, sin = x.flatten().clone(), self.cos[t] * self.factor, self.sin[t] * self.factor
        for layer, w in enumerate(blocks):
            self._product(w.qkv, w.attention_norm, w.attention_eps, x, self.qkv)
            torch.mul(self.halves, cos, out=self.rotated).addcmul_(self.halves.flip(1), sin)  # as `rotate`
            keys, values = cache.append(layer, self.k, self.v)  # (1, K, S, E)
            scores = torch.bmm(self.q, keys[0].mT)  # (K, H / K, S)
            torch.bmm(scores.softmax(-1), values[0], out=self.context)
            x.addmv_(w.out, self.context.view(-1))
            self._product(w.gate_up, w.feed_forward_norm, w.feed_forward_eps, x, self.gate_up)
            x.addmv_(w.down, F.silu(self.gate, inplace=True).mul_(self.up))
        return x.mul(norm).mul_(self._scale(x, eps)).view(1, 1, -1)

    def _product(self, matrix: Tensor, norm: Tensor, eps: float, x: Tensor, result: Tensor) -> None:
        """Write matrix (N, D) · RMSNorm(x) into `result` (N,)."""
        result.addmv_(matrix, torch.mul(x, norm, out=self.scaled), beta=0, alpha=self._scale(x, eps))

    def _scale(self, x: Tensor, eps: float) -> float:
        """RMSNorm's factor, 1 / sqrt(mean square of x + eps)."""
        square = x.dot(x).item()
        if not square < math.inf:  # a factor of 0 would hide an infinity or NaN
            raise Unknown
        return (square / self.config.d_model + eps) ** -0.5
