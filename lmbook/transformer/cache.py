"""The key/value cache of a causal model: the keys and values of the tokens it has read, by layer.

Axes: B batch, T new tokens, S all tokens read, K key/value heads, E a head's width, R rows kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmbook.interface import check_ids, check_int, check_mask
from lmbook.transformer.model import TransformerConfig

MAX_ROWS = 1_000_000


class KeyValueCache:
    """Keys and values of the tokens read so far, in buffers that double when they are full.

    A step computes the new token only and copies only its entries. Made by `CausalLM.new_cache`.
    Memory: 2 · num_layers · B · K · capacity · E numbers, where the capacity is a power of two times 64,
    below twice the length.

    Args:
        config: shape of the model.
        batch_size: B, the number of rows, at most 1,000,000.
        dtype, device: those of the model's weights; None: torch's defaults.

    Attributes:
        keys, values: one buffer (B, K, capacity, E) a layer; the first `length` places are in use.
        padding: (B, context_length) bool, True where a token was padding; None if there was no padding.
        workspace: a place for the single-token step's buffers.
    """

    def __init__(
        self,
        config: TransformerConfig,
        batch_size: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ):
        self.batch_size = check_int("batch_size", batch_size, 1, MAX_ROWS)
        self.length, self.limit = 0, config.context_length
        self.capacity = min(64, self.limit)
        shape = (self.batch_size, config.num_kv_heads, self.capacity, config.d_head)
        with ordinary_tensors():
            self.keys, self.values = (
                [torch.empty(shape, dtype=dtype, device=device) for _ in range(config.num_layers)]
                for _ in range(2)
            )
        self.padding: Tensor | None = None
        self.workspace: object = None

    def reserve(self, num_new: int, padding_mask: Tensor | None = None) -> Tensor | None:
        """Make room for `num_new` tokens, store their padding mask; return the whole mask (B, S), or None."""
        end = self.length + num_new
        if end > self.limit:
            raise ValueError(f"the cache has room for {self.limit} tokens, the sequence is {end} tokens long")
        while self.capacity < end:
            self.capacity = min(2 * self.capacity, self.limit)
        if padding_mask is not None:
            check_mask("padding_mask", padding_mask, (self.batch_size, num_new))
            if self.padding is None:
                with ordinary_tensors():
                    self.padding = padding_mask.new_zeros(self.batch_size, self.limit)
        if self.padding is None:
            return None
        self.padding[:, self.length : end] = False if padding_mask is None else padding_mask
        return self.padding[:, :end]

    def append(
        self, layer: int, keys: Float[Tensor, "B K T E"], values: Float[Tensor, "B K T E"]
    ) -> tuple[Float[Tensor, "B K S E"], Float[Tensor, "B K S E"]]:
        """Append a layer's new keys and values; return all of them."""
        return self._store(self.keys, layer, keys), self._store(self.values, layer, values)

    def _store(self, buffers: list[Tensor], layer: int, new: Tensor) -> Tensor:
        buffer, num_new = buffers[layer] if layer < len(buffers) else None, new.shape[2]
        shape = (self.batch_size, new.shape[1], self.capacity, new.shape[3])
        if (
            buffer is None
            or buffer.shape != shape
            or buffer.dtype != new.dtype
            or buffer.device != new.device
        ):
            buffer = self._moved(buffer, shape, new)  # it is full, or the model has changed
            buffers[layer : layer + 1] = [buffer]
        buffer.narrow(2, self.length, num_new).copy_(new)
        return buffer.narrow(2, 0, self.length + num_new)

    def _moved(self, buffer: Tensor | None, shape: tuple[int, ...], new: Tensor) -> Tensor:
        """Copy `buffer` into a new one of this shape, with the dtype and device of `new`."""
        with ordinary_tensors():
            moved = new.new_empty(shape)
            if self.length:
                heads = None if buffer is None else (buffer.shape[1], buffer.shape[3])
                if heads != (shape[1], shape[3]):
                    raise ValueError(f"the cache has heads {heads} in this layer, the model {shape[1::2]}")
                moved[:, :, : self.length] = buffer[:, :, : self.length]
        return moved

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            TypeError: not an int. ValueError: `length` is negative or more than the cache holds.
        """
        length = check_int("length", length, 0)
        if not 0 <= length <= self.length:
            raise ValueError(f"length must be from 0 to {self.length}, what the cache holds; got {length}")
        self.length = length

    def select(self, rows: Int[Tensor, " R"]) -> None:
        """Keep rows `rows` in that order; a row may be taken more than once (beam search needs this).

        Raises:
            TypeError: not a tensor of int64. ValueError: no row, or one that the cache doesn't have.
        """
        if not self.keys[0].is_meta:  # there rows have no numbers
            check_ids(rows[None] if isinstance(rows, Tensor) else rows, self.batch_size, name="rows")
        with ordinary_tensors():
            self.keys = [k.index_select(0, rows) for k in self.keys]
            self.values = [v.index_select(0, rows) for v in self.values]
            if self.padding is not None:
                self.padding = self.padding.index_select(0, rows)
        self.batch_size = len(rows)


@contextmanager
def ordinary_tensors() -> Iterator[None]:
    """Make ordinary tensors: those made in `inference_mode` can't be written to outside it."""
    grad = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(grad):
        yield
