"""Evaluation, n-grams, the toy language and the checklist refuse NaN, infinities and other shapes."""

import math

import pytest
import torch

from lmbook import (
    NGramLM,
    ToyLanguage,
    beam_search,
    bits_per_byte,
    cross_entropy,
    exhaustive_search,
    greedy_decode,
    nucleus_decode,
    perplexity,
    pseudo_perplexity,
    speculative_decode,
    top_k_decode,
)
from lmbook.checklist import (
    CheckFailed,
    check_epoch_loss,
    check_filter,
    check_future,
    check_logits,
    check_order,
    check_rows,
    check_search,
    check_zero_temperature,
)
from lmbook.decoding import sample_decode
from lmbook.evaluation import calibration, distinct_n, self_similarity, surprisal

NAN, INF = math.nan, math.inf
IDS = torch.tensor([[0, 1, 2, 3], [3, 1, 0, 2], [2, 2, 1, 0]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Bigram:
    """The next token depends on the last one alone; `attributes` are what the model tells of itself."""

    def __init__(self, logits, **attributes):
        self.logits = torch.as_tensor(logits, dtype=torch.float32)
        vars(self).update(attributes)

    def __call__(self, ids):
        return self.logits[ids]


TABLE = torch.randn(5, 5, generator=seeded())
GOOD = Bigram(TABLE)


def spoilt(place, value, when=lambda ids: True, model=GOOD):
    def broken(ids):
        logits = model(ids).clone()
        if when(ids):
            logits[place] = value
        return logits

    return broken


# The checklist

ALL, ROW, ONE = (...,), (0, 1), (0, 1, 2)
IMPOSSIBLE = [
    (ONE, NAN),
    (ROW, NAN),
    (ALL, NAN),
    (ONE, INF),
    (ROW, INF),
    (ALL, INF),
    (ROW, -INF),
    (ALL, -INF),
]


@pytest.mark.parametrize(("place", "value"), IMPOSSIBLE, ids=str)
@pytest.mark.parametrize("check", [check_rows, check_future, check_order])
def test_logits_that_are_no_distribution_fail_every_check_of_a_model(check, place, value):
    with pytest.raises(CheckFailed):
        check(spoilt(place, value), IDS)


@pytest.mark.parametrize(("place", "value"), IMPOSSIBLE, ids=str)
def test_logits_that_are_no_distribution_equal_no_reference(place, value):
    for model, reference in ((spoilt(place, value), GOOD), (GOOD, spoilt(place, value))):
        with pytest.raises(CheckFailed, match="no distribution"):
            check_logits(model, reference, IDS)


@pytest.mark.parametrize(
    ("check", "place", "when"),
    [
        (check_rows, (1,), lambda ids: len(ids) > 1),
        (check_rows, ALL, lambda ids: len(ids) == 1),
        (check_future, (slice(None), 1), lambda ids: ids.shape[1] == 4),
        (check_future, ALL, lambda ids: ids.shape[1] < 4),
        (check_order, (0, -1), lambda ids: torch.equal(ids, IDS)),
    ],
)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_model_that_breaks_in_one_of_two_calls_is_found(check, place, when, value):
    with pytest.raises(CheckFailed, match="no distribution"):
        check(spoilt(place, value, when), IDS)


def test_one_impossible_token_is_welcome_in_the_checklist():
    model = Bigram(TABLE.masked_fill(torch.eye(5, dtype=torch.bool), -INF))
    check_rows(model, IDS)
    check_future(model, IDS)
    check_logits(model, model, IDS)


# Greedy goes 0 → 1 and then has 0.5; the best way is 0 → 2 → 2. Nothing leads to 3, and nothing leaves it.
DETOUR = Bigram(
    torch.tensor([[0, 0.55, 0.45, 0], [0.5, 0.5, 0, 0], [0.05, 0.05, 0.9, 0], [0, 0, 0, 0]]).log(),
    vocab_size=4,
)


def greedy_search(model, ids, num_beams, max_length):
    out = greedy_decode(model, ids, max_length)
    logp = model(ids[:, -1:])[0, -1].new_zeros(1)
    for t in range(ids.shape[1], out.shape[1]):
        logp = logp + model(out[:, t - 1 : t])[:, -1].log_softmax(-1)[:, out[0, t]]
    return out, logp


def test_a_dead_end_hides_no_greedy_search():
    check_search(beam_search, DETOUR, torch.tensor([[0]]), 2)
    with pytest.raises(CheckFailed, match=r"find -1\.29.*; the best has -0\.90"):
        check_search(greedy_search, DETOUR, torch.tensor([[0]]), 2)


@pytest.mark.parametrize("score", [NAN, INF, -INF])
def test_a_score_that_is_no_number_fails(score):
    def search(model, ids, num_beams, max_length):
        return beam_search(model, ids, num_beams, max_length)[0], torch.tensor([score])

    with pytest.raises(CheckFailed, match="the score is"):
        check_search(search, DETOUR, torch.tensor([[0]]), 2)


@pytest.mark.parametrize(
    "keep",
    [
        lambda x: x.masked_fill(x == x.amax(-1, keepdim=True), INF),
        lambda x: x.masked_fill(x == x.amax(-1, keepdim=True), NAN),
        lambda x: x[..., :-1],
        lambda x: None,
    ],
)
def test_a_filter_that_returns_no_logits_fails(as_readers_run_it, keep):
    with pytest.raises(CheckFailed):
        check_filter(keep)


@pytest.mark.parametrize("loss", [NAN, INF, -INF])
def test_an_epoch_loss_that_is_no_number_fails(loss):
    with pytest.raises(CheckFailed):
        check_epoch_loss(lambda batches: loss, IDS)


@pytest.mark.parametrize(
    "bad", [lambda m, x: x[:, :-1], lambda m, x: x[0], lambda m, x: None, lambda m, x: x.float()]
)
def test_a_decoder_that_returns_no_continuation_fails(as_readers_run_it, bad):
    with pytest.raises(CheckFailed, match="the result must be ids"):
        check_zero_temperature(bad, GOOD, IDS)


# Logits without the axis of time


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


# Evaluation


@pytest.mark.parametrize(
    ("logits", "targets"),
    [((5, 4), (1,)), ((1, 4), (5,)), ((2, 3, 4), (1,)), ((2, 3, 4), (2,)), ((5, 4), (3,)), ((5, 4), (7,)),
     ((2, 3, 4), (3, 2)), ((5, 1, 4), (1, 5)), ((2, 3, 4), (6,)), ((4,), (1,))],
)  # fmt: skip
def test_targets_of_another_shape_are_refused(as_readers_run_it, logits, targets):
    with pytest.raises(ValueError, match="targets must have shape"):
        calibration(torch.randn(logits, generator=seeded()), torch.zeros(targets, dtype=torch.int64))


@pytest.mark.parametrize("row", [[NAN, 0.0], [-INF, -INF], [INF, 0.0], [INF, INF]], ids=str)
def test_a_row_that_is_no_distribution_is_no_hit(row):
    with pytest.raises(ValueError, match=r"NaN|don't exist"):
        calibration(torch.tensor([[0.0, 1.0], row]), torch.tensor([1, 0]))


def test_calibration_takes_logits_that_are_trained_and_half_precision():
    logits, targets = torch.randn(7, 4, generator=seeded()), torch.arange(7) % 4
    want = calibration(logits, targets).expected_error
    assert calibration(logits.clone().requires_grad_(), targets).expected_error == want
    half = logits.bfloat16()
    assert calibration(half, targets).expected_error == calibration(half.float(), targets).expected_error


@pytest.mark.parametrize("bad", [[[1.0]], torch.tensor([[1, 2]]), None])
def test_calibration_refuses_what_are_no_logits(as_readers_run_it, bad):
    with pytest.raises(TypeError, match="logits must be a tensor of floats"):
        calibration(bad, torch.tensor([0]))


def test_a_token_beyond_a_hidden_vocabulary_is_refused():
    model = lambda ids: torch.zeros(*ids.shape, 3)  # noqa: E731
    with pytest.raises(ValueError, match="ids must be below 3, the number of logits; got 7"):
        surprisal(model, torch.tensor([[0, 7]]))


@pytest.mark.parametrize("measure", [distinct_n, self_similarity])
@pytest.mark.parametrize(
    ("sequences", "error"),
    [(torch.tensor([1, 2, 3]), ValueError), (torch.zeros(2, 3, 4).long(), ValueError), ([1, 2, 3], TypeError),
     ("abc", TypeError), (7, TypeError), ([[1.5, 2.0], [1, 2]], TypeError), ([["a"], ["b"]], TypeError),
     (torch.zeros(2, 3), TypeError), ([torch.zeros(2, 2).long()], TypeError), ([[True], [False]], TypeError)],
)  # fmt: skip
def test_what_are_no_sequences_of_ids_is_refused(as_readers_run_it, measure, sequences, error):
    with pytest.raises(error, match=r"sequences must be \(B, T\), or a list of lists"):
        measure(sequences, 1)


# N-grams and the toy language


@pytest.mark.parametrize(
    "weights", [[0.1, NAN, 0.9], [NAN, 0.5, 0.5], [0.1, 0.9, NAN], [NAN] * 3, [INF, -INF, 1]]
)
def test_a_weight_that_is_no_number_is_refused(weights):
    with pytest.raises(ValueError, match="weights must be"):
        NGramLM(2, 3, smoothing="interpolated", weights=weights)


@pytest.mark.parametrize("k", [1e308, 1.7e308])
def test_a_k_whose_sum_overflows_is_refused(k):
    with pytest.raises(ValueError, match="k times vocab_size must be finite, got k = 1"):
        NGramLM(2, 10, smoothing="add-k", k=k)
    model = NGramLM(2, 10, smoothing="add-k", k=k / 20).fit(torch.tensor([0, 1, 2, 1]))
    torch.testing.assert_close(model(torch.tensor([[0, 1, 7]])).exp(), torch.full((1, 3, 10), 0.1).double())


@pytest.mark.parametrize("discount", [NAN, INF, 0.0, -0.1])
def test_a_discount_that_is_no_share_is_refused(discount):
    with pytest.raises(ValueError, match="discount must be above 0 and at most 1"):
        NGramLM(2, 3, discount=discount)


def test_an_ngram_of_what_are_no_ids_is_refused(as_readers_run_it):
    model = NGramLM(2, 3).fit(torch.tensor([0, 1, 2, 1]))
    assert model.count(torch.tensor([0, 1])) == 1
    for bad in ([1.5], ["1"], [True]):
        with pytest.raises(TypeError, match="an id must be an int"):
            model.count(bad)


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
