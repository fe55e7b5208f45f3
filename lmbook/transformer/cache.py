"""What a causal model remembers of the tokens it has read: the keys and values of each layer.

Axes: B batch, S all tokens seen, K key/value heads, E a head's width, R rows kept.
"""

from jaxtyping import Int
from torch import Tensor

from lmbook.interface import check_int
from lmbook.transformer.model import TransformerConfig


class KeyValueCache:
    """Keys and values of the tokens seen so far, in buffers that double when they are full.

    A step then costs one token's work plus a look at what is stored; nothing is copied but the new entries.
    Made by `CausalLM.new_cache`. Memory: 2 · num_layers · B · K · capacity · E numbers, the capacity being a
    power of two times 64, below twice the length.
    """

    def __init__(self, config: TransformerConfig, batch_size: int, like: Tensor):
        check_int("batch_size", batch_size)
        self.length = 0
        self.limit = config.context_length
        shape = (batch_size, config.num_kv_heads, min(64, self.limit), config.d_head)
        self.keys = [like.new_empty(shape) for _ in range(config.num_layers)]
        self.values = [like.new_empty(shape) for _ in range(config.num_layers)]
        self.padding: Tensor | None = None  # (B, limit) bool, once a token was padding

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
