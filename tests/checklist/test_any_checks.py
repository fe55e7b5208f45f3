"""Any model, function and argument: a check passes, fails with what was seen, or says what is wrong."""

import pytest
import torch
from any_arguments import CAUSAL, MASKED, Own, models, numbers, often, outcome, prompts, rows_of_logits, st
from hypothesis import given

from lmbook import beam_search, checklist, greedy_decode
from lmbook.checklist import CheckFailed
from lmbook.filters import top_k

DOCUMENTED = (TypeError, ValueError, CheckFailed)
IDS = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 1, 0]])
ids = st.one_of(st.just(IDS), st.just(IDS), prompts)


def verdict(check, *arguments, **options):
    """None: the check passed; otherwise it said why not."""
    found = outcome(lambda: [check(*arguments, **options)], DOCUMENTED)
    assert found in (None, [None])


def fails(*arguments):
    raise Own("of its own")


@pytest.mark.parametrize("check", [checklist.check_rows, checklist.check_future, checklist.check_order])
@often
@given(models, ids)
def test_any_model_passes_or_fails(as_readers_run_it, check, model, ids):
    verdict(check, model, ids)


@often
@given(models, models, ids, numbers)
def test_any_two_models_are_compared(as_readers_run_it, model, reference, ids, tolerance):
    verdict(checklist.check_logits, model, reference, ids, tolerance)


@often
@given(models, ids)
def test_the_device_of_any_model_is_checked(as_readers_run_it, model, ids):
    verdict(checklist.check_device, model, ids)


results = st.one_of(prompts, rows_of_logits, numbers, st.tuples(prompts, st.one_of(rows_of_logits, numbers)))


def giving(result):
    return lambda *arguments: result


DECODERS = [fails, None, lambda m, x: greedy_decode(m, x, 2), lambda m, x: x, lambda m, x: x.fill_(0)]
decoders = st.one_of(st.sampled_from(DECODERS), results.map(giving))


@often
@given(decoders, models, ids)
def test_any_decoder_passes_or_fails(as_readers_run_it, decode, model, ids):
    verdict(checklist.check_zero_temperature, decode, model, ids)
    verdict(checklist.check_decoder, decode, model, ids)


@often
@given(decoders, ids)
def test_any_decoder_of_a_transformer_passes_or_fails(as_readers_run_it, decode, ids):
    verdict(checklist.check_decoder, decode, CAUSAL, ids)


def search_of(result):
    return lambda model, prompt, num_beams, max_length: result


searches = st.one_of(
    st.sampled_from([fails, 3, lambda m, x, n, length: beam_search(m, x, n, length)]), results.map(search_of)
)


@often
@given(searches, models, ids, st.one_of(st.integers(1, 3), numbers))
def test_any_search_passes_or_fails(as_readers_run_it, search, model, ids, length):
    if isinstance(length, int) and length > 6:
        length *= 10**6
    verdict(checklist.check_search, search, model, ids, length)


filters = st.one_of(
    st.sampled_from(
        [fails, "top_k", lambda x: top_k(x, 2), lambda x: x.mul_(2), lambda x: x[:1], torch.relu]
    ),
    results.map(giving),
)


@often
@given(filters, numbers)
def test_any_filter_passes_or_fails(as_readers_run_it, keep, keeps):
    verdict(checklist.check_filter, keep, keeps)


losses = st.one_of(st.sampled_from([fails, 0.5]), results.map(giving))


@often
@given(losses, ids)
def test_any_loss_passes_or_fails(as_readers_run_it, loss, ids):
    verdict(checklist.check_masked_loss, loss)
    verdict(checklist.check_epoch_loss, loss, ids)


@often
@given(
    st.one_of(st.sampled_from([fails, MASKED.create_masked_input, 0.5]), results.map(giving)),
    st.one_of(st.just(3), numbers),
    st.one_of(st.just(3), numbers),
    st.one_of(st.just(()), st.lists(numbers, max_size=3), numbers),
    st.one_of(st.just(0.15), numbers),
    st.one_of(st.just((0.8, 0.1, 0.1)), st.lists(numbers, max_size=4), numbers),
)
def test_any_masking_passes_or_fails(as_readers_run_it, mask, vocab_size, mask_id, special, prob, split):
    verdict(checklist.check_masking, mask, vocab_size, mask_id, special, mask_prob=prob, split=split)
