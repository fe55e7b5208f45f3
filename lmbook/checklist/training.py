"""Three checks of training: what is masked, which mean the loss is, and how an epoch adds it up.

Axes: B batch, T time, V vocabulary.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from lmbook.checklist.asking import (
    TOLERANCE,
    CheckFailed,
    check_function,
    check_rows_differ,
    check_size,
    run,
)
from lmbook.interface import Ids, Logits, Mask, check_int, check_mask, check_number, check_shape, list_of

MAX_VOCAB = 2**31
LARGEST_ID = 2**63 - 1  # of int64


def check_masking(
    mask_tokens: Callable[[Ids], tuple[Ids, Mask]],
    vocab_size: int,
    mask_token_id: int,
    special_token_ids: Sequence[int] = (),
    *,
    mask_prob: float = 0.15,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> None:
    """Tokens are chosen, hidden, replaced and kept in the right shares, special tokens never.

    `mask_tokens(ids)` returns the masked ids and the mask, True where the loss is computed, both (B, T).
    Tried on 1,000,000 tokens, each share within five standard errors and three tokens. Where nothing is
    chosen, and `mask_prob` is so low that nothing need be, the other shares are not judged.

    Raises:
        TypeError, ValueError: an argument of another kind or outside its range; no token that isn't special.
        CheckFailed: `mask_tokens` fails or changes `ids`; a wrong share, a special token chosen or inserted,
            a token changed where no loss is computed.
    """
    check_function("mask_tokens", mask_tokens)
    check_int("vocab_size", vocab_size, 2, MAX_VOCAB)
    given = [mask_token_id, *list_of("special_token_ids", special_token_ids)]
    for token in given:
        check_int("a special id", token, 0, LARGEST_ID)
    check_number("mask_prob", mask_prob, "[0, 1]")
    split = list_of("split", split)
    for share in split:
        check_number("a share of split", share, "[0, 1]")
    if len(split) != 3 or not abs(sum(split) - 1) <= 1e-6:
        raise ValueError(f"split must be three shares that sum to 1, got {split}")
    special = sorted({token for token in given if token < vocab_size})
    if len(special) == vocab_size:
        raise ValueError(f"all {vocab_size} ids are special: none is left to mask")
    ids = torch.randint(vocab_size, (1000, 1000), generator=torch.Generator().manual_seed(0))
    before = ids.clone()
    masked, mask = run(lambda: _masked(mask_tokens, ids), "1,000,000 tokens")
    if not torch.equal(ids, before):
        raise CheckFailed("the ids given were written to: the targets are gone")
    if not torch.equal(masked[~mask], ids[~mask]):
        raise CheckFailed("tokens were changed where no loss is taken")
    ordinary = ~torch.isin(ids, torch.tensor(special, dtype=torch.int64))
    if (mask & ~ordinary).any():
        raise CheckFailed(f"{int((mask & ~ordinary).sum()):,} special tokens were chosen")
    new, old = masked[mask], ids[mask]
    hidden, kept = new == mask_token_id, new == old
    if torch.isin(new[~hidden], torch.tensor(special, dtype=torch.int64)).any():
        raise CheckFailed("special tokens were put in as random ones")
    chance = split[1] / (vocab_size - len(special))  # a random token may be the old one
    _check_share("chosen", mask[ordinary], mask_prob)
    _check_share("hidden", hidden, split[0])
    _check_share("replaced", ~hidden & ~kept, split[1] - chance)  # so the rest is kept


def _masked(mask_tokens: Callable[[Ids], tuple[Ids, Mask]], ids: Ids) -> tuple[Ids, Mask]:
    shape = ids.shape
    masked, mask = mask_tokens(ids)
    check_mask("the mask", mask, shape)
    check_shape("the masked ids", masked, shape)
    if masked.dtype != torch.int64:
        raise TypeError(f"the masked ids must be int64, got {masked.dtype}")
    return masked, mask


def _check_share(name: str, hits: Bool[Tensor, " N"], share: float) -> None:
    if not len(hits):
        return
    bound = 1e-9
    if 0 < share < 1:  # rare hits spread more widely than five standard errors allow: three tokens
        bound += 5 * math.sqrt(share * (1 - share) / len(hits)) + 3 / len(hits)
    found = float(hits.double().mean())
    if not abs(found - share) <= bound:
        digits = 2 if bound > 1e-4 else 7
        raise CheckFailed(f"{found:.{digits}%} {name}, not {share:.{digits}%} ± {bound:.{digits}%}")


def check_masked_loss(loss: Callable[[Logits, Ids, Mask], Tensor]) -> None:
    """A masked loss is the mean of −log P over the masked tokens in nats, and finite if there are none.

    `loss(logits, targets, mask)` takes (B, T, V), (B, T) and (B, T), True where the loss is computed.

    Raises:
        TypeError: not a function.
        CheckFailed: it fails, depends on other logits, is another number, or is NaN if nothing is masked.
    """
    check_function("loss", loss)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 7, generator=generator)
    targets = torch.randint(7, (3, 5), generator=generator)
    mask = torch.rand(3, 5, generator=generator) < 0.5

    def loss_of(logits: Logits, mask: Mask, what: str) -> float:
        return run(lambda: float(loss(logits.clone(), targets.clone(), mask.clone())), what)

    value = loss_of(logits, mask, "logits (3, 5, 7)")
    other = loss_of(logits.masked_fill(~mask[..., None], 0.0), mask, "logits (3, 5, 7)")
    if not math.isclose(value, other, abs_tol=TOLERANCE):
        raise CheckFailed(f"the loss goes from {value:.3f} to {other:.3f} with logits that aren't masked")
    truth = float(-logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0][mask].mean())
    if not math.isclose(value, truth, abs_tol=TOLERANCE):
        raise CheckFailed(f"the loss is {value:.3f}, the mean of −log P over masked tokens {truth:.3f} nats")
    nothing = loss_of(logits, torch.zeros_like(mask), "a batch in which nothing is masked")
    if not math.isfinite(nothing):
        raise CheckFailed(f"the loss of a batch in which nothing is masked is {nothing}")


def check_epoch_loss(epoch_loss: Callable[[list[Ids]], float], ids: Ids) -> None:
    """The loss of an epoch doesn't depend on how its rows, not all equal, are split into batches.

    `epoch_loss(batches)` returns the mean loss of an epoch without updates (learning rate 0).

    Raises:
        TypeError: not a function, or ids that aren't int64. ValueError: fewer than three rows, or equal ones.
        CheckFailed: it fails; or one batch of all rows, and all rows but the last, then the last, give
            different numbers.
    """
    check_function("epoch_loss", epoch_loss)
    check_size(ids, rows=3)
    check_rows_differ(ids, "ids")
    whole = run(lambda: float(epoch_loss([ids.clone()])), "one batch")
    cut = run(lambda: float(epoch_loss([ids[:-1].clone(), ids[-1:].clone()])), "two batches")
    if not (math.isfinite(whole) and math.isclose(whole, cut, abs_tol=TOLERANCE)):
        raise CheckFailed(f"the same rows give {whole:.4f} in one batch and {cut:.4f} in two")
