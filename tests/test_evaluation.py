"""The measures against closed forms, brute force and nltk, on table models whose probabilities are known."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu
from table_models import TableModel

import lmbook.evaluation as evaluation
from lmbook.evaluation import (
    bits_per_byte,
    calibration,
    cross_entropy,
    distinct_n,
    perplexity,
    pseudo_perplexity,
    self_similarity,
    surprisal,
)
from lmbook.ngram import NGramLM

V = 5
NAN, INF = math.nan, math.inf


class Bigram(torch.nn.Module):
    """P(w | v) from a table of logits, with a log of the shapes it is asked for."""

    def __init__(self, seed=0, context_length=None, vocab_size=V):
        super().__init__()
        self.vocab_size, self.context_length, self.asked = vocab_size, context_length, []
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(vocab_size, vocab_size, generator=generator, dtype=torch.float64)

    def forward(self, input_ids):
        self.asked.append(tuple(input_ids.shape))
        return self.table[input_ids]


class Counting(torch.nn.Module):
    """Logits that tell how much of the window was read: row t is the one-hot of t, times 3."""

    vocab_size = 31

    def __init__(self, context_length=None):
        super().__init__()
        self.context_length = context_length

    def forward(self, input_ids):
        assert input_ids.shape[1] <= (self.context_length or 99)
        return 3 * torch.eye(31)[: input_ids.shape[1]].expand(len(input_ids), -1, -1)


class Masked(torch.nn.Module):
    """Row t scores token t by its two neighbours; each row must hold exactly one mask."""

    predicts, vocab_size, mask_token_id = "same", V, V

    def __init__(self, context_length=11):
        super().__init__()
        self.context_length, self.asked = context_length, []
        generator = torch.Generator().manual_seed(3)
        self.left, self.right = torch.randn(2, V + 1, V, generator=generator, dtype=torch.float64)

    def forward(self, input_ids, padding_mask=None):
        self.asked.append(tuple(input_ids.shape))
        assert ((input_ids == V).sum(1) == 1).all()
        return self.left[input_ids.roll(1, 1)] + self.right[input_ids.roll(-1, 1)]


def random_ids(*shape, vocab_size=V, seed=1):
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def test_surprisal_is_the_log_softmax_of_the_next_token():
    model, ids = Bigram(), random_ids(3, 7)
    log_probs = model.table.log_softmax(-1)
    expected = torch.tensor([[-log_probs[v, w] for v, w in pairwise(row)] for row in ids.tolist()])
    torch.testing.assert_close(surprisal(model, ids), expected.double())
    assert cross_entropy(model, ids) == pytest.approx(float(expected.mean()))
    assert perplexity(model, ids) == pytest.approx(math.exp(float(expected.mean())))
    assert bits_per_byte(model, ids, 29) == pytest.approx(float(expected.sum()) / math.log(2) / 29)


def test_a_uniform_model_has_the_perplexity_of_a_fair_die():
    def die(input_ids):
        return torch.zeros(*input_ids.shape, 6)

    ids = random_ids(2, 13, vocab_size=6)
    assert perplexity(die, ids) == pytest.approx(6)
    assert bits_per_byte(die, ids, 24) == pytest.approx(math.log2(6))


def test_cross_entropy_of_exact_frequencies_is_the_entropy():
    ids = torch.tensor([[0, 1, 0, 2, 0, 1, 0, 2, 0]])  # after 0: 1 or 2, equally; after them: always 0
    assert cross_entropy(NGramLM(2, 3, smoothing="mle").fit(ids), ids) == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_logits_are_summed_in_high_precision(dtype):
    model, ids = Bigram(), random_ids(3, 2001)
    model.table = model.table.to(dtype)
    expected = -model.table.double().log_softmax(-1)[ids[:, :-1], ids[:, 1:]]
    torch.testing.assert_close(surprisal(model, ids), expected, atol=1e-6, rtol=0)
    assert cross_entropy(model, ids) == pytest.approx(float(expected.mean()), abs=1e-7)


@pytest.mark.parametrize("offset", [-1e8, 1e6, 1e8])
def test_an_offset_of_all_logits_changes_nothing(offset):
    def flat(input_ids):
        return torch.full((*input_ids.shape, 11), offset)

    assert cross_entropy(flat, random_ids(2, 9)) == pytest.approx(math.log(11), abs=1e-6)
    model, ids = Bigram(), random_ids(3, 2001)
    model.table = model.table.float() + offset  # rounded to what float32 can hold there
    expected = -model.table.double().log_softmax(-1)[ids[:, :-1], ids[:, 1:]]
    torch.testing.assert_close(surprisal(model, ids), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 100])
def test_batches_change_nothing(batch_size):
    model, ids = Bigram(), random_ids(7, 11)
    expected = surprisal(Bigram(), ids, batch_size=7)
    torch.testing.assert_close(surprisal(model, ids, batch_size=batch_size), expected, rtol=0, atol=0)
    assert max(rows for rows, _ in model.asked) == min(batch_size or 7, 7)


@pytest.mark.parametrize("context_length", [1, 2, 3, 4, 7, 18, 19, 20, 23])
def test_windows_score_each_token_once_after_half_a_window(context_length):
    """Row t of `Counting` prefers token t: the surprisal says which row of a window made the prediction."""
    length = 19
    rows = []
    for target in range(31):
        losses = surprisal(Counting(context_length), torch.full((1, length + 1), target))
        rows.append(losses[0])
    row = torch.stack(rows).argmin(0)  # the row that predicted token t + 2
    assert row[:context_length].tolist() == list(range(length))[:context_length]
    if context_length < length:
        assert (row[context_length:] >= context_length // 2).all()
        assert row.max() == context_length - 1


def past_of(t, window, stride):
    """The first token that token t is given: windows begin at multiples of the stride, the first has all."""
    return 0 if t <= window else stride * math.ceil((t - window) / stride)


@pytest.mark.parametrize(("window", "stride"), [(7, 1), (7, 3), (7, 7), (1, 1), (2, 1), (18, 5), (40, 3)])
@pytest.mark.parametrize("limit", [None, 40])
def test_a_long_text_is_the_sum_of_exact_conditionals(window, stride, limit):
    """Each token once, given what its window holds before it; a table of all prefixes tells them apart."""
    model, ids = TableModel(5, seed=2), random_ids(2, 20)
    model.context_length = limit
    found = surprisal(model, ids, window=window, stride=stride)
    assert max(length for _, length in model.calls) <= window
    for row, losses in zip(ids, found, strict=True):
        for t in range(1, 20):
            given_ids = row[None, past_of(t, window, stride) : t]
            exact = -model(given_ids)[0, -1].double().log_softmax(-1)[row[t]]
            assert losses[t - 1].item() == pytest.approx(exact.item(), abs=1e-6)
    bits = bits_per_byte(model, ids, 77, window=window, stride=stride)
    assert bits == pytest.approx(found.sum().item() / math.log(2) / 77)
    assert cross_entropy(model, ids, window=window, stride=stride) == pytest.approx(found.mean().item())
    assert math.log(perplexity(model, ids, window=window, stride=stride)) == pytest.approx(
        found.mean().item()
    )


def test_a_stride_of_one_is_exact_where_the_model_looks_no_further_than_a_window():
    text = random_ids(1, 300, seed=4)
    model, ids = NGramLM(4, V).fit(text), random_ids(1, 40, seed=5)
    exact = surprisal(model, ids)
    torch.testing.assert_close(surprisal(model, ids, window=3, stride=1), exact)
    assert not torch.allclose(surprisal(model, ids, window=3, stride=2), exact)


def test_half_a_window_is_the_default_stride():
    model, ids = TableModel(5, seed=3), random_ids(2, 30)
    model.context_length = 9
    assert surprisal(model, ids).equal(surprisal(model, ids, window=9, stride=5))
    assert surprisal(model, ids, window=6).equal(surprisal(model, ids, window=6, stride=3))
    model.context_length = None
    assert surprisal(model, ids).equal(surprisal(model, ids, stride=4))  # one piece


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"window": 10}, "window must be at most 9, got 10"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"stride": 10}, "stride must be at most 9, got 10"),
        ({"window": 4, "stride": 5}, "stride must be at most 4, got 5"),
    ],
)
def test_windows_and_strides_that_lose_tokens_are_refused(options, message):
    model = TableModel(5)
    model.context_length = 9
    with pytest.raises(ValueError, match=message):
        bits_per_byte(model, random_ids(1, 30), 30, **options)
    assert not model.calls


def test_the_windows_do_not_matter_where_the_model_looks_back_one_token():
    ids = random_ids(3, 47)
    whole = surprisal(Bigram(), ids)
    for context_length in (1, 2, 5, 46, 47):
        model = Bigram(context_length=context_length)
        torch.testing.assert_close(surprisal(model, ids), whole, rtol=0, atol=0)
        assert max(width for _, width in model.asked) == min(context_length, 46)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_an_ngram_model_is_read_in_exact_pieces_of_bounded_size(order, monkeypatch):
    ids = random_ids(2, 211)
    model = NGramLM(order, V).fit(random_ids(300, seed=2))
    whole = surprisal(model, ids)
    expected = -model(ids[:, :-1]).gather(-1, ids[:, 1:, None]).squeeze(-1)
    torch.testing.assert_close(whole, expected)
    sizes = []
    call = NGramLM.__call__
    monkeypatch.setattr(NGramLM, "__call__", lambda self, x: sizes.append(x.numel() * V) or call(self, x))
    monkeypatch.setattr(evaluation, "MAX_LOGITS", 100)
    torch.testing.assert_close(surprisal(model, ids), whole, rtol=0, atol=1e-12)
    assert max(sizes) <= 100
    assert len(sizes) > 2


def test_rows_at_a_time_follow_the_limit(monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_LOGITS", 2 * 10 * V)
    model = Bigram()
    surprisal(model, random_ids(7, 11))
    assert model.asked == [(2, 10), (2, 10), (2, 10), (1, 10)]
    model = Bigram()
    surprisal(model, random_ids(2, 101))  # no way to cut it without changing the numbers
    assert model.asked == [(1, 100), (1, 100)]


def test_an_impossible_token_costs_infinity():
    model = NGramLM(2, 3, smoothing="mle").fit(torch.tensor([0, 1, 0, 1]))
    ids = torch.tensor([[0, 1, 0], [0, 0, 1]])
    losses = surprisal(model, ids)
    assert losses.tolist() == [[0.0, 0.0], [math.inf, 0.0]]
    assert cross_entropy(model, ids) == perplexity(model, ids) == bits_per_byte(model, ids, 4) == math.inf


def test_logits_that_are_no_distribution_are_refused():
    model = Bigram()
    model.table[2, 3] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        cross_entropy(model, torch.tensor([[2, 1]]))
    model.table[2] = -math.inf
    with pytest.raises(ValueError, match="all −inf"):
        cross_entropy(model, torch.tensor([[2, 1]]))


def test_the_model_is_left_in_its_mode_and_without_gradients():
    model = Bigram()
    model.table = torch.nn.Parameter(model.table)
    seen = []
    model.register_forward_pre_hook(lambda module, _: seen.append((module.training, torch.is_grad_enabled())))
    assert not surprisal(model.train(), random_ids(2, 3)).requires_grad
    assert seen == [(False, False)]
    assert model.training
    pseudo = Masked().train()
    pseudo.register_forward_pre_hook(
        lambda module, _: seen.append((module.training, torch.is_grad_enabled()))
    )
    pseudo_perplexity(pseudo, random_ids(2, 3))
    assert seen[1:] == [(False, False)]
    assert pseudo.training


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("surprisal", surprisal),
        ("cross_entropy", cross_entropy),
        ("perplexity", perplexity),
        ("bits_per_byte", lambda m, ids: bits_per_byte(m, ids, 1)),
    ],
)
def test_causal_measures_refuse(name, measure):
    with pytest.raises(TypeError, match=rf"{name} needs.*Masked.*pseudo_perplexity"):
        measure(Masked(), random_ids(2, 3))
    with pytest.raises(ValueError, match="1 row of 2 token"):
        measure(Bigram(), random_ids(2, 1))
    with pytest.raises(ValueError, match="below vocab_size 5, got 5"):
        measure(Bigram(), torch.tensor([[1, 5]]))


def test_other_refusals_name_the_value():
    for measure, model in ((cross_entropy, Bigram()), (pseudo_perplexity, Masked())):
        with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
            measure(model, random_ids(2, 3), batch_size=0)
    with pytest.raises(ValueError, match="num_bytes must be at least 1, got 0"):
        bits_per_byte(Bigram(), random_ids(2, 3), 0)
    with pytest.raises(TypeError, match=r"got Bigram.*perplexity"):
        pseudo_perplexity(Bigram(), random_ids(2, 3))
    with pytest.raises(ValueError, match="ids is 12 tokens long, the model's context_length is 11"):
        pseudo_perplexity(Masked(), random_ids(2, 12))
    with pytest.raises(ValueError, match="below vocab_size 5, got 5"):
        pseudo_perplexity(Masked(), torch.tensor([[1, 5]]))


@pytest.mark.parametrize("batch_size", [None, 1, 4, 100])
def test_pseudo_perplexity_masks_each_token_in_turn(batch_size):
    model, ids = Masked(), random_ids(3, 7)
    total = 0.0
    for row in ids.tolist():
        for t, token in enumerate(row):
            scores = model.left[row[t - 1]] + model.right[row[(t + 1) % 7]]
            total -= float(scores.log_softmax(-1)[token])
    before = ids.clone()
    assert pseudo_perplexity(model, ids, batch_size=batch_size) == pytest.approx(math.exp(total / 21))
    assert torch.equal(ids, before)
    assert max(rows for rows, _ in model.asked) == min(batch_size or 21, 21)


def test_distinct_n():
    assert distinct_n([[1, 2, 1, 2, 3]], 1) == 3 / 5
    assert distinct_n([[1, 2, 1, 2, 3]], 2) == 3 / 4
    assert distinct_n([[1, 2], [2, 1], [1, 2]], 2) == 2 / 3  # no bigram crosses sequences
    assert distinct_n(torch.tensor([[1, 2, 3], [1, 2, 4]]), 3) == 1
    assert distinct_n([[1], [1, 2, 3]], 3) == 1
    with pytest.raises(ValueError, match="at least 3 tokens"):
        distinct_n([[1, 2]], 3)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        distinct_n([[1, 2]], 0)


def test_self_similarity_by_hand():
    assert self_similarity([[1, 2, 3, 4]] * 3) == pytest.approx(1)
    assert self_similarity([[1, 2, 3], [4, 5, 6]], 2) == 0
    # 1 2 3 against 1 2 4: two of three unigrams, one of two bigrams, and the same the other way round.
    assert self_similarity(torch.tensor([[1, 2, 3], [1, 2, 4]]), 2) == pytest.approx(math.sqrt(2 / 3 / 2))
    # 1 1 against 1 2 3: the second 1 isn't matched; the shorter one pays exp(1 − 3/2).
    assert self_similarity([[1, 1], [1, 2, 3]], 1) == pytest.approx((math.exp(-0.5) / 2 + 1 / 3) / 2)
    for bad in ([[1, 2, 3, 4]], [[1, 2, 3, 4], [1, 2, 3]]):
        with pytest.raises(ValueError, match=r"need 2 sequences.* n = 4"):
            self_similarity(bad)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        self_similarity([[1], [1]], 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=9), min_size=2, max_size=5), st.integers(1, 3)
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # nltk warns where an order has nothing in common
def test_self_similarity_equals_nltk(texts, n):
    scores = [
        sentence_bleu(texts[:i] + texts[i + 1 :], text, weights=[1 / n] * n) for i, text in enumerate(texts)
    ]
    # nltk puts the smallest float in place of a zero, which a cube root brings up to 1e-103.
    assert self_similarity(texts, n) == pytest.approx(sum(scores) / len(scores), abs=1e-9)


def test_calibration_by_hand():
    probs = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.5, 0.5]], dtype=torch.float64)
    targets = torch.tensor([0, 1, 1, 1, 0])
    table = calibration(probs.log(), targets, num_bins=4)  # bins end at 0.25, 0.5, 0.75, 1
    assert table.count.tolist() == [0, 1, 1, 3]
    torch.testing.assert_close(table.confidence[1:], torch.tensor([0.5, 0.7, 2.6 / 3], dtype=torch.float64))
    torch.testing.assert_close(table.accuracy[1:], torch.tensor([1.0, 1.0, 2 / 3], dtype=torch.float64))
    assert table.confidence[0].isnan()
    assert table.accuracy[0].isnan()
    assert table.expected_error == pytest.approx((0.5 + 0.3 + 0.6) / 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.expected_error = 0.0


def test_calibration_takes_any_shape_and_says_when_all_is_well():
    # Told 3/4, right three times in four; shape (2, 2) like a batch.
    logits = torch.tensor([0.75, 0.25, 0.0]).log().expand(2, 2, 3)
    table = calibration(logits, torch.tensor([[0, 0], [1, 0]]))
    assert table.expected_error == pytest.approx(0, abs=1e-7)
    assert table.count.tolist() == [0] * 7 + [4, 0, 0]
    sure = calibration(torch.tensor([[0.0, -math.inf]]), torch.tensor([1]), num_bins=1)
    assert sure.expected_error == 1
    with pytest.raises(ValueError, match="num_bins must be at least 1, got 0"):
        calibration(logits, torch.zeros(2, 2, dtype=torch.int64), 0)
    with pytest.raises(ValueError, match="below vocab_size 3, got 3"):
        calibration(logits, torch.full((2, 2), 3))
    with pytest.raises(ValueError, match="NaN"):
        calibration(logits * math.nan, torch.zeros(2, 2, dtype=torch.int64))


def test_numbers_that_would_take_all_time_and_memory_are_refused():
    model, ids = Bigram(), random_ids(1, 4)
    with pytest.raises(
        ValueError, match="num_bytes must be at most 1,000,000,000,000,000,000, got an int of"
    ):
        bits_per_byte(model, ids, 10**400)
    with pytest.raises(ValueError, match="num_bins must be at most 1,000,000, got 1099511627776"):
        calibration(torch.zeros(1, 2), torch.tensor([0]), 2**40)
    for measure in (distinct_n, self_similarity):
        with pytest.raises(ValueError, match="n must be at most 100, got 50000"):
            measure([[0] * 100_000] * 2, 50_000)


def test_small_numpy_ints_do_not_overflow(as_readers_run_it):
    ids = random_ids(300, 3)
    assert surprisal(Bigram(), ids, batch_size=np.int8(100)).equal(surprisal(Bigram(), ids))
    assert pseudo_perplexity(Masked(), ids, batch_size=np.int8(100)) == pytest.approx(
        pseudo_perplexity(Masked(), ids)
    )


def test_a_batch_larger_than_any_is_one_batch():
    ids = random_ids(2, 3)
    assert pseudo_perplexity(Masked(), ids, batch_size=10**30) == pseudo_perplexity(Masked(), ids)
    assert surprisal(Bigram(), ids, batch_size=10**30).equal(surprisal(Bigram(), ids))


@pytest.mark.parametrize("mask_token_id", [2**63, 10**30])
def test_a_mask_id_beyond_int64_is_refused(mask_token_id):
    model = Masked()
    model.mask_token_id = mask_token_id
    with pytest.raises(ValueError, match="mask_token_id must be at most"):
        pseudo_perplexity(model, random_ids(1, 3))


@pytest.mark.parametrize(
    "kind", [lambda x: x.to(torch.float8_e4m3fn), lambda x: x.to_sparse(), lambda x: x.to("meta")]
)
def test_logits_without_readable_numbers_are_refused(kind):
    with pytest.raises(TypeError, match="logits must be a tensor of floats"):
        calibration(kind(torch.zeros(2, 3)), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(TypeError, match="a model must return logits"):
        surprisal(lambda ids: kind(torch.zeros(*ids.shape, 3)), random_ids(1, 3, vocab_size=3))


@pytest.mark.parametrize(
    ("logits", "targets"),
    [((5, 4), (1,)), ((1, 4), (5,)), ((2, 3, 4), (1,)), ((2, 3, 4), (2,)), ((5, 4), (3,)), ((5, 4), (7,)),
     ((2, 3, 4), (3, 2)), ((5, 1, 4), (1, 5)), ((2, 3, 4), (6,)), ((4,), (1,))],
)  # fmt: skip
def test_targets_of_another_shape_are_refused(as_readers_run_it, logits, targets):
    with pytest.raises(ValueError, match="targets must have shape"):
        calibration(
            torch.randn(logits, generator=torch.Generator().manual_seed(0)),
            torch.zeros(targets, dtype=torch.int64),
        )


@pytest.mark.parametrize("row", [[NAN, 0.0], [-INF, -INF], [INF, 0.0], [INF, INF]], ids=str)
def test_a_row_that_is_no_distribution_is_no_hit(row):
    with pytest.raises(ValueError, match=r"NaN|don't exist"):
        calibration(torch.tensor([[0.0, 1.0], row]), torch.tensor([1, 0]))


def test_calibration_takes_logits_that_are_trained_and_half_precision():
    logits, targets = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 4
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
     (torch.zeros(2, 3), TypeError), ([torch.zeros(2, 2).long()], TypeError), ([[True], [False]], TypeError),
     ([torch.tensor([1, 2]).to_sparse()], TypeError), ([torch.tensor([1, 2]).to("meta")], TypeError),
     ([torch.tensor([1, 2]), torch.tensor([1, 2]).to_sparse()], TypeError)],
)  # fmt: skip
def test_what_are_no_sequences_of_ids_is_refused(as_readers_run_it, measure, sequences, error):
    with pytest.raises(error, match=r"sequences must be \(B, T\), or a list of lists"):
        measure(sequences, 1)
