"""Speculative decoding: a small model proposes tokens, the large one checks several in one pass.

A proposal x, drawn from the draft's distribution q, is accepted with probability min(1, p(x) / q(x)), where p
is the target's distribution; after a refusal the token is drawn from max(p − q, 0), normalised. Together

    q(x) · min(1, p(x) / q(x))  +  P(refusal) · max(p(x) − q(x), 0) / Σ max(p − q, 0)  =  p(x):

the output has exactly the target's distribution, whatever the draft proposes. (If q ≥ p, the first term is
p(x) and the second 0; otherwise the first is q(x), and P(refusal) equals the sum below it, so the second is
p(x) − q(x).)

Source: Leviathan, Kalman and Matias 2023, Fast Inference from Transformers via Speculative Decoding; Chen et
al. 2023, Accelerating Large Language Model Decoding with Speculative Sampling.

Axes: B batch, T time, V vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lmbook.decoding import filters
from lmbook.decoding.filters import Filter, compose
from lmbook.decoding.incremental import IncrementalForward, check_end, check_request, prompts
from lmbook.decoding.sampling import Rule, draw, next_probabilities
from lmbook.interface import (
    Ids,
    LanguageModel,
    Mask,
    check_generator,
    check_int,
    check_shape,
    evaluating,
    is_floats,
    kind_of,
)

Probabilities = Float[Tensor, "*rows V"]


@dataclass
class SpeculationStats:
    """Counts of proposals; `speculative_decode` adds to them.

    Attributes:
        rounds: passes of the target.
        proposed: tokens that the draft proposed.
        accepted: proposals that the target accepted.
        refused: proposals that it refused; those after a refusal count as neither.
        emitted: total number of new tokens.
    """

    rounds: int = 0
    proposed: int = 0
    accepted: int = 0
    refused: int = 0
    emitted: int = 0

    @property
    def acceptance_rate(self) -> float:
        """Accepted / (accepted + refused); its expectation is Σ min(p, q). NaN without proposals."""
        judged = self.accepted + self.refused
        return self.accepted / judged if judged else float("nan")

    @property
    def tokens_per_round(self) -> float:
        """New tokens per pass of the target, 1 without speculation. NaN before the first pass."""
        return self.emitted / self.rounds if self.rounds else float("nan")


def acceptance(target: Probabilities, draft: Probabilities) -> Probabilities:
    """min(1, p / q), the probability that a proposal is accepted; 1 where q is 0 and it is never made.

    Args:
        target: p, (…, V).
        draft: q, of the same shape.

    Raises:
        TypeError: not tensors of floats.
        ValueError: another shape, or numbers that are below 0, NaN or infinite.
    """
    _check_probabilities(target, draft)
    return torch.where(draft > target, target / draft, 1.0)


def residual(target: Probabilities, draft: Probabilities) -> Probabilities:
    """max(p − q, 0), normalised: the distribution after a refusal. If p = q, nothing is refused; returns p.

    Args and errors as `acceptance`.
    """
    _check_probabilities(target, draft)
    rest = (target - draft).clamp(min=0.0)
    total = rest.sum(-1, keepdim=True)
    return torch.where(total > 0, rest / total, target)


def _check_probabilities(target: object, draft: object) -> None:
    for name, probs in (("target", target), ("draft", draft)):
        if not is_floats(probs):
            raise TypeError(f"{name} must be probabilities, a tensor of floats; got {kind_of(probs)}")
        wrong = ~((probs >= 0) & probs.isfinite())
        if wrong.any():
            raise ValueError(f"{name} must be at least 0 and finite, got {probs[wrong][0].item()}")
    check_shape("draft", draft, target.shape)


def toss(probability: Float[Tensor, ""], generator: Generator | None) -> bool:
    """True with this probability."""
    luck = torch.rand((), generator=generator, device=probability.device, dtype=probability.dtype)
    return bool(luck < probability)


def speculative_decode(
    target: LanguageModel,
    draft: LanguageModel,
    input_ids: Ids,
    max_length: int = 100,
    *,
    num_draft: int = 4,
    temperature: float | int = 1.0,
    filters: Iterable[Filter] = (),
    generator: Generator | None = None,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
    stats: SpeculationStats | None = None,
) -> Int[Tensor, "B _"]:
    """Sample from `target`, with fewer passes of it if `draft` guesses well; rows are decoded one by one.

    Args:
        target: the output has this model's distribution.
        draft: a cheaper model over the same vocabulary.
        input_ids: (B, T) prompts.
        max_length: number of new tokens.
        num_draft: proposals per round, at most 1,000.
        temperature: of both models, before `filters`; 0 gives the same as `greedy_decode(target)`.
        filters: applied to both models, as in `sample_decode`.
        generator: source of the draws; None: torch's default one.
        eos_token_id: a row stops after this token.
        padding_mask: (B, T), True where a token is padding, on the left only.
        stats: counts are added to it.

    Returns:
        (B, T + max_length) ids, prompt included.

    Raises:
        TypeError, ValueError: as `sample_decode`, for either model; `num_draft` below 1 or above 1,000;
            different vocabularies.
    """
    for model in (target, draft):
        max_length, eos_token_id = check_request(
            model, "speculative_decode", input_ids, max_length, eos_token_id, padding_mask
        )
    sizes = [getattr(model, "vocab_size", None) for model in (target, draft)]
    if None not in sizes and sizes[0] != sizes[1]:
        raise ValueError(f"target and draft must have the same vocab_size, got {sizes[0]} and {sizes[1]}")
    num_draft = check_int("num_draft", num_draft, 1, 1000)
    check_generator(generator, input_ids.device)
    if not isinstance(stats, SpeculationStats | None):
        raise TypeError(f"stats must be SpeculationStats or None, got {stats!r}")
    rule = _rule(temperature, filters)
    stats = SpeculationStats() if stats is None else stats
    ids = F.pad(input_ids, (0, max_length), value=eos_token_id or 0)
    with evaluating(target), evaluating(draft):
        for row, (padding, prompt) in enumerate(prompts(input_ids, padding_mask)):
            speculation = _Speculation(target, draft, rule, generator, eos_token_id, stats)
            tokens = speculation.run(prompt, max_length, num_draft)
            ids[row, padding : padding + len(tokens)] = tokens
    return ids


def _rule(tau: float | int, steps: Iterable[Filter]) -> Rule:
    """Temperature, then the given filters: the same for both models."""
    warmed, filtered = compose([partial(filters.temperature, tau=tau)]), compose(steps)
    return lambda logits, ids: filtered(warmed(logits, ids), ids)


class _Speculation:
    """The decoding of one row: propose, judge, and keep what was accepted."""

    def __init__(self, target, draft, rule: Rule, generator, eos: int | None, stats: SpeculationStats):
        self.target, self.draft = IncrementalForward(target, 1), IncrementalForward(draft, 1)
        self.rule, self.generator, self.eos, self.stats = rule, generator, eos, stats

    def run(self, ids: Int[Tensor, "1 T"], max_length: int, num_draft: int) -> Int[Tensor, " _"]:
        """The prompt and up to `max_length` new tokens."""
        start, end = ids.shape[1], ids.shape[1] + max_length
        while ids.shape[1] < end and not (ids.shape[1] > start and ids[0, -1] == self.eos):
            ids = self.judge(*self.propose(ids, min(num_draft, end - ids.shape[1] - 1)))
            self.target.truncate(ids.shape[1] - 1)
            self.draft.truncate(ids.shape[1] - 1)
        self.stats.emitted += ids.shape[1] - start
        return ids[0]

    def propose(self, ids: Int[Tensor, "1 T"], count: int) -> tuple[Tensor, list[Tensor]]:
        """The prefix with up to `count` proposals, and the distribution q (1, V) that each was drawn from."""
        drafts = []
        while len(drafts) < count and not (drafts and ids[0, -1] == self.eos):
            drafts.append(next_probabilities(self.draft(ids)[:, -1], ids, self.rule))
            ids = torch.cat((ids, draw(drafts[-1], self.generator)[None]), dim=1)
        return ids, drafts

    def judge(self, ids: Int[Tensor, "1 T"], drafts: list[Tensor]) -> Int[Tensor, "1 _"]:
        """The proposals up to the first refusal, and one token of the target's own."""
        logits = self.target(ids, len(drafts) + 1)
        check_end(self.eos, logits)
        self.stats.rounds += 1
        self.stats.proposed += len(drafts)
        known = ids.shape[1] - len(drafts)
        for i, q in enumerate(drafts):
            prefix, proposal = ids[:, : known + i], ids[0, known + i]
            p = next_probabilities(logits[:, i], prefix, self.rule)
            if not toss(acceptance(p, q)[0, proposal], self.generator):
                self.stats.refused += 1
                return torch.cat((prefix, draw(residual(p, q), self.generator)[None]), dim=1)
            self.stats.accepted += 1
        if drafts and ids[0, -1] == self.eos:
            return ids
        p = next_probabilities(logits[:, -1], ids, self.rule)
        return torch.cat((ids, draw(p, self.generator)[None]), dim=1)
