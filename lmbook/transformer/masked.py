"""Masked language modelling: hide some tokens, predict them from both sides.

Axes: B batch, T time, V vocabulary, M masked tokens, D model width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmbook.interface import (
    Ids,
    Logits,
    Mask,
    check_ids,
    check_int,
    check_mask,
    check_number,
    check_shape,
    is_dense,
    kind_of,
    list_of,
)
from lmbook.transformer.model import Transformer, TransformerConfig


class MaskedLM(Transformer):
    """A transformer without the causal mask: row t predicts token t itself, from both sides.

    Args:
        vocab_size: V.
        d_model: D, width of a token's vector.
        num_heads: H, must divide `d_model`.
        num_layers: blocks.
        mask_prob: share of tokens that are chosen.
        mask_token_id: the id that hides a token. None: V, an extra id that is read but never predicted.
        special_token_ids: ids never chosen and never drawn as a random token (padding, separators, …).
        split: shares of the chosen tokens that are hidden, replaced by a random token, and kept.
        context_length: most tokens that one sequence may have.
        num_kv_heads: K, key/value heads; each serves H / K query heads. None: K = H.
        d_ff: width of the feed-forward part. None: 8·D / 3, rounded up to a multiple of 64.
        rope_base: base of the rotary frequencies, at least 1.
        norm_eps: added to the mean square inside RMSNorm.
        tie_embeddings: use the embedding matrix for the output too.
        dropout: share of numbers set to 0 in training, in attention and before each addition.

    Attributes:
        mask_token_id: the id that hides a token, always an int.

    Raises:
        ValueError: `mask_prob` outside [0, 1], shares that don't sum to 1, ids outside the vocabulary, no id
            that isn't special.

    Source: Devlin et al. 2019, BERT, section 3.1.
    """

    predicts = "same"

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        num_heads: int,
        num_layers: int,
        mask_prob: float = 0.15,
        *,
        mask_token_id: int | None = None,
        special_token_ids: Sequence[int] = (),
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        context_length: int = 1024,
        num_kv_heads: int | None = None,
        d_ff: int | None = None,
        rope_base: float = 10000.0,
        norm_eps: float = 1e-5,
        tie_embeddings: bool = True,
        dropout: float = 0.0,
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
            causal=False,
            extra_input_ids=int(mask_token_id is None),
        )
        mask_prob = check_number("mask_prob", mask_prob, "[0, 1]")
        shares = list_of("split", split)
        split = tuple(check_number("a share of split", share, "[0, 1]") for share in shares)
        if len(split) != 3 or not abs(sum(split) - 1) <= 1e-6:
            raise ValueError(f"split must be three shares of at least 0 that sum to 1, got {split}")
        special = list_of("special_token_ids", special_token_ids)
        special += [] if mask_token_id is None else [mask_token_id]
        special = [check_int("a special id", token, 0, config.vocab_size - 1) for token in special]
        if len({*special}) == config.vocab_size:
            raise ValueError(f"all {vocab_size} ids are special: none is left to mask")
        super().__init__(config)
        self.mask_prob, self.split = mask_prob, split
        self.mask_token_id = config.vocab_size if mask_token_id is None else special[-1]
        self.special_token_ids = tuple(sorted({*special}))

    def forward(self, input_ids: Ids, padding_mask: Mask | None = None) -> Logits:
        """Logits (B, T, V), row t for token t; `padding_mask` (B, T) is True where a token is padding."""
        return self.unembed(self.hidden_states(input_ids, padding_mask))

    def create_masked_input(
        self,
        input_ids: Ids,
        *,
        generator: torch.Generator | None = None,
        padding_mask: Mask | None = None,
        word_ids: Ids | None = None,
    ) -> tuple[Ids, Mask]:
        """Choose `mask_prob` of the tokens; hide most of them, replace some by a random token, keep the rest.

        One uniform draw decides what happens to a token: with p = mask_prob and shares 80/10/10 it is hidden
        if the draw is below 0.8 p, replaced if below 0.9 p, kept but scored if below p, left alone above.

        Args:
            input_ids: (B, T), not written to.
            generator: random numbers come from here; None: torch's default generator.
            padding_mask: (B, T), True where a token is padding: never chosen.
            word_ids: (B, T), for whole-word masking: the index of each token's word in its row, from 0, or −1
                for a token outside words, which is never chosen. All pieces of a word are treated alike. If
                `starts` marks the first pieces, this is `starts.cumsum(1) - 1`.

        Returns:
            masked_ids (B, T), and mask (B, T) bool, True where the loss is computed.

        Raises:
            TypeError: ids that aren't tensors of int64, a generator that isn't one.
            ValueError: ids outside the vocabulary, word ids outside −1 … T − 1, a mask or word ids of another
                shape than `input_ids`.
        """
        check_ids(input_ids, self.embedding.num_embeddings)
        if padding_mask is not None:
            check_mask("padding_mask", padding_mask, input_ids.shape, input_ids.device)
        if word_ids is not None:
            _check_word_ids(word_ids, input_ids.shape)
        if not isinstance(generator, torch.Generator | None):
            raise TypeError(f"generator must be a torch.Generator or None, got {generator!r}")
        shape, device = input_ids.shape, input_ids.device
        source = {"generator": generator, "device": device if generator is None else generator.device}
        draw = torch.rand(shape, **source).to(device)
        random = torch.randint(self.vocab_size - len(self.special_token_ids), shape, **source).to(device)
        maskable = input_ids != self.mask_token_id
        for special in self.special_token_ids:
            maskable &= input_ids != special
            random += random >= special  # skips each special id, lowest first
        if padding_mask is not None:
            maskable &= ~padding_mask
        if word_ids is not None:
            maskable &= word_ids >= 0
            draw = draw.gather(1, word_ids.clamp(min=0))
        mask = maskable & (draw < self.mask_prob)
        hidden, replaced, _ = self.split
        masked_ids = torch.where(mask & (draw < (hidden + replaced) * self.mask_prob), random, input_ids)
        return masked_ids.masked_fill(mask & (draw < hidden * self.mask_prob), self.mask_token_id), mask


def _check_word_ids(word_ids: Tensor, shape: torch.Size) -> None:
    check_shape("word_ids", word_ids, shape)
    if word_ids.dtype != torch.int64 or not is_dense(word_ids):
        raise TypeError(f"word_ids must be a tensor of int64, got {kind_of(word_ids)}")
    low, high, last = int(word_ids.min()), int(word_ids.max()), shape[1] - 1
    if low < -1 or high > last:
        raise ValueError(f"word_ids must be from -1 to {last}, got {low if low < -1 else high}")
