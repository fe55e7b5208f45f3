"""Streams and stop strings: the whole text by plain means, however it is cut into tokens."""

import itertools
from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table_models import CachedTableModel, TableModel
from transformers import StopStringCriteria

from lmbook import ToyLanguage
from lmbook.decoding import StopStrings, StreamedToken, TokenLogProbs, greedy_decode, sample_decode, stream
from lmbook.filters import temperature
from lmbook.tokenizer import BPETokenizer, ByteTokenizer, CharTokenizer, WordTokenizer
from lmbook.transformer import CausalLM

SENTENCE = "café 🙂 naïve — 汉字! The end.\nThe end?"
GREEDY = (partial(temperature, tau=0),)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Reciter:
    """Says given tokens after a prompt of one, then the last of them for ever."""

    def __init__(self, ids, vocab_size):
        self.ids, self.vocab_size = torch.tensor(ids), vocab_size

    def __call__(self, input_ids):
        place = torch.arange(input_ids.shape[1]).clamp(max=len(self.ids) - 1)
        return (
            torch.nn.functional.one_hot(self.ids[place], self.vocab_size).expand(len(input_ids), -1, -1) * 9.0
        )


def recite(tokenizer, ids, **options):
    """The stream of these tokens after a prompt of one token."""
    options.setdefault("max_length", len(ids))
    return [*stream(Reciter(ids, tokenizer.vocab_size), tokenizer, "T", GREEDY, **options)]


TOKENIZERS = {
    "bytes": ByteTokenizer(),
    "pairs": BPETokenizer.train(SENTENCE * 3, 290),
    "characters": CharTokenizer.train(SENTENCE),
    "words": WordTokenizer.train(SENTENCE + " T"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_pieces_of_a_stream_are_whole_characters_and_make_the_text(name):
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(SENTENCE)
    pieces = [token.text for token in recite(tokenizer, ids)]
    assert len(pieces) == len(ids)
    assert "".join(pieces) == SENTENCE
    assert not any("\ufffd" in piece for piece in pieces)
    for n in range(len(pieces)):  # nothing waits longer than it must
        assert "".join(pieces[:n]) == tokenizer.decode(ids[:n]).rstrip("\ufffd")


def test_half_a_character_is_never_shown_even_at_the_end():
    pieces = [token.text for token in recite(ByteTokenizer(), [*"aé".encode()][:2])]
    assert pieces == ["a", ""]
    invalid = [*b"a\xffb\x82\xac", *"€".encode()]
    assert "".join(token.text for token in recite(ByteTokenizer(), invalid)) == "a\ufffdb\ufffd\ufffd€"


def test_a_token_that_ends_within_a_character_shows_its_whole_ones_once():
    tokenizer = BPETokenizer(
        [(ord("a"), 0xC3), (0xA9, ord("b"))]
    )  # "a" and half of "é", the other half and "b"
    assert [token.text for token in recite(tokenizer, [256, 257, 256, ord("c")])] == [
        "a",
        "éb",
        "a",
        "\ufffdc",
    ]


def test_a_space_that_is_in_no_token_is_a_stop_string_too():
    language = ToyLanguage()
    ids = torch.tensor(language.encode("gulls swim."))
    assert [StopStrings(language, [" "])(ids[:n]) for n in (1, 2)] == [False, True]
    assert StopStrings(language, ["s swim."])(ids)


def test_words_get_their_spaces_from_the_word_before():
    language = ToyLanguage()
    ids = language.encode("gulls swim. the gull rests.")
    model = Reciter(ids, language.vocab_size)
    tokens = [*stream(model, language, "the", GREEDY, len(ids))]
    assert [token.text for token in tokens] == [" gulls", " swim", ".", " the", " gull", " rests", "."]
    assert [token.id for token in tokens] == ids


@given(
    text=st.text("ab\né", min_size=1, max_size=12),
    stops=st.lists(st.text("ab\né", min_size=1, max_size=4), min_size=1, max_size=3),
    seed=st.integers(0, 20),
)
@example("aab", ["ab"], 0)
@example("aaab", ["aab", "b"], 0)
@settings(deadline=None, max_examples=150)
def test_a_stream_ends_before_the_stop_string_that_is_complete_first(text, stops, seed):
    tokenizer = BPETokenizer.train("aaabab\nééab\n\nba" * 2, 256 + seed)
    ids = tokenizer.encode(text)
    expected, read = tokenizer.decode(ids), len(ids)
    for n in range(1, len(ids) + 1):
        so_far = tokenizer.decode(ids[:n])
        if any(stop in so_far for stop in stops):
            expected, read = so_far[: min(so_far.index(stop) for stop in stops if stop in so_far)], n
            break
    tokens = recite(tokenizer, ids, stop_strings=stops)
    assert "".join(token.text for token in tokens) == expected
    assert len(tokens) == read
    shown = list(itertools.accumulate(token.text for token in tokens))
    assert all(expected.startswith(part) for part in shown)
    found = [StopStrings(tokenizer, stops)(torch.tensor(ids[:n])) for n in range(1, read + 1)]
    assert found == [False] * (read - 1) + [any(stop in tokenizer.decode(ids[:read]) for stop in stops)]


WORDS = ["He", "l", "lo, w", "o", "rld!\n", "?"]


class Codec:
    """These words; the second half of its methods is what transformers asks of a tokenizer."""

    vocab_size = len(WORDS)

    def encode(self, text):
        return [WORDS.index(text)]

    def decode(self, ids):
        return "".join(WORDS[i] for i in ids)

    def get_vocab(self):
        return {word: i for i, word in enumerate(WORDS)}

    def convert_tokens_to_string(self, tokens):
        return "".join(tokens)

    def _convert_id_to_token(self, token):
        return "abcdef"

    def __call__(self, text, **_):
        return {"input_ids": [0]}

    def __len__(self):
        return self.vocab_size


@pytest.mark.parametrize("strings", [["llo"], ["o, "], ["!"], ["world"], ["rld!\n?"], ["x", "?"], ["He?"]])
def test_a_string_inside_a_token_and_one_over_several_stop_as_in_transformers(strings):
    theirs, ours = StopStringCriteria(Codec(), strings), StopStrings(Codec(), strings)
    ids = torch.arange(6)
    for n in range(1, 7):
        ends_now = bool(theirs(ids[None, :n], None)[0])
        assert (ours(ids[:n]) and not ours(ids[: n - 1])) == ends_now


@pytest.mark.parametrize("decode", [greedy_decode, partial(sample_decode, filters=GREEDY)])
@pytest.mark.parametrize(
    ("strings", "written"),
    [(["!"], b"one. two!"), ([". t", "zzz"], b"one. t"), (["four"], b"one. two! three")],
)
def test_rows_stop_at_their_strings_and_are_filled_with_the_end_token(decode, strings, written):
    tokenizer = ByteTokenizer()
    model, stop = Reciter([*b"one. two! three"], 256), StopStrings(tokenizer, strings)
    out = decode(model, torch.tensor([[84], [84]]), max_length=15, eos_token_id=0, stop=stop)
    assert bytes(out[0, 1:].tolist()) == written + bytes(15 - len(written))
    assert out[0].equal(out[1])


def test_each_row_stops_for_itself():
    ids = torch.tensor([[0, 1], [2, 2], [1, 0]])
    model = TableModel(5, seed=4)
    free = greedy_decode(model, ids, 8)
    stop = lambda new: int(new[-1]) == 3  # noqa: E731
    out = greedy_decode(model, ids, 8, eos_token_id=4, stop=stop)
    ends = []
    for row, whole in zip(out.tolist(), free.tolist(), strict=True):
        new = whole[2:]
        end = next((n + 1 for n, token in enumerate(new) if token in (3, 4)), 8)
        assert row[2:] == new[:end] + [4] * (8 - end)
        ends.append(end)
    assert len(set(ends)) > 1


def test_a_stream_is_sample_decode_token_by_token():
    language = ToyLanguage()
    torch.manual_seed(0)
    model = CausalLM(language.vocab_size, 16, 2, 2, context_length=32)
    log_probs = TokenLogProbs()
    ids = torch.tensor([language.encode("the seals")])
    expected = sample_decode(model, ids, (), 9, generator=seeded(3), log_probs=log_probs)
    tokens = [*stream(model, language, "the seals", (), 9, generator=seeded(3))]
    assert [token.id for token in tokens] == expected[0, 2:].tolist()
    assert [token.log_prob for token in tokens] == log_probs.model[0].tolist()
    text = "the seals" + "".join(token.text for token in tokens)
    assert text == language.decode(expected[0])


def test_a_stream_ends_with_the_end_token_whose_text_is_not_shown():
    tokenizer = ByteTokenizer()
    tokens = recite(tokenizer, [*b"one.two.three"], eos_token_id=ord("."), stop_strings=["ez"])
    assert "".join(token.text for token in tokens) == "one"
    assert tokens[-1].id == ord(".")
    assert tokens[2].text == ""  # "e" might have begun "ez"
    assert tokens[3].text == "e"


def test_a_stream_leaves_the_callers_world_alone():
    torch.manual_seed(0)
    model = CausalLM(256, 8, 2, 1, context_length=16, dropout=0.5).train()
    for token in stream(model, ByteTokenizer(), "ab", (), 3, generator=seeded()):
        assert isinstance(token, StreamedToken)
        assert model.training
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert not torch.ones(2, requires_grad=True).mul(2).is_inference()


def test_only_as_many_tokens_are_drawn_as_are_asked_for():
    model = CachedTableModel(256)
    tokens = stream(model, ByteTokenizer(), "abc", generator=seeded())
    assert model.calls == []
    next(tokens)
    next(tokens)
    assert model.calls == [(1, 3), (1, 1)]


BAD = [
    ({"prompt": 3}, TypeError, "prompt must be a text, got 3"),
    ({"prompt": ""}, ValueError, "input_ids must hold at least 1 row of 1 token"),
    ({"stop_strings": "end"}, TypeError, "stop strings must be a list of texts, got the text 'end'"),
    ({"stop_strings": [""]}, ValueError, "a stop string must have at least 1 character"),
    ({"stop_strings": [3]}, TypeError, "a stop string must be a text, got 3"),
    ({"max_length": -1}, ValueError, "max_length must be at least 0, got -1"),
    ({"filters": [partial(temperature, tau=-1)]}, ValueError, "temperature must be at least 0"),
    ({"eos_token_id": 256}, ValueError, "eos_token_id must be below vocab_size 256, got 256"),
    ({"generator": 3}, TypeError, "generator must be a torch.Generator or None, got 3"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_wrong_arguments_are_refused_at_once(as_readers_run_it, options, error, message):
    model = TableModel(256)
    arguments = {"prompt": "ab"} | options
    with pytest.raises(error, match=message):
        stream(model, ByteTokenizer(), **arguments)
    assert model.calls == []


def test_stop_strings_are_not_none_at_all():
    with pytest.raises(ValueError, match="strings must hold at least 1 text, got none"):
        StopStrings(ByteTokenizer(), [])


@pytest.mark.parametrize("tokenizer", [None, "a text", object()])
def test_what_is_no_tokenizer_is_refused(as_readers_run_it, tokenizer):
    with pytest.raises(TypeError, match="tokenizer must have encode and decode, got"):
        stream(TableModel(256), tokenizer, "ab")
    with pytest.raises(TypeError, match="tokenizer must have decode, got"):
        StopStrings(tokenizer, ["end"])


def test_stop_strings_read_lists_too():
    stop = StopStrings(ByteTokenizer(), ["end"])
    assert stop([*b"the end"])
    assert not stop([*b"the end."][:-2])
