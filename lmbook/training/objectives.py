"""The two objectives: predict each next token, or each hidden one.

Axes: B batch, T time, V vocabulary, M masked tokens.
"""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmbook.interface import check_ids, check_int, is_dense
from lmbook.training.loop import OnEpoch, Schedule, fit
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.masked import MaskedLM
from lmbook.window import WindowLM


def causal_loss(
    model: CausalLM | WindowLM, batch: Int[Tensor, "B T"], pad_token_id: int | None = None
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Return the summed −log P of each token given those before it, and how many: all but the first.

    Args:
        model: a causal model.
        batch: (B, T), T at least 2.
        pad_token_id: this id is padding: never predicted, never looked at.

    Raises:
        TypeError: a batch that isn't int64, a `pad_token_id` that isn't an int.
        ValueError: a batch of another shape, an id outside the vocabulary.
    """
    check_token_id(model, pad_token_id, "pad_token_id")
    if not is_dense(batch) or batch.ndim != 2:
        check_ids(batch, None, name="a batch", min_length=2)
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
    model: CausalLM | WindowLM,
    dataloader: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int = 10,
    *,
    pad_token_id: int | None = None,
    schedule: Schedule | None = None,
    max_grad_norm: float | None = None,
    validation: Iterable[Tensor] | None = None,
    autocast: torch.dtype | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> list[float]:
    """Train `model` to predict each next token; return the mean loss of each epoch, nats per token.

    Args:
        model: trained in place; a part that was found in eval mode stays in it (see `fit`).
        dataloader: any re-iterable of int64 batches (B, T); T ≥ 2 may vary.
        optimizer: of the model's parameters.
        epochs: passes over `dataloader`.
        pad_token_id: this id is padding, on either side of a row: never predicted, never looked at.
        schedule: a torch scheduler of this optimizer, or step → factor of its learning rate.
        max_grad_norm: a longer gradient is scaled down to this length.
        validation: batches for a loss after each epoch; in the end the model has its best epoch's weights.
        autocast: torch.bfloat16 for mixed precision: weights stay float32, products are computed in bfloat16.
        on_epoch: called with (epoch from 1, its loss, validation loss or None), the model being in eval mode.
        progress: show a bar on stderr, for people (package tqdm).

    Raises:
        ValueError: a setting out of range, ids outside the vocabulary, a batch longer than the context.
    """
    check_token_id(model, pad_token_id, "pad_token_id")

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        return causal_loss(model, batch, pad_token_id)

    return fit(
        model,
        loss,
        dataloader,
        optimizer,
        epochs,
        schedule=schedule,
        max_grad_norm=max_grad_norm,
        validation=validation,
        autocast=autocast,
        on_epoch=on_epoch,
        progress=progress,
    )


def masked_loss(
    model: MaskedLM,
    batch: Int[Tensor, "B T"],
    *,
    padding_mask: Bool[Tensor, "B T"] | None = None,
    word_ids: Int[Tensor, "B T"] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Return the summed −log P of the masked tokens, and how many; 0 with gradient 0 if nothing is masked.

    Args:
        model: a masked model.
        batch: (B, T).
        padding_mask: (B, T), True where a token is padding: never masked, never looked at.
        word_ids: (B, T), the index of each token's word, for whole-word masking; see `create_masked_input`.
        generator: draws the masks; None: torch's default generator.
    """
    masked_ids, mask = model.create_masked_input(
        batch, generator=generator, padding_mask=padding_mask, word_ids=word_ids
    )
    logits = model.unembed(model.hidden_states(masked_ids, padding_mask)[mask])  # (M, V): no other is needed
    return F.cross_entropy(logits.float(), batch[mask], reduction="sum"), mask.sum()


def train_mlm(
    model: MaskedLM,
    dataloader: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int = 10,
    *,
    pad_token_id: int | None = None,
    word_ids: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
    schedule: Schedule | None = None,
    max_grad_norm: float | None = None,
    validation: Iterable[Tensor] | None = None,
    autocast: torch.dtype | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> list[float]:
    """Train `model` to predict masked tokens; return the mean loss of each epoch, nats per masked token.

    Args:
        model: trained in place; a part that was found in eval mode stays in it (see `fit`).
        dataloader: any re-iterable of int64 batches (B, T); T may vary. Masks are drawn anew each time.
        optimizer: of the model's parameters.
        epochs: passes over `dataloader`.
        pad_token_id: this id is padding: never masked, never looked at.
        word_ids: batch (B, T) → the index of each token's word (B, T), for whole-word masking; see
            `MaskedLM.create_masked_input`. None: each token is masked by itself.
        generator: draws the masks; None: torch's default generator. Validation has its own.
        schedule: a torch scheduler of this optimizer, or step → factor of its learning rate.
        max_grad_norm: a longer gradient is scaled down to this length.
        validation: batches for a loss after each epoch; in the end the model has its best epoch's weights.
        autocast: torch.bfloat16 for mixed precision: weights stay float32, products are computed in bfloat16.
        on_epoch: called with (epoch from 1, its loss, validation loss or None), the model being in eval mode.
        progress: show a bar on stderr, for people (package tqdm).

    Raises:
        TypeError: `word_ids` isn't a function.
        ValueError: a setting out of range, ids outside the vocabulary, a batch longer than the context, word
            ids of another shape.
    """
    check_token_id(model, pad_token_id, "pad_token_id")
    if word_ids is not None and not callable(word_ids):
        raise TypeError(f"word_ids must be a function from a batch to word ids, got {word_ids!r}")

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        padding_mask = None if pad_token_id is None else batch == pad_token_id
        # Validation compares epochs, so there a batch always gets the same masks.
        draws = generator if model.training else torch.Generator().manual_seed(int(batch.sum()))
        words = None if word_ids is None else word_ids(batch)
        return masked_loss(model, batch, padding_mask=padding_mask, word_ids=words, generator=draws)

    return fit(
        model,
        loss,
        dataloader,
        optimizer,
        epochs,
        schedule=schedule,
        max_grad_norm=max_grad_norm,
        validation=validation,
        autocast=autocast,
        on_epoch=on_epoch,
        progress=progress,
    )


def check_token_id(model: nn.Module, token_id: int | None, name: str) -> None:
    """Raise unless `token_id` is None or in the model's vocabulary.

    Raises:
        TypeError: not an int. ValueError: outside the vocabulary.
    """
    size = getattr(model, "vocab_size", math.inf)
    if token_id is not None and check_int(name, token_id, 0) >= size:
        raise ValueError(f"{name} must be from 0 to {size - 1}, got {token_id}")
