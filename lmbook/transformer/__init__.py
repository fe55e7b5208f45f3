"""The one architecture of the book, and the two models that are made of it.

`model` is the trunk; `causal` and `masked` extend it; `cache` holds the keys and values of what a causal
model has read, and `single_token` reads one more token in a shorter way.
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
