"""Any grammar and argument: the toy language answers with what is documented, or says what is wrong."""

import math

import torch
from any_arguments import ODD, TOY, masks, numbers, often, outcome, prompts, st
from hypothesis import given

from lmbook import ToyLanguage

states = st.one_of(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["s", None, (), *ODD[:9]]))
shares = st.sampled_from([1.0, 0.5, 0.25, 1, 0, -1, *ODD])
edges = st.one_of(
    st.tuples(st.sampled_from([0.5, 0.5, 1.0]), st.integers(0, 1)),
    st.tuples(shares, states),
    st.sampled_from([None, 1, (1.0,), "10", [1.0, 0]]),
)
words = st.sampled_from(["a", "b", "c", "", "a b", 3])
rows = st.one_of(
    st.sampled_from([{"a": (0.5, 0), "b": (0.5, 1)}, {"b": (1.0, 0)}, {"c": (0.5, 1), "a": (0.5, 1)}]),
    st.dictionaries(words, edges, max_size=3),
    st.sampled_from([None, [], 3]),
)
grammars = st.one_of(
    st.dictionaries(st.integers(0, 1), rows, max_size=2), st.dictionaries(states, rows, max_size=3), numbers
)


@often
@given(grammars)
def test_a_grammar_is_a_language_or_is_refused(as_readers_run_it, grammar):
    if grammar is None:
        return
    language = outcome(lambda: ToyLanguage(grammar=grammar))
    if language is None:
        return
    ids = language.sample(3, 5, generator=torch.Generator().manual_seed(0))
    assert language.log_prob(ids).isfinite().all()
    assert 0 <= language.entropy_rate() <= math.log(language.vocab_size) + 1e-9
    assert language.conditional_entropy(2) >= language.entropy_rate() - 1e-9


@often
@given(prompts, st.one_of(masks, numbers), numbers)
def test_the_language_answers_or_says_what_is_wrong(as_readers_run_it, ids, position, length):
    logits = outcome(lambda: TOY(ids))
    assert logits is None or not logits.isnan().any()
    log_prob = outcome(lambda: TOY.log_prob(ids))
    assert log_prob is None or (log_prob <= 0).all()
    posterior = outcome(lambda: TOY.masked_posterior(ids, position))
    if posterior is not None:
        torch.testing.assert_close(posterior.sum(-1), torch.ones(posterior.shape[:-1]).double())
    longer = outcome(lambda: TOY.best_continuation(ids, length))
    if longer is not None:
        assert longer.shape == (ids.shape[0], ids.shape[1] + length)
        assert longer[:, : ids.shape[1]].equal(ids)


@often
@given(numbers, numbers, st.sampled_from([None, torch.Generator(), 3, "cpu"]))
def test_texts_are_drawn_or_it_says_what_is_wrong(as_readers_run_it, count, length, generator):
    ids = outcome(lambda: TOY.sample(count, length, generator=generator))
    assert ids is None or (ids.shape == (count, length) and TOY.log_prob(ids).isfinite().all())


@often
@given(st.one_of(numbers, st.integers(1, 1001)))
def test_entropies_are_bounded_or_it_says_what_is_wrong(as_readers_run_it, number):
    rate, top = TOY.entropy_rate(), math.log(3)
    large = isinstance(number, int) and 10 < number <= 1000
    limit = None if large else outcome(lambda: TOY.conditional_entropy(number))
    assert limit is None or rate - 1e-9 <= limit <= top


@often
@given(st.one_of(st.text(max_size=5), st.lists(st.sampled_from(["a", "b", "."])).map(" ".join), numbers))
def test_text_is_read_or_it_says_what_is_wrong(as_readers_run_it, text):
    ids = outcome(lambda: TOY.encode(text))
    assert ids is None or TOY.decode(ids) == " ".join(text.split())


@often
@given(prompts)
def test_ids_are_words_or_are_refused(as_readers_run_it, ids):
    words = outcome(lambda: TOY.decode(ids))
    assert words is None or len(words.split()) == len(ids)
