"""What tokenizers say to damaged files, to ids that are none, and to vocabularies that don't fit together."""

import json
import re

import numpy as np
import pytest
import torch

from lmbook.tokenizer import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    WordTokenizer,
    learn_merges,
    load_tokenizer,
    tokenizer_from_json,
)
from lmbook.tokenizer.pretrained import byte_of

A, B, C = b"abc"
TOKENIZERS = [
    ByteTokenizer(),
    CharTokenizer("abc"),
    BPETokenizer([(A, B)]),
    WordTokenizer(["<unk>", "a", "b"]),
]


def spelled(*more):
    return ["<|end|>", *byte_of(), *more]


def pretrained(**changes):
    state = {"kind": "pretrained", "tokens": spelled("ab"), "merges": ["a b"], "special_ids": [0]}
    return state | {"eos_token_id": 0, "chat_template": ""} | changes


DOUBLING = [[A, A], *([256 + i, 256 + i] for i in range(40))]
DAMAGED = {
    "kind is a list": ({"kind": ["bpe"], "merges": []}, "its kind must be one of"),
    "kind is an object": ({"kind": {"bpe": 1}}, "its kind must be one of"),
    "a word that is a number": ({"kind": "word", "tokens": ["<unk>", 5]}, "token 1 must be a str, got 5"),
    "a word that is null": ({"kind": "word", "tokens": ["<unk>", None]}, "token 1 must be a str, got None"),
    "a character in a list": ({"kind": "char", "tokens": [["a"]]}, "token 0 must be a str"),
    "characters in an object": ({"kind": "char", "tokens": {"a": 1}}, "its tokens must be a list"),
    "characters in one text": ({"kind": "char", "tokens": "ab"}, "its tokens must be a list, got 'ab'"),
    "merges in an object": ({"kind": "bpe", "merges": {"a": 1}}, "its merges must be a list"),
    "an id that is true": ({"kind": "bpe", "merges": [[True, 98]]}, "must be an int, got True"),
    "an id that is 98.0": ({"kind": "bpe", "merges": [[97, 98.0]]}, "must be an int, got 98.0"),
    "a merge of one": ({"kind": "bpe", "merges": [[97]]}, "must be a pair of ids"),
    "a merge in one text": ({"kind": "bpe", "merges": ["ab"]}, "must be a pair of ids"),
    "a terabyte": ({"kind": "bpe", "merges": DOUBLING}, "must have at most 67,108,864 bytes"),
    "a character that spells no byte": (pretrained(tokens=spelled("ab", "a b")), "' ', which spells no byte"),
    "a character of another script": (pretrained(tokens=spelled("ab", "日")), "'日', which spells no byte"),
    "a token of no character": (pretrained(tokens=spelled("ab", "")), "token 258, '', has no character"),
    "a token twice": (pretrained(tokens=spelled("ab", "a")), "token 'a' occurs twice"),
    "a token that is a number": (pretrained(tokens=[5, *spelled("ab")[1:]]), "token 0 must be a str, got 5"),
    "a merge twice": (pretrained(merges=["a b", "a b"]), "merge 'a b' occurs twice"),
    "a merge of no token": (pretrained(merges=["a xyz"]), "must be two tokens"),
    "a merge that makes no token": (pretrained(merges=["a c"]), "must be two tokens"),
    "an empty merge": (pretrained(merges=[" "]), "must be two tokens"),
    "a merge of three": (pretrained(merges=["a b c"]), "must be two tokens"),
    "a merge that is a list": (pretrained(merges=[["a", "b"]]), "must be two tokens"),
    "a merge that is null": (pretrained(merges=[None]), "must be two tokens"),
    "a special id too high": (pretrained(special_ids=[999]), "a special id must be at least 0 and below 258"),
    "a special id of 31 digits": (pretrained(special_ids=[10**30]), "below 258, got 1000"),
    "a special id below 0": (pretrained(special_ids=[-1]), "below 258, got -1"),
    "a special id that is 0.0": (pretrained(special_ids=[0.0]), "must be an int, got 0.0"),
    "an end too high": (pretrained(eos_token_id=258), "eos_token_id must be at least 0 and below 258"),
    "an end in words": (pretrained(eos_token_id="end"), "must be an int, got 'end'"),
    "a template that is a number": (pretrained(chat_template=5), "chat_template must be a str or None"),
    "few tokens": (pretrained(tokens=["a", "b"], special_ids=[]), "must be two tokens"),
    "tokens in one text": (pretrained(tokens="ab", special_ids=[]), "its tokens must be a list"),
}


@pytest.mark.parametrize(("state", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_named_with_what_is_wrong(as_readers_run_it, state, message, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(ValueError, match="holds no tokenizer") as error:
        load_tokenizer(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert len(str(error.value)) < 400


def test_what_was_not_damaged_is_read():
    assert tokenizer_from_json(json.dumps(pretrained())).encode("ab<|end|>c")[:2] == [257, 0]


def test_lists_without_end_are_no_tokenizer():
    with pytest.raises(ValueError, match="nested too deeply"):
        tokenizer_from_json("[" * 200_000)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: t.kind)
@pytest.mark.parametrize(
    "ids",
    [
        *([1.5], ["1"], "12", [True], [None], None, 5, torch.tensor([1.0]), np.array([1.2])),
        *(torch.tensor([True]), np.array([True]), torch.zeros(2, dtype=torch.int64, device="meta")),
        torch.tensor([1]).to_sparse(),
    ],
    ids=repr,
)
def test_what_is_no_id_is_not_decoded(as_readers_run_it, tokenizer, ids):
    with pytest.raises(TypeError, match=r"an id must be an int, got|decode takes ids"):
        tokenizer.decode(ids)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: t.kind)
@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (2, 1), ()], ids=str)
def test_a_batch_is_not_decoded(as_readers_run_it, tokenizer, shape):
    for ids in (torch.zeros(shape, dtype=torch.int64), np.zeros(shape, dtype=np.int64)):
        with pytest.raises(ValueError, match=re.escape(f"got shape {shape}")):
            tokenizer.decode(ids)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: t.kind)
def test_ids_come_in_any_iterable_of_ints(as_readers_run_it, tokenizer):
    want = tokenizer.decode([1, 2])
    for ids in (
        iter([1, 2]),
        np.array([1, 2], dtype=np.uint8),
        torch.tensor([1, 2]),
        [*torch.tensor([1, 2])],
    ):
        assert tokenizer.decode(ids) == want


@pytest.mark.parametrize("merges", [[(A, B), (B, C), (A, B)], [(A, B), (B, C), *[(A, B)] * 3]])
def test_a_merge_that_is_listed_twice_counts_from_its_first_place(merges):
    for tokenizer in (
        BPETokenizer(merges),
        tokenizer_from_json(json.dumps({"kind": "bpe", "merges": merges})),
    ):
        assert [tokenizer.decode([i]) for i in tokenizer.encode("abc")] == ["ab", "c"]


def test_merges_of_numpy_and_torch_are_saved(as_readers_run_it, tmp_path):
    for merges in (np.array([[A, B]]), torch.tensor([[A, B]])):
        BPETokenizer(merges).save(tmp_path / "bpe.json")
        assert load_tokenizer(tmp_path / "bpe.json").encode("ab") == [256]


@pytest.mark.parametrize("size", [float("nan"), 300.0, "300", None, True], ids=repr)
@pytest.mark.parametrize("fast", [False, True])
def test_a_size_that_is_no_int_is_refused(as_readers_run_it, size, fast):
    with pytest.raises(TypeError, match="vocab_size must be an int"):
        BPETokenizer.train("a text", size, fast=fast)
    if size is not None:  # None takes all words
        with pytest.raises(TypeError, match="vocab_size must be an int"):
            WordTokenizer.train("a text", size)


@pytest.mark.parametrize(
    ("pieces", "error", "message"),
    [
        ({"ab": 1}, TypeError, "a piece must be bytes, got 'ab'"),
        ({(97, 98): 1}, TypeError, "a piece must be bytes"),
        ({b"ab": 1.5}, TypeError, "the count of a piece must be an int, got 1.5"),
        ({b"ab": True}, TypeError, "the count of a piece must be an int, got True"),
        ({b"ab": None}, TypeError, "the count of a piece must be an int, got None"),
        ({b"cd": 2, b"ab": 0}, ValueError, "the count of piece b'ab' must be at least 1, got 0"),
        ({b"ab": -1}, ValueError, "must be at least 1, got -1"),  # it would merge without end
        ([b"ab"], TypeError, "pieces must be a map"),
    ],
    ids=repr,
)
def test_pieces_that_are_none_are_not_learned_from(as_readers_run_it, pieces, error, message):
    with pytest.raises(error, match=message):
        learn_merges(pieces, 300)


@pytest.mark.parametrize(
    ("size", "error"), [(255, ValueError), (-5, ValueError), (float("nan"), TypeError), ("300", TypeError)]
)
def test_a_size_that_is_none_is_not_learned_to(as_readers_run_it, size, error):
    with pytest.raises(error, match="vocab_size must be"):
        learn_merges({b"ab": 1}, size)
    assert learn_merges({b"ab": 1}, 256) == []
    assert learn_merges({}, 300) == []
