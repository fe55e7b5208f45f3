"""Measures of a model: cross-entropy and its relatives, pseudo-perplexity, diversity, calibration.

They take any model of `interface.py`. Losses are summed in float64; an impossible token costs inf, not NaN.
At most `MAX_LOGITS` logits are computed at once, or those of one window if that is more.

Axes: B batch, T time, V vocabulary, K bins.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmbook.interface import (
    LanguageModel,
    check_causal,
    check_fits,
    check_ids,
    check_int,
    check_logits_shape,
    check_not_nan,
    check_shape,
    check_told,
    evaluating,
    is_dense,
    is_floats,
    kind_of,
)

MAX_LOGITS = 2**22
MAX_BYTES = 10**18  # of a text: an exabyte
MAX_NGRAM = 100  # the longest n-gram that is counted
MAX_BINS = 1_000_000
LARGEST_ID = 2**63 - 1  # of int64


def surprisal(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    *,
    batch_size: int | None = None,
    window: int | None = None,
    stride: int | None = None,
) -> Float[Tensor, "B T-1"]:
    """−log P(token t | the tokens before it) for t = 2 … T, (B, T − 1) float64, in nats.

    Rows that are longer than a window of L tokens are read in several, the next one `stride` tokens further,
    and each token is scored once: in the first window given all its past, in the others given at least
    L − `stride` tokens. So `stride` = 1 gives each token as much past as a window holds, at the price of a
    window for each; `stride` = L reads everything once, and the first tokens of each window know nothing.

    Args:
        model: row t predicts token t + 1.
        ids: int64, at least two tokens a row.
        batch_size: rows at a time; None takes as many as `MAX_LOGITS` allows.
        window: L, at most the model's `context_length`, which it is by default. A model without a limit is
            by default read in one piece; one with a `markov_order` in pieces that overlap enough to give the
            same numbers.
        stride: at most L; by default L − L // 2.

    Raises:
        TypeError: a masked model (row t predicts token t itself), or ids that aren't int64.
        ValueError: too few tokens, ids outside the vocabulary, a batch_size below 1, a window or a stride
            that is too short or too long, logits that aren't (B, T, V), NaN logits, or logits that allow no
            token at all.
    """
    check_causal(model, "surprisal")
    vocab_size = getattr(model, "vocab_size", None)
    check_ids(ids, vocab_size, name="ids", min_length=2)
    window, overlap = _window(model, ids, window, stride)
    if batch_size is None:
        batch_size = max(1, MAX_LOGITS // (window * _width(model, ids)))
    batch_size = check_int("batch_size", batch_size)
    losses = torch.empty(ids.shape[0], ids.shape[1] - 1, dtype=torch.float64)
    with evaluating(model):
        for row in range(0, len(ids), batch_size):
            batch = ids[row : row + batch_size]
            for start, stop, first in _windows(ids.shape[1] - 1, window, overlap):
                logits = _logits(model, batch[:, start:stop].clone())[:, first - start :]
                nll = _nll(logits, batch[:, first + 1 : stop + 1])
                losses[row : row + batch_size, first:stop] = nll.cpu()
    return losses


def cross_entropy(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    *,
    batch_size: int | None = None,
    window: int | None = None,
    stride: int | None = None,
) -> float:
    """Mean of `surprisal` over tokens 2 … T of all rows: nats per token. Same arguments and errors."""
    check_causal(model, "cross_entropy")
    return float(surprisal(model, ids, batch_size=batch_size, window=window, stride=stride).mean())


def perplexity(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    *,
    batch_size: int | None = None,
    window: int | None = None,
    stride: int | None = None,
) -> float:
    """exp(cross_entropy): a uniform choice among this many tokens is as uncertain. Same arguments and errors.

    Source: Jelinek, Mercer, Bahl & Baker, "Perplexity — a measure of the difficulty of speech recognition
    tasks", Journal of the Acoustical Society of America 62 (1977), S63.
    """
    check_causal(model, "perplexity")
    nats = surprisal(model, ids, batch_size=batch_size, window=window, stride=stride)
    return float(nats.mean().exp())


def bits_per_byte(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    num_bytes: int,
    *,
    batch_size: int | None = None,
    window: int | None = None,
    stride: int | None = None,
) -> float:
    """Bits per byte of text, which compares models with different vocabularies.

    The bits of all tokens are summed before they are divided: a mean of windows' means would count the tokens
    of a short window more.

    Args:
        model: as for `surprisal`.
        ids: as for `surprisal`.
        num_bytes: UTF-8 length of the text of tokens 2 … T of all rows; the first token isn't predicted.
        batch_size: as for `surprisal`.
        window: as for `surprisal`.
        stride: as for `surprisal`.

    Raises:
        ValueError: num_bytes below 1 or above 10 ** 18; and what `surprisal` raises.
    """
    check_causal(model, "bits_per_byte")
    check_int("num_bytes", num_bytes, 1, MAX_BYTES)
    nats = surprisal(model, ids, batch_size=batch_size, window=window, stride=stride)
    return float(nats.sum()) / math.log(2) / num_bytes


def pseudo_perplexity(masked_model, ids: Int[Tensor, "B T"], *, batch_size: int | None = None) -> float:
    """The exponential of the mean of −log P(token | the tokens on both sides), each token masked in turn.

    Not a perplexity: the product of these probabilities isn't the probability of a text.

    Args:
        masked_model: row t predicts token t (`predicts = "same"`); has a `mask_token_id`.
        ids: int64, at least one token a row, no padding.
        batch_size: masked copies at a time; None takes as many as `MAX_LOGITS` allows.

    Raises:
        TypeError: a model that isn't masked.
        ValueError: ids outside the vocabulary, rows longer than the context, batch_size below 1, NaN logits.

    Source: Salazar, Liang, Nguyen & Kirchhoff, "Masked language model scoring", ACL 2020, section 2.
    """
    is_masked = getattr(masked_model, "predicts", "next") == "same" and hasattr(masked_model, "mask_token_id")
    if not (is_masked and callable(masked_model)):
        raise TypeError(
            "pseudo_perplexity needs a masked model, with a mask_token_id; "
            f"got {type(masked_model).__name__}. Score a causal model with perplexity."
        )
    check_told(masked_model)
    check_ids(ids, getattr(masked_model, "vocab_size", None), name="ids")
    check_int("mask_token_id", masked_model.mask_token_id, 0, LARGEST_ID)
    length = ids.shape[1]
    check_fits(masked_model, length, "ids")
    if batch_size is None:
        batch_size = max(1, MAX_LOGITS // (length * _width(masked_model, ids)))
    batch_size = check_int("batch_size", batch_size)
    total = 0.0
    with evaluating(masked_model):
        for copies in torch.arange(ids.numel(), device=ids.device).split(min(batch_size, ids.numel())):
            row, position = copies // length, copies % length
            each = torch.arange(len(copies), device=ids.device)
            masked = ids[row]
            masked[each, position] = masked_model.mask_token_id
            logits = _logits(masked_model, masked)[each, position]
            total += float(_nll(logits, ids[row, position]).sum())
    return float(torch.tensor(total / ids.numel(), dtype=torch.float64).exp())


def distinct_n(sequences: Int[Tensor, "B T"] | Sequence[Sequence[int]], n: int) -> float:
    """Distinct n-grams as a share of all n-grams of the sequences, pooled: 1 where nothing repeats.

    Args:
        sequences: ids, (B, T) or a list of lists.
        n: length of an n-gram, at most 100.

    Raises:
        TypeError: a single sequence, or something that isn't an id.
        ValueError: n below 1 or above 100, a tensor of another shape, or no sequence as long as n.

    Source: Li, Galley, Brockett, Gao & Dolan, "A diversity-promoting objective function for neural
    conversation models", NAACL 2016, section 5; they divide by the number of tokens, which stays below 1 for
    n > 1.
    """
    check_int("n", n, 1, MAX_NGRAM)
    counts = sum((_ngrams(sequence, n) for sequence in _lists(sequences)), Counter())
    if not counts:
        raise ValueError(f"need a sequence of at least {n} tokens")
    return len(counts) / counts.total()


def self_similarity(sequences: Int[Tensor, "B T"] | Sequence[Sequence[int]], n: int = 4) -> float:
    """Self-BLEU-n: the mean BLEU of each sequence against all others; 0 nothing shared, 1 all the same.

    BLEU is the geometric mean, over orders 1 … n, of the share of the sequence's n-grams that another one has
    as often, times exp(1 − r / c) if c < r, where c is the sequence's length and r the nearest length among
    the others. It isn't smoothed: if one order has nothing in common, it is 0.

    Args and errors as `distinct_n`.

    Raises:
        ValueError: n below 1 or above 100, fewer than two sequences, or one shorter than n.

    Source: Zhu et al., "Texygen: a benchmarking platform for text generation models", SIGIR 2018, section 3;
    Papineni, Roukos, Ward & Zhu, "BLEU", ACL 2002, section 2.
    """
    check_int("n", n, 1, MAX_NGRAM)
    texts = _lists(sequences)
    if len(texts) < 2 or min(map(len, texts)) < n:
        shortest = min(map(len, texts), default=0)
        raise ValueError(
            f"need 2 sequences of n tokens; got {len(texts)}, the shortest of {shortest}, n = {n}"
        )
    log_precision = torch.zeros(len(texts), dtype=torch.float64)
    for order in range(1, n + 1):
        counts = [_ngrams(text, order) for text in texts]
        shared = [
            _shared(count, counts[:i] + counts[i + 1 :]) / count.total() for i, count in enumerate(counts)
        ]
        log_precision += torch.tensor(shared, dtype=torch.float64).log() / n
    lengths = [len(text) for text in texts]
    for i, length in enumerate(lengths):
        nearest = min(lengths[:i] + lengths[i + 1 :], key=lambda other: (abs(other - length), other))
        log_precision[i] += min(0.0, 1 - nearest / length)
    return float(log_precision.exp().mean())


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Reliability of the most probable token, by K equal bins of its probability; empty bins hold NaN."""

    confidence: Float[Tensor, "K"]
    accuracy: Float[Tensor, "K"]
    count: Int[Tensor, "K"]
    expected_error: float


def calibration(
    logits: Float[Tensor, "*rows V"], targets: Int[Tensor, "*rows"], num_bins: int = 10
) -> Calibration:
    """Compare the probability of the most probable token with how often it is right.

    Args:
        logits: or log-probabilities; −inf is allowed.
        targets: the actual tokens.
        num_bins: K, at most 1,000,000; bin j is ((j − 1)/K, j/K].

    Returns:
        for each bin the mean probability of the most probable token, the share of hits and the number of
        tokens; and the expected calibration error, the mean over tokens of their bin's
        |accuracy − confidence|.

    Raises:
        TypeError: logits that aren't floats, targets that aren't int64.
        ValueError: num_bins below 1 or above 1,000,000, no targets, targets of another shape or outside the
            vocabulary, NaN logits, or a row that allows no token at all.

    Source: Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017, section 2.
    """
    check_int("num_bins", num_bins, 1, MAX_BINS)
    if not is_floats(logits):
        raise TypeError(f"logits must be a tensor of floats, got {kind_of(logits)}")
    if logits.ndim == 0:
        raise ValueError("logits must have shape (…, V), got ()")
    check_shape("targets", targets, logits.shape[:-1])
    check_ids(targets.reshape(1, -1), logits.shape[-1], name="targets")
    _check_distributions(logits)
    confidence, best = logits.detach().double().softmax(-1).reshape(-1, logits.shape[-1]).max(-1)
    hit = (best == targets.reshape(-1)).double()
    bins = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    count = torch.bincount(bins, minlength=num_bins)
    total_confidence = torch.bincount(bins, confidence, num_bins)
    total_hits = torch.bincount(bins, hit, num_bins)
    return Calibration(
        confidence=total_confidence / count,
        accuracy=total_hits / count,
        count=count,
        expected_error=float((total_hits - total_confidence).abs().sum() / len(hit)),
    )


def _window(
    model: LanguageModel, ids: Tensor, window: int | None = None, stride: int | None = None
) -> tuple[int, int]:
    """How many tokens a window has, and how many of them the next window reads again."""
    length = ids.shape[1] - 1
    context_length = getattr(model, "context_length", None)
    if window is not None:
        window = check_int("window", window, 1, context_length)
    if window is not None or stride is not None or context_length is not None:
        window = window or context_length or length
        stride = window - window // 2 if stride is None else check_int("stride", stride, 1, window)
        return min(length, window), window - stride
    markov_order = getattr(model, "markov_order", None)
    if markov_order is None:
        return length, 0
    overlap = max(0, markov_order - 1)  # a piece's rows are exact from row `overlap` on
    return min(length, max(2 * overlap + 1, MAX_LOGITS // _width(model, ids))), overlap


def _windows(length: int, window: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, first): read tokens start … stop − 1, score the predictions of rows first … stop − 1."""
    start = first = 0
    while first < length:
        stop = min(start + window, length)
        yield start, stop, first
        start, first = max(0, stop - overlap), stop


def _logits(model, ids: Tensor) -> Tensor:
    logits = model(ids)
    check_logits_shape(logits, ids.shape, getattr(model, "vocab_size", None))
    return logits


def _check_distributions(logits: Float[Tensor, "*rows V"]) -> None:
    """Raise ValueError if the softmax of a row is not a distribution."""
    check_not_nan(logits)
    if not logits.amax(-1).isfinite().all():
        raise ValueError("the model returned logits whose probabilities don't exist: all −inf, or one +inf")


def _nll(logits: Float[Tensor, "*rows V"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """−log softmax of the targets, float64; inf where a target is impossible."""
    _check_distributions(logits)
    if targets.max() >= logits.shape[-1]:  # the model has no vocab_size
        raise ValueError(
            f"ids must be below {logits.shape[-1]}, the number of logits; got {int(targets.max())}"
        )
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    best = logits.amax(-1, keepdim=True)  # subtracted: float32 can't hold 1e8 + log V
    below_best = best.double() - logits.gather(-1, targets.unsqueeze(-1)).double()
    return below_best.squeeze(-1) + (logits - best).logsumexp(-1).double()


def _width(model, ids: Tensor) -> int:
    """V, or the best guess for a model that doesn't say."""
    return getattr(model, "vocab_size", None) or int(ids.max()) + 1


def _lists(sequences: Tensor | Sequence[Sequence[int]]) -> list[list[int]]:
    if isinstance(sequences, Tensor) and sequences.ndim != 2:
        raise ValueError(f"sequences must be (B, T), or a list of lists; got shape {tuple(sequences.shape)}")
    kind = "sequences must be (B, T), or a list of lists of ids"
    if isinstance(sequences, Tensor) and not is_dense(sequences):
        raise TypeError(f"{kind}; got {kind_of(sequences)}")
    if not isinstance(sequences, Iterable) or isinstance(sequences, str):
        raise TypeError(f"{kind}; got {sequences!r}")
    lists = []
    for sequence in sequences:
        is_row = is_dense(sequence) and sequence.ndim == 1
        if not isinstance(sequence, Iterable) or (isinstance(sequence, Tensor) and not is_row):
            raise TypeError(f"{kind}; got the sequence {sequence!r}")
        lists.append(sequence.tolist() if isinstance(sequence, Tensor) else [*sequence])
        for token in lists[-1]:
            if not isinstance(token, Integral) or isinstance(token, bool):
                raise TypeError(f"{kind}; got the id {token!r}")
    return lists


def _ngrams(sequence: list[int], n: int) -> Counter:
    if n > len(sequence):
        return Counter()
    return Counter(zip(*(sequence[i:] for i in range(n)), strict=False))


def _shared(counts: Counter, others: list[Counter]) -> int:
    """How many of these n-grams others have, each counted at most as often as it occurs in one of them."""
    return sum(min(count, max(other[ngram] for other in others)) for ngram, count in counts.items())
