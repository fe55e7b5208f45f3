"""The window model against its formula written out, against the exact limit, and with every consumer."""

import math

import pytest
import torch
from any_arguments import WINDOW, masks, numbers, often, outcome, prompts
from hypothesis import given

from lmbook import (
    NGramLM,
    ToyLanguage,
    WindowLM,
    beam_search,
    cross_entropy,
    evaluation,
    exhaustive_search,
    greedy_decode,
    left_pad,
    perplexity,
    sample_decode,
    speculative_decode,
    train_clm,
)
from lmbook.training import warmup_cosine

V, N, E, H = 11, 3, 5, 7


def small(window=N, **options):
    torch.manual_seed(3)
    model = WindowLM(V, window, E, H, **options).double().eval()
    for weight in model.parameters():
        weight.data.normal_()
    return model


def by_formula(model, text):
    """The logits after the last token of `text`, a list, with sums written out."""
    window = ([V] * N + text)[-N:]
    x = [model.embedding.weight[token, e].item() for token in window for e in range(E)]
    hidden = [
        math.tanh(bias + sum(w * number for w, number in zip(row, x, strict=True)))
        for row, bias in zip(model.hidden.weight.tolist(), model.hidden.bias.tolist(), strict=True)
    ]
    return [
        bias + sum(w * number for w, number in zip(row, hidden, strict=True))
        for row, bias in zip(model.output.weight.tolist(), model.output.bias.tolist(), strict=True)
    ]


def random_ids(rows, length, seed=0):
    return torch.randint(V, (rows, length), generator=torch.Generator().manual_seed(seed))


def test_logits_are_those_of_the_formula_from_the_first_token_on():
    model, ids = small(), random_ids(2, 6)
    logits = model(ids)
    assert logits.shape == (2, 6, V)
    for row, text in enumerate(ids.tolist()):
        for t in range(6):
            assert logits[row, t].tolist() == pytest.approx(by_formula(model, text[: t + 1]), abs=1e-12)
    nothing_before = model(ids[:1, :1], padding_mask=torch.tensor([[True]]))
    assert nothing_before[0, 0].tolist() == pytest.approx(by_formula(model, []), abs=1e-12)


def test_weights_have_the_names_and_shapes_that_the_docstring_gives():
    shapes = {name: tuple(weight.shape) for name, weight in WindowLM(V, N, E, H).named_parameters()}
    assert shapes == {
        "embedding.weight": (V + 1, E),
        "hidden.weight": (H, N * E),
        "hidden.bias": (H,),
        "output.weight": (V, H),
        "output.bias": (V,),
    }


@pytest.mark.parametrize("window", [1, 2, 5])
def test_a_prediction_depends_on_the_last_n_tokens_and_no_other(window):
    model, ids = small(window), random_ids(1, 9)
    for place in range(9):
        changed = ids.clone()
        changed[0, place] = (changed[0, place] + 1) % V
        moved = (model(changed) != model(ids)).any(-1)[0]
        assert moved.nonzero()[:, 0].tolist() == list(range(place, min(place + window, 9)))


def test_padding_is_read_as_before_the_text():
    model, (long, short) = small(), random_ids(2, 7)
    ids, mask = left_pad([long.tolist(), short[:4].tolist()], pad_token_id=9)
    padded = model(ids, padding_mask=mask)
    assert torch.equal(padded[0], model(long[None])[0])
    torch.testing.assert_close(padded[1, 3:], model(short[None, :4])[0])


def test_dropout_is_drawn_in_training_only():
    model, ids = small(dropout=0.5), random_ids(1, 4)
    assert torch.equal(model(ids), model(ids))
    assert not torch.equal(model.train()(ids), model(ids))


def test_a_trained_window_of_one_word_is_at_the_limit_of_bigrams():
    """The exact limit of order 2, and the n-gram that has counted the same words."""
    language = ToyLanguage()
    generator = torch.Generator().manual_seed(0)
    rows, held_out = (language.sample(n, 100, generator=generator) for n in (1000, 300))
    torch.manual_seed(0)
    model = WindowLM(language.vocab_size, 1, 16, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    schedule = warmup_cosine(20, 300)
    losses = train_clm(model, rows.split(10), optimizer, epochs=3, schedule=schedule)
    assert losses == sorted(losses, reverse=True)
    counted = cross_entropy(NGramLM(2, language.vocab_size).fit(rows), held_out)
    trained, limit = cross_entropy(model, held_out), language.conditional_entropy(2)
    assert model.markov_order == 1
    assert abs(trained - counted) < 0.02
    assert trained == pytest.approx(limit, abs=0.06)  # 300 texts, which begin at the start of the language


def test_padding_counts_in_no_loss():
    model, ids = small().float(), random_ids(2, 6) % 10
    padded = torch.cat((torch.full((2, 3), 10), ids, torch.full((2, 2), 10)), dim=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    losses = [train_clm(model, [batch], optimizer, 1, pad_token_id=10)[0] for batch in (ids, padded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] == pytest.approx(cross_entropy(model, ids), rel=1e-5)


def test_a_long_text_read_in_pieces_has_the_same_loss(monkeypatch):
    model, ids = small(), random_ids(2, 60)
    whole = cross_entropy(model, ids)
    monkeypatch.setattr(evaluation, "MAX_LOGITS", 7 * V)
    assert cross_entropy(model, ids) == pytest.approx(whole, rel=1e-12)
    assert perplexity(model, ids) == pytest.approx(math.exp(whole), rel=1e-12)


def test_every_decoder_takes_it():
    model, (ids, mask) = small(), left_pad([[1, 2, 3, 4], [5, 6]])
    greedy = greedy_decode(model, ids, 5, padding_mask=mask)
    for row, prompt in zip(greedy, ([1, 2, 3, 4], [5, 6]), strict=True):
        text = [*prompt]
        for _ in range(5):
            logits = by_formula(model, text)
            text.append(logits.index(max(logits)))
        assert row.tolist()[-len(text) :] == text
    drawn = sample_decode(model, ids, (), 5, padding_mask=mask, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 9)
    (wide, score), (best, most) = beam_search(model, ids[:1], V, 2), exhaustive_search(model, ids[:1], 2)
    assert torch.equal(wide, best)
    assert float(score) == pytest.approx(float(most))
    fast = speculative_decode(model, small(1), ids[:1], 5, temperature=0)
    assert torch.equal(fast, greedy_decode(model, ids[:1], 5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1, 1), "vocab_size must be at least 1, got 0"),
        ((3, 0, 1, 1), "window must be at least 1, got 0"),
        ((3, 1001, 1, 1), "window must be at most 1,000, got 1001"),
        ((3, 1, 0, 1), "d_embedding must be at least 1, got 0"),
        ((3, 1, 1, 0), "d_hidden must be at least 1, got 0"),
        ((10**6, 1000, 10**4, 1), "the number of weights must be at most 10,000,000,000, got 10012010001"),
    ],
)
def test_an_impossible_shape_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WindowLM(*arguments)


def test_bad_input_is_refused(as_readers_run_it):
    model = small()
    with pytest.raises(ValueError, match="below vocab_size 11, got 11"):
        model(torch.tensor([[0, V]]))
    with pytest.raises(ValueError, match=r"padding_mask must be \(1, 2\) torch.bool, got \(1, 1\)"):
        model(torch.tensor([[0, 1]]), padding_mask=torch.tensor([[True]]))
    with pytest.raises(ValueError, match=r"dropout must be at least 0 and below 1, got 1"):
        WindowLM(V, N, E, H, dropout=1)


def test_ids_without_numbers_are_refused_by_a_model_that_has_some(as_readers_run_it):
    with pytest.raises(ValueError, match="input_ids must be on cpu, as the model is; got ids on meta"):
        small()(torch.zeros(5, 7, dtype=torch.int64, device="meta"))
    assert small().to("meta")(torch.zeros(5, 7, dtype=torch.int64, device="meta")).shape == (5, 7, V)


@often
@given(numbers, numbers, numbers, numbers, numbers)
def test_a_shape_makes_a_model_or_is_refused(as_readers_run_it, v, window, width, hidden, dropout):
    model = outcome(lambda: WindowLM(v, window, width, hidden, dropout=dropout))
    if model is not None and (logits := outcome(lambda: model(torch.tensor([[0, 1, 0]])))) is not None:
        assert logits.shape == (1, 3, v)


@often
@given(prompts, masks)
def test_it_reads_or_says_what_is_wrong(as_readers_run_it, ids, mask):
    logits = outcome(lambda: WINDOW(ids, padding_mask=mask))
    if logits is not None and not logits.is_meta:
        assert logits.shape == (*ids.shape, 3)
        assert logits.isfinite().all()
