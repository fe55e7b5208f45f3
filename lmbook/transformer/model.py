"""The book's transformer: a configuration, and the trunk that both training objectives share.

A token's embedding passes through blocks. Each block adds the output of attention, then that of a small
network. The architecture is Llama's, so that a published model (chapter 9) fits into the same class: RMSNorm
before each part, rotary positions, grouped-query attention, SwiGLU, embeddings shared by input and output.

Every tensor is made on the device of the input.

Axes: B batch, T time (new tokens), S source time (all visible tokens), D model width, H query heads,
K key/value heads, V vocabulary, F width of the feed-forward part, E a head's width (d_head).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmbook.interface import (
    FLOATS,
    Ids,
    LayeredCache,
    Mask,
    check_fits,
    check_ids,
    check_int,
    check_looked_up,
    check_mask,
    check_number,
    kind_of,
)

MAX_WEIGHT = 65_504  # float16's largest number, so no model that is published in it has a larger one
MAX_LAYERS = 10_000
MAX_WEIGHTS = 10**10  # 40 GB in float32
MAX_POSITIONS = 2**27  # context_length · d_head: half a gigabyte in each of two tables


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape of a transformer.

    Attributes:
        vocab_size: V, number of ids that can be predicted.
        d_model: D, width of a token's vector.
        num_heads: H, query heads of D / H numbers each.
        num_layers: blocks.
        context_length: most tokens that one sequence may have.
        num_kv_heads: K, key/value heads; each serves H / K query heads. None: K = H.
        d_ff: F, width of the feed-forward part. None: 8·D / 3, rounded up to a multiple of 64.
        rope_base: base of the rotary frequencies, at least 1: none is above one radian per token.
        norm_eps: added to the mean square inside RMSNorm.
        tie_embeddings: use the embedding matrix for the output too.
        dropout: share of numbers set to 0 in training, in attention and before each addition.
        causal: True if a token sees only itself and earlier ones.
        extra_input_ids: how many ids V, V + 1, … can be read but not predicted.

    Raises:
        TypeError: a size that isn't an int.
        ValueError: a size or `rope_base` below 1, heads that don't divide, an odd head width, dropout outside
            [0, 1); more than 10,000 layers or 10 ** 10 weights, a table of positions with more than 2 ** 27
            numbers.
    """

    vocab_size: int
    d_model: int
    num_heads: int
    num_layers: int
    context_length: int = 1024
    num_kv_heads: int | None = None
    d_ff: int | None = None
    rope_base: float = 10000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = True
    dropout: float = 0.0
    causal: bool = True
    extra_input_ids: int = 0

    def __post_init__(self):
        for name in ("vocab_size", "d_model", "num_heads", "num_layers", "context_length"):
            self._set(name, check_int(name, getattr(self, name)))
        if self.num_kv_heads is None:
            self._set("num_kv_heads", self.num_heads)
        if self.d_ff is None:
            self._set("d_ff", -(-8 * self.d_model // 192) * 64)
        self._set("num_kv_heads", check_int("num_kv_heads", self.num_kv_heads))
        self._set("d_ff", check_int("d_ff", self.d_ff))
        self._set("extra_input_ids", check_int("extra_input_ids", self.extra_input_ids, 0))
        if self.d_model % self.num_heads:
            raise ValueError(f"num_heads must divide d_model {self.d_model}, got {self.num_heads}")
        if self.d_head % 2:
            raise ValueError(f"d_model / num_heads must be even, as rotations take pairs; got {self.d_head}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads must divide num_heads {self.num_heads}, got {self.num_kv_heads}")
        self._check_total()
        for name, within in (("rope_base", "[1, inf)"), ("norm_eps", "[0, inf)"), ("dropout", "[0, 1)")):
            self._set(name, float(check_number(name, getattr(self, name), within)))

    def _set(self, name: str, value: float | int) -> None:
        object.__setattr__(self, name, value)  # while the frozen configuration is being made

    def _check_total(self) -> None:
        """Refuse sizes that would fill any memory before the first token is read."""
        check_int("num_layers", self.num_layers, 1, MAX_LAYERS)
        heads = 2 * self.num_heads + 2 * self.num_kv_heads
        block = self.d_model * (heads * self.d_head + 3 * self.d_ff + 2)
        table = self.d_model * (self.vocab_size + self.extra_input_ids)
        total = self.num_layers * block + self.d_model + table * (1 if self.tie_embeddings else 2)
        check_int("the number of weights", total, 1, MAX_WEIGHTS)
        most = max(1, MAX_POSITIONS // self.d_head)
        check_int(f"with heads of width {self.d_head} context_length", self.context_length, 1, most)

    @property
    def d_head(self) -> int:
        """E, the width of one head."""
        return self.d_model // self.num_heads


@lru_cache(maxsize=16)
def rotary_tables(length: int, d_head: int, base: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of position × frequency, each (length, 1, d_head), float32.

    Frequency i, base^(−2i / d_head), turns the pair of numbers (i, i + d_head / 2). `__wrapped__` makes new
    tables, which a tracer needs: its tensors have no numbers, and must not be kept for others.

    Source: Su et al. 2021, RoFormer, section 3.2; the halves are paired as in Llama's published weights.
    """
    with torch.inference_mode(False):  # a cached table made while decoding is used in training too
        exponents = torch.arange(0, d_head, 2, device=device, dtype=torch.float32) / d_head
        angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), base**-exponents)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat((cos, cos), -1).unsqueeze(1), torch.cat((-sin, sin), -1).unsqueeze(1)


def rotate(x: Float[Tensor, "B T N E"], cos: Float[Tensor, "T 1 E"], sin: Float[Tensor, "T 1 E"]) -> Tensor:
    """Rotate each pair (x_i, x_{i+E/2}) by its angle, so that query · key depends on their distance only."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin).type_as(x)


def attention_mask(
    num_new: int,
    num_seen: int,
    causal: bool,
    padding_mask: Bool[Tensor, "B S"] | None = None,
    *,
    device: torch.device | None = None,
) -> Bool[Tensor, "_ 1 T S"]:
    """True where query t may look at source s: not ahead (if causal), not at padding, always at itself.

    The T = `num_new` queries are the last of the S = `num_seen` sources. Padding looks at itself, because the
    softmax of an empty row would be 0 / 0.
    """
    past = num_seen - num_new
    everything = torch.ones(num_new, num_seen, dtype=torch.bool, device=device)
    ahead_hidden = everything.tril(past) if causal else everything
    if padding_mask is None:
        return ahead_hidden[None, None]
    return ahead_hidden & ~padding_mask[:, None, None, :] | everything.tril(past).triu(past)


class RMSNorm(nn.Module):
    """Scale each vector to mean square 1, then multiply by a learned weight; float32 inside, or better.

    Source: Zhang and Sennrich 2019, Root Mean Square Layer Normalization, section 4.
    """

    def __init__(self, d_model: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Normalise (B, T, D) along D."""
        weight = self.weight  # looked up once: a module's attributes are slow, and this runs for every token
        return F.rms_norm(x, weight.shape, weight, self.eps)


class Attention(nn.Module):
    """Grouped-query self-attention with rotary positions.

    Source: Vaswani et al. 2017, section 3.2; Ainslie et al. 2023, GQA, section 2.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        heads = config.num_heads + 2 * config.num_kv_heads
        self.qkv = nn.Linear(config.d_model, heads * config.d_head, bias=False)  # one product makes all three
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, E), keys and values (B, K, T, E) of x (B, T, D); queries and keys are rotated."""
        c = self.config
        qkv = self.qkv(x).unflatten(-1, (-1, c.d_head))
        qk, v = qkv.split((c.num_heads + c.num_kv_heads, c.num_kv_heads), dim=2)
        q, k = rotate(qk, cos, sin).transpose(1, 2).split((c.num_heads, c.num_kv_heads), dim=1)
        return q, k, v.transpose(1, 2)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        cos: Float[Tensor, "T 1 E"],
        sin: Float[Tensor, "T 1 E"],
        attn_mask: Bool[Tensor, "_ 1 T S"] | None = None,
        is_causal: bool = False,
        cache: LayeredCache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "B T D"]:
        """Mix (B, T, D) along time.

        Args:
            x: vectors of the new tokens.
            cos: cosines of the new tokens' places, from `rotary_tables`.
            sin: their sines.
            attn_mask: True where a query may look; None: `is_causal` decides.
            is_causal: without a mask, each query looks only at its own place and those before it.
            cache: holds the keys and values of the earlier tokens.
            layer: index of this layer in the cache.
        """
        c = self.config
        q, k, v = self.project(x, cos, sin)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        context = F.scaled_dot_product_attention(
            q, k, v, attn_mask=attn_mask, is_causal=is_causal, enable_gqa=c.num_kv_heads != c.num_heads,
            dropout_p=c.dropout if self.training else 0.0,
        )  # fmt: skip
        return self.out(context.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, cos: Tensor, sin: Tensor, attn_mask: Tensor) -> Float[Tensor, "B H T T"]:
        """The weights that `forward` uses: row t is how much token t attends to each token."""
        q, k, _ = self.project(x, cos, sin)
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        return scores.masked_fill(~attn_mask, -math.inf).softmax(-1)


class FeedForward(nn.Module):
    """SwiGLU: one half of a wide layer gates the other, then a projection back to D.

    Source: Shazeer 2020, GLU Variants Improve Transformer, section 2.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.gate_up = nn.Linear(config.d_model, 2 * config.d_ff, bias=False)  # one product makes both halves
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Transform each token independently."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    """Attention, then the feed-forward part; the result of each is added to its input."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.d_model, config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        cos: Float[Tensor, "T 1 E"],
        sin: Float[Tensor, "T 1 E"],
        attn_mask: Bool[Tensor, "_ 1 T S"] | None = None,
        is_causal: bool = False,
        cache: LayeredCache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "B T D"]:
        """Input (B, T, D) of the next block; the arguments are those of `Attention.forward`."""
        attended = self.attention(
            self.attention_norm(x),
            cos=cos, sin=sin, attn_mask=attn_mask, is_causal=is_causal, cache=cache, layer=layer,
        )  # fmt: skip
        x = x + self.dropout(attended)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


def attention_inputs(
    config: TransformerConfig,
    x: Float[Tensor, "B T D"],
    padding_mask: Tensor | None,
    cache: LayeredCache | None = None,
) -> dict:
    """The keyword arguments of every block, except `layer`."""
    num_new, past = x.shape[1], 0 if cache is None else cache.length
    make = rotary_tables if type(x) is Tensor else rotary_tables.__wrapped__  # a tracer's are another type
    tables = make(config.context_length, config.d_head, config.rope_base, x.device)
    cos, sin = (table[past : past + num_new] for table in tables)
    padding = padding_mask if cache is None else cache.reserve(num_new, padding_mask)
    attn_mask, is_causal = None, config.causal and num_new > 1
    if padding is not None or (past > 0 and num_new > 1):
        attn_mask = attention_mask(num_new, past + num_new, config.causal, padding, device=x.device)
        is_causal = False
    return {"cos": cos, "sin": sin, "attn_mask": attn_mask, "is_causal": is_causal, "cache": cache}


class Transformer(nn.Module):
    """The trunk that `CausalLM` and `MaskedLM` extend: ids to vectors, blocks, a last norm, logits."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.embedding = nn.Embedding(config.vocab_size + config.extra_input_ids, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        if not config.tie_embeddings:
            self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.init_weights()

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Draw matrices from N(0, 1 / columns); set norms to 1.

        The last matrix of each branch has that variance divided by 2·num_layers. So a product is about as
        large as its input, and the residual stream doesn't grow with the number of branches.

        With `generator=None`, torch's default generator is used: call `torch.manual_seed` before constructing
        the model to make it reproducible.

        Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.3.
        """
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(1.0)
            else:
                added = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
                variance = 1 / weight.shape[1] / (2 * self.config.num_layers if added else 1)
                weight.normal_(0.0, math.sqrt(variance), generator=generator)

    def hidden_states(
        self, input_ids: Ids, padding_mask: Mask | None = None, cache: LayeredCache | None = None
    ) -> Float[Tensor, "B T D"]:
        """Vectors after the last norm, (B, T, D); `unembed` turns them into logits.

        Positions count padding too. Rotary attention depends on differences of positions only, so padding on
        the left doesn't change a row's result.

        Args:
            input_ids: (B, T) int64; with a cache the new tokens only.
            padding_mask: (B, T), True where a token is padding, which no other token sees.
            cache: holds the tokens read so far; the T new ones are added to it.

        Raises:
            ValueError: ids outside the vocabulary, no token, more tokens than the context holds, a mask of
                another shape, a cache of another batch size.
        """
        x = self.transform(self._embed(input_ids, padding_mask, cache), padding_mask, cache)
        if cache is not None:
            cache.length += input_ids.shape[1]
        return x

    def transform(
        self, x: Float[Tensor, "B T D"], padding_mask: Mask | None = None, cache: LayeredCache | None = None
    ) -> Float[Tensor, "B T D"]:
        """Pass the tokens' vectors through all blocks and the last norm."""
        options = attention_inputs(self.config, x, padding_mask, cache)
        for layer, block in enumerate(self.blocks):
            x = block(x, **options, layer=layer)
        return self.norm(x)

    def attention_weights(
        self, input_ids: Ids, padding_mask: Mask | None = None
    ) -> list[Float[Tensor, "B H T T"]]:
        """Each layer's attention weights, for display; rows sum to 1. Slower than a forward pass."""
        x = self._embed(input_ids, padding_mask)
        num_tokens, options = x.shape[1], attention_inputs(self.config, x, padding_mask)
        mask = attention_mask(num_tokens, num_tokens, self.config.causal, padding_mask, device=x.device)
        weights = []
        for block in self.blocks:
            attention, normed = block.attention, block.attention_norm(x)
            weights.append(attention.weights(normed, options["cos"], options["sin"], mask))
            x = block(x, **options)
        return weights

    def unembed(self, hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        """Logits of hidden states.

        Raises:
            TypeError: not a tensor of floats. ValueError: states of another width than `d_model`.
            RuntimeError: floats of another type than the weights.
        """
        if not isinstance(hidden, Tensor) or hidden.dtype not in FLOATS or hidden.layout != torch.strided:
            raise TypeError(f"hidden must be a tensor of floats, got {kind_of(hidden)}")
        if not hidden.ndim or hidden.shape[-1] != self.config.d_model:
            raise ValueError(f"hidden must be (…, {self.config.d_model}), got {tuple(hidden.shape)}")
        if not self.config.tie_embeddings:
            return self.unembedding(hidden)
        return F.linear(hidden, self.embedding.weight[: self.vocab_size])

    def _embed(
        self, input_ids: Tensor, padding_mask: Tensor | None, cache: LayeredCache | None = None
    ) -> Float[Tensor, "B T D"]:
        """Check the input and return its embeddings."""
        if cache is not None and not hasattr(cache, "reserve"):
            raise TypeError(f"cache must come from new_cache, got {cache!r}")
        if cache is not None and not self.config.causal:
            raise ValueError("a cache needs the causal mask, without which new tokens change earlier results")
        past = 0 if cache is None else cache.length
        is_ids = isinstance(input_ids, Tensor) and input_ids.ndim == 2 and input_ids.dtype == torch.int64
        if not is_ids or not input_ids.numel() or input_ids.layout != torch.strided:
            check_ids(input_ids, self.embedding.num_embeddings)
        check_fits(self, past + input_ids.shape[1], "the sequence")
        if padding_mask is not None:
            check_mask("padding_mask", padding_mask, input_ids.shape, input_ids.device)
        if cache is not None and cache.batch_size != input_ids.shape[0]:
            raise ValueError(f"the cache holds {cache.batch_size} rows, input_ids {input_ids.shape[0]}")
        try:
            vectors = self.embedding(input_ids)
        except IndexError:  # an id is outside the vocabulary: say which
            check_ids(input_ids, self.embedding.num_embeddings)
            raise
        check_looked_up(input_ids, vectors)
        return self.dropout(vectors)


def check_weight(name: str, weight: Tensor) -> None:
    """Raise ValueError if a weight read from a file has a number that is NaN, infinite or above `MAX_WEIGHT`.

    Below that limit the sums inside the model stay in float32's range; above it one damaged exponent
    could make every logit NaN.
    """
    low, high = weight.aminmax()  # both NaN if a number is
    largest = float(torch.maximum(-low, high))
    if not math.isfinite(largest):
        raise ValueError(f"{name} has numbers that are NaN or infinite")
    if largest > MAX_WEIGHT:
        raise ValueError(f"{name} has a number of size {largest:.3g}; the limit is {MAX_WEIGHT:,}")
