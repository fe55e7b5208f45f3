"""Masked language modelling: hide some tokens, predict them from both sides.

Axes: B batch, T time, V vocabulary, M masked tokens, D model width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmbook.interface import check_ids, check_number
from lmbook.transformer.model import Transformer, TransformerConfig


class MaskedLM(Transformer):
    """The trunk without the causal mask: row t of the logits is about token t itself, seen from both sides.

    Args:
        vocab_size: V.
        d_model: D, width of a token's vector.
        num_heads: H, must divide `d_model`.
        num_layers: blocks.
        mask_prob: share of tokens that are chosen.
        mask_token_id: the id that hides a token. None: an id of the model's own, V, read and never predicted.
        special_token_ids: ids never chosen and never drawn as a random token (padding, separators, …).
        split: of the chosen tokens, the shares that are hidden, replaced by a random token, and kept.
        **options: see `TransformerConfig`: context_length, num_kv_heads, d_ff, tie_embeddings, dropout, ….

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
        **options,
    ):
        config = TransformerConfig(
            vocab_size=vocab_size,
            d_model=d_model,
            num_heads=num_heads,
            num_layers=num_layers,
            causal=False,
            extra_input_ids=int(mask_token_id is None),
            **options,
        )
        check_number("mask_prob", mask_prob, "[0, 1]")
        if len(split) != 3 or not (min(split) >= 0 and abs(sum(split) - 1) <= 1e-6):
            raise ValueError(f"split must be three shares of at least 0 that sum to 1, got {split}")
        special = {*special_token_ids} | ({mask_token_id} - {None})
        if not special <= {*range(vocab_size)}:
            raise ValueError(f"special ids must be from 0 to {vocab_size - 1}, got {sorted(special)}")
        if len(special) == vocab_size:
            raise ValueError(f"all {vocab_size} ids are special: none is left to mask")
        super().__init__(config)
        self.mask_prob, self.split = mask_prob, split
        self.mask_token_id = vocab_size if mask_token_id is None else mask_token_id
        self.special_token_ids = tuple(sorted(special))

    def forward(
        self, input_ids: Int[Tensor, "B T"], padding_mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T V"]:
        """Logits (B, T, V), row t for token t; `padding_mask` (B, T) is True where a token is padding."""
        return self.unembed(self.hidden_states(input_ids, padding_mask))

    def create_masked_input(
        self,
        input_ids: Int[Tensor, "B T"],
        *,
        generator: torch.Generator | None = None,
        padding_mask: Bool[Tensor, "B T"] | None = None,
        word_ids: Int[Tensor, "B T"] | None = None,
    ) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Choose `mask_prob` of the tokens; hide most of them, replace some by a random token, keep the rest.

        One uniform draw a token decides it all: with p = mask_prob and shares 80/10/10 the token is hidden if
        the draw is below 0.8 p, replaced if below 0.9 p, kept but scored if below p, left alone above.

        Args:
            input_ids: (B, T), not written to.
            generator: the only source of chance; None: torch's default generator.
            padding_mask: (B, T), True where a token is padding: never chosen.
            word_ids: (B, T), for whole-word masking: which word of its row a token is a piece of, from 0; −1:
                of none, never chosen. The pieces of a word share one fate. Where `starts` marks the first
                pieces, this is `starts.cumsum(1) - 1`.

        Returns:
            masked_ids (B, T), and mask (B, T) bool: True where the loss is taken.

        Raises:
            ValueError: ids outside the vocabulary, word ids outside −1 … T − 1, a mask of another shape.
        """
        check_ids(input_ids, self.embedding.num_embeddings)
        shape, device = input_ids.shape, input_ids.device
        source = {"generator": generator, "device": device if generator is None else generator.device}
        draw = torch.rand(shape, **source).to(device)
        random = torch.randint(self.vocab_size - len(self.special_token_ids), shape, **source).to(device)
        maskable = input_ids != self.mask_token_id
        for special in self.special_token_ids:
            maskable &= input_ids != special
            random += random >= special  # steps over each special id, lowest first
        if padding_mask is not None:
            maskable &= ~padding_mask
        if word_ids is not None:
            check_ids(word_ids + 1, input_ids.shape[1] + 1, name="word_ids + 1")
            maskable &= word_ids >= 0
            draw = draw.gather(1, word_ids.clamp(min=0))
        mask = maskable & (draw < self.mask_prob)
        hidden, replaced, _ = self.split
        masked_ids = torch.where(mask & (draw < (hidden + replaced) * self.mask_prob), random, input_ids)
        return masked_ids.masked_fill(mask & (draw < hidden * self.mask_prob), self.mask_token_id), mask
