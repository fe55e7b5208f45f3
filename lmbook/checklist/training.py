"""Three checks of training: what is masked, which mean the loss is, and how an epoch adds it up.

Axes: B batch, T time, V vocabulary.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from lmbook.checklist.asking import TOLERANCE, CheckFailed, check_size, run
from lmbook.interface import Ids, Logits, Mask, check_mask, check_shape


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
    Tried on 1,000,000 tokens, each share within five standard errors.

    Raises:
        CheckFailed: a wrong share, a special token chosen or inserted, a token changed where no loss is
            computed, `ids` changed.
    """
    special = sorted({*special_token_ids, mask_token_id} & {*range(vocab_size)})
    ids = torch.randint(vocab_size, (1000, 1000), generator=torch.Generator().manual_seed(0))
    before = ids.clone()
    masked, mask = mask_tokens(ids)
    run(lambda: check_mask("the mask", mask, before.shape), "1,000,000 tokens")
    run(lambda: check_shape("the masked ids", masked, before.shape), "1,000,000 tokens")
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


def _check_share(name: str, hits: Bool[Tensor, " N"], share: float) -> None:
    bound = 5 * math.sqrt(share * (1 - share) / max(1, len(hits))) + 1e-9
    found = float(hits.double().mean())
    if not abs(found - share) <= bound:
        raise CheckFailed(f"{found:.2%} {name}, not {share:.2%} ± {bound:.2%}")


def check_masked_loss(loss: Callable[[Logits, Ids, Mask], Tensor]) -> None:
    """A masked loss is the mean of −log P over the masked tokens in nats, and finite if there are none.

    `loss(logits, targets, mask)` takes (B, T, V), (B, T) and (B, T), True where the loss is computed.

    Raises:
        CheckFailed: it depends on other logits, is another number, or is NaN if nothing is masked.
    """
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 7, generator=generator)
    targets = torch.randint(7, (3, 5), generator=generator)
    mask = torch.rand(3, 5, generator=generator) < 0.5
    value = float(loss(logits, targets, mask))
    other = float(loss(logits.masked_fill(~mask[..., None], 0.0), targets, mask))
    if not math.isclose(value, other, abs_tol=TOLERANCE):
        raise CheckFailed(f"the loss goes from {value:.3f} to {other:.3f} with logits that aren't masked")
    truth = float(-logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0][mask].mean())
    if not math.isclose(value, truth, abs_tol=TOLERANCE):
        raise CheckFailed(f"the loss is {value:.3f}, the mean of −log P over masked tokens {truth:.3f} nats")
    nothing = float(loss(logits, targets, torch.zeros_like(mask)))
    if not math.isfinite(nothing):
        raise CheckFailed(f"the loss of a batch in which nothing is masked is {nothing}")


def check_epoch_loss(epoch_loss: Callable[[list[Ids]], float], ids: Ids) -> None:
    """The loss of an epoch doesn't depend on how its rows are split into batches.

    `epoch_loss(batches)` returns the mean loss of an epoch without updates (learning rate 0).

    Raises:
        CheckFailed: one batch of all rows, and all rows but the last, then the last, give different numbers.
    """
    check_size(ids, rows=3)
    whole, cut = epoch_loss([ids]), epoch_loss([ids[:-1], ids[-1:]])
    if not (math.isfinite(whole) and math.isclose(whole, cut, abs_tol=TOLERANCE)):
        raise CheckFailed(f"the same rows give {whole:.4f} in one batch and {cut:.4f} in two")
