"""Decoding: `sampling`, `search` and `speculative` decoding, and the `filters` of logits that they use."""

from lmbook.decoding.incremental import left_pad
from lmbook.decoding.sampling import greedy_decode, nucleus_decode, sample_decode, top_k_decode
from lmbook.decoding.search import beam_search, contrastive_search, exhaustive_search
from lmbook.decoding.speculative import SpeculationStats, acceptance, residual, speculative_decode

__all__ = [
    "SpeculationStats",
    "acceptance",
    "beam_search",
    "contrastive_search",
    "exhaustive_search",
    "greedy_decode",
    "left_pad",
    "nucleus_decode",
    "residual",
    "sample_decode",
    "speculative_decode",
    "top_k_decode",
]
