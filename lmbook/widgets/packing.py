"""Packs models as bytes, so that the page can run them without a kernel.

A packed model is a JSON header and bytes. The header has `kind`, `name`, `vocab_size`, `tokenizer`, `start`
(ids that the model reads before the first token of any text), and where in the bytes its numbers begin.
`models.js` reads them (`loadModels`) and gives all kinds the same interface.

| kind | what is packed |
|---|---|
| transformer | the weights in float16, in the order of `model.parameters()` |
| ngram | the text that it counted, in ids; the page counts it again |
| automaton | the exact language: the possible words of each state |

Axes: B batch, T time, V vocabulary, S states of the automaton (row S is the dead state), E its possible
(state, word) pairs.
"""

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lmbook.interface import TextCodec, check_ids, check_not_nan, evaluating
from lmbook.ngram import NGramLM
from lmbook.tokenizer.base import Tokenizer
from lmbook.toy.language import ToyLanguage
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.masked import MaskedLM

SIZE_LIMIT = 1_000_000  # bytes per widget
MAX_VOCAB = 256  # of the exact language: a word is stored in one byte
MAX_STATES = 2**16  # a state in two
MAX_ORDER = 6  # of an n-gram, which the page counts
MAX_NGRAM_VOCAB = 2**10  # the page looks every token up in the tables
LARGEST_FLOAT16 = 65504.0

Packed = tuple[dict[str, Any], bytes]


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """How far a model with float16 weights is from the original.

    Attributes:
        largest: the largest difference of a probability.
        nats: Kullback–Leibler divergence of the rounded from the original predictions, mean, nats per token.
    """

    largest: float
    nats: float


def pack_model(
    model: CausalLM | MaskedLM | NGramLM | ToyLanguage,
    tokenizer: TextCodec,
    name: str,
    *,
    ids: Tensor | None = None,
    start: Sequence[int] = (),
) -> Packed:
    """Return the header and the bytes of one model.

    Args:
        model: the model to pack.
        tokenizer: of the same vocabulary; the page reads and writes text with it.
        name: the model's name on the page.
        ids: for an `NGramLM` the text that it was fitted on, (N,) or (B, T). For a transformer a sample of
            text, (B, T): the header's "rounding" then says how far the page's model is from this one.
        start: ids that the model reads before the first token of any text; without them a transformer has no
            prediction after an empty prefix.

    Raises:
        TypeError: a model of another kind, a tokenizer that can't be packed.
        ValueError: over the size limit, two sizes of vocabulary, weights beyond float16, an n-gram of an
            order or a smoothing that the page can't count, ids that aren't the n-gram's own.
    """
    if not isinstance(model, CausalLM | MaskedLM | NGramLM | ToyLanguage):
        raise TypeError(f"the page runs transformers, n-grams and the exact language; got {model!r}")
    header = {"name": name, "vocab_size": model.vocab_size, "start": [int(i) for i in start]}
    if isinstance(model, CausalLM | MaskedLM):
        check_size(2 * sum(p.numel() for p in model.parameters()), f"the model {name!r}")
    header["tokenizer"] = pack_tokenizer(tokenizer)
    if tokenizer.vocab_size != model.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {name!r} {model.vocab_size}"
        )
    if header["start"]:
        check_ids(torch.tensor([header["start"]]), model.vocab_size, name="start")
        limit = getattr(model, "context_length", None)
        if limit is not None and len(header["start"]) >= limit:
            raise ValueError(f"start has {len(header['start'])} ids, the model {name!r} reads {limit} in all")
    if isinstance(model, NGramLM):
        more, data = _pack_ngram(model, ids, name)
    elif isinstance(model, ToyLanguage):
        more, data = _pack_automaton(model)
    else:
        more, data = _pack_transformer(model, ids)
    check_size(len(data), f"the model {name!r}")
    return header | more, data


def pack_models(packed: Iterable[Packed]) -> tuple[list[dict[str, Any]], bytes]:
    """Return the headers of several packed models and their bytes in one piece.

    Raises:
        ValueError: two of one name, or more bytes than a widget may hold.
    """
    packed = list(packed)
    names = [header["name"] for header, _ in packed]
    if len(set(names)) < len(names):
        raise ValueError(f"each model needs a name of its own, got {names}")
    check_size(sum(len(data) for _, data in packed), f"the models {', '.join(map(repr, names))} together")
    headers, offset = [], 0
    for header, data in packed:
        headers.append(header | {"offset": offset})
        offset += len(data)
    return headers, b"".join(data for _, data in packed)


def check_size(num_bytes: int, what: str) -> None:
    """Raise ValueError if `num_bytes` are more than one widget may hold."""
    if num_bytes > SIZE_LIMIT:
        raise ValueError(f"{what} would take {num_bytes:,} bytes, the limit of a widget is {SIZE_LIMIT:,}")


def rounded(model: CausalLM | MaskedLM) -> CausalLM | MaskedLM:
    """Return a copy of `model` with the page's weights: each rounded to float16."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.copy_(weight.half())
    return twin


def rounding(model: CausalLM | MaskedLM, ids: Int[Tensor, "B T"]) -> Rounding:
    """Return how far float16 weights change the predictions at all places of `ids` (B, T).

    Raises:
        ValueError: ids outside the vocabulary or longer than the context, NaN logits.
    """
    twin = rounded(model)
    with evaluating(model), evaluating(twin):
        logits, again = model(ids).double(), twin(ids).double()
        check_not_nan(logits)
        check_not_nan(again)
        log_p, log_q = logits.log_softmax(-1), again.log_softmax(-1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    return Rounding(largest=float((log_p.exp() - log_q.exp()).abs().max()), nats=max(float(divergence), 0.0))


def pack_tokenizer(tokenizer: TextCodec) -> dict[str, Any]:
    """Return what the page's `loadTokenizer` needs; for a ToyLanguage its words."""
    if isinstance(tokenizer, ToyLanguage):
        return {"kind": "words", "tokens": list(tokenizer.vocab)}
    if not isinstance(tokenizer, Tokenizer) or tokenizer.kind not in ("word", "char", "byte", "bpe"):
        raise TypeError(f"the page reads words, characters, bytes and byte pairs; got {tokenizer!r}")
    return json.loads(tokenizer.to_json())


def _pack_transformer(model: CausalLM | MaskedLM, ids: Tensor | None) -> Packed:
    largest = max(float(p.detach().abs().max()) for p in model.parameters())
    if not largest <= LARGEST_FLOAT16:  # NaN too
        raise ValueError(
            f"float16 holds weights up to {LARGEST_FLOAT16:.0f}, the model's largest is {largest}"
        )
    weights = np.concatenate([p.detach().cpu().float().numpy().ravel() for p in model.parameters()])
    header = {"kind": "transformer", "offset": 0, "config": asdict(model.config)}
    header["mask_token_id"] = getattr(model, "mask_token_id", None)
    if ids is not None:
        header["rounding"] = asdict(rounding(model, ids))
    return header, weights.astype("<f2").tobytes()


def _pack_ngram(model: NGramLM, ids: Tensor | None, name: str) -> Packed:
    if model.smoothing != "kneser-ney" or model.discount is not None:
        raise ValueError(f"the page counts Kneser–Ney n-grams with estimated discounts; {name!r} is {model}")
    if model.order > MAX_ORDER or model.vocab_size > MAX_NGRAM_VOCAB:
        raise ValueError(
            f"the page counts n-grams up to order {MAX_ORDER} of up to {MAX_NGRAM_VOCAB} tokens, "
            f"{name!r} has order {model.order} and {model.vocab_size} tokens"
        )
    if ids is None:
        raise ValueError(f"the page counts the n-gram {name!r} again: give the ids that it was fitted on")
    rows = ids[None] if ids.ndim == 1 else ids
    width = 1 if model.vocab_size <= 256 else 2
    check_size(width * rows.numel(), f"the text of {name!r}")
    again = NGramLM(model.order, model.vocab_size).fit(rows)
    sample = rows[:, :64]
    if not torch.equal(again(sample), model(sample)):
        raise ValueError(f"the n-gram {name!r} was fitted on other ids than those given")
    header = {"kind": "ngram", "offset": 0, "order": model.order}
    header |= {"row_length": rows.shape[1], "num_ids": rows.numel(), "id_bytes": width}
    return header, rows.cpu().numpy().astype(f"<u{width}").tobytes()


def _pack_automaton(language: ToyLanguage) -> Packed:
    tables = pack_language(language)
    tables.pop("vocab")
    header = {"kind": "automaton", "offset": 0, "sizes": {key: len(table) for key, table in tables.items()}}
    return header, b"".join(tables.values())


def pack_language(language: Any) -> dict[str, Any]:
    """Return the words and the tables of an automaton language, as `LanguageWidget` describes them.

    Raises:
        ValueError: too many words or states, tables of another shape, NaN.
    """
    vocab = list(language.vocab)
    log_probs = np.asarray(language.log_probs, dtype=np.float64)
    next_state = np.asarray(language.next_state)
    if len(vocab) > MAX_VOCAB:
        raise ValueError(f"the language has {len(vocab)} words, the limit of its widgets is {MAX_VOCAB}")
    if len(log_probs) > MAX_STATES:
        raise ValueError(
            f"the language has {len(log_probs)} states, the limit of its widgets is {MAX_STATES}"
        )
    if not log_probs.shape == next_state.shape == (len(log_probs), len(vocab)):
        raise ValueError(
            f"log_probs and next_state must be (S + 1, {len(vocab)}), got {log_probs.shape} "
            f"and {next_state.shape}"
        )
    if not (log_probs <= 1e-9).all():  # NaN too, which would pass for an impossible word
        state, word = np.argwhere(~(log_probs <= 1e-9))[0]
        raise ValueError(
            f"log P of word {word} in state {state} must be at most 0, got {log_probs[state, word]}"
        )
    state, word = np.nonzero(np.isfinite(log_probs))
    starts = np.searchsorted(state, np.arange(len(log_probs) + 1))
    return {
        "vocab": vocab,
        "row_starts": starts.astype("<u4").tobytes(),
        "row_words": word.astype("u1").tobytes(),
        "row_next": next_state[state, word].astype("<u2").tobytes(),
        "row_log_probs": log_probs[state, word].astype("<f8").tobytes(),
    }
