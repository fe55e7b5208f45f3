"""TokenMerges: its Python against brute force, its JavaScript against Python."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_scope import run_js

from lmbook.tokenizer import PIECES, BPETokenizer, CharTokenizer
from lmbook.widgets.token_merges import TokenMerges, count_merges, token_counts

TRAINING = "the cat sat on the mat; the cats that sat there chatted.\n" * 3 + "aaa aaaa banana bandana\n"
HELD_OUT = "the bananas that the cat ate\n and then: naïve ☃ 42 mats\n"
AWKWARD = [
    "",
    " ",
    "the cats",
    "  two   three    ",
    "Two  cats,\n\n 10 dogs_and 3x!?\n",
    "안녕하세요 세계 👩‍👩‍👧 e\u0301a\u0308",
    "\x1c\x85 a\u2028b \ufeff c\u3000d",
    "½² Ⅻ x٣ don't_stop: 3.14",
    "<b>banana</b> & aaa",
    "שלום \u200f עולם",
]
READ = "const merges = readMerges(model);"


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train(TRAINING, 256 + 31)


@pytest.fixture
def widget(tokenizer):
    return TokenMerges(tokenizer, TRAINING, HELD_OUT, held_out_name="Bananas", sentence="the banana ☃")


def brute_force(text: str, merges: list) -> np.ndarray:
    ids = BPETokenizer(merges).encode(text)
    return np.bincount(ids, minlength=256 + len(merges))


@pytest.mark.parametrize("text", [TRAINING, HELD_OUT, *AWKWARD])
def test_counts_after_every_number_of_merges(tokenizer, text):
    singles, merged = count_merges(text, tokenizer.merges)
    for m in range(len(tokenizer.merges) + 1):
        merges = tokenizer.merges[:m]
        assert token_counts(singles, merged, merges).tolist() == brute_force(text, merges).tolist()


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet="ab \n", min_size=1), st.text(alphabet="ab \n"))
def test_counts_of_any_text(learned_from, text):
    merges = BPETokenizer.train(learned_from, 263).merges
    if BPETokenizer(merges).vocab_size == 256 + len(merges):
        singles, merged = count_merges(text, merges)
        assert token_counts(singles, merged, merges).tolist() == brute_force(text, merges).tolist()


def test_counts_by_hand():
    singles, merged = count_merges("aaa ab", [(97, 97), (256, 97)])  # aaa -> 256 a -> 257
    assert merged.tolist() == [1, 1]
    assert {i: n for i, n in enumerate(singles) if n} == {97: 4, 98: 1, 32: 1}
    counts = token_counts(singles, merged, [(97, 97), (256, 97)])
    assert {i: n for i, n in enumerate(counts) if n} == {97: 1, 98: 1, 32: 1, 257: 1}


@pytest.mark.parametrize("m", [0, 1, 17, 31])
def test_scores_are_those_of_an_add_one_unigram(widget, tokenizer, m):
    encoder = BPETokenizer(tokenizer.merges[:m])
    counts = Counter(encoder.encode(TRAINING))
    total = counts.total() + encoder.vocab_size
    for name, text in (("sentence", widget.sentence), ("held-out", HELD_OUT)):
        ids = encoder.encode(text)
        bits = -sum(math.log2((counts[i] + 1) / total) for i in ids)
        expected = (len(ids), 2 ** (bits / len(ids)), bits / len(text.encode()))
        assert widget.scores(m)[name] == pytest.approx(expected, rel=1e-12)


def test_no_text_no_scores(tokenizer):
    n, *rest = TokenMerges(tokenizer, TRAINING, HELD_OUT, sentence="").scores(3)["sentence"]
    assert n == 0
    assert all(math.isnan(x) for x in rest)


def test_plain_text(widget):
    widget.set_state({"num_merges": 5, "sentence": "the cat"})
    lines = repr(widget).split("\n")
    assert lines[0] == "TokenMerges: 5 of 31 merges"
    assert lines[1].replace("|", "") == "the cat"
    assert len(lines[1].split("|")) == len(widget.tokens(5))
    assert lines[4].startswith("Bananas")
    n, perplexity, bits = widget.scores(5)["held-out"]
    assert lines[4].split() == ["Bananas", str(n), f"{perplexity:.2f}", f"{bits:.4f}"]


class TestParityWithPython:
    def test_pieces(self, widget, tmp_path):
        got = run_js(tmp_path, widget, "console.log(JSON.stringify(saved.data.map(cutPieces)));", AWKWARD)
        assert got == [PIECES.findall(text) for text in AWKWARD]

    def test_tokens_after_every_number_of_merges(self, widget, tmp_path):
        script = """console.log(JSON.stringify(saved.data.map((text) =>
          Array.from({ length: merges.size + 1 }, (_, m) => mergeText(merges, text, m).ids))));"""
        got = run_js(tmp_path, widget, READ + script, [*AWKWARD, TRAINING, HELD_OUT])
        for text, rows in zip([*AWKWARD, TRAINING, HELD_OUT], got, strict=True):
            for m, ids in enumerate(rows):
                assert ids == widget.tokens(m, text)

    def test_which_merges_change_a_text(self, widget, tmp_path):
        script = "console.log(JSON.stringify(mergeText(merges, saved.data, merges.size).done));"
        got = run_js(tmp_path, widget, READ + script, HELD_OUT)
        every = [widget.tokens(m, HELD_OUT) for m in range(32)]
        assert got == [m for m in range(31) if every[m] != every[m + 1]]
        assert 0 < len(got) < 31

    def test_scores(self, widget, tmp_path):
        script = """const bytes = new TextEncoder().encode(saved.data).length;
        const { scores, numBytes } = scoreHeldOut(merges);
        console.log(JSON.stringify([numBytes, scores.map((score, m) =>
          [score, scoreIds(merges, mergeText(merges, saved.data, m).ids, bytes, m)])]));"""
        num_bytes, rows = run_js(tmp_path, widget, READ + script, widget.sentence)
        assert num_bytes == len(HELD_OUT.encode())
        assert len(rows) == 32
        for m, (held, own) in enumerate(rows):
            for name, got in (("held-out", held), ("sentence", own)):
                found = (got["tokens"], got["perplexity"], got["bitsPerByte"])
                assert found == pytest.approx(widget.scores(m)[name], rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training_text": ""}, "training_text must hold at least 1 character"),
        ({"held_out": ""}, "held_out must hold at least 1 character"),
        ({"sentence": "x" * 301}, "301 characters long, the limit is 300"),
        ({"num_merges": 32}, "at most 31, got 32"),
        ({"num_merges": -1}, "at least 0, got -1"),
        ({"tokenizer": BPETokenizer([])}, "from 1 to 65280 merges, got 0"),
        (
            {"tokenizer": BPETokenizer([(97, 97), (256, 97), (97, 256)])},
            "3 merges make only 2 tokens",
        ),
    ],
)
def test_wrong_arguments_are_named(tokenizer, change, message):
    arguments = {"tokenizer": tokenizer, "training_text": TRAINING, "held_out": HELD_OUT} | change
    with pytest.raises(ValueError, match=message):
        TokenMerges(**arguments)


def test_only_byte_pairs_have_merges():
    with pytest.raises(TypeError, match="got CharTokenizer"):
        TokenMerges(CharTokenizer.train("ab"), TRAINING, HELD_OUT)


def test_unknown_arguments_are_refused(tokenizer):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        TokenMerges(tokenizer, TRAINING, HELD_OUT, colour="red")
