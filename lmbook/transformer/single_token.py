"""One token of one row, read in the shortest way: the step that decoding repeats.

`Transformer.hidden_states` serves any number of rows and tokens, padded or not, in training too. Here its
blocks are written down once more for a single vector x (D,), and nothing is left but arithmetic. In a small
model that pays: its products of a matrix with this vector take some 10 µs each, and looking up modules,
making room and rearranging axes took as long again. Four thoughts make it short:

- RMSNorm multiplies a vector by *one number*, so W · norm(x) is a product with a factor: `alpha` of `addmv_`.
- A branch is added to the stream by the product that ends it: x += W · y is one operation.
- A single token needs no mask, as it may see all that is stored; heads that share keys make one product.
- Each result has its place beforehand: new keys and values in the cache, the others in buffers.

Axes: D model width, H query heads, K key/value heads, E a head's width, S tokens seen, N numbers.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmbook.transformer.model import Attention, Block, FeedForward, RMSNorm, rotary_tables

OURS = {Attention, Block, FeedForward, RMSNorm, nn.Linear, nn.Dropout, nn.Identity, nn.ModuleList}


class SingleToken:
    """A model's blocks and last norm for one token; a cache has one, with the model's weights as they are."""

    def __init__(self, model: nn.Module):
        self.config, like = model.config, model.embedding.weight
        parts = [*model.blocks.modules(), model.norm]
        # Someone's own layer, or a hook on one of ours, must have its say: then modules are called as ever.
        plain = all(type(p) in OURS and not (p._forward_hooks or p._forward_pre_hooks) for p in parts)
        # To read the norm's number would make a GPU wait; half precision would round it, and 0 needs epsilon.
        exact = like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64)
        self.possible = plain and exact and self.config.norm_eps > 0
        if self.possible:
            self.weights = [
                (b.attention_norm.weight, b.attention.qkv.weight, b.attention.out.weight,
                 b.feed_forward_norm.weight, b.feed_forward.gate_up.weight, b.feed_forward.down.weight)
                for b in model.blocks
            ]  # fmt: skip
            self.last_norm = model.norm.weight
            self._make_room(like)

    def _make_room(self, like: Tensor) -> None:
        c, half = self.config, self.config.d_head // 2
        tables = rotary_tables(c.context_length, c.d_head, c.rope_base, like.device)
        self.cos, self.sin = (table.to(like.dtype).view(-1, 2, half) for table in tables)
        self.scaled, self.gate_up = like.new_empty(c.d_model), like.new_empty(2 * c.d_ff)
        self.gate, self.up = self.gate_up.chunk(2)
        self.qkv = like.new_empty((c.num_heads + 2 * c.num_kv_heads) * c.d_head)
        qk, self.v = self.qkv.view(-1, c.d_head).tensor_split((c.num_heads + c.num_kv_heads,))
        self.halves = qk.view(-1, 2, half)
        self.rotated = torch.empty_like(self.halves)
        q, self.k = self.rotated.flatten(1).tensor_split((c.num_heads,))
        self.q = q.view(c.num_kv_heads, -1, c.d_head)  # (K, H / K, E)
        self.context = torch.empty_like(self.q)
        self.factor = like.new_ones(len(self.halves), 1, 1)  # scores are divided by sqrt(E): queries are
        self.factor[: c.num_heads] = c.d_head**-0.5

    def serves(self, x: Tensor, cache, training: bool) -> bool:
        """True if x (B, T, D) is one token of one row without padding; no gradient, dropout or autocast."""
        single = self.possible and x.shape[0] == x.shape[1] == 1 and cache.padding is None
        bare = not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
        return single and bare and not (training and self.config.dropout)

    def __call__(self, x: Float[Tensor, "1 1 D"], cache) -> Float[Tensor, "1 1 D"]:
        """Pass one vector through; its keys and values go behind those in `cache`."""
        t = cache.length
        cache.reserve(1)
        x, cos, sin = x.flatten().clone(), self.cos[t] * self.factor, self.sin[t] * self.factor
        for weights, keys, values in zip(self.weights, cache.keys, cache.values, strict=True):
            attention_norm, qkv, out, feed_forward_norm, gate_up, down = weights
            keys, values = keys[0, :, : t + 1], values[0, :, : t + 1]  # (K, S, E)
            self._product(qkv, attention_norm, x, self.qkv)
            torch.mul(self.halves, cos, out=self.rotated).addcmul_(self.halves.flip(1), sin)  # as `rotate`
            keys.select(1, t).copy_(self.k)
            values.select(1, t).copy_(self.v)
            scores = torch.bmm(self.q, keys.mT)  # (K, H / K, S)
            torch.bmm(scores.softmax(-1), values, out=self.context)
            x.addmv_(out, self.context.view(-1))
            self._product(gate_up, feed_forward_norm, x, self.gate_up)
            x.addmv_(down, F.silu(self.gate, inplace=True).mul_(self.up))
        return x.mul(self.last_norm).mul_(self._scale(x)).view(1, 1, -1)

    def _product(self, matrix: Tensor, norm: Tensor, x: Tensor, result: Tensor) -> None:
        """Write matrix (N, D) · RMSNorm(x) into `result` (N,)."""
        result.addmv_(matrix, torch.mul(x, norm, out=self.scaled), beta=0, alpha=self._scale(x))

    def _scale(self, x: Tensor) -> float:
        """1 / sqrt(mean square of x), RMSNorm's number."""
        return (x.dot(x).item() / self.config.d_model + self.config.norm_eps) ** -0.5
