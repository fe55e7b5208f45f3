"""Fair comparisons: which of several continuations a model prefers, and which of two models is better.

A continuation is compared with others as a whole. Its log P alone favours short ones; per token it depends on
the tokenizer, per byte it doesn't; against its prior it is rated by what the prompt adds, which removes the
advantage of words that are frequent everywhere.

Two models that read the same passages are compared passage by passage: what is hard is hard for both, so the
difference varies much less than either of the two.

Axes: N choices or passages, R resamples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lmbook.evaluation import surprisal
from lmbook.interface import (
    LanguageModel,
    TextCodec,
    check_causal,
    check_codec,
    check_generator,
    check_int,
    check_number,
    check_shape,
    evaluating,
    is_dense,
    is_floats,
    kind_of,
    list_of,
)

MAX_RESAMPLES = 1_000_000
MAX_SUM = 1e300  # of the sizes of N losses; twice as much is still a number
WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
MAX_PICKS = 2**22  # passages that are picked at once


@dataclass(frozen=True, kw_only=True)
class ChoiceScores:
    """Scores of the continuations of a prompt, (N,) each, the higher the better.

    Attributes:
        log_prob: log P(continuation | prompt) in nats.
        num_tokens: tokens of each.
        num_bytes: UTF-8 bytes of each.
        prior: log P(continuation | prior prompt) in nats, or None.
    """

    log_prob: Float[Tensor, " N"]
    num_tokens: Int[Tensor, " N"]
    num_bytes: Int[Tensor, " N"]
    prior: Float[Tensor, " N"] | None

    @property
    def per_token(self) -> Float[Tensor, " N"]:
        """Nats per token."""
        return self.log_prob / self.num_tokens

    @property
    def per_byte(self) -> Float[Tensor, " N"]:
        """Nats per byte."""
        return self.log_prob / self.num_bytes

    @property
    def against_prior(self) -> Float[Tensor, " N"]:
        """Log P given the prompt minus log P given the prior prompt: what the prompt adds, in nats.

        Raises:
            ValueError: scores without a prior.
        """
        if self.prior is None:
            raise ValueError("against_prior needs scores with a prior_prompt, got None")
        return self.log_prob - self.prior


def score_choices(
    model: LanguageModel,
    tokenizer: TextCodec,
    prompt: str,
    choices: Sequence[str],
    *,
    prior_prompt: str | None = None,
) -> ChoiceScores:
    """Score whole continuations of `prompt`.

    Args:
        model: any causal language model.
        tokenizer: of its ids.
        prompt: a question, an unfinished sentence, examples before either.
        choices: texts to append to it, with the space that stands between: " Paris", " Rome".
        prior_prompt: a prompt without the question, such as "Answer:", for `against_prior`.

    Raises:
        TypeError: not texts. ValueError: no choice, or an empty one; a prompt whose last token depends on the
            choice that follows, such as one that ends in a space; and what `surprisal` raises.

    Source: Brown et al. 2020, Language Models are Few-Shot Learners, section 2.4; Holtzman et al. 2021,
    Surface Form Competition: Why the Highest Probability Answer Isn't Always Right.
    """
    check_causal(model, "score_choices")
    check_codec(tokenizer, "encode")
    texts = list_of("choices", choices) if not isinstance(choices, str) else choices
    for name, text in (
        ("prompt", prompt),
        ("prior_prompt", "" if prior_prompt is None else prior_prompt),
        *(("a choice", t) for t in texts),
    ):
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a text, got {text!r}")
    if isinstance(choices, str) or not texts or not all(texts):
        raise ValueError(f"choices must be a list of at least 1 text, none empty; got {choices!r}")
    head, tails = _continued(tokenizer, prompt, texts)
    before = None if prior_prompt is None else _continued(tokenizer, prior_prompt, texts)
    return ChoiceScores(
        log_prob=_log_probs(model, head, tails),
        num_tokens=torch.tensor([len(tail) for tail in tails]),
        num_bytes=torch.tensor([len(text.encode()) for text in texts]),
        prior=_log_probs(model, *before) if before else None,
    )


def _continued(tokenizer: TextCodec, prompt: str, choices: list[str]) -> tuple[list[int], list[list[int]]]:
    """Ids of the prompt, and those that each choice adds to them."""
    head = tokenizer.encode(prompt)
    if not head:
        raise ValueError(f"a prompt must have at least 1 token, got {prompt!r}")
    tails = []
    for choice in choices:
        ids = tokenizer.encode(prompt + choice)
        if ids[: len(head)] != head or len(ids) == len(head):
            raise ValueError(
                f"the prompt's end must be a token's end, whatever follows; got {prompt[-20:]!r} + {choice!r}"
            )
        tails.append(ids[len(head) :])
    return head, tails


class _After:
    """A model with a cache that has read `ids`, once for all rows, and predicts what follows them."""

    def __init__(self, model: LanguageModel, ids: list[int]):
        self.model, self.num_read = model, len(ids)
        self.vocab_size = getattr(model, "vocab_size", None)
        self.cache = model.new_cache(1)
        with evaluating(model):
            model(torch.tensor([ids]), cache=self.cache)

    def __call__(self, input_ids: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        self.cache.select(torch.zeros(len(input_ids), dtype=torch.int64))
        with evaluating(self.model):
            logits = self.model(input_ids, cache=self.cache)
        self.cache.truncate(self.num_read)
        return logits


def _log_probs(model: LanguageModel, head: list[int], tails: list[list[int]]) -> Float[Tensor, " N"]:
    """Log P of each tail given the head, which a model with a cache reads once."""
    lengths = torch.tensor([len(tail) for tail in tails])
    width = int(lengths.max())
    rows = torch.tensor([head + tail + [0] * (width - len(tail)) for tail in tails])  # nobody looks ahead
    limit = getattr(model, "context_length", None)
    if len(head) > 1 and hasattr(model, "new_cache") and (limit is None or rows.shape[1] <= limit):
        model, rows = _After(model, head[:-1]), rows[:, len(head) - 1 :]
    nats = surprisal(model, rows)[:, -width:]
    return -nats.where(torch.arange(width) < lengths[:, None], 0.0).sum(1)


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The difference of two models on the same passages, `a` − `b`, with its bootstrap interval.

    Attributes:
        mean: of the loss per unit of size, over all passages.
        low: lower end of the interval.
        high: upper end of the interval.
        share_below: share of resamples in which `a` has less loss than `b`, ties counted half.
    """

    mean: float
    low: float
    high: float
    share_below: float


def paired_bootstrap(
    a: Float[Tensor, " N"],
    b: Float[Tensor, " N"],
    sizes: Float[Tensor, " N"] | Int[Tensor, " N"] | None = None,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    generator: Generator | None = None,
) -> PairedDifference:
    """Whether two models differ by more than the choice of passages explains.

    Passages are drawn with replacement, the same for both models, and the difference is computed again; the
    interval holds the middle `level` of these differences. Passages should be as good as independent: take
    documents or pages, not tokens.

    Args:
        a: loss of each passage under one model, such as its nats in all.
        b: the same under the other model.
        sizes: tokens or bytes of each passage, by which sums of losses are divided; None counts each as 1.
        level: of the interval.
        num_resamples: R, at most 1,000,000.
        generator: source of the draws; None: torch's default one.

    Raises:
        TypeError: not tensors of floats, or of ints for `sizes`.
        ValueError: other shapes, fewer than 2 passages, a loss that isn't finite, a size that isn't positive
            and finite, sums or quotients that no float can hold, a level outside (0, 1).

    Source: Koehn 2004, Statistical Significance Tests for Machine Translation Evaluation, section 4; Efron
    and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    for name, losses in (("a", a), ("b", b)):
        if not is_floats(losses):
            raise TypeError(f"{name} must be a tensor of floats, got {kind_of(losses)}")
        if losses.ndim != 1 or len(losses) < 2:
            raise ValueError(f"{name} must hold at least 2 losses, (N,); got {tuple(losses.shape)}")
        _check_summable(name, losses)
    check_shape("b", b, a.shape)
    sizes = torch.ones_like(a) if sizes is None else sizes
    check_shape("sizes", sizes, a.shape)
    if not (is_floats(sizes) or (is_dense(sizes) and sizes.dtype in WHOLE)):
        raise TypeError(f"sizes must be a tensor of floats or ints, got {kind_of(sizes)}")
    if not ((sizes > 0) & sizes.isfinite()).all():
        raise ValueError(f"sizes must be above 0 and finite, got {sizes.tolist()[:5]}")
    _check_summable("sizes", sizes)
    level = check_number("level", level, "(0, 1)")
    num_resamples = check_int("num_resamples", num_resamples, 1, MAX_RESAMPLES)
    check_generator(generator, a.device)

    gaps, sizes = a.detach().double() - b.detach().double(), sizes.detach().double()
    means = []
    for count in torch.full((num_resamples,), 1).split(max(1, MAX_PICKS // len(a))):
        picks = torch.randint(len(a), (len(count), len(a)), generator=generator, device=a.device)
        means.append(gaps[picks].sum(1) / sizes[picks].sum(1))
    drawn = torch.cat(means).sort().values
    if not drawn.isfinite().all():
        raise ValueError(f"losses over sizes must be finite, got {drawn[~drawn.isfinite()][0].item()}")
    tail = math.floor((1 - level) / 2 * num_resamples)
    below = (drawn < 0).double().mean() + (drawn == 0).double().mean() / 2
    return PairedDifference(
        mean=float(gaps.sum() / sizes.sum()),
        low=drawn[tail].item(),
        high=drawn[num_resamples - 1 - tail].item(),
        share_below=below.item(),
    )


def _check_summable(name: str, values: Tensor) -> None:
    """Raise ValueError unless all `values` are finite, and N times the largest is too."""
    largest = values.double().abs().max().item()
    if not largest < math.inf:
        raise ValueError(f"{name} must be finite, got {values[~values.isfinite()][0].item()}")
    if not largest * len(values) <= MAX_SUM:
        raise ValueError(f"{name} must be at most {MAX_SUM / len(values):.3g} in size, got {largest:.3g}")
