"""Causal language modelling: predict each token from those before it.

Axes: B batch, T time (new tokens), D model width, V vocabulary.
"""

from jaxtyping import Float
from torch import Tensor

from lmbook.interface import Ids, Mask
from lmbook.transformer.cache import KeyValueCache
from lmbook.transformer.model import Transformer, TransformerConfig
from lmbook.transformer.single_token import read_single_token


class CausalLM(Transformer):
    """A transformer whose row t predicts token t + 1.

    Args:
        vocab_size: V.
        d_model: D, width of a token's vector.
        num_heads: H, must divide `d_model`.
        num_layers: blocks.
        context_length: most tokens that one sequence may have.
        num_kv_heads: K, key/value heads; each serves H / K query heads. None: K = H.
        d_ff: width of the feed-forward part. None: 8·D / 3, rounded up to a multiple of 64.
        rope_base: base of the rotary frequencies, at least 1.
        norm_eps: added to the mean square inside RMSNorm.
        tie_embeddings: use the embedding matrix for the output too.
        dropout: share of numbers set to 0 in training, in attention and before each addition.
        causal: False leaves out the causal mask, so each token sees those after it: the bug in chapter 4.

    Raises:
        ValueError: a size or `rope_base` below 1, heads that don't divide, an odd head width, dropout outside
            [0, 1).
    """

    accepts_padding = True

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        num_heads: int,
        num_layers: int,
        *,
        context_length: int = 1024,
        num_kv_heads: int | None = None,
        d_ff: int | None = None,
        rope_base: float = 10000.0,
        norm_eps: float = 1e-5,
        tie_embeddings: bool = True,
        dropout: float = 0.0,
        causal: bool = True,
    ):
        config = TransformerConfig(
            vocab_size=vocab_size,
            d_model=d_model,
            num_heads=num_heads,
            num_layers=num_layers,
            context_length=context_length,
            num_kv_heads=num_kv_heads,
            d_ff=d_ff,
            rope_base=rope_base,
            norm_eps=norm_eps,
            tie_embeddings=tie_embeddings,
            dropout=dropout,
            causal=causal,
        )
        super().__init__(config)

    def forward(
        self,
        input_ids: Ids,
        *,
        padding_mask: Mask | None = None,
        cache: KeyValueCache | None = None,
        last_only: bool = False,
    ) -> Float[Tensor, "B _ V"]:
        """Logits (B, T, V), row t for token t + 1.

        Args:
            input_ids: (B, T) int64. With a cache: only the tokens that are not in it.
            padding_mask: (B, T), True where a token is padding; a cache stores it.
            cache: from `new_cache`; the T tokens are added to it.
            last_only: return the last place's logits only, (B, 1, V), which is what decoding needs.
        """
        hidden = self.hidden_states(input_ids, padding_mask, cache)
        return self.unembed(hidden[:, -1:] if last_only else hidden)

    def transform(
        self,
        x: Float[Tensor, "B T D"],
        padding_mask: Mask | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Pass the vectors through all blocks and the last norm; a single token takes the fast path."""
        if cache is not None and padding_mask is None:
            hidden = read_single_token(self, x, cache)
            if hidden is not None:
                return hidden
        return super().transform(x, padding_mask, cache)

    def new_cache(self, batch_size: int) -> KeyValueCache | None:
        """An empty key/value cache for `batch_size` rows, on the model's device and in its precision.

        None without the causal mask: there each new token changes the results of the earlier ones.
        """
        if not self.config.causal:
            return None
        weight = self.embedding.weight
        return KeyValueCache(self.config, batch_size, dtype=weight.dtype, device=weight.device)
