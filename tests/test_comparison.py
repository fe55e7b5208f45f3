"""Comparisons against enumeration, closed forms and tables of known probabilities."""

import itertools
import math

import numpy as np
import pytest
import torch
from table_models import TableModel

from lmbook import CausalLM, ToyLanguage
from lmbook.comparison import ChoiceScores, paired_bootstrap, score_choices
from lmbook.evaluation import surprisal
from lmbook.tokenizer import BPETokenizer, ByteTokenizer

NAN, INF = math.nan, math.inf
BYTES = ByteTokenizer()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plain_log_prob(model, ids, start):
    """The sum of log P of the tokens from `start` on, one call of the model for each."""
    total = 0.0
    for t in range(start, len(ids)):
        logp = model(torch.tensor([ids[:t]]))[0, -1].double().log_softmax(-1)
        total += logp[ids[t]].item()
    return total


@pytest.mark.parametrize(
    "tokenizer", [ByteTokenizer(), BPETokenizer.train("the cat sat on the mat. " * 5, 280)]
)
def test_a_choice_is_scored_as_a_whole_and_counted_in_tokens_and_bytes(tokenizer):
    model = TableModel(tokenizer.vocab_size, seed=4)
    prompt, choices = "the cat", [" sat", " on the mat", " é"]
    scores = score_choices(model, tokenizer, prompt, choices, prior_prompt="the")
    start, before = len(tokenizer.encode(prompt)), len(tokenizer.encode("the"))
    for n, choice in enumerate(choices):
        ids, others = tokenizer.encode(prompt + choice), tokenizer.encode("the" + choice)
        log_prob, prior = plain_log_prob(model, ids, start), plain_log_prob(model, others, before)
        assert scores.log_prob[n].item() == pytest.approx(log_prob, abs=1e-5)
        assert scores.per_token[n].item() == pytest.approx(log_prob / (len(ids) - start), abs=1e-5)
        assert scores.per_byte[n].item() == pytest.approx(log_prob / len(choice.encode()), abs=1e-5)
        assert scores.against_prior[n].item() == pytest.approx(log_prob - prior, abs=1e-5)
    assert scores.num_bytes.tolist() == [4, 11, 3]


def test_choices_of_the_language_have_their_exact_probabilities():
    language = ToyLanguage()
    prompt, choices = "the gull", [" swims.", " sees the gull.", " swim."]
    scores = score_choices(language, language, prompt, choices)
    for choice, log_prob in zip(choices, scores.log_prob.tolist(), strict=True):
        whole, head = (torch.tensor([language.encode(text)]) for text in (prompt + choice, prompt))
        exact = language.log_prob(whole) - language.log_prob(head)
        assert log_prob == pytest.approx(exact.item()) or log_prob == exact.item() == -INF
    assert scores.log_prob.argmax() == 0
    with pytest.raises(ValueError, match="against_prior needs scores with a prior_prompt, got None"):
        scores.against_prior  # noqa: B018


def test_a_model_with_a_cache_reads_the_prompt_once_and_scores_the_same(monkeypatch):
    monkeypatch.setattr("lmbook.evaluation.MAX_LOGITS", 2 * 9 * 256)  # two rows at a time
    torch.manual_seed(2)
    model, prompt = CausalLM(256, 16, 2, 2, context_length=24).double(), "the cat"
    choices = [" sat", " on a mat", " é"]
    heads = []
    model.blocks[0].register_forward_pre_hook(lambda _, given: heads.append(given[0].shape[:2]))
    scores = score_choices(model, BYTES, prompt, choices)
    assert heads == [(1, 6), (2, 9), (1, 9)]  # all but the prompt's last byte; then that and the choices
    assert model.training
    for text, log_prob in zip(choices, scores.log_prob.tolist(), strict=True):
        ids = BYTES.encode(prompt + text)
        assert log_prob == pytest.approx(plain_log_prob(model, ids, len(prompt)), abs=1e-9)
    long = score_choices(model, BYTES, "a" * 20 + prompt, choices)  # beyond the context: by windows
    ids = torch.tensor([BYTES.encode("a" * 20 + prompt + choices[1])])
    assert long.log_prob[1].item() == pytest.approx(-surprisal(model, ids)[0, 26:].sum().item(), abs=1e-9)


def test_the_winner_depends_on_the_measure():
    one = torch.ones(3, dtype=torch.float64)
    scores = ChoiceScores(
        log_prob=torch.tensor([-2.0, -3.0, -4.0]).double(),
        num_tokens=torch.tensor([1, 2, 2]),
        num_bytes=torch.tensor([2, 4, 8]),
        prior=torch.tensor([-2.0, -4.0, -4.5]).double() * one,
    )
    winners = [
        s.argmax().item() for s in (scores.log_prob, scores.per_token, scores.per_byte, scores.against_prior)
    ]
    assert winners == [0, 1, 2, 1]


CHOICES = [
    (("", ["a"]), ValueError, "a prompt must have at least 1 token, got ''"),
    (("a", []), ValueError, r"choices must be a list of at least 1 text, none empty; got \[\]"),
    (("a", ["b", ""]), ValueError, "none empty; got"),
    (("a", "bc"), ValueError, "choices must be a list of at least 1 text, none empty; got 'bc'"),
    (("a", [3]), TypeError, "a choice must be a text, got 3"),
    ((3, ["b"]), TypeError, "prompt must be a text, got 3"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), CHOICES)
def test_wrong_choices_are_refused_before_the_model_is_called(as_readers_run_it, arguments, error, message):
    model = TableModel(256)
    with pytest.raises(error, match=message):
        score_choices(model, BYTES, *arguments)
    assert not model.calls


def test_a_token_across_prompt_and_choice_is_refused():
    tokenizer = BPETokenizer.train("the mat " * 9, 270)
    assert len(tokenizer.encode(" mat")) == 1
    with pytest.raises(
        ValueError, match="the prompt's end must be a token's end, whatever follows; got 'the '"
    ):
        score_choices(TableModel(270), tokenizer, "the ", ["mat"])


# --- two models --------------------------------------------------------------------------------------------


def every_resample(a, b, sizes):
    """The differences of all N ** N resamples, sorted."""
    picks = itertools.product(range(len(a)), repeat=len(a))
    return sorted(
        sum(float(a[i] - b[i]) for i in pick) / sum(float(sizes[i]) for i in pick) for pick in picks
    )


def test_the_interval_is_that_of_all_resamples():
    a, b = torch.tensor([3.0, 1.0, 4.0, 2.5]), torch.tensor([2.0, 1.5, 3.0, 3.5])
    sizes = torch.tensor([2, 1, 3, 2])
    found = paired_bootstrap(a, b, sizes, level=0.8, num_resamples=200_000, generator=seeded())
    drawn = every_resample(a, b, sizes)
    assert found.mean == pytest.approx(0.5 / 8)
    assert found.low == pytest.approx(np.quantile(drawn, 0.1), abs=1e-6)
    assert found.high == pytest.approx(np.quantile(drawn, 0.9), abs=1e-6)
    exact = sum((d < -1e-12) + (abs(d) < 1e-12) / 2 for d in drawn) / len(drawn)
    assert found.share_below == pytest.approx(exact, abs=0.005)


def test_an_interval_of_95_per_cent_holds_the_truth_about_as_often():
    """400 times 40 passages, of which one model needs 0.3 nats more, hard ones being hard for both."""
    draws, held = seeded(1), 0
    for _ in range(400):
        hard = 5 * torch.randn(40, generator=draws)
        a = hard + 0.3 + torch.randn(40, generator=draws)
        found = paired_bootstrap(a, hard, num_resamples=1000, generator=draws)
        held += found.low <= 0.3 <= found.high
    assert 0.90 <= held / 400 <= 0.97  # a little under 95: percentiles of few passages are a little narrow


def test_pairs_tell_what_two_separate_intervals_would_not():
    hard = 5 * torch.randn(40, generator=seeded(2))
    a = hard + 0.3 + 0.1 * torch.randn(40, generator=seeded(3))
    found = paired_bootstrap(a, hard, generator=seeded())
    assert 0.2 < found.low < found.mean < found.high < 0.4
    assert found.share_below == 0.0
    assert hard.std() / math.sqrt(40) > 0.5  # the error of either alone
    same = paired_bootstrap(hard, hard, generator=seeded())
    assert (same.mean, same.low, same.high, same.share_below) == (0.0, 0.0, 0.0, 0.5)


def test_only_the_given_generator_is_drawn_from_and_memory_is_bounded(monkeypatch):
    a, b = torch.randn(2, 50, generator=seeded())
    state = torch.random.get_rng_state()
    whole = paired_bootstrap(a, b, num_resamples=100, generator=seeded(1))
    assert torch.random.get_rng_state().equal(state)
    monkeypatch.setattr("lmbook.comparison.MAX_PICKS", 170)  # 3 resamples of 50 at once: the same draws
    assert paired_bootstrap(a, b, num_resamples=100, generator=seeded(1)) == whole


TWO = torch.tensor([1.0, 2.0])
BAD = [
    ({"a": [1.0, 2.0]}, TypeError, "a must be a tensor of floats, got list"),
    ({"b": torch.tensor([1, 2])}, TypeError, "b must be a tensor of floats, got torch.int64"),
    ({"a": TWO[:1]}, ValueError, r"a must hold at least 2 losses, \(N,\); got \(1,\)"),
    ({"b": torch.tensor([1.0, INF])}, ValueError, "b must be finite, got inf"),
    ({"a": torch.tensor([NAN, 1.0])}, ValueError, "a must be finite, got nan"),
    ({"b": torch.ones(3)}, ValueError, r"b must have shape \(2,\), got \(3,\)"),
    ({"sizes": torch.ones(3)}, ValueError, r"sizes must have shape \(2,\), got \(3,\)"),
    ({"sizes": torch.tensor([1.0, 0.0])}, ValueError, r"sizes must be above 0 and finite, got \[1.0, 0.0\]"),
    ({"sizes": torch.tensor([1.0, NAN])}, ValueError, "sizes must be above 0 and finite"),
    ({"sizes": torch.tensor([1j, 1])}, TypeError, "sizes must be a tensor of floats or ints, got torch.comp"),
    ({"sizes": torch.ones(2, device="meta")}, TypeError, "sizes must be .* got torch.float32 on meta"),
    ({"sizes": torch.ones(2, dtype=torch.bool)}, TypeError, "sizes must be .* got torch.bool"),
    (
        {"sizes": torch.full((2,), 1e308, dtype=torch.float64)},
        ValueError,
        "sizes must be at most 5e.299 in size, got 1e",
    ),
    ({"a": torch.full((2,), 1e308, dtype=torch.float64)}, ValueError, "a must be at most 5e.299 in size"),
    (
        {"b": TWO + 1, "sizes": torch.full((2,), 5e-324, dtype=torch.float64)},
        ValueError,
        "over sizes must be",
    ),
    (
        {"b": TWO + 1, "sizes": torch.tensor([5e-324, 1.0], dtype=torch.float64)},
        ValueError,
        "losses over sizes must be finite, got -inf",
    ),
    ({"level": 1.0}, ValueError, "level must be above 0 and below 1, got 1.0"),
    ({"num_resamples": 0}, ValueError, "num_resamples must be at least 1, got 0"),
    ({"generator": 3}, TypeError, "generator must be a torch.Generator or None, got 3"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_wrong_losses_are_refused(as_readers_run_it, options, error, message):
    with pytest.raises(error, match=message):
        paired_bootstrap(**({"a": TWO, "b": TWO} | options))


def test_losses_with_a_gradient_are_compared(recwarn):
    found = paired_bootstrap(TWO.clone().requires_grad_(), TWO - 1, generator=seeded())
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    assert not recwarn.list


@pytest.mark.parametrize("prior", [0, [], math.nan, b"", torch.zeros(2), False])
def test_a_prior_prompt_that_is_no_text_is_refused(as_readers_run_it, prior):
    with pytest.raises(TypeError, match="prior_prompt must be a text, got"):
        score_choices(TableModel(256), BYTES, "ab", ["c"], prior_prompt=prior)


def test_what_is_no_tokenizer_scores_nothing(as_readers_run_it):
    with pytest.raises(TypeError, match="tokenizer must have encode, got None"):
        score_choices(TableModel(256), None, "ab", ["c"])
