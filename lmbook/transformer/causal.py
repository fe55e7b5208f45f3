"""Causal language modelling: predict each token from those before it.

Axes: B batch, T time (new tokens), V vocabulary.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmbook.transformer.cache import KeyValueCache
from lmbook.transformer.model import Transformer, TransformerConfig
from lmbook.transformer.single_token import SingleToken


class CausalLM(Transformer):
    """A transformer whose row t predicts token t + 1.

    Args:
        vocab_size: V.
        d_model: D, width of a token's vector.
        num_heads: H, must divide `d_model`.
        num_layers: blocks.
        context_length: most tokens that one sequence may have.
        **options: see `TransformerConfig`: num_kv_heads, d_ff, rope_base, norm_eps, tie_embeddings, dropout.
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
        **options,
    ):
        config = TransformerConfig(
            vocab_size=vocab_size,
            d_model=d_model,
            num_heads=num_heads,
            num_layers=num_layers,
            context_length=context_length,
            **options,
        )
        super().__init__(config)

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        *,
        padding_mask: Bool[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
        last_only: bool = False,
    ) -> Float[Tensor, "B _ V"]:
        """Logits (B, T, V), row t for token t + 1.

        Args:
            input_ids: (B, T) int64. With a cache: the tokens that it has not seen.
            padding_mask: (B, T), True where a token is padding; a cache remembers it.
            cache: from `new_cache`; advanced by T.
            last_only: logits of the last place alone, (B, 1, V): all that decoding needs.
        """
        hidden = self.hidden_states(input_ids, padding_mask, cache)
        return self.unembed(hidden[:, -1:] if last_only else hidden)

    def new_cache(self, batch_size: int) -> KeyValueCache:
        """An empty key/value cache for `batch_size` rows, on the model's device and in its precision."""
        cache = KeyValueCache(self.config, batch_size, self.embedding.weight)
        cache.step = SingleToken(self)  # how a single token is read
        return cache
