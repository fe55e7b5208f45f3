"""ToyLanguage against enumeration of a small instance; the documented properties of the book's grammar."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from lmbook.evaluation import cross_entropy
from lmbook.interface import LanguageModel
from lmbook.ngram import NGramLM
from lmbook.toy import ToyLanguage

# Three words, three states; from "loud" the word "c" is impossible, so some texts have probability zero.
SMALL = {
    "start": {"a": (0.5, "start"), "b": (0.3, "loud"), "c": (0.2, "quiet")},
    "loud": {"a": (0.75, "quiet"), "b": (0.25, "start")},
    "quiet": {"a": (0.1, "loud"), "b": (0.2, "quiet"), "c": (0.7, "start")},
}


@pytest.fixture(scope="module")
def small():
    return ToyLanguage(grammar=SMALL)


@pytest.fixture(scope="module")
def language():
    return ToyLanguage()


def path_probability(words):
    """Read P(words) straight off the grammar, one factor after the other."""
    p, state = 1.0, "start"
    for word in words:
        factor, state = SMALL[state].get(word, (0.0, state))
        p *= factor
    return p


def all_texts(length):
    ids = torch.tensor(list(itertools.product(range(3), repeat=length)))
    probs = torch.tensor([path_probability("abc"[i] for i in row) for row in ids], dtype=torch.float64)
    return ids, probs


def test_follows_the_protocol(small):
    assert isinstance(small, LanguageModel)
    assert small(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, 3)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_log_prob_is_the_product_of_the_factors(small, length):
    ids, probs = all_texts(length)
    torch.testing.assert_close(small.log_prob(ids).exp(), probs, rtol=1e-12, atol=0)
    assert small.log_prob(ids).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.equal(small.log_prob(ids).isneginf(), probs == 0)


def test_next_token_is_a_ratio_of_sums_over_texts(small):
    ids, probs = all_texts(5)
    for prefix in itertools.product(range(3), repeat=3):
        begins = (ids[:, :3] == torch.tensor(prefix)).all(dim=1)
        total = probs[begins].sum()
        got = small(torch.tensor([prefix]))[0, -1].exp()
        for token in range(3):
            want = probs[begins & (ids[:, 3] == token)].sum() / total if total > 0 else 1 / 3
            assert got[token].item() == pytest.approx(float(want), abs=1e-12)


@pytest.mark.parametrize("hidden", [(0,), (4,), (1, 3), (0, 1, 2), (0, 1, 2, 3, 4)])
def test_masked_posterior_is_a_ratio_of_sums_over_texts(small, hidden):
    ids, probs = all_texts(5)
    mask = torch.zeros(5, dtype=torch.bool)
    mask[list(hidden)] = True
    masked = ids.masked_fill(mask, 99)  # what stands at hidden places is never read
    got = small.masked_posterior(masked, mask.expand_as(ids))
    for row in range(0, len(ids), 7):
        agrees = (ids[:, ~mask] == ids[row, ~mask]).all(dim=1)
        total = probs[agrees].sum()
        for position, token in itertools.product(hidden, range(3)):
            want = probs[agrees & (ids[:, position] == token)].sum() / total if total > 0 else 1 / 3
            assert got[row, position, token].item() == pytest.approx(float(want), abs=1e-12)
        visible = got[row, ~mask].gather(1, ids[row, ~mask, None])
        assert torch.equal(visible, torch.ones_like(visible))


def test_one_position_equals_its_mask(small):
    ids, _ = all_texts(4)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[:, 2] = True
    assert torch.equal(small.masked_posterior(ids, 2), small.masked_posterior(ids, mask)[:, 2])
    assert torch.equal(small.masked_posterior(ids, -2), small.masked_posterior(ids, 2))


def test_best_continuation_is_the_best_of_all_texts(small):
    ids, probs = all_texts(6)
    for prefix in itertools.product(range(3), repeat=2):
        if path_probability("abc"[i] for i in prefix) == 0:
            continue
        begins = (ids[:, :2] == torch.tensor(prefix)).all(dim=1)
        best = ids[begins][probs[begins].argmax()]
        got = small.best_continuation(torch.tensor([prefix]), 4)[0]
        assert small.log_prob(got[None]).item() == pytest.approx(small.log_prob(best[None]).item(), abs=1e-12)
    assert torch.equal(small.best_continuation(ids[:2], 0), ids[:2])


def test_greedy_is_not_best(small):
    """The best text doesn't begin with the most probable words: otherwise this language is too easy."""
    state, greedy = "start", []
    for _ in range(6):
        word, (_, state) = max(SMALL[state].items(), key=lambda item: item[1][0])
        greedy.append("abc".index(word))
    best = small.best_continuation(torch.empty(1, 0, dtype=torch.int64), 6)
    assert small.log_prob(best).item() > small.log_prob(torch.tensor([greedy])).item() + 0.1


def stationary():
    """Long-run frequencies of the small grammar's states: the null space of transition − identity."""
    names = list(SMALL)
    transition = torch.zeros(3, 3, dtype=torch.float64)
    for row, words in enumerate(SMALL.values()):
        for p, after in words.values():
            transition[row, names.index(after)] += p
    system = torch.cat([transition.T - torch.eye(3), torch.ones(1, 3)])
    right = torch.tensor([[0.0], [0.0], [0.0], [1.0]], dtype=torch.float64)
    return torch.linalg.lstsq(system, right).solution[:, 0]


def test_entropy_rate_of_the_small_language(small):
    entropies = [-sum(p * math.log(p) for p, _ in words.values()) for words in SMALL.values()]
    want = sum(float(share) * h for share, h in zip(stationary(), entropies, strict=True))
    assert small.entropy_rate() == pytest.approx(want, abs=1e-12)


def test_entropy_rate_of_a_language_that_only_alternates():
    grammar = {0: {"x": (1.0, 1)}, 1: {"y": (0.5, 0), "z": (0.5, 0)}}
    assert ToyLanguage(grammar=grammar).entropy_rate() == pytest.approx(math.log(2) / 2, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_conditional_entropy_by_enumeration(small, order):
    """H(last | first order − 1) = H(block of order) − H(block of order − 1), blocks seen in the long run."""
    names, share = list(SMALL), stationary()

    def block_entropy(n):
        total = 0.0
        for words in itertools.product("abc", repeat=n):
            p_block = 0.0
            for start in range(3):
                p, state = float(share[start]), names[start]
                for word in words:
                    factor, state = SMALL[state].get(word, (0.0, state))
                    p *= factor
                p_block += p
            total -= p_block * math.log(p_block) if p_block > 0 else 0.0
        return total

    want = block_entropy(order) - block_entropy(order - 1)
    assert small.conditional_entropy(order) == pytest.approx(want, abs=1e-10)


def test_masked_entropies_by_enumeration(small):
    """H(hidden | start, k words after) = H(hidden and words | start) − H(words | start), starts weighted."""
    names, share = list(SMALL), stationary()

    def unknown_at(start, k):
        paths, after = {}, {}
        for words in itertools.product("abc", repeat=1 + k):
            p, state = 1.0, names[start]
            for word in words:
                factor, state = SMALL[state].get(word, (0.0, state))
                p *= factor
            paths[words] = p
            after[words[1:]] = after.get(words[1:], 0.0) + p
        return sum(-sum(p * math.log(p) for p in table.values() if p > 0) * sign for table, sign in
                   ((paths, 1), (after, -1)))  # fmt: skip

    want = [sum(float(share[start]) * unknown_at(start, k) for start in range(3)) for k in range(5)]
    torch.testing.assert_close(
        small.masked_entropies(4), torch.tensor(want, dtype=torch.float64), rtol=0, atol=1e-10
    )


def test_masked_entropies_of_states_that_are_hard_to_tell_apart():
    """After 20 words the two states are still confused: the longer the text after, the lower the entropy."""
    grammar = {
        "s": {"a": (0.5, "x"), "b": (0.5, "y")},
        "x": {"a": (0.5, "x"), "b": (0.49, "x"), "c": (0.01, "s")},
        "y": {"a": (0.6, "y"), "b": (0.39, "y"), "c": (0.01, "s")},
    }
    entropies = ToyLanguage(grammar=grammar).masked_entropies(60)
    assert entropies[20] - entropies[60] > 1e-3
    assert (entropies.diff() < 1e-12).all()


def test_masked_entropies_of_the_book(language):
    """Without the words after it is the entropy rate; with them it falls, to what posteriors say."""
    entropies = language.masked_entropies()
    assert entropies.shape == (21,)
    assert entropies[0].item() == pytest.approx(language.entropy_rate(), abs=1e-12)
    assert (entropies.diff() < 0).all()
    assert entropies[-1].item() == pytest.approx(language.masked_entropies(40)[-1].item(), abs=1e-7)
    ids = language.sample(300, 31, generator=torch.Generator().manual_seed(7))
    sampled = torch.special.entr(language.masked_posterior(ids, 20)).sum(dim=1)
    error = sampled.std().item() / 300**0.5
    assert entropies[-1].item() == pytest.approx(sampled.mean().item(), abs=4 * error)


def test_samples_have_the_exact_frequencies(small):
    """Chi-square over all texts of three words; 0.1 % of seeds would fail, this one is fixed."""
    _, probs = all_texts(3)
    drawn = small.sample(20_000, 3, generator=torch.Generator().manual_seed(11))
    counts = torch.bincount(drawn @ torch.tensor([9, 3, 1]), minlength=27).double()
    assert counts[probs == 0].sum() == 0
    expected = 20_000 * probs[probs > 0]
    assert chisquare(counts[probs > 0], expected).pvalue > 0.001


def test_sampling_uses_only_its_generator(small):
    before = torch.get_rng_state()
    one = small.sample(3, 7, generator=torch.Generator().manual_seed(5))
    two = small.sample(3, 7, generator=torch.Generator().manual_seed(5))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)


def test_impossible_prefix_is_uniform_and_never_nan(small):
    ids = torch.tensor([[1, 2, 0, 0]])  # "b c …": impossible
    assert small.log_prob(ids).item() == -math.inf
    logits = small(ids)
    assert logits[0, 0, 2].item() == -math.inf
    torch.testing.assert_close(logits[0, 1:], torch.full((3, 3), -math.log(3), dtype=torch.float64))
    posterior = small.masked_posterior(ids, 3)
    torch.testing.assert_close(posterior, torch.full((1, 3), 1 / 3, dtype=torch.float64))
    assert small.best_continuation(ids, 2).shape == (1, 6)


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ({}, "at least one state"),
        ({0: {"a": (0.5, 0), "b": (0.4, 0)}}, r"sum to 0\.9"),
        ({0: {"a": (1.0, 1)}}, "undefined state 1"),
        ({0: {"a": (1.5, 0), "b": (-0.5, 0)}}, r"must be above 0 and finite, got -0\.5"),
        ({0: {}}, "sum to 0"),
        ({0: {"U.S.": (1.0, 0)}}, r"words without space or full stop.*; got 'U\.S\.'"),
        ({0: {"a b": (1.0, 0)}}, "got 'a b'"),
        ({0: {"a": (0.5, 0), "": (0.5, 0)}}, "state 0 needs words.*; got ''"),
    ],
)
def test_bad_grammars_are_refused(grammar, message):
    with pytest.raises(ValueError, match=message):
        ToyLanguage(grammar=grammar)


def test_bad_arguments_are_refused(small):
    ids = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"below vocab_size 3, got 3"):
        small(ids + 3)
    with pytest.raises(ValueError, match="position 3 is outside a sequence of length 3"):
        small.masked_posterior(ids, 3)
    with pytest.raises(ValueError, match=r"position must be .* torch.bool"):
        small.masked_posterior(ids, torch.zeros(2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        small.sample(0, 5)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        small.best_continuation(ids, -1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        small.conditional_entropy(0)
    with pytest.raises(ValueError, match="words_after must be at least 0, got -1"):
        small.masked_entropies(-1)
    with pytest.raises(ValueError, match="vocabulary of 3 words: 'd'"):
        small.encode("a d")


@given(st.lists(st.integers(0, 86), min_size=1, max_size=12))
def test_log_prob_is_the_sum_of_what_the_calls_say(ids):
    language = BOOK
    row = torch.tensor([ids])
    first = language.log_probs[0, ids[0]]
    rest = language(row)[0, :-1].gather(1, row[0, 1:, None]).sum()
    want = float(first + rest)
    got = language.log_prob(row).item()
    assert got == pytest.approx(want, abs=1e-9) or (got == -math.inf and want < -1)


BOOK = ToyLanguage()


# ---- The book's own language ----


def test_size_and_round_trip(language):
    assert language.vocab_size <= 128
    text = "the seals that the gull near the rock follows sleep. they dive."
    assert language.decode(language.encode(text)) == text


def test_agreement_across_a_relative_clause(language):
    prefix = "the seals that the gull near the rock follows"
    probs = language(torch.tensor([language.encode(prefix)]))[0, -1].exp()
    assert probs[language.encode("sleep")[0]] > 0.05
    assert probs[language.encode("sleeps")[0]] == 0


def test_the_topic_persists(language):
    ids = torch.tensor([language.encode("a crab waits. every")])
    probs = language(ids)[0, -1].exp()
    sea, farm = (probs[language.encode(word)[0]].item() for word in ("gull", "goat"))
    assert sea / farm == pytest.approx(0.9 / (0.1 * 0.35 / 0.6), rel=1e-9)  # the other topics share a tenth


def test_the_number_of_the_subject_survives_the_full_stop(language):
    ids = torch.tensor([language.encode("the gulls that the crab sees sleep.")])
    probs = language(ids)[0, -1].exp()
    assert probs[language.encode("they")[0]].item() == pytest.approx(0.2)
    assert probs[language.encode("it")[0]].item() == 0


def test_rate_is_what_long_texts_cost(language):
    ids = language.sample(200, 500, generator=torch.Generator().manual_seed(3))
    assert -language.log_prob(ids).mean().item() / 500 == pytest.approx(language.entropy_rate(), abs=0.01)


def test_no_ngram_comes_near_the_floor(language):
    """Whatever an n-gram of order 5 is trained on, it stays 0.03 nats above the floor: computed exactly."""
    gaps = [language.conditional_entropy(order) - language.entropy_rate() for order in range(1, 6)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] > 0.03
    train, test = (language.sample(400, 500, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    floor = cross_entropy(language, test)
    for order in range(1, 6):
        trained = NGramLM(order, language.vocab_size).fit(train)
        assert cross_entropy(trained, test) - floor > gaps[order - 1] - 0.01


TOO_MUCH = [
    (lambda language, ids: language.sample(10**12, 3), "num_sequences must be at most 33,333,333, got"),
    (lambda language, ids: language.sample(3, 10**12), "length must be at most 100,000, got"),
    (lambda language, ids: language.best_continuation(ids, 10**12), "length must be at most 100,000, got"),
    (lambda language, ids: language.conditional_entropy(10**12), "order must be at most 1,000, got"),
    (lambda language, ids: language.conditional_entropy(7), "3 words have 33,867 paths, the limit is 20,000"),
    (lambda language, ids: language.masked_entropies(1000), "words_after must be at most 100, got 1000"),
]


@pytest.mark.parametrize(("call", "message"), TOO_MUCH)
def test_what_would_never_end_is_refused(language, monkeypatch, call, message):
    monkeypatch.setattr("lmbook.toy.language.MAX_PATHS", 20_000)
    with pytest.raises(ValueError, match=message):
        call(language, torch.zeros(1, 1, dtype=torch.int64))


def test_a_grammar_with_too_many_sets_of_states_is_refused(small, monkeypatch):
    monkeypatch.setattr("lmbook.toy.language.MAX_BELIEFS", 2)
    with pytest.raises(ValueError, match="keeps more than 2 sets of states apart"):
        small.masked_entropies(8)


def test_small_numpy_ints_are_lengths_too(as_readers_run_it, small):
    assert small.sample(np.int8(2), np.int8(100)).shape == (2, 100)


def test_many_texts_are_worked_on_in_parts(small, monkeypatch):
    whole = small.sample(7, 5, generator=torch.Generator().manual_seed(3))
    posterior = small.masked_posterior(whole, 2)
    monkeypatch.setattr("lmbook.toy.language.ROWS", 2)
    assert small.sample(7, 5, generator=torch.Generator().manual_seed(3)).equal(whole)
    assert small.masked_posterior(whole, 2).equal(posterior)


@pytest.mark.parametrize(
    "grammar",
    [5, [], "a", {0: None}, {0: {"a": 1.0}}, {0: {"a": (1.0,)}}, {0: {3: (1.0, 0)}}, {0: {"a": ("1", 0)}}],
    ids=str,
)
def test_what_is_no_table_is_no_grammar(as_readers_run_it, grammar):
    with pytest.raises(TypeError, match=r"a grammar is a table|needs|must be a number"):
        ToyLanguage(grammar=grammar)


@pytest.mark.parametrize("wrap", [list, torch.tensor])
@pytest.mark.parametrize("place", ["-1", "-V", "V"])
def test_an_id_outside_the_toy_vocabulary_is_no_word(wrap, place):
    language = ToyLanguage()
    token = {"-1": -1, "-V": -language.vocab_size, "V": language.vocab_size}[place]
    with pytest.raises(ValueError, match=f"got {token}$"):
        language.decode(wrap([0, token]))


def test_the_toy_language_refuses_what_are_no_ids(as_readers_run_it):
    language = ToyLanguage()
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        language.decode(torch.zeros(2, 3, dtype=torch.int64))
    for bad in ([1.5], ["the"], [True], "the"):
        with pytest.raises(TypeError, match="an id must be an int"):
            language.decode(bad)
    with pytest.raises(TypeError, match="text must be a string"):
        language.encode(7)
    ids = torch.zeros(2, 3, dtype=torch.int64)
    for bad in (1.0, "1", None, True):
        with pytest.raises(TypeError, match="position must be an int or a mask"):
            language.masked_posterior(ids, bad)
    for bad in ([[0]], ids.float(), None):
        with pytest.raises(TypeError, match="ids must be a tensor of int64"):
            language.masked_posterior(bad, 0)
    with pytest.raises(TypeError, match="generator must be"):
        language.sample(1, 1, generator=7)
