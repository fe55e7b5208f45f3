"""Twelve checks for the code of a language model, each for a bug that runs, trains, and says nothing.

A check takes a piece of code as a callable, puts a question to it whose answer is known, and returns nothing;
where the answer is wrong it raises `CheckFailed` with what was seen. None of them looks at a loss curve or
reads a text: both look fine with every one of these bugs.

    check_rows, check_future, check_order, check_device, check_logits      a model
    check_masking, check_masked_loss, check_epoch_loss                     its training
    check_decoder, check_filter, check_zero_temperature, check_search      its decoding

Models are those of `lmbook.interface`: ids (B, T) in, logits (B, T, V) out. Give them in eval mode.

Axes: B batch, T time, V vocabulary.
"""

import copy
import itertools
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lmbook.decoding import greedy_decode
from lmbook.interface import LanguageModel, check_ids, inference_mode

Ids = Int[Tensor, "B T"]
Logits = Float[Tensor, "B T V"]
Mask = Bool[Tensor, "B T"]
Search = Callable[[LanguageModel, Ids, int, int], tuple[Tensor, Tensor]]
TOLERANCE = 1e-4  # of logits: float32 sums in another order differ by less, every bug by more


class CheckFailed(AssertionError):
    """A check has found its bug."""


def check_rows(model: LanguageModel, ids: Ids) -> None:
    """A row's logits don't depend on the other rows: each row alone gives what it gives in the batch.

    Tries `ids` (B, T), and a square of them, as a model that mixes up B and T may run there only.

    Raises:
        CheckFailed: they do, or the model fails on one of the shapes.
    """
    _check_size(ids, rows=2)
    side = min(ids.shape)
    for batch in (ids, ids[:side, :side]):
        with inference_mode(model):
            together = _run(lambda batch=batch: model(batch), f"a batch of shape {tuple(batch.shape)}")
            alone = _run(lambda batch=batch: torch.cat([model(row[None]) for row in batch]), "a single row")
        off = _distance(together, alone).amax((1, 2))
        if off.max() > TOLERANCE:
            row = int(off.argmax())
            raise CheckFailed(f"row {row}'s logits change by {off[row]:.3g} when it is read alone")


def check_future(model: LanguageModel, ids: Ids) -> None:
    """Logits of row t don't depend on tokens after t: a text cut short gives the same rows.

    Raises:
        CheckFailed: they do: the model is trained on what it should predict.
    """
    _check_size(ids)
    with inference_mode(model):
        whole = model(ids)
        for stop in range(1, ids.shape[1]):
            off = float(_distance(whole[:, :stop], model(ids[:, :stop])).max())
            if off > TOLERANCE:
                raise CheckFailed(f"logits before place {stop} change by {off:.3g} when it and the rest go")


def check_order(model: LanguageModel, ids: Ids) -> None:
    """The last row's logits depend on the order of the tokens before: reversed, they give others.

    Raises:
        CheckFailed: in no row of `ids` do they.
    """
    _check_size(ids, length=3)
    turned = torch.cat((ids[:, :-1].flip(1), ids[:, -1:]), dim=1)
    if torch.equal(turned, ids):
        raise ValueError("ids must not read the same in reverse; check_order needs different tokens")
    with inference_mode(model):
        off = float(_distance(model(ids)[:, -1], model(turned)[:, -1]).max())
    if off <= TOLERANCE:
        raise CheckFailed(
            f"with the tokens before it reversed, the last row moves by less than {TOLERANCE:g}"
        )


def check_device(model: nn.Module, ids: Ids) -> None:
    """Every tensor is made on the device of the input; tried on "meta", which every machine has.

    Numbers, tensors without an axis, may live anywhere.

    Raises:
        CheckFailed: tensors are made on another device; the message lists the operations.
    """
    check_ids(ids, None)
    strays = stray_tensors(model, ids)
    if strays:
        raise CheckFailed(f"made on the cpu, the model and its input being on meta: {', '.join(strays)}")


def stray_tensors(model: nn.Module, ids: Ids) -> list[str]:
    """Operations, with shapes, whose results lie on another device than the model and its input do."""
    found: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple | list) else (made,):
                if isinstance(tensor, Tensor) and tensor.ndim and tensor.device.type != "meta":
                    found.append(f"{func.overloadpacket.__name__} {tuple(tensor.shape)}")
            return made

    away = copy.deepcopy(model).to("meta").eval()
    try:
        with torch.no_grad(), Watch():
            away(ids.to("meta"))
    except (RuntimeError, NotImplementedError):
        if not found:  # the failure isn't about devices
            raise
    return found


def check_logits(model: LanguageModel, reference: LanguageModel, ids: Ids, tolerance: float = 1e-3) -> None:
    """Log-probabilities equal those of a reference: the only test of loaded weights that can be trusted.

    Raises:
        CheckFailed: one of them is off by more than `tolerance` nats.
    """
    check_ids(ids, None)
    with inference_mode(model), inference_mode(reference):
        ours, theirs = (m(ids).double().log_softmax(-1) for m in (model, reference))
    off = float(_distance(ours, theirs).max())
    if off > tolerance:
        same = float((ours.argmax(-1) == theirs.argmax(-1)).double().mean())
        raise CheckFailed(f"log P is off by up to {off:.3g} nats; the best token is the same in {same:.0%}")


def check_masking(
    mask_tokens: Callable[[Ids], tuple[Ids, Mask]],
    vocab_size: int,
    mask_token_id: int,
    special_token_ids: Sequence[int] = (),
    *,
    mask_prob: float = 0.15,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> None:
    """Tokens are chosen, hidden, replaced and kept as often as they should be, special tokens never.

    Draws 1,000,000 tokens, of which chance moves a share by less than 0.0005; `mask_tokens(ids)` returns the
    masked ids and, True where the loss is taken, the mask, both (B, T). Bound: five standard errors.

    Raises:
        CheckFailed: another share, a special token chosen or put in, a token changed where no loss is taken,
            `ids` written to.
    """
    special = sorted({*special_token_ids, mask_token_id} & {*range(vocab_size)})
    ids = torch.randint(vocab_size, (1000, 1000), generator=torch.Generator().manual_seed(0))
    before = ids.clone()
    masked, mask = mask_tokens(ids)
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
    _check_share("replaced", ~hidden & ~kept, split[1] - chance)
    _check_share("kept", kept, split[2] + chance)


def check_masked_loss(loss: Callable[[Logits, Ids, Mask], Tensor]) -> None:
    """A masked loss is the mean of −log P over the masked tokens in nats, and finite where there is none.

    `loss(logits, targets, mask)` takes (B, T, V), (B, T) and (B, T), True where the loss is to be taken.

    Raises:
        CheckFailed: it depends on logits elsewhere, is another number, or is NaN where nothing is masked.
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
    """The loss of an epoch is a property of the text: it stays when the rows are cut into other batches.

    `epoch_loss(batches)` returns the mean loss of an epoch in which no weight moves (learning rate 0).

    Raises:
        CheckFailed: one batch of all rows, and all rows but the last, then the last, give different numbers.
    """
    _check_size(ids, rows=3)
    whole, cut = epoch_loss([ids]), epoch_loss([ids[:-1], ids[-1:]])
    if not math.isclose(whole, cut, abs_tol=TOLERANCE):
        raise CheckFailed(f"the same rows give {whole:.4f} in one batch and {cut:.4f} in two")


def check_decoder(decode: Callable[[nn.Module, Ids], Ids], model: nn.Module, ids: Ids) -> None:
    """A decoder leaves the model and the prompt as they were, keeps no gradient, reads each token once.

    `decode(model, ids)` returns prompt and continuation, (B, T + n). The model needs a key/value cache, and
    the token embedding must be an `nn.Embedding`: what passes through it is what was read.

    Raises:
        CheckFailed: the mode (train/eval) was changed, the prompt written to or lost, a gradient recorded, or
            more than B · (T + n) tokens were read.
    """
    _check_size(ids)
    read: dict[nn.Module, int] = {}
    recorded = []

    def watch(module: nn.Module, args: tuple, result: Tensor) -> None:
        read[module] = read.get(module, 0) + args[0].numel()
        recorded.append(result.requires_grad)

    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_hook(watch) for table in tables]
    prompt, was_training = ids.clone(), model.training
    try:
        for mode in (True, False):
            read.clear()
            out = decode(model.train(mode), ids)
            if model.training != mode:
                names = {True: "train", False: "eval"}
                raise CheckFailed(f"found the model in {names[mode]} mode, left it in {names[not mode]} mode")
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    if not torch.equal(ids, prompt) or not torch.equal(out[:, : ids.shape[1]], prompt):
        raise CheckFailed("the prompt isn't what it was")
    if any(recorded):
        raise CheckFailed(f"gradients were recorded in {sum(recorded)} of {len(recorded)} passes")
    if max(read.values(), default=0) > out.numel():
        raise CheckFailed(f"{max(read.values())} tokens were read for a result of {out.numel()}")


def check_filter(keep: Callable[[Tensor], Tensor], keeps: int | None = None) -> None:
    """A filter of logits (B, V) treats each row as if it were alone, spares a token, and leaves its input.

    Rows from flat to certain, with ties and with −inf; also as many rows as tokens.

    Args:
        keep: the filter.
        keeps: exactly so many tokens must remain, as with top-k; all, where the vocabulary has fewer.

    Raises:
        CheckFailed: a row depends on others, loses all its tokens, keeps another number; the input is written
            to; the filter fails.
    """
    sizes = (max(2, keeps // 2), 2 * keeps) if keeps else (11,)
    for vocab_size, square in itertools.product(sizes, (False, True)):
        logits = _rows_to_filter(vocab_size if square else 4, vocab_size)
        what = f"logits of shape {tuple(logits.shape)}"
        kept = _run(lambda logits=logits: keep(logits.clone()), what)
        given = logits.clone()
        alone = _run(lambda given=given: torch.cat([keep(row[None]) for row in given]), "a single row")
        if not torch.equal(given, logits):
            raise CheckFailed("the logits given were written to")
        left = kept.isfinite().sum(-1)
        if kept.shape != logits.shape or left.min() == 0 or kept.isnan().any():
            raise CheckFailed(f"a row of {what} has lost all its tokens, or its shape")
        if not torch.allclose(kept, alone):
            row = int((kept != alone).any(-1).nonzero()[0])
            raise CheckFailed(
                f"row {row} of {what} keeps {left[row]} tokens, alone {alone[row].isfinite().sum()}"
            )
        wanted = logits.isfinite().sum(-1).clamp(max=keeps or vocab_size)
        if keeps and not torch.equal(left, wanted):
            row = int((left != wanted).nonzero()[0])
            raise CheckFailed(f"row {row} of {what} keeps {left[row]} tokens, not {wanted[row]}")


def check_zero_temperature(
    decode: Callable[[LanguageModel, Ids], Ids], model: LanguageModel, ids: Ids
) -> None:
    """Sampling at temperature 0, which `decode(model, ids)` does, is greedy decoding.

    Raises:
        CheckFailed: it fails, or gives another text.
    """
    out = _run(lambda: decode(model, ids), "temperature 0")
    best = greedy_decode(model, ids, out.shape[1] - ids.shape[1])
    if not torch.equal(out, best):
        raise CheckFailed(f"{int((out != best).sum())} tokens at temperature 0 aren't the most probable ones")


def check_search(search: Search, model: LanguageModel, ids: Ids, max_length: int = 3) -> None:
    """What holds of a beam search, unlike "never worse than greedy": three things.

    `search(model, ids, num_beams, max_length)` returns ids (1, T + max_length) and scores (1,). The score is
    log P of the continuation in nats, whatever the number of beams. One beam is greedy decoding. As many
    beams as there are continuations, V ** max_length, find the best of all.

    Raises:
        CheckFailed: one of them doesn't hold.
    """
    check_ids(ids[:1], None)
    prompt = ids[:1]
    vocab_size = model(prompt).shape[-1]
    every = torch.tensor(list(itertools.product(range(vocab_size), repeat=max_length)))
    best = _log_prob(model, torch.cat((prompt.expand(len(every), -1), every), dim=1), max_length).max()
    for num_beams in (1, 2, len(every)):
        out, score = search(model, prompt, num_beams, max_length)
        real = _log_prob(model, out, max_length)[0]
        if abs(float(score[0]) - float(real)) > TOLERANCE:
            raise CheckFailed(f"{num_beams} beams: the score is {score[0]:.4f}, log P of the text {real:.4f}")
        if num_beams == 1 and not torch.equal(out, greedy_decode(model, prompt, max_length)):
            raise CheckFailed("one beam isn't greedy decoding")
    if real < best - TOLERANCE:
        raise CheckFailed(f"{num_beams} beams, all there are, find {real:.4f}; the best has {best:.4f}")


def _check_size(ids: Tensor, rows: int = 1, length: int = 2) -> None:
    check_ids(ids, None, min_length=length)
    if len(ids) < rows:
        raise ValueError(f"ids must have at least {rows} rows for this check, got {len(ids)}")


def _run(code: Callable[[], Tensor], what: str) -> Tensor:
    """The result of `code`; whatever it raises is a failed check."""
    try:
        return code()
    except Exception as error:
        raise CheckFailed(f"fails on {what}: {type(error).__name__}: {error}".strip()) from error


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """|a − b|, where −inf equals itself."""
    return torch.where(a == b, 0.0, (a - b).abs())


def _check_share(name: str, hits: Bool[Tensor, " N"], share: float) -> None:
    bound = 5 * math.sqrt(share * (1 - share) / max(1, len(hits))) + 1e-9
    found = float(hits.double().mean())
    if not abs(found - share) <= bound:
        raise CheckFailed(f"{found:.2%} {name}, not {share:.2%} ± {bound:.2%}")


def _rows_to_filter(num_rows: int, vocab_size: int) -> Float[Tensor, "B V"]:
    """From nearly flat to nearly certain, rounded so that there are ties, one token impossible; (B, V)."""
    logits = torch.randn(num_rows, vocab_size, generator=torch.Generator().manual_seed(0))
    logits = (logits * torch.linspace(0.3, 8.0, num_rows)[:, None] * 2).round() / 2
    logits[0, 0] = -math.inf
    return logits


def _log_prob(model: LanguageModel, ids: Ids, count: int) -> Float[Tensor, " B"]:
    """Total log P of each row's last `count` tokens, given those before."""
    with inference_mode(model):
        log_probs = model(ids)[:, -count - 1 : -1].double().log_softmax(-1)
    return log_probs.gather(-1, ids[:, -count:, None])[..., 0].sum(-1)
