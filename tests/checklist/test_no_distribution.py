"""The checks find NaN, infinities and other shapes; none of them passes a comparison with a limit."""

import math

import pytest
import torch
from table_models import TABLE, Bigram

from lmbook import beam_search, greedy_decode
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

NAN, INF = math.nan, math.inf
IDS = torch.tensor([[0, 1, 2, 3], [3, 1, 0, 2], [2, 2, 1, 0]])


GOOD = Bigram(TABLE)


def spoilt(place, value, when=lambda ids: True, model=GOOD):
    def broken(ids):
        logits = model(ids).clone()
        if when(ids):
            logits[place] = value
        return logits

    return broken


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
