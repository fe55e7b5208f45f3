"""The objectives: losses against sums by hand, the training loop, training to the exact floor."""

import math

import pytest
import torch
import torch.nn.functional as F

from lmbook.evaluation import cross_entropy
from lmbook.toy import ToyLanguage
from lmbook.training import causal_loss, evaluate, fit, train_clm, warmup_cosine
from lmbook.transformer import CausalLM


def small(**options):
    torch.manual_seed(5)
    model = CausalLM(23, 42, 3, 2, **{"context_length": 211, "num_kv_heads": 1, **options}).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.2 + (weight.ndim == 1))
    return model


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_loss_is_the_sum_over_targets():
    model, ids = small(), torch.randint(23, (3, 7))
    log_probs = model(ids).log_softmax(-1)
    expected = -sum(log_probs[b, t, ids[b, t + 1]] for b in range(3) for t in range(6))
    loss, count = causal_loss(model, ids)
    close(loss, expected)
    assert count == 18


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_leaves_the_loss_as_it_was(side):
    model, rows = small(), [torch.randint(1, 23, (n,)) for n in (3, 7, 2, 5)]
    apart = [causal_loss(model, row[None]) for row in rows]
    batch = torch.stack([F.pad(r, (7 - len(r), 0) if side == "left" else (0, 7 - len(r))) for r in rows])
    loss, count = causal_loss(model, batch, pad_token_id=0)
    close(loss, sum(part for part, _ in apart))
    assert count == 13


def untrained(lr=0.0):
    model = small()
    return model, torch.optim.SGD(model.parameters(), lr=lr)


def test_epoch_loss_weighs_tokens_not_batches():
    model, still = untrained()
    loader = [torch.randint(23, (5, 13)), torch.randint(23, (1, 3)), torch.randint(23, (2, 7))]
    sums = [causal_loss(model, batch) for batch in loader]
    expected = sum(loss.item() for loss, _ in sums) / (60 + 2 + 12)
    assert train_clm(model, loader, still, 3) == pytest.approx([expected] * 3, rel=1e-5)


def test_a_step_is_that_of_a_loop_by_hand():
    model, optimizer = untrained(lr=0.1)
    twin, by_hand = untrained(lr=0.1)
    loader = [torch.randint(23, (5, 13)), torch.randint(23, (2, 7))]
    train_clm(model, loader, optimizer, 2)
    for ids in loader * 2:
        by_hand.zero_grad()
        F.cross_entropy(twin(ids[:, :-1]).transpose(1, 2), ids[:, 1:]).backward()
        by_hand.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        close(a, b)


def test_sums_are_kept_and_batches_sent_where_the_model_is():
    """With `meta` as the default device, a tensor made without one is useless at once (section 8, item 3)."""
    model, ids = small(), torch.randint(23, (3, 11))
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    with torch.device("meta"):
        losses = train_clm(model, [ids], still, 1, pad_token_id=0, validation=[ids])
    assert losses == pytest.approx(train_clm(model, [ids], still, 1, pad_token_id=0))

    class Seen(Exception):
        pass

    def loss(batch):
        raise Seen(batch.device.type)

    far = small().to("meta")
    with pytest.raises(Seen, match="meta"):
        fit(far, loss, [ids], torch.optim.SGD(far.parameters(), lr=0.0), 1)


def test_gradient_clipping_shortens_the_step():
    model, optimizer = untrained(lr=1.0)
    before = [p.detach().clone() for p in model.parameters()]
    train_clm(model, [torch.randint(23, (5, 13))], optimizer, 1, max_grad_norm=0.01)
    moved = sum(
        float((p.detach() - q).square().sum()) for p, q in zip(model.parameters(), before, strict=True)
    )
    assert math.sqrt(moved) == pytest.approx(0.01, rel=1e-2)  # sums of float32 differences


def test_schedule_is_a_factor_for_each_step_or_a_torch_scheduler():
    seen = []
    loader = [torch.randint(23, (2, 5))] * 3
    for kind in ("callable", "scheduler"):
        model, optimizer = untrained(lr=1e-4)
        optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append(opt.param_groups[0]["lr"]))
        if kind == "callable":
            train_clm(model, loader, optimizer, 2, schedule=lambda step: 1 / (1 + step))
        else:
            train_clm(
                model, loader, optimizer, 2, schedule=torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
            )
    assert seen[:6] == pytest.approx([1e-4 / n for n in range(1, 7)])
    assert seen[6:] == pytest.approx([1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5, 2.5e-5])


def test_warmup_cosine_by_hand():
    factor = warmup_cosine(4, 12, floor=0.2)
    assert [factor(step) for step in (0, 1, 3, 4)] == pytest.approx([0.25, 0.5, 1, 1])
    assert factor(6) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)
    assert [factor(step) for step in (8, 12, 99)] == pytest.approx([0.6, 0.2, 0.2])
    assert warmup_cosine(0, 1)(0) == 1
    for warmup, total in ((-1, 5), (5, 5)):
        with pytest.raises(ValueError, match=f"below total 5, got {warmup}"):
            warmup_cosine(warmup, total)


def test_best_epoch_is_kept_and_reported():
    model, optimizer = untrained(lr=0.05)
    train, held = [torch.randint(23, (2, 5))] * 8, [torch.randint(23, (5, 13)), torch.randint(23, (1, 3))]
    reports, states = [], []

    def note(epoch, loss, validation):
        assert not model.training
        reports.append((epoch, loss, validation))
        states.append({name: value.clone() for name, value in model.state_dict().items()})

    losses = train_clm(model, train, optimizer, 5, validation=held, on_epoch=note)
    assert [epoch for epoch, _, _ in reports] == [1, 2, 3, 4, 5]
    assert [loss for _, loss, _ in reports] == losses
    validations = [validation for _, _, validation in reports]
    best = validations.index(min(validations))
    assert best < 4, "this test needs a run that overfits"
    assert all(torch.equal(value, states[best][name]) for name, value in model.state_dict().items())
    sums = [causal_loss(model, batch) for batch in held]
    expected = sum(loss.item() for loss, _ in sums) / 62
    assert min(validations) == pytest.approx(expected, rel=1e-5)
    assert evaluate(model, lambda batch: causal_loss(model, batch), held) == pytest.approx(expected, rel=1e-5)


def test_without_validation_the_last_weights_stay():
    model, optimizer = untrained(lr=0.05)
    reports = []
    train_clm(model, [torch.randint(23, (2, 5))], optimizer, 2, on_epoch=lambda *r: reports.append(r))
    assert [validation for _, _, validation in reports] == [None, None]


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_even_after_an_error(training):
    model, optimizer = untrained()
    model.train(training)
    train_clm(model, [torch.randint(23, (2, 5))], optimizer, 1, validation=[torch.randint(23, (2, 5))])
    assert model.training is training
    with pytest.raises(ValueError, match="got 23"):
        train_clm(model, [torch.tensor([[1, 23]])], optimizer, 1)
    assert model.training is training


def test_training_happens_in_training_mode():
    model, optimizer = untrained()
    modes = []
    model.register_forward_pre_hook(lambda module, args: modes.append(module.training))
    train_clm(model, [torch.randint(23, (2, 5))] * 2, optimizer, 1, validation=[torch.randint(23, (2, 5))])
    assert modes == [True, True, False]


@pytest.mark.parametrize(
    ("loader", "options", "message"),
    [
        ([torch.tensor([[1, 23]])], {}, "below vocab_size 23, got 23"),
        ([torch.zeros(1, 212, dtype=torch.int64)], {}, "212 tokens long.*211"),
        ([torch.zeros(3, 1, dtype=torch.int64)], {}, "at least 2 tokens a row.*got 1"),
        (
            [torch.zeros(3, 2, dtype=torch.int64)],
            {"pad_token_id": 23},
            "pad_token_id must be from 0 to 22, got 23",
        ),
        ([torch.zeros(3, 2, dtype=torch.int64)], {"epochs": 0}, "epochs must be at least 1, got 0"),
        (
            [torch.zeros(3, 2, dtype=torch.int64)],
            {"max_grad_norm": 0.0},
            r"max_grad_norm must be above 0, got 0\.0",
        ),
        ([], {"progress": True}, "0 tokens"),
    ],
)
def test_bad_arguments_are_refused(loader, options, message):
    model, optimizer = untrained()
    with pytest.raises(ValueError, match=message):
        train_clm(model, loader, optimizer, **{"epochs": 1, **options})


def test_a_batch_that_is_no_tensor_is_refused():
    model, optimizer = untrained()
    with pytest.raises(TypeError):  # here from jaxtyping, which this suite puts before check_ids
        train_clm(model, iter([[torch.zeros(3, 2, dtype=torch.int64)]]), optimizer, 1)


def test_a_batch_of_padding_alone_changes_nothing():
    model, optimizer = untrained(lr=1.0)
    real = torch.randint(1, 23, (2, 5))
    expected = causal_loss(model, real)[0].item() / 8
    assert train_clm(model, [torch.zeros(3, 4, dtype=torch.int64), real], optimizer, 1, pad_token_id=0) == (
        pytest.approx([expected], rel=1e-5)
    )


def test_a_loss_that_is_not_finite_is_an_error():
    model, optimizer = untrained()
    with torch.no_grad():
        model.norm.weight.fill_(math.nan)
    with pytest.raises(ValueError, match="the loss is nan"):
        train_clm(model, [torch.randint(23, (2, 5))], optimizer, 1)


def test_progress_is_for_people_alone(capsys):
    model, optimizer = untrained()
    loader = [torch.randint(23, (2, 5))] * 12
    train_clm(model, loader, optimizer, 1)
    assert capsys.readouterr() == ("", "")
    losses = train_clm(model, loader[:11], optimizer, 2, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2/2: 100%" in err
    assert f"loss {losses[1]:.4f}]" in err


def test_autocast_trains_in_bfloat16_with_float32_weights():
    model, optimizer = untrained()
    loader = [torch.randint(23, (5, 13))]
    seen = []
    model.blocks[0].attention.qkv.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    exact = train_clm(model, loader, optimizer, 1)
    rough = train_clm(model, loader, optimizer, 1, autocast=torch.bfloat16)
    assert seen == [torch.float32, torch.bfloat16]
    assert rough == pytest.approx(exact, rel=0.02)  # bfloat16 keeps 8 bits
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.slow
def test_a_two_layer_model_comes_within_a_twentieth_of_a_nat_of_the_exact_language():
    """The recipe of chapter 5: about 20 s on two cores."""
    language, draws = ToyLanguage(), torch.Generator().manual_seed(0)
    batches = list(language.sample(32 * 450, 64, generator=draws).split(32))
    held = language.sample(400, 64, generator=draws)
    torch.manual_seed(1)
    model = CausalLM(language.vocab_size, 64, 4, 2, context_length=128)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, betas=(0.9, 0.98))
    schedule = warmup_cosine(60, len(batches), floor=0.05)
    train_clm(model, batches, optimizer, 1, schedule=schedule, max_grad_norm=1.0)
    floor = cross_entropy(language, held)
    assert floor <= cross_entropy(model, held) <= floor + 0.05


@pytest.mark.slow
def test_bfloat16_comes_within_a_hundredth_of_float32_in_300_steps():
    language, draws = ToyLanguage(), torch.Generator().manual_seed(0)
    batches = list(language.sample(32 * 300, 64, generator=draws).split(32))
    held = language.sample(400, 64, generator=draws).split(50)
    validated = {}
    for autocast in None, torch.bfloat16:
        torch.manual_seed(1)
        model = CausalLM(language.vocab_size, 64, 4, 2, context_length=128)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        train_clm(model, batches, optimizer, 1, schedule=warmup_cosine(30, 300), autocast=autocast)
        validated[autocast] = evaluate(
            model, lambda batch, model=model: causal_loss(model, batch), held, autocast=autocast
        )
    assert validated[torch.bfloat16] == pytest.approx(validated[None], rel=0.01)
    assert validated[torch.bfloat16] != validated[None]


@pytest.mark.parametrize("pad", [True, 3.0, "3", torch.tensor([1, 2])])
def test_a_padding_id_that_is_no_int_is_refused(as_readers_run_it, pad):
    model, optimizer = untrained()
    batch = torch.zeros(3, 2, dtype=torch.int64)
    for call in (
        lambda: train_clm(model, [batch], optimizer, 1, pad_token_id=pad),
        lambda: causal_loss(model, batch, pad),
    ):
        with pytest.raises(TypeError, match="pad_token_id must be an int"):
            call()
    with pytest.raises(ValueError, match="pad_token_id must be from 0 to 22, got 23"):
        causal_loss(model, batch, 23)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (3.0, TypeError, "a batch must be a tensor of int64 ids, got float"),
        (torch.zeros(2, 3, dtype=torch.int64).to_sparse(), TypeError, "got a tensor with layout"),
        (torch.zeros(3, dtype=torch.int64), ValueError, r"a batch must have shape \(B, T\), got \(3,\)"),
    ],
)
def test_a_batch_of_another_kind_has_no_loss(as_readers_run_it, batch, error, message):
    with pytest.raises(error, match=message):
        causal_loss(untrained()[0], batch)
