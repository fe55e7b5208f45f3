"""Four checks of decoding: side effects of a decoder, and rules for filters and searches.

Axes: B batch, T time, V vocabulary.
"""

import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmbook.checklist.asking import TOLERANCE, CheckFailed, check_function, check_size, logits_of, run
from lmbook.decoding.sampling import greedy_decode
from lmbook.interface import (
    Ids,
    LanguageModel,
    check_causal,
    check_fits,
    check_ids,
    check_int,
    evaluating,
    is_dense,
    is_floats,
    kind_of,
)

MODES = {True: "train", False: "eval"}
MAX_KEPT = 1000  # tokens that a filter is to keep
ROWS = 4096  # continuations that a model reads at once
Search = Callable[[LanguageModel, Ids, int, int], tuple[Tensor, Tensor]]


def check_decoder(decode: Callable[[nn.Module, Ids], Ids], model: nn.Module, ids: Ids) -> None:
    """A decoder leaves the model and the prompt as they were, keeps no gradient, reads each token once.

    `decode(model, ids)` returns prompt and continuation, (B, T + n). The model needs a key/value cache, and
    the token embedding must be an `nn.Embedding`: the tokens read are counted there.

    Raises:
        TypeError: not a function, not an `nn.Module`, or ids that aren't int64.
        CheckFailed: it fails or adds nothing; the mode (train/eval) of a part, or a parameter or buffer, was
            changed, the prompt written to or lost, a gradient recorded, or more than B · (T + n) tokens read.
    """
    check_function("decode", decode)
    check_size(ids)
    if not isinstance(model, nn.Module):
        raise TypeError(f"check_decoder needs a model that is an nn.Module, got {type(model).__name__}")
    prompt, state = ids.clone(), _state(model)
    found = {part: part.training for part in model.modules()}
    try:
        for mode in (True, False):
            what = f"a model in {MODES[mode]} mode"
            run(lambda mode=mode: model.train(mode), what)
            modes = {part: part.training for part in model.modules()}
            with _watched(model) as (read, recorded):
                out = run(lambda: decode(model, ids), what)
            _check_grown(out, prompt)
            _check_as_it_was(model, modes, state)
            if not torch.equal(ids, prompt) or not torch.equal(out[:, : ids.shape[1]], prompt):
                raise CheckFailed("the prompt isn't what it was")
            if any(recorded):
                raise CheckFailed(f"gradients were recorded in {sum(recorded)} of {len(recorded)} passes")
            if max(read.values(), default=0) > out.numel():
                raise CheckFailed(f"{max(read.values())} tokens were read for a result of {out.numel()}")
    finally:
        for part, training in found.items():
            part.training = training


def _check_grown(out: object, ids: Ids) -> None:
    """Fail unless `out` is (B, T + n) int64, n ≥ 1, for ids (B, T)."""
    is_ids = is_dense(out) and out.dtype == torch.int64 and out.ndim == 2
    if not (is_ids and out.shape[0] == ids.shape[0] and out.shape[1] >= ids.shape[1]):
        got = f"{tuple(out.shape)} {out.dtype}" if is_dense(out) else kind_of(out)
        raise CheckFailed(
            f"the result must be ids, {ids.shape[0]} rows that begin with the prompt; got {got}"
        )
    if out.shape[1] == ids.shape[1]:
        raise CheckFailed(f"nothing was decoded: the result has {ids.shape[1]} tokens, as the prompt has")


def _state(model: nn.Module) -> dict[str, tuple[Tensor, bool]]:
    """A copy of each parameter and saved buffer, and whether it takes a gradient."""
    state = model.state_dict(keep_vars=True).items()
    return {name: (x.detach().clone(), x.requires_grad) for name, x in state if is_dense(x)}


def _check_as_it_was(model: nn.Module, modes: dict, state: dict[str, tuple[Tensor, bool]]) -> None:
    """Fail unless each part of the model has the mode, and each tensor the bytes, that it had."""
    for name, part in model.named_modules():
        was = modes.get(part, part.training)
        if part.training != was:
            part = name or "the model"
            raise CheckFailed(f"found {part} in {MODES[was]} mode, left it in {MODES[not was]} mode")
    now = _state(model)
    changed = [name for name, was in state.items() if not (name in now and _is_same(now[name], was))]
    if changed:
        raise CheckFailed(f"the model isn't what it was: {', '.join(changed)} changed")


def _is_same(a: tuple[Tensor, bool], b: tuple[Tensor, bool]) -> bool:
    """Bit for bit, because a NaN isn't equal to itself."""
    (x, *trained), (y, *was_trained) = a, b
    alike = (x.dtype, x.device, x.shape) == (y.dtype, y.device, y.shape) and trained == was_trained
    return alike and torch.equal(x.reshape(-1).view(torch.uint8), y.reshape(-1).view(torch.uint8))


@contextlib.contextmanager
def _watched(model: nn.Module) -> Iterator[tuple[Counter, list[bool]]]:
    """Count the tokens that each embedding reads; note, pass by pass, whether a gradient is recorded."""
    read, recorded = Counter(), []

    def watch(module: nn.Module, args: tuple, result: Tensor) -> None:
        read[module] += result.shape[:-1].numel()
        recorded.append(result.requires_grad)

    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_hook(watch) for table in tables]
    try:
        yield read, recorded
    finally:
        for hook in hooks:
            hook.remove()


def check_filter(keep: Callable[[Tensor], Tensor], keeps: int | None = None) -> None:
    """A filter of logits (B, V) treats rows independently, keeps a token in each, doesn't change its input.

    What is impossible before (−inf) stays impossible.

    Tried on rows from flat to certain, with ties and with −inf, and on as many rows as tokens.

    Args:
        keep: the filter.
        keeps: how many tokens must remain, as with top-k, at most 1,000; all, if the vocabulary has fewer.

    Raises:
        TypeError: not a function, or `keeps` isn't an int. ValueError: `keeps` below 1 or above 1,000.
        CheckFailed: a row depends on others, loses all its tokens, keeps another number or revives a token;
            the input is changed; the filter fails.
    """
    check_function("keep", keep)
    if keeps is not None:
        keeps = check_int("keeps", keeps, 1, MAX_KEPT)
    sizes = (max(2, keeps // 2), 2 * keeps) if keeps else (11,)
    for vocab_size, square in itertools.product(sizes, (False, True)):
        _check_filtered(keep, _rows_to_filter(vocab_size if square else 4, vocab_size), keeps)


def _check_filtered(keep: Callable[[Tensor], Tensor], logits: Tensor, keeps: int | None) -> None:
    what = f"logits of shape {tuple(logits.shape)}"
    kept = run(lambda: keep(logits.clone()), what)
    given = logits.clone()
    alone = run(lambda: torch.cat([keep(row[None]) for row in given]), "a single row")
    if not torch.equal(given, logits):
        raise CheckFailed("the logits given were written to")
    if not is_floats(kept) or kept.dtype != alone.dtype:
        raise CheckFailed(f"{what} become {kind_of(kept)}, a single row {kind_of(alone)}")
    if kept.shape != logits.shape or alone.shape != logits.shape:
        raise CheckFailed(f"{what} have lost their shape")
    left = kept.isfinite().sum(-1)
    if left.min() == 0 or kept.isnan().any() or kept.isposinf().any():
        raise CheckFailed(f"a row of {what} has lost all its tokens, or holds NaN or inf")
    if not torch.allclose(kept, alone):
        row = int((kept != alone).any(-1).nonzero()[0])
        raise CheckFailed(
            f"row {row} of {what} keeps {left[row]} tokens, alone {alone[row].isfinite().sum()}"
        )
    if keeps:
        wanted = logits.isfinite().sum(-1).clamp(max=keeps)
        if not torch.equal(left, wanted):
            row = int((left != wanted).nonzero()[0])
            raise CheckFailed(f"row {row} of {what} keeps {left[row]} tokens, not {wanted[row]}")
    revived = (logits.isneginf() & ~kept.isneginf()).any(-1)
    if revived.any():
        raise CheckFailed(f"row {int(revived.nonzero()[0])} of {what} revives a token whose logit is −inf")


def _rows_to_filter(num_rows: int, vocab_size: int) -> Float[Tensor, "B V"]:
    """From nearly flat to nearly certain, rounded so that there are ties, one token impossible; (B, V)."""
    logits = torch.randn(num_rows, vocab_size, generator=torch.Generator().manual_seed(0))
    logits = (logits * torch.linspace(0.3, 8.0, num_rows)[:, None] * 2).round() / 2
    logits[0, 0] = -math.inf
    return logits


def check_zero_temperature(
    decode: Callable[[LanguageModel, Ids], Ids], model: LanguageModel, ids: Ids
) -> None:
    """Sampling at temperature 0, which `decode(model, ids)` does, equals greedy decoding.

    Raises:
        TypeError: not a function, or ids that aren't int64.
        CheckFailed: it or greedy decoding fails, or it adds no token, or other ones.
    """
    check_function("decode", decode)
    check_ids(ids, None)
    out = run(lambda: decode(model, ids.clone()), "temperature 0")
    _check_grown(out, ids)
    best = run(lambda: greedy_decode(model, ids, out.shape[1] - ids.shape[1]), "greedy decoding")
    if not torch.equal(out, best):
        raise CheckFailed(f"{int((out != best).sum())} tokens at temperature 0 aren't the most probable ones")


def check_search(search: Search, model: LanguageModel, ids: Ids, max_length: int = 3) -> None:
    """Three properties of a beam search ("never worse than greedy" is not one of them).

    `search(model, ids, num_beams, max_length)` returns ids (1, T + max_length) and scores (1,). The score is
    log P of the continuation in nats, for any number of beams. One beam is greedy decoding. With as many
    beams as there are continuations, V ** max_length, it finds the best one.

    Raises:
        TypeError: not a function, or ids that aren't int64.
        ValueError: max_length below 1, beyond the context, or with more than 1,000,000 continuations.
        CheckFailed: one of them doesn't hold, or the search or the model fails.
    """
    check_function("search", search)
    check_causal(model, "check_search")
    check_ids(ids, None)
    prompt = ids[:1]
    max_length = check_int("max_length", max_length)
    check_fits(model, prompt.shape[1] + max_length, "prompt plus max_length")
    with evaluating(model):
        vocab_size = logits_of(model, prompt, "the prompt").shape[-1]
    if max_length > 6 / math.log10(max(2, vocab_size)):  # this way round no int is too large for a float
        what = f"{vocab_size} ** {max_length}"
        raise ValueError(f"check_search tries at most 1,000,000 continuations, got {what}")
    every = torch.tensor(list(itertools.product(range(vocab_size), repeat=max_length)))
    best = _log_prob(model, torch.cat((prompt.expand(len(every), -1), every), dim=1), max_length).max()
    if not best.isfinite():
        raise CheckFailed(f"the model's logits are no distribution: the best continuation has log P {best}")
    greedy = run(lambda: greedy_decode(model, prompt, max_length), "greedy decoding")
    for num_beams in (1, 2, len(every)):
        out, score = _searched(search, model, prompt, num_beams, max_length, vocab_size)
        real = float(_log_prob(model, out, max_length)[0])
        if not abs(score - real) <= TOLERANCE:
            raise CheckFailed(f"{num_beams} beams: the score is {score:.4f}, log P of the text {real:.4f}")
        if num_beams == 1 and not torch.equal(out, greedy):
            raise CheckFailed("one beam isn't greedy decoding")
    if not real >= best - TOLERANCE:
        raise CheckFailed(f"{num_beams} beams, all there are, find {real:.4f}; the best has {best:.4f}")


def _searched(
    search: Search, model: LanguageModel, prompt: Ids, num_beams: int, max_length: int, vocab_size: int
) -> tuple[Tensor, float]:
    """The text (1, T + max_length) that a search finds, and its score; fail if it isn't such a text."""

    def find() -> tuple[Tensor, float]:
        out, score = search(model, prompt.clone(), num_beams, max_length)
        return out, float(score[0])

    out, score = run(find, f"{num_beams} beams")
    _check_grown(out, prompt)
    if out.shape[1] != prompt.shape[1] + max_length or not out[:, : prompt.shape[1]].equal(prompt):
        raise CheckFailed(f"the result isn't the prompt and {max_length} tokens more")
    if out.min() < 0 or out.max() >= vocab_size:
        raise CheckFailed(f"the result holds ids outside the vocabulary of {vocab_size}")
    return out, score


def _log_prob(model: LanguageModel, ids: Ids, count: int) -> Float[Tensor, " B"]:
    """Total log P of each row's last `count` tokens, given those before; −inf after the impossible."""
    each = []
    with evaluating(model):
        for rows in ids.split(ROWS):
            logits = logits_of(model, rows, "a text and its continuation")[:, -count - 1 : -1]
            if logits.shape[-1] <= rows.max():
                raise CheckFailed(f"the logits are of {logits.shape[-1]} tokens, the text holds {rows.max()}")
            each.append(logits.double().log_softmax(-1).gather(-1, rows[:, -count:, None])[..., 0])
    each = torch.cat(each)
    after_impossible = F.pad(each.isneginf().cumsum(-1)[:, :-1], (1, 0)) > 0
    return each.masked_fill(after_impossible, 0.0).sum(-1)
