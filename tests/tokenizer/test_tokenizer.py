import json
import re
import sys
from collections import Counter
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmbook.tokenizer.bpe as bpe_module
from lmbook.corpora import load_shakespeare
from lmbook.tokenizer import (
    PIECES,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    learn_merges,
    load_tokenizer,
    merge,
)

AWKWARD = {
    "empty": "",
    "one character": "a",
    "one space": " ",
    "Korean": "안녕하세요 세계",
    "emoji": "I 👩‍👩‍👧 🇰🇷!",
    "combining": "e\u0301a\u0308 x\u0327",
    "control": "\x00\x01\x1c\x7f\x85",
    "newlines": "\r\n\n\r a\n\n  b \u2028 c",
    "spaces": "  two   three    ",
    "signs": "don't_stop: 3.14 <unk> ½²",
    "right to left": "שלום \u200f עולם",
}
HAMLET = load_shakespeare("validation")["Hamlet"]
EVERYTHING = " ".join(AWKWARD.values()) + " the cat the cats then"


def tokenizers():
    return [
        WordTokenizer.train(EVERYTHING + "".join(AWKWARD.values())),
        CharTokenizer.train(EVERYTHING),
        ByteTokenizer(),
        BPETokenizer.train(EVERYTHING, 290),
    ]


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("tokenizer", tokenizers(), ids=lambda t: t.kind)
def test_awkward_text_survives(tokenizer, text, tmp_path):
    if tokenizer.kind == "word":  # its pieces depend on what stands around them
        tokenizer = WordTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(type(i) is int and 0 <= i < tokenizer.vocab_size for i in ids)
    tokenizer.save(tmp_path / "t.json")
    again = load_tokenizer(tmp_path / "t.json")
    assert type(again) is type(tokenizer)
    assert again.encode(text) == ids
    assert again.tokens == tokenizer.tokens


@settings(deadline=None)  # machines are shared
@given(st.text())
def test_pieces_are_a_partition(text):
    assert "".join(PIECES.findall(text)) == text


@settings(deadline=None)  # machines are shared
@given(st.text(), st.text())
def test_bytes_and_byte_pairs_are_lossless_on_any_text(learned_from, text):
    for tokenizer in ByteTokenizer(), BPETokenizer.train(learned_from, 270):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(deadline=None)  # machines are shared
@given(st.text())
def test_words_and_characters_are_lossless_on_their_own_text(text):
    for tokenizer in WordTokenizer.train(text), CharTokenizer.train(text):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_pieces_by_hand():
    text = "Two  cats,\n\n 10 dogs_and 3x!?\n"
    expected = ["Two", " ", " cats", ",", "\n\n", " 10", " dogs", "_", "and", " 3", "x", "!?", "\n"]
    assert PIECES.findall(text) == expected


def test_words_by_hand():
    tokenizer = WordTokenizer.train("b a b\na c", vocab_size=4)
    # " b" ×1, " a" ×1, "b" ×1, "\n" ×1, "a" ×1, " c" ×1: all equally frequent, so in string order
    assert tokenizer.tokens == ["<unk>", "\n", " a", " b"]
    assert tokenizer.encode("b a b") == [0, 2, 3]
    assert tokenizer.decode([0, 2, 3]) == "<unk> a b"
    assert WordTokenizer.train("x z z z y y").tokens == ["<unk>", " z", " y", "x"]


def test_byte_pairs_by_hand():
    # aaabdaaabac: aa ×4 (overlaps count), ab ×2, bd, da, ba, ac. Merge aa -> 256: [256 a b d 256 a b a c].
    # Now (256, a) ×2, (a, b) ×2, the rest ×1: the lower left id wins, ab -> 257: [256 257 d 256 257 a c].
    # Now (256, 257) ×2 -> 258: [258 d 258 a c].
    tokenizer = BPETokenizer.train("aaabdaaabac", 259)
    assert tokenizer.merges == [(97, 97), (97, 98), (256, 257)]
    assert tokenizer.tokens[256:] == [b"aa", b"ab", b"aaab"]
    assert tokenizer.encode("aaabdaaabac") == [258, 100, 258, 97, 99]
    assert tokenizer.encode("aaaa") == [256, 256]
    assert tokenizer.encode("aab") == [256, 98]  # aa was learned before ab


def test_merge_by_hand():
    assert merge([1, 1, 1, 2], (1, 1), 9) == [9, 1, 2]
    assert merge([2, 1], (1, 2), 9) == [2, 1]
    assert merge([], (1, 2), 9) == []


def test_no_token_crosses_a_piece():
    tokenizer = BPETokenizer.train("the cat\n" * 50, 300)
    assert b" cat" in tokenizer.tokens
    assert not any(b"e c" in token for token in tokenizer.tokens)
    assert tokenizer.vocab_size < 300  # it ran out of pairs


def counted_afresh(pieces, vocab_size):
    """Byte-pair training that counts everything again in each round."""
    words = {piece: list(piece) for piece in pieces}
    tokens, merges = [bytes([b]) for b in range(256)], []
    while len(tokens) < vocab_size:
        counts = Counter()
        for piece, times in pieces.items():
            for pair in pairwise(words[piece]):
                counts[pair] += times
        if not counts:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(pair)
        token = tokens[pair[0]] + tokens[pair[1]]
        if token not in tokens:
            tokens.append(token)
        words = {piece: merge(word, pair, tokens.index(token)) for piece, word in words.items()}
    return merges


@settings(deadline=None)  # machines are shared
@given(st.dictionaries(st.text("ab", min_size=1, max_size=12).map(str.encode), st.integers(1, 9)))
def test_counts_are_kept_right(pieces):
    assert learn_merges(pieces, 275) == counted_afresh(pieces, 275)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text("abcd\u00e9", min_size=1, max_size=9), max_size=30))
def test_merges_equal_those_of_the_package_tokenizers(words):
    text = " ".join(words)
    assert BPETokenizer.train(text, 280).merges == BPETokenizer.train(text, 280, fast=True).merges


def test_merges_on_shakespeare_equal_those_of_the_package_tokenizers():
    text = HAMLET
    ours, fast = (BPETokenizer.train(text, 1000, fast=fast) for fast in (False, True))
    assert ours.merges == fast.merges
    assert ours.vocab_size == 1000


def test_only_fast_training_needs_the_package_tokenizers(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert BPETokenizer.train("abab", 257).merges == [(97, 98)]
    with pytest.raises(ImportError, match="pip install tokenizers"):
        BPETokenizer.train("abab", 257, fast=True)


def test_encoding_equals_that_of_the_package_tokenizers():
    import tokenizers

    text = HAMLET[:50_000]
    ours = BPETokenizer.train(text, 700)
    spell = [token.decode("latin-1") for token in ours.tokens]
    vocab = {token: i for i, token in enumerate(spell)}
    model = tokenizers.models.BPE(vocab=vocab, merges=[(spell[a], spell[b]) for a, b in ours.merges])
    oracle = tokenizers.Tokenizer(model)
    for piece in sorted(set(PIECES.findall(text + EVERYTHING))):
        assert ours.encode(piece) == oracle.encode(piece.encode().decode("latin-1")).ids


def test_remembered_pieces_are_bounded(monkeypatch):
    monkeypatch.setattr(bpe_module, "MAX_REMEMBERED", 3)
    tokenizer = BPETokenizer([(97, 98)])
    text = " a ab abb aab abab ab a"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer._remembered) <= 3
    assert tokenizer.encode(" ab") == [32, 256]


def test_the_tokens_of_a_file_may_fill_the_limit_and_no_more(monkeypatch):
    monkeypatch.setattr(bpe_module, "MAX_BYTES", 258)
    assert BPETokenizer([(97, 98)]).tokens[256] == b"ab"
    with pytest.raises(ValueError, match="at most 258 bytes in all, got 260"):
        BPETokenizer([(97, 98), (98, 97)])


def test_ids_that_are_no_utf8_become_replacement_characters():
    assert ByteTokenizer().decode([0xC3]) == "\ufffd"
    assert ByteTokenizer().decode([0xC3, 0xA9]) == "é"


def test_unknown_character_is_named():
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 3 is not among the 3"):
        CharTokenizer.train("abc").encode("abcé")


@pytest.mark.parametrize("bad", [-1, 256])
def test_ids_outside_the_vocabulary_are_refused(bad):
    with pytest.raises(ValueError, match=rf"id {bad} is outside the vocabulary: 0 ≤ id < 256"):
        ByteTokenizer().decode([1, bad])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BPETokenizer.train("text", 255), "at least 256, the bytes; got 255"),
        (lambda: BPETokenizer([(1, 2), (3, 257)]), r"\(3, 257\) names an id outside 0 ≤ id < 257"),
        (lambda: BPETokenizer([(1, 2), (257, 3)]), r"\(257, 3\) names an id outside 0 ≤ id < 257"),
        (lambda: BPETokenizer([(1, -2)]), r"\(1, -2\)"),
        (lambda: WordTokenizer.train("text", 0), "at least 1, for <unk>; got 0"),
        (lambda: WordTokenizer(["a"]), r"the first token must be '<unk>', got \['a'\]"),
        (lambda: WordTokenizer(["<unk>", "a", "a"]), "'a' occurs twice"),
        (lambda: CharTokenizer(["a", "bc"]), "one character, got 'bc'"),
        (lambda: CharTokenizer("aba"), "'a' occurs twice"),
        (lambda: ByteTokenizer().encode("\ud800"), "surrogates"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=lambda t: t.kind)
def test_only_text_is_encoded(tokenizer):
    with pytest.raises(Exception, match="str"):  # beartype's error where it watches, ours elsewhere
        tokenizer.encode(b"text")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not JSON",
        "[]",
        "3",
        "{}",
        '{"kind": "nonsense"}',
        '{"kind": "char"}',
        '{"kind": "byte", "extra": 1}',
    ],
)
def test_a_file_that_holds_no_tokenizer_is_named(content, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_tokenizer(path)


def test_a_saved_tokenizer_is_plain_json(tmp_path):
    BPETokenizer([(97, 98)]).save(tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == {"kind": "bpe", "merges": [[97, 98]]}
    assert repr(load_tokenizer(tmp_path / "t.json")) == "BPETokenizer(vocab_size=257)"
    assert {"word", "char", "byte", "bpe"} <= Tokenizer.kinds.keys()


def test_a_kind_of_tokenizer_says_how_it_encodes_and_takes_no_other_arguments(monkeypatch):
    monkeypatch.setattr(Tokenizer, "kinds", dict(Tokenizer.kinds))
    unfinished = type("Unfinished", (Tokenizer,), {"kind": "unfinished", "tokens": ["a"]})
    with pytest.raises(NotImplementedError):
        unfinished().encode("a")
    with pytest.raises(TypeError, match="no keyword arguments"):
        type("Odd", (Tokenizer,), {"kind": "odd"}, cased=False)


def test_a_vocabulary_without_limit_ends_with_the_pairs():
    text = "abab abc " * 3
    few = BPETokenizer.train(text, 2**40)
    assert BPETokenizer.train(text, 2**40, fast=True).merges == few.merges
    assert 257 < few.vocab_size < 266


@pytest.mark.parametrize(
    "train", [WordTokenizer.train, CharTokenizer.train, partial(BPETokenizer.train, vocab_size=300)]
)
@pytest.mark.parametrize("text", [None, b"ab", ["a", "b"], 3])
def test_only_text_is_learned_from(as_readers_run_it, train, text):
    with pytest.raises(TypeError, match="train takes a str, got"):
        train(text)
