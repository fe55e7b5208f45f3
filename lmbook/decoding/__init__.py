"""Decoding: `sampling`, `streaming`, `search` and `speculative` decoding, and `filters` and `constraints`."""

from lmbook.decoding.constraints import TokenAutomaton, constrain
from lmbook.decoding.incremental import left_pad
from lmbook.decoding.sampling import (
    TokenLogProbs,
    greedy_decode,
    nucleus_decode,
    sample_decode,
    top_k_decode,
)
from lmbook.decoding.search import beam_search, contrastive_search, exhaustive_search
from lmbook.decoding.speculative import SpeculationStats, acceptance, residual, speculative_decode
from lmbook.decoding.streaming import StopStrings, StreamedToken, stream

__all__ = [
    "SpeculationStats",
    "StopStrings",
    "StreamedToken",
    "TokenAutomaton",
    "TokenLogProbs",
    "acceptance",
    "beam_search",
    "constrain",
    "contrastive_search",
    "exhaustive_search",
    "greedy_decode",
    "left_pad",
    "nucleus_decode",
    "residual",
    "sample_decode",
    "speculative_decode",
    "stream",
    "top_k_decode",
]
