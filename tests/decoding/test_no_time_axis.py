"""Logits (B, V) instead of (B, T, V) are refused by all that read a model."""

import pytest
import torch
from table_models import TABLE, Bigram

from lmbook import (
    beam_search,
    bits_per_byte,
    cross_entropy,
    exhaustive_search,
    greedy_decode,
    nucleus_decode,
    perplexity,
    pseudo_perplexity,
    sample_decode,
    speculative_decode,
    top_k_decode,
)
from lmbook.evaluation import surprisal


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class LastRow(Bigram):
    """Forgets the axis of time: logits (B, V)."""

    def __call__(self, ids):
        return super().__call__(ids)[:, -1]


class LastRowMasked(LastRow):
    predicts, mask_token_id = "same", 4


WRONG, SILENT, RIGHT = LastRow(TABLE, vocab_size=5), LastRow(TABLE), Bigram(TABLE, vocab_size=5)
CONSUMERS = {
    "greedy_decode": lambda ids: greedy_decode(WRONG, ids, 3),
    "greedy_decode, V unknown": lambda ids: greedy_decode(SILENT, ids, 3),
    "greedy_decode with an end": lambda ids: greedy_decode(WRONG, ids, 3, eos_token_id=0),
    "beam_search": lambda ids: beam_search(WRONG, ids, 2, 3),
    "beam_search, V unknown": lambda ids: beam_search(SILENT, ids, 2, 3),
    "exhaustive_search": lambda ids: exhaustive_search(WRONG, ids, 2),
    "sample_decode": lambda ids: sample_decode(WRONG, ids, max_length=3),
    "sample_decode, V unknown": lambda ids: sample_decode(SILENT, ids, max_length=3),
    "top_k_decode": lambda ids: top_k_decode(WRONG, ids, 2, 3),
    "nucleus_decode": lambda ids: nucleus_decode(WRONG, ids, 0.9, 3),
    "speculative_decode, target": lambda ids: speculative_decode(WRONG, RIGHT, ids, 3),
    "speculative_decode, draft": lambda ids: speculative_decode(RIGHT, WRONG, ids, 3),
    "surprisal": lambda ids: surprisal(WRONG, ids),
    "surprisal, V unknown": lambda ids: surprisal(SILENT, ids),
    "cross_entropy": lambda ids: cross_entropy(WRONG, ids),
    "perplexity": lambda ids: perplexity(WRONG, ids),
    "bits_per_byte": lambda ids: bits_per_byte(WRONG, ids, 10),
    "pseudo_perplexity": lambda ids: pseudo_perplexity(LastRowMasked(TABLE, vocab_size=5), ids),
}


@pytest.mark.parametrize("consume", CONSUMERS.values(), ids=CONSUMERS)
@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (3, 3), (5, 5)], ids=str)
def test_logits_without_the_axis_of_time_are_refused(as_readers_run_it, consume, shape):
    with pytest.raises(ValueError, match=r"\(B, T, V\)"):
        consume(torch.randint(4, shape, generator=seeded()))
