"""The book's transformer, and the two models built on it.

`model` is the trunk; `causal` and `masked` extend it; `cache` holds the keys and values of the tokens that a
causal model has read; `single_token` is a faster path for reading one more token.
"""

from lmbook.transformer.cache import KeyValueCache
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.masked import MaskedLM
from lmbook.transformer.model import (
    Attention,
    Block,
    FeedForward,
    RMSNorm,
    Transformer,
    TransformerConfig,
    rotary_tables,
    rotate,
)

__all__ = [
    "Attention",
    "Block",
    "CausalLM",
    "FeedForward",
    "KeyValueCache",
    "MaskedLM",
    "RMSNorm",
    "Transformer",
    "TransformerConfig",
    "rotary_tables",
    "rotate",
]
