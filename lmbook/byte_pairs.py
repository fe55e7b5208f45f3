"""Byte-pair merges, learned from counted pieces of text: by a page of code, or by the package `tokenizers`.

A token is its bytes. Tokens 0 to 255 are the single bytes; each merge of two tokens makes one more, unless
its bytes are a token already. `lmbook.tokenizer.BPETokenizer` cuts the text and applies the merges.

Source: Sennrich, Haddow, Birch (2016), "Neural machine translation of rare words with subword units",
section 3.2.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise


def merge(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """`ids` with `pair` replaced by `new_id` from left to right.

    >>> merge([1, 1, 1, 2], (1, 1), 9)
    [9, 1, 2]
    """
    merged, t = [], 0
    while t < len(ids):
        found = t + 1 < len(ids) and (ids[t], ids[t + 1]) == pair
        merged.append(new_id if found else ids[t])
        t += 2 if found else 1
    return merged


def learn_merges(pieces: Mapping[bytes, int], vocab_size: int) -> list[tuple[int, int]]:
    """Merges that byte-pair training finds in `pieces`, each with how often it occurs.

    Each round merges the most frequent pair of neighbours; of equals the one with the lowest left id, then
    the lowest right id (the rule of the package `tokenizers`). A token is its bytes: where two merges spell
    the same bytes, they make one token. Only the words that hold the pair are counted again.
    """
    words = [list(piece) for piece in pieces]
    frequency = list(pieces.values())
    pairs: Counter[tuple[int, int]] = Counter()
    places: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # pair -> words that hold it
    for w, word in enumerate(words):
        _count(pairs, places, w, word, frequency[w])

    tokens = [bytes([b]) for b in range(256)]
    ids, merges = {token: i for i, token in enumerate(tokens)}, []
    while len(tokens) < vocab_size and pairs:
        most = max(pairs.values())
        best = min(pair for pair, count in pairs.items() if count == most)
        merges.append(best)
        new_id = add_token(tokens, ids, *best)
        for w in list(places[best]):
            _count(pairs, places, w, words[w], -frequency[w])
            words[w] = merge(words[w], best, new_id)
            _count(pairs, places, w, words[w], frequency[w])
    return merges


def _count(pairs: Counter, places: dict[tuple[int, int], set], w: int, word: list[int], times: int) -> None:
    """Enter the pairs of word number `w` into the counts (`times` > 0) or take them out (`times` < 0)."""
    for pair in pairwise(word):
        pairs[pair] += times
        if times > 0:
            places[pair].add(w)
        else:
            places[pair].discard(w)
            if pairs[pair] == 0:
                del pairs[pair]


def add_token(tokens: list[bytes], ids: dict[bytes, int], left: int, right: int) -> int:
    """Id of the token that `left` and `right` make together, added to `tokens` if it is new."""
    token = tokens[left] + tokens[right]
    if token not in ids:
        ids[token] = len(tokens)
        tokens.append(token)
    return ids[token]


def learn_with_tokenizers(pieces: Mapping[bytes, int], vocab_size: int) -> list[tuple[int, int]]:
    """`learn_merges` by the package `tokenizers`, to which byte b is shown as the character of number b."""
    try:
        import tokenizers
    except ImportError:
        raise ImportError("fast=True needs the package tokenizers: pip install tokenizers") from None
    alphabet = [chr(b) for b in range(256)]
    gap = chr(256)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.pre_tokenizer = tokenizers.pre_tokenizers.CharDelimiterSplit(gap)
    learner.train_from_iterator((gap.join([p.decode("latin-1")] * n) for p, n in pieces.items()), trainer)
    model = json.loads(learner.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]
