"""Constraints: every text that comes matches the pattern, every text that matches can come."""

import itertools
import math
import random
import re
import sys
from functools import partial

import pytest
import torch
from table_models import TableModel

from lmbook import ToyLanguage
from lmbook.decoding import TokenAutomaton, constrain, greedy_decode, sample_decode
from lmbook.decoding.constraints import _characters
from lmbook.filters import temperature, top_k
from lmbook.tokenizer import BPETokenizer, ByteTokenizer

INF = math.inf
WORDS = ["<end>", "a", "b", "c", "ab", "abc", "cc", "ba", "x\ufffd", "é", "bc"]


class Codec:
    """Tokens that straddle the symbols of a pattern; 0 and 10 are special, 8 holds half a character."""

    special_ids = (0, 10)

    def __init__(self, words=WORDS):
        self.words, self.vocab_size = words, len(words)

    def encode(self, text):
        return [self.words.index(text)]

    def decode(self, ids):
        return "".join(self.words[i] for i in ids)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


PATTERNS = ["a(b|c)*c", "(ab)+|c{2,3}", "a?b?c?", "[^a]+é?", "abcabc", ".", "(a|ab)(c|bcc)"]


def texts_allowed(automaton, longest):
    """Each sequence of tokens that the automaton lets end, by plain search."""
    found, open_ = set(), [((), 0)]
    while open_:
        ids, state = open_.pop()
        for token, after in enumerate(automaton.next_state[state].tolist()):
            if after != -1 and token == 0:
                found.add(ids)
            elif after != -1 and len(ids) < longest:
                open_.append(((*ids, token), after))
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_exactly_the_tokens_of_matching_texts_are_allowed(pattern):
    automaton = TokenAutomaton.from_regex(pattern, Codec(), 0)
    usable = [i for i in range(1, 10) if i != 8]
    sequences = itertools.chain.from_iterable(itertools.product(usable, repeat=n) for n in range(5))
    expected = {ids for ids in sequences if re.fullmatch(pattern, Codec().decode(ids))}
    assert expected
    assert texts_allowed(automaton, 4) == expected


@pytest.mark.parametrize(
    "pattern", [r"\d{4}-\d{2}-\d{2}", "yes|no", r'\{"n": "[^"\\]{1,5}", "a": [1-9]\d?\}']
)
def test_whatever_a_model_wants_the_text_matches(pattern):
    tokenizer = BPETokenizer.train('{"n": "Ada", "a": 42} 1984-05-06 yes no {"n": "' * 4, 300)
    automaton = TokenAutomaton.from_regex(pattern, tokenizer, 0)
    prompt = torch.tensor([[3, 4], [5, 6]])
    model = TableModel(tokenizer.vocab_size, seed=1)
    steps = [partial(constrain, automaton=automaton, prompt_ignore_length=2), partial(top_k, k=5)]
    out = sample_decode(model, prompt, steps, 40, generator=seeded(), eos_token_id=0, num_return_sequences=20)
    texts = {tokenizer.decode([i for i in row if i]) for row in out[:, 2:].tolist()}
    assert all(re.fullmatch(pattern, text) for text in texts)
    assert len(texts) > 1


def test_a_language_is_an_automaton_too():
    """Masked by it, noise is grammatical; its own texts are what they were."""
    language = ToyLanguage()
    allowed = language.next_state[:-1].where(language.log_probs[:-1].isfinite(), -1)
    step = partial(constrain, automaton=TokenAutomaton(allowed))
    noise = TableModel(language.vocab_size, scale=4.0)
    prompts = language.sample(30, 4, generator=seeded())
    free = sample_decode(noise, prompts, (), 15, generator=seeded())
    held = sample_decode(noise, prompts, [step], 15, generator=seeded())
    assert language.log_prob(free).isinf().all()
    assert language.log_prob(held).isfinite().all()
    own = sample_decode(language, prompts, (), 15, generator=seeded())
    assert own.equal(sample_decode(language, prompts, [step], 15, generator=seeded()))


def test_local_masking_is_not_conditioning():
    """Texts aa, ab, ba with P = .1, .4, .25, and bb, which isn't allowed, with .25."""
    after = {0: [0.5, 0.5], 1: [0.2, 0.8], 2: [0.5, 0.5]}  # of a, b at the start, after a, after b
    automaton = TokenAutomaton(torch.tensor([[1, 2], [3, 3], [3, -1], [-1, -1]]))
    step = partial(constrain, automaton=automaton)
    local = {}
    for first, second in itertools.product(range(2), repeat=2):
        p = 1.0
        for seen, token in (([], first), ([first], second)):
            logits = torch.tensor(after[seen[0] + 1 if seen else 0]).log()
            p *= step(logits, torch.tensor(seen, dtype=torch.int64)).softmax(-1)[token].item()
        local[first, second] = p
    assert local == pytest.approx({(0, 0): 0.1, (0, 1): 0.4, (1, 0): 0.5, (1, 1): 0.0})
    # given that the text is allowed: .1 / .75, .4 / .75, .25 / .75


def test_constrain_keeps_what_is_allowed_and_changes_nothing_else():
    automaton = TokenAutomaton(torch.tensor([[0, 1, -1], [-1, 0, -1]]))
    logits = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    before, ids = logits.clone(), torch.tensor([[2, 0, 1], [2, 1, 1]])
    kept = constrain(logits, ids, automaton, prompt_ignore_length=1)
    assert kept.tolist() == [[-INF, 2.0, -INF], [1.0, 2.0, -INF]]
    assert logits.equal(before)
    assert constrain(logits[0], ids[0], automaton, 10**30).tolist() == [1.0, 2.0, -INF]
    impossible = torch.full((1, 3), -INF)
    assert constrain(impossible, torch.tensor([[0]]), automaton).equal(impossible)


def test_dead_ends_are_never_entered():
    """ "a" could go on to "b" only, and no token is "b" alone."""

    codec = Codec(["", "a", "cc"])
    assert TokenAutomaton.from_regex("ab|cc", codec, 0).next_state[0].tolist()[1] == -1
    with pytest.raises(ValueError, match="no tokens of the tokenizer make a text that matches 'ab'"):
        TokenAutomaton.from_regex("ab", codec, 0)


def test_characters_of_one_class_lead_to_the_same_states():
    table, final, classes, other = _characters("[a-c]+z")
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choices("abczé", k=rng.randrange(6)))
        state = 0
        for char in text:
            state = table[state, classes.get(char, other)].item() if state != -1 else -1
        assert (state in final) == bool(re.fullmatch("[a-c]+z", text))


def test_decoders_take_it_like_any_filter():
    automaton = TokenAutomaton.from_regex("(ab)+", ByteTokenizer(), 0)
    steps = [partial(constrain, automaton=automaton, prompt_ignore_length=1), partial(temperature, tau=0)]
    out = sample_decode(TableModel(256), torch.tensor([[7]]), steps, 6, eos_token_id=0)
    assert re.fullmatch("(ab)+", bytes(out[0, 1:].tolist()).rstrip(b"\0").decode())
    assert greedy_decode(TableModel(256), torch.tensor([[7]]), 6).tolist() != out.tolist()


TABLE = TokenAutomaton(torch.tensor([[0, -1]]))
from_regex = TokenAutomaton.from_regex
BAD = [
    (lambda: TokenAutomaton([[0]]), TypeError, "next_state must be a tensor of int64, got list"),
    (lambda: TokenAutomaton(torch.tensor([0])), ValueError, r"must have shape \(S, V\), got \(1,\)"),
    (lambda: TokenAutomaton(torch.tensor([[0, 1]])), ValueError, "a next state must be at most 0, got 1"),
    (lambda: TokenAutomaton(torch.tensor([[-2]])), ValueError, "a next state must be at least -1, got -2"),
    (
        lambda: TokenAutomaton.from_regex("(", Codec(), 0),
        ValueError,
        r"the pattern '\(' can't be read: missing",
    ),
    (lambda: from_regex("^a$", Codec(), 0), ValueError, "can't be read: '\\^'"),
    (
        lambda: TokenAutomaton.from_regex("a", Codec(), 11),
        ValueError,
        "eos_token_id must be at most 10, got 11",
    ),
    (lambda: constrain(torch.zeros(2), torch.tensor([0]), None), TypeError, "automaton must be a TokenAut"),
    (
        lambda: constrain(torch.zeros(3), torch.tensor([0]), TABLE),
        ValueError,
        "got 3 logits for TokenAutomaton",
    ),
    (lambda: constrain(torch.zeros(2), torch.tensor([1]), TABLE), ValueError, r"those of row \(\) are not"),
    (lambda: constrain(torch.zeros(2), torch.tensor([2]), TABLE), ValueError, r"those of row \(\) are not"),
    (lambda: constrain(torch.zeros(2), torch.tensor([0]), TABLE, -1), ValueError, "at least 0, got -1"),
    (lambda: constrain(torch.tensor([-INF, 0.0]), torch.tensor([0]), TABLE), ValueError, "constrain before"),
]


BAD += [
    (lambda: from_regex(b"a", Codec(), 0), TypeError, "pattern must be a text, got b'a'"),
    (lambda: from_regex("a", None, 0), TypeError, "tokenizer must have decode, got None"),
    (lambda: from_regex("(" * 3000 + "a" + ")" * 3000, Codec(), 0), ValueError, "nested too deeply"),
    (lambda: TABLE.state([0]), TypeError, "ids must be a tensor of int64, got list"),
    (lambda: TABLE.state(torch.tensor([0.5])), TypeError, "got torch.float32"),
    (lambda: TABLE.state(torch.tensor(0)), ValueError, r"ids must have shape \(…, T\), got \(\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_wrong_arguments_are_refused(as_readers_run_it, call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "interegular", None)
    with pytest.raises(ModuleNotFoundError, match="pip install interegular"):
        TokenAutomaton.from_regex("a", Codec(), 0)
