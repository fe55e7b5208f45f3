"""Search for the best continuation instead of drawing one: exhaustive, beam and contrastive search.

Taking the best token at each step (greedy decoding) need not give the best sequence. Exhaustive search tries
every continuation, which is possible for toy models only; beam search keeps the few best prefixes. It
guarantees nothing: the greedy prefix can fall out of the beam, and then a *wider* beam finds something *less*
probable. The most probable text is also dull; contrastive search trades probability for novelty.

Rows are searched one by one. `rank` of a continuation of n tokens is log P / n ** length_penalty: 0, the
default, compares log P itself, above 0 long continuations are favoured. Of equals, the one with the lowest
ids wins; in a beam, the one that ended first.

Axes: B batch, T time, V vocabulary, N beams, D model width.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lmbook.decoding.filters import top_k
from lmbook.decoding.incremental import IncrementalForward, check_end, check_possible, check_request, prompts
from lmbook.interface import (
    Ids,
    LanguageModel,
    Mask,
    RowLogits,
    check_int,
    check_logits_shape,
    check_number,
    check_shape,
    evaluating,
)

Found = tuple[Int[Tensor, "B _"], Float[Tensor, " B"]]
EXHAUSTIVE_LIMIT = 1_000_000  # continuations: a few seconds of a small model
MAX_PREFIXES = 1_000_000  # in a beam
MAX_SCORES = 2**26  # that a step of a beam may compare: N · V, a quarter of a gigabyte in float32
MAX_CANDIDATES = 1000  # of contrastive search


def beam_search(
    model: LanguageModel,
    input_ids: Ids,
    num_beams: int = 4,
    max_length: int = 100,
    *,
    length_penalty: float | int = 0.0,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
    num_return_sequences: int = 1,
) -> tuple[Int[Tensor, "B*{num_return_sequences} _"], Float[Tensor, "B*{num_return_sequences}"]]:
    """Keep the `num_beams` most probable prefixes at each step; return the best continuations found.

    A prefix among the best that produces `eos_token_id` is finished and frees its place in the beam.
    The search ends when no prefix can overtake the best finished ones. Without a length penalty
    one beam is greedy decoding.

    Args:
        model: any causal language model.
        input_ids: (B, T) prompts.
        num_beams: prefixes kept; with as many as there are continuations the search is exhaustive. A step
            reads N prefixes and compares N · V scores: at most 1,000,000 and 2 ** 26.
        max_length: number of new tokens.
        length_penalty: see the head of the module.
        eos_token_id: a continuation ends with this token; the rest of the row is filled with it.
        padding_mask: (B, T), True where a token is padding, on the left only.
        num_return_sequences: continuations of each prompt to return, R, at most `num_beams`.

    Returns:
        Ids (B · R, T + max_length), prompt included, and scores (B · R,): log P of the continuation in nats,
        up to and with its end token, without length penalty. Rows b · R to b · R + R − 1 belong to prompt b,
        by falling rank; where fewer are found, the rest of them have score −inf and no new tokens.

    Raises:
        TypeError, ValueError: as `greedy_decode`; `num_beams` below 1, or so high that a step would compare
            more than 2 ** 26 scores; `num_return_sequences` below 1 or above `num_beams`; `length_penalty`
            negative or not finite, or so high that `max_length` to its power is beyond 1e304.

    Source: Graves 2012, Sequence Transduction with Recurrent Neural Networks, section 3; Murray and Chiang
    2018, Correcting Length Bias in Neural Machine Translation; Stahlberg and Byrne 2019, On NMT Search Errors
    and Model Errors.
    """
    max_length, eos_token_id = check_request(
        model, "beam_search", input_ids, max_length, eos_token_id, padding_mask
    )
    num_beams = check_int("num_beams", num_beams)
    if max_length and getattr(model, "vocab_size", None) is not None:
        _check_beams(num_beams, int(model.vocab_size), max_length - 1)
    length_penalty = _checked_penalty(length_penalty, max_length)
    count = check_int("num_return_sequences", num_return_sequences, 1, num_beams)

    def search(prompt: Tensor) -> list[tuple[Tensor, Tensor]]:
        return _beam_row(model, prompt, num_beams, count, max_length, length_penalty, eos_token_id)

    return _search_rows(model, search, input_ids, max_length, eos_token_id, padding_mask, count)


def exhaustive_search(
    model: LanguageModel,
    input_ids: Ids,
    max_length: int,
    *,
    length_penalty: float | int = 0.0,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
) -> Found:
    """Score every continuation of `max_length` tokens and return the best.

    Args: as `beam_search`. The model must have a `vocab_size`.

    Returns:
        Ids (B, T + max_length) and scores (B,), as `beam_search`.

    Raises:
        TypeError, ValueError: as `beam_search`; no `vocab_size`; more than 1,000,000 continuations.
    """
    max_length, eos_token_id = check_request(
        model, "exhaustive_search", input_ids, max_length, eos_token_id, padding_mask
    )
    length_penalty = _checked_penalty(length_penalty, max_length)
    if getattr(model, "vocab_size", None) is None:
        raise TypeError(f"exhaustive_search needs a model with vocab_size; {type(model).__name__} has none")
    vocab_size = int(model.vocab_size)
    digits = max_length * math.log10(vocab_size)
    if digits > 20 or vocab_size**max_length > EXHAUSTIVE_LIMIT:
        size = "" if digits > 20 else f" = {vocab_size**max_length}"
        what = f"{vocab_size} ** {max_length}{size} continuations"
        raise ValueError(f"exhaustive_search tries at most {EXHAUSTIVE_LIMIT} continuations, got {what}")

    def search(prompt: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [_exhaust_row(model, prompt, max_length, length_penalty, eos_token_id)]

    return _search_rows(model, search, input_ids, max_length, eos_token_id, padding_mask)


def contrastive_search(
    model: LanguageModel,
    input_ids: Ids,
    k: int = 4,
    alpha: float | int = 0.6,
    max_length: int = 100,
    *,
    eos_token_id: int | None = None,
    padding_mask: Mask | None = None,
) -> Int[Tensor, "B _"]:
    """Append the one of the `k` best tokens that best combines probability and difference from the text.

    Its score is (1 − alpha) · P(token) − alpha · (greatest cosine of its hidden state with an earlier one).

    Args:
        model: a causal language model with `hidden_states(ids)` (B, T, D) and `unembed(states)`, as
            `CausalLM` has.
        input_ids: (B, T) prompts.
        k: candidates at each step, at most 1,000 or the whole vocabulary.
        alpha: weight of the difference, from 0 (greedy decoding) to 1.
        max_length: number of new tokens.
        eos_token_id: a row stops after this token.
        padding_mask: (B, T), True where a token is padding, on the left only.

    Returns:
        (B, T + max_length) ids, prompt included.

    Raises:
        TypeError, ValueError: as `greedy_decode`; a model without hidden states; `k` below 1, or so high that
            there are more than 1,000 candidates; `alpha` outside [0, 1].

    Source: Su et al. 2022, A Contrastive Framework for Neural Text Generation.
    """
    max_length, eos_token_id = check_request(
        model, "contrastive_search", input_ids, max_length, eos_token_id, padding_mask
    )
    missing = [name for name in ("hidden_states", "unembed") if not hasattr(model, name)]
    if missing:
        raise TypeError(f"contrastive_search needs a model with {missing}; {type(model).__name__} has none")
    k = check_int("k", k)
    check_int("k", min(k, getattr(model, "vocab_size", None) or k), 1, MAX_CANDIDATES)
    alpha = check_number("alpha", alpha, "[0, 1]")

    def search(prompt: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [(_contrastive_row(model, prompt, k, alpha, max_length, eos_token_id), torch.tensor(0.0))]

    return _search_rows(model, search, input_ids, max_length, eos_token_id, padding_mask)[0]


def _check_beams(num_beams: int, vocab_size: int, steps_before: int) -> None:
    """Refuse a beam if, after `steps_before` tokens, it holds more prefixes than a step may compare."""
    most = max(1, min(MAX_PREFIXES, MAX_SCORES // vocab_size))
    all_fit = steps_before * math.log2(vocab_size) < 28 and vocab_size**steps_before <= most
    if num_beams > most and not all_fit:
        check_int(f"with {vocab_size:,} tokens num_beams", num_beams, 1, most)


def _checked_penalty(penalty: float | int, max_length: int) -> float | int:
    penalty = check_number("length_penalty", penalty, "[0, inf)")
    if penalty * math.log(max(max_length, 1)) > math.log(1e304):
        limit = math.log(1e304) / math.log(max_length)
        raise ValueError(f"length_penalty must be at most {limit:.0f} for {max_length} tokens, got {penalty}")
    return penalty


def _search_rows(
    model, search, input_ids: Ids, max_length: int, eos: int | None, padding_mask, count: int = 1
) -> tuple[Int[Tensor, "R _"], Float[Tensor, " R"]]:
    """Run `search(prompt (1, T)) -> [(ids (T + n,), score)]` for each row; stack `count` results of each."""
    ids = F.pad(input_ids, (0, max_length), value=eos or 0).repeat_interleave(count, 0)
    scores = []
    with evaluating(model):
        for row, (padding, prompt) in enumerate(prompts(input_ids, padding_mask)):
            results = search(prompt)
            for place, (found, _) in enumerate(results, start=row * count):
                ids[place, padding : padding + len(found)] = found
            missing = [torch.full_like(results[0][1], -math.inf)] * (count - len(results))
            scores += [score for _, score in results] + missing
    return ids, torch.stack(scores)


def _log_softmax(logits: RowLogits) -> RowLogits:
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _beam_row(
    model, prompt: Tensor, num_beams: int, count: int, max_length: int, length_penalty, eos: int | None
):
    """The `count` best continuations of one prompt (1, T), best first: ids (T + n,) and log P of each.

    Impossible prefixes are dropped.
    """
    forward = IncrementalForward(model, 1)
    beams, scores = prompt, torch.zeros(1, device=prompt.device)
    finished: list[tuple[float, Tensor, Tensor]] = []  # the best so far: (rank, ids, log P), best first
    for length in range(1, max_length + 1):
        logits = forward(beams)[:, -1]
        _check_beams(num_beams, logits.shape[1], length - 1)
        check_end(eos, logits)
        check_possible(logits)
        totals = scores[:, None] + _log_softmax(logits)  # (N, V)
        if eos is not None:
            ended = _best(totals, num_beams)[:, eos].clone()  # totals are written into below
            ids = F.pad(beams, (0, 1), value=eos)
            finished = _ranked(finished, ids, ended, length**length_penalty, count)
            totals[:, eos] = -math.inf
        rows, tokens = _best(totals, num_beams).isfinite().nonzero(as_tuple=True)
        beams, scores = torch.cat((beams[rows], tokens[:, None]), dim=1), totals[rows, tokens]
        to_beat = finished[-1][0] if len(finished) == count else -math.inf
        if not len(rows) or scores.max().item() / max_length**length_penalty <= to_beat:
            break
        forward.select(rows)
    else:
        finished = _ranked(finished, beams, scores, max(max_length, 1) ** length_penalty, count)
    return [(ids, score) for _, ids, score in finished]


def _ranked(finished: list, ids: Int[Tensor, "N T"], scores: Float[Tensor, " N"], divisor: float, count: int):
    """The `count` best of those `finished` before and the possible ones of these; of equals the earlier."""
    order = scores.argsort(descending=True, stable=True)[:count].tolist()
    new = [(scores[n].item() / divisor, ids[n], scores[n]) for n in order if scores[n].isfinite()]
    return sorted(finished + new, key=lambda each: -each[0])[:count]


def _best(totals: Float[Tensor, "N V"], count: int) -> Float[Tensor, "N V"]:
    return top_k(totals.flatten(), count).view_as(totals)


def _exhaust_row(model, prompt: Tensor, max_length: int, length_penalty, eos: int | None):
    """Best of all V ** L continuations of one prompt, L = max_length: ids (T + L,) and log P.

    The model reads all but the last token of each; its last row scores V continuations at once.
    """
    if max_length == 0:
        return prompt[0], torch.zeros((), device=prompt.device)
    best, best_rank = None, -math.inf
    last = torch.arange(model.vocab_size, device=prompt.device)
    heads = itertools.product(range(model.vocab_size), repeat=max_length - 1)
    each = (prompt.shape[1] + max_length) * int(model.vocab_size)  # logits
    while chunk := list(itertools.islice(heads, min(1024, max(1, MAX_SCORES // each)))):
        head = torch.tensor(chunk, dtype=torch.int64, device=prompt.device)  # (N, L − 1)
        read = torch.cat((prompt.expand(len(head), -1), head), dim=1)
        logits = model(read)
        check_logits_shape(logits, read.shape, model.vocab_size)
        logits = logits[:, prompt.shape[1] - 1 :]
        stem = head[:, None].expand(-1, len(last), -1)  # (N, V, L − 1)
        tokens = torch.cat((stem, last.expand(len(head), -1)[..., None]), dim=-1)
        totals, lengths, tokens = _score(logits, tokens, eos)
        ranks = totals / lengths.double() ** length_penalty
        if ranks.max() > best_rank:
            n, v = divmod(int(ranks.argmax()), len(last))
            best, best_rank = (torch.cat((prompt[0], tokens[n, v])), totals[n, v]), ranks.max()
    return best


def _score(logits: Float[Tensor, "N L V"], tokens: Int[Tensor, "N V L"], eos: int | None):
    """Total log P and length, both (N, V), up to the first end token, and the tokens, filled with it after.

    Logits that aren't finite are an error only after a possible, unfinished prefix.
    """
    logp = _log_softmax(logits).gather(2, tokens.mT).mT  # (N, V, L)
    ends = (tokens == eos) if eos is not None else torch.zeros_like(tokens, dtype=torch.bool)
    over = F.pad(ends.cumsum(-1)[..., :-1], (1, 0)) > 0
    before = F.pad(logp.cumsum(-1)[..., :-1], (1, 0))
    if (logp.isnan() & ~over & (before > -math.inf)).any():
        check_possible(logits)
    totals = logp.masked_fill(over, 0.0).sum(-1)
    tokens = tokens.masked_fill(over, eos or 0)
    return totals.masked_fill(totals.isnan(), -math.inf), (~over).sum(-1), tokens


def _contrastive_row(
    model, prompt: Tensor, k: int, alpha: float | int, max_length: int, eos: int | None
) -> Tensor:
    """One prompt (1, T) and its continuation, (T + n,)."""
    forward = IncrementalForward(model, 1)
    ids, states = prompt, forward.hidden(prompt, prompt.shape[1])  # (1, T), (1, T, D)
    for _ in range(max_length):
        logits = forward.unembed(states[:, -1:])[0, 0]
        check_end(eos, logits)
        check_possible(logits)
        logp = _log_softmax(logits)
        candidates = top_k(logp, k).isfinite().nonzero()  # (N, 1)
        forward.select(torch.zeros_like(candidates[:, 0]))
        grown = torch.cat((ids.expand(len(candidates), -1), candidates), dim=1)
        new = forward.hidden(grown, 1)  # (N, 1, D)
        check_shape("a hidden state", new[0, 0], states.shape[2:])
        likeness = F.cosine_similarity(new, states, dim=-1).amax(-1)
        if not likeness.isfinite().all():
            raise ValueError("the model returned hidden states that are NaN or infinite")
        chosen = ((1 - alpha) * logp[candidates[:, 0]].exp() - alpha * likeness).argmax(keepdim=True)
        forward.select(chosen)
        ids, states = grown[chosen], torch.cat((states, new[chosen]), dim=1)
        if ids[0, -1] == eos:
            break
    return ids[0]
