"""Filters of a model's logits, applied before the next token is chosen: pure functions that compose.

A filter maps logits (…, V) to logits (…, V) and doesn't change its input. It either rescales all logits
(temperature, penalties) or sets those of the tokens it removes to −inf; softmax then shares their probability
among the rest. Each row of the leading axes is treated independently. All filters follow these rules:

- a row always keeps at least one token;
- tokens at −inf stay at −inf; a row of only −inf is returned unchanged;
- of equals the lowest id wins, except where a docstring says that equals stay together;
- logits that are NaN are a ValueError.

Filters that depend on earlier tokens also take `ids` (…, T), the tokens so far; an id outside the vocabulary,
such as −1 for padding, is ignored. They count the prompt as well: `prompt_ignore_length` (transformers' name)
leaves out so many tokens at the beginning of `ids`, padding included.

A decoder takes any sequence of filters: `filters=(partial(temperature, tau=0.7), partial(top_k, k=50))`,
applied in that order. The order matters: heat before a nucleus lets in more than the same heat after it.

Axes: T time, V vocabulary, W windows of n tokens; … any leading axes, the rows.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from lmbook.interface import (
    RowIds,
    RowLogits,
    check_int,
    check_number,
    check_shape,
    is_dense,
    is_floats,
    kind_of,
)

Filter = Callable[..., Tensor]  # of logits, or of logits and ids


def compose(filters: Iterable[Filter]) -> Callable[[Tensor, Tensor], Tensor]:
    """One function of (logits, ids) that applies `filters` in order.

    A filter with a parameter `ids` gets the ids, unless they were bound with `functools.partial`. The filters
    of this module are run once on a single logit, so that wrong arguments are refused at once. Other filters
    are only called with a model's logits: with copies of logits and ids, because they may write into them.

    Raises:
        TypeError: not a list of functions; later, a filter that returns no tensor of floats.
        ValueError: a filter's argument is outside its limits; later, a filter that changes the shape.
    """
    is_list = isinstance(filters, Iterable) and not isinstance(filters, Tensor)
    if not (is_list and all(map(callable, functions := [*filters]))):
        raise TypeError(f"filters must be a list of functions of logits, got {filters!r}")
    steps = [(step, _looks_back(step)) for step in functions]
    for step in functions:
        if _is_own(step):
            ids = {"ids": torch.zeros(1, 1, dtype=torch.int64, device="cpu")} if _has_ids(step) else {}
            step(torch.zeros(1, 1, device="cpu"), **ids)
    pure = all(map(_is_own, functions))

    def composed(logits: Tensor, ids: Tensor) -> Tensor:
        if not pure:
            logits, ids = logits.clone(), ids.clone()
        for step, looks_back in steps:
            filtered = step(logits, ids=ids) if looks_back else step(logits)
            if not is_floats(filtered):
                got = kind_of(filtered)
                raise TypeError(f"a filter must return logits, a tensor of floats; {step!r} gives {got}")
            check_shape("what a filter returns", filtered, logits.shape)
            logits = filtered
        return logits

    return composed


def _is_own(step: Filter) -> bool:
    function = step.func if isinstance(step, partial) else step
    return any(function is own for own in _OWN)


def _has_ids(step: Filter) -> bool:
    try:
        return "ids" in inspect.signature(step).parameters
    except (TypeError, ValueError):  # a function written in C has no signature
        return False


def _looks_back(step: Filter) -> bool:
    bound = isinstance(step, partial) and "ids" in step.keywords
    return _has_ids(step) and not bound


def temperature(logits: RowLogits, tau: float | int) -> RowLogits:
    """Divide by `tau`: below 1 favours likely tokens, above 1 unlikely ones; 0 keeps only the best token.

    A `tau` below 1e-30 counts as 0. If a quotient would overflow, the row's best logit is first subtracted
    from all of them, which doesn't change the softmax.

    Raises:
        ValueError: `tau` is negative or not finite.

    Source: Ackley, Hinton and Sejnowski 1985, A Learning Algorithm for Boltzmann Machines.
    """
    check_number("temperature", tau, "[0, inf)")
    check_rows(logits)
    if tau >= 1e-30:
        exact = torch.promote_types(logits.dtype, torch.float32)
        tau = min(float(tau), torch.finfo(exact).max)  # −inf by an infinite number would be NaN
        divided, best = logits / tau, logits.amax(-1, keepdim=True)
        beyond = (divided.isinf() & logits.isfinite()).any(-1, keepdim=True) & best.isfinite()
        return torch.where(beyond, (logits - best) / tau, divided)
    best = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, logits.argmax(-1, keepdim=True), True)
    return _keep(logits, best)


def top_k(logits: RowLogits, k: int) -> RowLogits:
    """Keep the `k` best tokens, exactly `k`: of equals at the k-th place those with the lowest ids.

    `k` above V keeps everything.

    Raises:
        ValueError: `k` is below 1.

    Source: Fan, Lewis and Dauphin 2018, Hierarchical Neural Story Generation.
    """
    k = check_int("k", k)
    check_rows(logits)
    if k >= logits.shape[-1]:
        return logits
    last = logits.topk(k).values[..., -1:]
    above, equal = logits > last, logits == last
    room = k - above.sum(-1, keepdim=True)
    return _keep(logits, above | (equal & (equal.cumsum(-1) <= room)))


def top_p(logits: RowLogits, p: float | int) -> RowLogits:
    """Keep the nucleus: of the tokens from best to worst, the fewest whose probability reaches `p`.

    The best token always stays; p = 1 keeps everything.

    Raises:
        ValueError: `p` is outside (0, 1].

    Source: Holtzman et al. 2020, The Curious Case of Neural Text Degeneration, section 3.1.
    """
    check_number("p", p, "(0, 1]")
    check_rows(logits)
    if p == 1:
        return logits
    order, probs = logits.argsort(descending=True, stable=True), _softmax(logits)
    kept = _mass_before(probs, order) < max(p, torch.finfo(probs.dtype).tiny)  # p is rounded, never to 0
    return _keep(logits, torch.zeros_like(kept).scatter(-1, order, kept))


def min_p(logits: RowLogits, p: float | int) -> RowLogits:
    """Keep the tokens that have at least `p` times the probability of the best one.

    Raises:
        ValueError: `p` is outside [0, 1].

    Source: Nguyen et al. 2024, Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs.
    """
    check_number("min_p", p, "[0, 1]")
    check_rows(logits)
    if p == 0:
        return logits
    return _keep(logits, logits >= logits.amax(-1, keepdim=True) + math.log(p))


def top_n_sigma(logits: RowLogits, n: float | int) -> RowLogits:
    """Keep the tokens whose logit is at most `n` standard deviations below the best one.

    The deviation is that of the row's finite logits. Temperature scales it with the logits, so that the order
    of the two makes no difference.

    Raises:
        ValueError: `n` is negative or not finite.

    Source: Tang et al. 2024, Top-nσ: Not All Logits Are You Need, section 3.
    """
    check_number("top-n-sigma n", n, "[0, inf)")
    check_rows(logits)
    exact, possible = logits.double(), logits.isfinite()
    best = exact.amax(-1, keepdim=True)
    below = torch.where(possible, best / 2 - exact / 2, 0.0)  # halves, so that no difference overflows
    below = below / below.amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)  # in [0, 1]
    count = possible.sum(-1, keepdim=True)
    mean = below.sum(-1, keepdim=True) / count
    variance = torch.where(possible, (below - mean) ** 2, 0.0).sum(-1, keepdim=True) / count
    return _keep(logits, (possible & (below <= float(n) * variance.sqrt())) | (exact == best))


def typical(logits: RowLogits, p: float | int) -> RowLogits:
    """Keep the tokens with surprise, −log P, nearest to the entropy: the fewest that reach probability `p`.

    Equally distant tokens stay or go together. The best token may be removed if it is too predictable.

    Raises:
        ValueError: `p` is outside (0, 1].

    Source: Meister et al. 2023, Locally Typical Sampling.
    """
    check_number("typical p", p, "(0, 1]")
    check_rows(logits)
    if p == 1:
        return logits
    probs = _softmax(logits)
    surprise = -probs.log()
    distance = (surprise - torch.special.entr(probs).sum(-1, keepdim=True)).abs()
    order = distance.argsort()
    last = (_mass_before(probs, order) < p).sum(-1, keepdim=True).clamp(min=1) - 1
    limit = distance.gather(-1, order.gather(-1, last))
    return _keep(logits, distance <= limit)


def logit_bias(logits: RowLogits, bias: Mapping[int, float | int]) -> RowLogits:
    """Add `bias[token]` to the logit of each token that `bias` names: −100 all but forbids it.

    Raises:
        TypeError: `bias` isn't a map from ids to numbers.
        ValueError: an id outside the vocabulary, or a number that isn't finite.

    Source: OpenAI API reference, parameter logit_bias.
    """
    if not isinstance(bias, Mapping):
        raise TypeError(f"bias must be a map from ids to numbers, got {bias!r}")
    tokens = [check_int("an id in bias", token, 0) for token in bias]
    added = [float(check_number("a bias", value, "(-inf, inf)")) for value in bias.values()]
    check_rows(logits)
    if logits.shape[-1] == 1:  # a single token keeps its probability of 1
        return logits
    check_int("an id in bias", max(tokens, default=0), 0, logits.shape[-1] - 1)
    sums = logits.to(torch.float64, copy=True)
    sums[..., tokens] += torch.tensor(added, dtype=torch.float64, device=logits.device)
    return _changed(logits, sums, torch.ones_like(logits, dtype=torch.bool))


def repetition_penalty(
    logits: RowLogits, ids: RowIds, penalty: float | int, prompt_ignore_length: int = 0
) -> RowLogits:
    """Make tokens that occur in `ids` less likely: divide logits above 0 by `penalty`, multiply those below.

    The effect changes if a constant is added to all logits, though softmax doesn't: log-probabilities are all
    below 0.

    Raises:
        ValueError: `penalty` isn't above 0 and finite, or `prompt_ignore_length` is below 0.

    Source: Keskar et al. 2019, CTRL, section 4.1; sign rule as in the transformers library.
    """
    check_number("penalty", penalty, "(0, inf)")
    check_rows(logits, ids)
    ids = written(ids, prompt_ignore_length)
    penalty = float(penalty)
    penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
    return _changed(logits, penalised, (_counts(ids, logits) > 0) & (logits != 0))


def frequency_penalty(
    logits: RowLogits, ids: RowIds, penalty: float | int, prompt_ignore_length: int = 0
) -> RowLogits:
    """Subtract `penalty` for each time that a token occurs in `ids`; a negative one favours repetition.

    Raises:
        ValueError: `penalty` isn't finite, or `prompt_ignore_length` is below 0.

    Source: OpenAI API reference, parameter frequency_penalty.
    """
    check_number("penalty", penalty, "(-inf, inf)")
    check_rows(logits, ids)
    ids = written(ids, prompt_ignore_length)
    penalty = float(penalty)  # torch takes no int beyond int64
    counts = _counts(ids, logits)
    exact = torch.promote_types(logits.dtype, torch.float32)  # float16 counts to 65,504 only
    return _changed(logits, logits - penalty * counts.to(exact), counts > 0)


def presence_penalty(
    logits: RowLogits, ids: RowIds, penalty: float | int, prompt_ignore_length: int = 0
) -> RowLogits:
    """Subtract `penalty` once from each token that occurs in `ids`; a negative one favours repetition.

    Raises:
        ValueError: `penalty` isn't finite, or `prompt_ignore_length` is below 0.

    Source: OpenAI API reference, parameter presence_penalty.
    """
    check_number("penalty", penalty, "(-inf, inf)")
    check_rows(logits, ids)
    ids = written(ids, prompt_ignore_length)
    penalty = float(penalty)  # torch takes no int beyond int64
    return _changed(logits, logits - penalty, _counts(ids, logits) > 0)


def no_repeat_ngram(logits: RowLogits, ids: RowIds, n: int, prompt_ignore_length: int = 0) -> RowLogits:
    """Remove each token that would complete a sequence of `n` tokens which `ids` already holds.

    A sequence with an id outside the vocabulary doesn't count. A row that would lose all its possible tokens
    is left unchanged.

    Raises:
        ValueError: `n` is below 1, or `prompt_ignore_length` below 0.

    Source: Paulus, Xiong and Socher 2018, A Deep Reinforced Model for Abstractive Summarization, section 2.5.
    """
    n = check_int("n", n)
    check_rows(logits, ids)
    ids = written(ids, prompt_ignore_length)
    length = ids.shape[-1]
    if length < n:
        return logits
    windows = ids.unfold(-1, n, 1)  # (…, W, n)
    last = ids[..., None, length - n + 1 :]  # (…, 1, n − 1)
    known = (last >= 0) & (last < logits.shape[-1])
    begun = ((windows[..., :-1] == last) & known).all(-1)  # (…, W)
    banned = _counts(windows[..., -1].where(begun, -1), logits) > 0
    left = logits.masked_fill(banned, -math.inf)
    return torch.where(left.isneginf().all(-1, keepdim=True), logits, left)


_OWN = (temperature, top_k, top_p, min_p, top_n_sigma, typical, logit_bias)
_OWN += (repetition_penalty, frequency_penalty, presence_penalty, no_repeat_ngram)


def check_rows(logits: object, *ids: object) -> None:
    """Raise unless logits are (…, V) of floats, none NaN, and `ids`, where a filter takes them, (…, T)."""
    if not is_floats(logits):
        raise TypeError(f"logits must be a tensor of floats, got {kind_of(logits)}")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits must have shape (…, V), V at least 1; got {tuple(logits.shape)}")
    if logits.isnan().any():  # a NaN is neither above nor below a limit
        raise ValueError(f"logits must not be NaN, got it at {tuple(logits.isnan().nonzero()[0].tolist())}")
    for seen in ids:
        if not is_dense(seen) or seen.dtype != torch.int64:
            raise TypeError(f"ids must be a tensor of int64, got {kind_of(seen)}")
        if seen.ndim == 0 or seen.shape[:-1] != logits.shape[:-1]:
            got = f"{tuple(seen.shape)} for {tuple(logits.shape)}"
            raise ValueError(f"ids must be (…, T), with the rows of the logits (…, V); got {got}")


def written(ids: RowIds, prompt_ignore_length: int) -> Int[Tensor, "*rows N"]:
    """`ids` without as many at the beginning."""
    return ids[..., min(check_int("prompt_ignore_length", prompt_ignore_length, 0), ids.shape[-1]) :]


def _changed(logits: RowLogits, changed: RowLogits, where: Bool[Tensor, "*rows V"]) -> RowLogits:
    """`changed`, clamped to the range of its type, where `where` is True and `logits` is finite."""
    limit = torch.finfo(logits.dtype).max
    changed = changed.clamp(-limit, limit).to(logits.dtype)
    return torch.where(where & logits.isfinite(), changed, logits)


def _keep(logits: RowLogits, kept: Bool[Tensor, "*rows V"]) -> RowLogits:
    return logits.masked_fill(~kept, -math.inf)


def _softmax(logits: RowLogits) -> RowLogits:
    """Probabilities, in float32 at least: half precision is too coarse for sums over a vocabulary."""
    return logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _mass_before(probs: RowLogits, order: Int[Tensor, "*rows V"]) -> RowLogits:
    """For each place in `order`, the total probability of the tokens before it."""
    return F.pad(probs.gather(-1, order).cumsum(-1)[..., :-1], (1, 0))


def _counts(ids: Int[Tensor, "*rows N"], logits: RowLogits) -> Int[Tensor, "*rows V"]:
    """How often each token of the vocabulary occurs in `ids`, (…, V)."""
    vocab_size = logits.shape[-1]
    known = (ids >= 0) & (ids < vocab_size)
    zeros = ids.new_zeros(*ids.shape[:-1], vocab_size)
    return zeros.scatter_add(-1, ids.where(known, 0), known.long())
