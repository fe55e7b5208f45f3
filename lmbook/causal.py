"""Causal language modelling: predict each token from those before it.

Axes: B batch, T time (new tokens), S all tokens seen, K key/value heads, E a head's width, V vocabulary,
R rows kept.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmbook.interface import check_int
from lmbook.step import Step
from lmbook.training import check_token_id, fit
from lmbook.transformer import Transformer, TransformerConfig


class KeyValueCache:
    """Keys and values of the tokens seen so far, in buffers that double when they are full.

    A step then costs one token's work plus a look at what is stored; nothing is copied but the new entries.
    Made by `CausalLM.new_cache`. Memory: 2 · num_layers · B · K · capacity · E numbers, the capacity being a
    power of two times 64, below twice the length.
    """

    def __init__(self, model: Transformer, batch_size: int):
        check_int("batch_size", batch_size)
        config, like = model.config, model.embedding.weight
        self.length = 0
        self.limit = config.context_length
        shape = (batch_size, config.num_kv_heads, min(64, self.limit), config.d_head)
        self.keys = [like.new_empty(shape) for _ in range(config.num_layers)]
        self.values = [like.new_empty(shape) for _ in range(config.num_layers)]
        self.padding: Tensor | None = None  # (B, limit) bool, once a token was padding
        self.step = Step(model)  # how a single token is read

    @property
    def batch_size(self) -> int:
        """B, the rows that the cache holds."""
        return self.keys[0].shape[0]

    def reserve(self, num_new: int, padding_mask: Tensor | None = None) -> Tensor | None:
        """Make room for `num_new` tokens, note which are padding; return that for all, (B, S), or None."""
        end, capacity = self.length + num_new, self.keys[0].shape[2]
        if end > capacity:
            while capacity < end:
                capacity = min(2 * capacity, self.limit)
            self.keys = [self._grow(buffer, capacity) for buffer in self.keys]
            self.values = [self._grow(buffer, capacity) for buffer in self.values]
        if padding_mask is not None and self.padding is None:
            self.padding = padding_mask.new_zeros(self.batch_size, self.limit)
        if self.padding is None:
            return None
        self.padding[:, self.length : end] = False if padding_mask is None else padding_mask
        return self.padding[:, :end]

    def _grow(self, buffer: Tensor, capacity: int) -> Tensor:
        grown = buffer.new_empty(*buffer.shape[:2], capacity, buffer.shape[3])
        grown[:, :, : self.length] = buffer[:, :, : self.length]
        return grown

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values (B, K, T, E); return all of them, (B, K, S, E)."""
        new, end = keys.shape[2], self.length + keys.shape[2]
        stored_keys, stored_values = self.keys[layer], self.values[layer]
        stored_keys.narrow(2, self.length, new).copy_(keys)
        stored_values.narrow(2, self.length, new).copy_(values)
        return stored_keys.narrow(2, 0, end), stored_values.narrow(2, 0, end)

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            ValueError: `length` is negative or more than the cache holds.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"length must be from 0 to {self.length}, what the cache holds; got {length}")
        self.length = length

    def select(self, rows: Int[Tensor, " R"]) -> None:
        """Keep rows `rows` in that order; a row may be taken more than once (beam search reorders so)."""
        self.keys = [k.index_select(0, rows) for k in self.keys]
        self.values = [v.index_select(0, rows) for v in self.values]
        if self.padding is not None:
            self.padding = self.padding.index_select(0, rows)


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
        return KeyValueCache(self, batch_size)


def causal_loss(
    model: CausalLM, batch: Int[Tensor, "B T"], pad_token_id: int | None = None
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Return the summed −log P of each token given those before it, and how many: all but the first.

    Args:
        model: a causal model.
        batch: (B, T), T at least 2.
        pad_token_id: this id is padding: never predicted, never looked at.
    """
    if batch.shape[1] < 2:
        raise ValueError(
            f"a batch needs at least 2 tokens a row, so that 1 is predicted; got {batch.shape[1]}"
        )
    inputs, targets, padding_mask = batch[:, :-1], batch[:, 1:], None
    if pad_token_id is not None:
        padding_mask = inputs == pad_token_id
        targets = targets.masked_fill(padding_mask | (targets == pad_token_id), -100)
    logits = model(inputs, padding_mask=padding_mask).flatten(0, 1)
    loss = F.cross_entropy(logits.float(), targets.flatten(), ignore_index=-100, reduction="sum")
    return loss, (targets != -100).sum()


def train_clm(
    model: CausalLM,
    dataloader: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int = 10,
    *,
    pad_token_id: int | None = None,
    **options,
) -> list[float]:
    """Train `model` to predict each next token; return the mean loss of each epoch, nats per token.

    Args:
        model: trained in place; ends in the mode it was found in.
        dataloader: any re-iterable of int64 batches (B, T); T ≥ 2 may vary.
        optimizer: of the model's parameters.
        epochs: passes over `dataloader`.
        pad_token_id: this id is padding, on either side of a row: never predicted, never looked at.
        **options: see `lmbook.training.fit`: schedule, max_grad_norm, validation, autocast, on_epoch,
            progress.

    Raises:
        ValueError: a setting out of range, ids outside the vocabulary, a batch longer than the context.
    """
    check_token_id(model, pad_token_id, "pad_token_id")

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        return causal_loss(model, batch, pad_token_id)

    return fit(model, loss, dataloader, optimizer, epochs, **options)
