"""The filters of `lmbook.decoding.filters` and `constraints`, under a short name."""

from lmbook.decoding.constraints import constrain
from lmbook.decoding.filters import (
    Filter,
    compose,
    frequency_penalty,
    logit_bias,
    min_p,
    no_repeat_ngram,
    presence_penalty,
    repetition_penalty,
    temperature,
    top_k,
    top_n_sigma,
    top_p,
    typical,
)

__all__ = [
    "Filter",
    "compose",
    "constrain",
    "frequency_penalty",
    "logit_bias",
    "min_p",
    "no_repeat_ngram",
    "presence_penalty",
    "repetition_penalty",
    "temperature",
    "top_k",
    "top_n_sigma",
    "top_p",
    "typical",
]
