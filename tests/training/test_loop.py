"""The training loop: modes, sums, what it refuses and how it says so."""

import math
import sys
from inspect import unwrap

import pytest
import torch

from lmbook.training import causal_loss, evaluate, fit, loop, train_clm, train_mlm
from lmbook.transformer import CausalLM, MaskedLM

BATCH = torch.randint(1, 11, (4, 6), generator=torch.Generator().manual_seed(2))


def causal(**options):
    torch.manual_seed(0)
    return CausalLM(11, 12, 3, 2, context_length=16, **options)


def masked(**options):
    torch.manual_seed(0)
    return MaskedLM(11, 8, 2, 1, context_length=16, **options)


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr)


TRAINERS = pytest.mark.parametrize(("train", "build"), [(train_clm, causal), (train_mlm, masked)])


def modes(model):
    return [part.training for part in model.modules()]


class TestModes:
    def test_a_part_in_eval_stays_in_it_while_the_rest_trains(self):
        model, seen = causal(dropout=0.5), []
        model.blocks[0].eval()
        before = modes(model)
        model.register_forward_pre_hook(lambda *_: seen.append(modes(model)))
        validated = []
        train_clm(
            model,
            [BATCH],
            sgd(model),
            2,
            validation=[BATCH],
            on_epoch=lambda *_: validated.append(modes(model)),
        )
        assert seen[0] == seen[2] == before
        assert not any(seen[1] + seen[3] + validated[0] + validated[1])
        assert modes(model) == before

    def test_no_dropout_in_a_part_in_eval(self):
        """With every part but the root frozen the loss is that without dropout, and no other."""
        model, plain = causal(dropout=0.9), causal()
        for part in model.children():
            part.eval()
        expected = train_clm(plain, [BATCH], sgd(plain), 2)
        assert train_clm(model, [BATCH], sgd(model), 2) == expected
        assert train_clm(model.train(), [BATCH], sgd(model), 2) != expected

    def test_a_model_in_eval_trains_in_train_mode_and_comes_back(self):
        model, seen = causal(dropout=0.5).eval(), []
        model.register_forward_pre_hook(lambda *_: seen.append(modes(model)))
        train_clm(model, [BATCH], sgd(model), 1)
        assert all(seen[0])
        assert not any(modes(model))

    def test_modes_come_back_after_an_error(self):
        model = causal()
        model.blocks[1].eval()
        before = modes(model)
        with pytest.raises(ValueError, match=r"a batch must .*below vocab_size"):
            train_clm(model, [BATCH, BATCH + 50], sgd(model), 1)
        assert modes(model) == before


def test_many_losses_are_summed_exactly():
    """In float32, which counts in twos from 2^24 on, each 1 would be lost."""
    model = causal()
    values = iter(torch.tensor([2.0**24] + [1.0] * 40))
    mean = evaluate(model, lambda batch: (next(values), torch.tensor(1)), [BATCH] * 41)
    assert mean == (2**24 + 40) / 41


class TestNothingToPredict:
    def test_an_empty_dataloader_may_be_a_used_up_iterator(self):
        model = causal()
        with pytest.raises(ValueError, match=r"gave no batch.*iterator that is used up"):
            train_clm(model, iter([]), sgd(model), 1)

    @pytest.mark.parametrize(
        ("options", "batch"),
        [({"mask_prob": 0.0}, BATCH), ({"special_token_ids": [3]}, torch.full((4, 6), 3))],
        ids=["mask_prob", "special tokens"],
    )
    def test_nothing_masked(self, options, batch):
        model = masked(**options)
        with pytest.raises(
            ValueError, match=r"1 batch\(es\) hold 0 tokens.*no token was masked; mask_prob is"
        ) as e:
            train_mlm(model, [batch], sgd(model), 1)
        assert "iterator" not in str(e.value)

    def test_padding_alone(self):
        model = causal()
        with pytest.raises(ValueError, match=r"2 batch\(es\) hold 0 tokens.*is padding") as e:
            train_clm(model, [torch.zeros_like(BATCH)] * 2, sgd(model), 1, pad_token_id=0)
        assert "mask" not in str(e.value)


@TRAINERS
class TestRefusedBeforeAnyWork:
    def test_an_optimizer_of_another_model(self, train, build):
        with pytest.raises(ValueError, match=r"the optimizer holds .* none of the model's"):
            train(build(), [BATCH], sgd(build()), 1)

    def test_frozen_parameters_alone(self, train, build):
        model = build()
        optimizer, head = sgd(model), build().norm
        model.requires_grad_(False)
        with pytest.raises(ValueError, match="the optimizer holds frozen parameters of the model alone"):
            train(model, [BATCH], optimizer, 1)
        optimizer.add_param_group({"params": head.parameters()})  # not frozen, of another model
        with pytest.raises(ValueError, match="the optimizer holds frozen parameters of the model alone"):
            train(model, [BATCH], optimizer, 1)
        model.norm.requires_grad_(True)
        assert math.isfinite(*train(model, [BATCH], optimizer, 1))

    def test_an_optimizer_of_a_part_is_welcome(self, train, build):
        model = build()
        assert math.isfinite(*train(model, [BATCH], sgd(model.norm), 1))

    def test_a_schedule_that_waits_for_a_plateau(self, train, build):
        model = build()
        optimizer = sgd(model)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        before = [weight.clone() for weight in model.parameters()]
        with pytest.raises(TypeError, match=r"schedule steps once a batch.*on_epoch"):
            train(model, [BATCH], optimizer, 1, schedule=schedule)
        assert all(w.equal(b) for w, b in zip(model.parameters(), before, strict=True))

    def test_a_schedule_of_another_optimizer(self, train, build):
        model = build()
        schedule = torch.optim.lr_scheduler.ConstantLR(sgd(model))
        with pytest.raises(ValueError, match="schedule is a scheduler of another optimizer"):
            train(model, [BATCH], sgd(model), 1, schedule=schedule)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    @pytest.mark.parametrize("step", [0, 2])
    def test_a_schedule_that_gives_no_number(self, train, build, bad, step):
        model, batches = build(), [BATCH] * 4
        with pytest.raises(ValueError, match=f"the learning rate of a step must be finite, got {bad}"):
            train(model, batches, sgd(model), 1, schedule=lambda s: bad if s >= step else 1.0)
        assert all(w.isfinite().all() for w in model.parameters())

    def test_a_rate_that_is_no_number(self, train, build):
        model = build()
        before = [weight.clone() for weight in model.parameters()]
        with pytest.raises(ValueError, match="the learning rate of a step must be finite, got nan"):
            train(model, [BATCH], sgd(model, math.nan), 1)
        assert all(w.equal(b) for w, b in zip(model.parameters(), before, strict=True))

    def test_a_rate_beyond_float32(self, train, build):
        model = build()
        with pytest.raises(ValueError, match=r"of a step must be at most 3\.4e\+38, got 1e\+308"):
            train(model, [BATCH], sgd(model, 1e308), 1)

    def test_weights_that_the_last_step_broke(self, train, build):
        model = build()
        model.embedding.weight.register_hook(lambda grad: grad * math.inf)  # the loss is still a number
        with pytest.raises(
            ValueError, match=r"embedding\.weight is NaN or infinite after a step: a lower learn"
        ):
            train(model, [BATCH], sgd(model), 1)

    def test_the_best_weights_outlive_an_epoch_that_fails(self, train, build):
        model, seen = build(), []

        def watch(epoch, *_):
            seen.append({name: weight.clone() for name, weight in model.state_dict().items()})
            optimizer.param_groups[0]["lr"] = 1e30

        optimizer = sgd(model)
        with pytest.raises(ValueError, match="a lower learning rate"):
            train(model, [BATCH] * 4, optimizer, 3, validation=[BATCH], on_epoch=watch)
        assert len(seen) == 1
        assert all(weight.equal(seen[0][name]) for name, weight in model.state_dict().items())

    @pytest.mark.parametrize("shape", [(6,), (4, 6)])
    def test_batches_without_numbers(self, train, build, shape):
        model, batch = build(), torch.ones(shape, dtype=torch.int64, device="meta")
        with pytest.raises(
            TypeError, match=r"a batch must be a tensor of int64 ids, got torch\.int64 on meta"
        ):
            train(model, [batch], sgd(model), 1)

    def test_a_number_for_a_schedule(self, train, build):
        model = build()
        with pytest.raises(TypeError):
            train(model, [BATCH], sgd(model), 1, schedule=0.1)
        with pytest.raises(TypeError, match=r"schedule must be .* got 0\.1"):
            unwrap(loop._checked_schedule)(0.1, sgd(model))  # without the suite's check of type hints

    @pytest.mark.parametrize("name", ["dataloader", "validation"])
    def test_an_iterator_for_several_epochs(self, train, build, name):
        model = build()
        before = [weight.clone() for weight in model.parameters()]
        batches = {"dataloader": [BATCH], "validation": [BATCH]} | {name: iter([BATCH])}
        with pytest.raises(ValueError, match=f"{name} is an iterator, used up after the first of 2 epochs"):
            train(model, batches["dataloader"], sgd(model), 2, validation=batches["validation"])
        assert all(w.equal(b) for w, b in zip(model.parameters(), before, strict=True))
        batches = {"dataloader": [BATCH], "validation": [BATCH]} | {name: iter([BATCH])}
        train(model, batches["dataloader"], sgd(model), 1, validation=batches["validation"])  # one is enough

    @pytest.mark.parametrize(
        ("bad", "error", "said"),
        [
            (BATCH + 7, ValueError, "validation batch 1 must be .* below vocab_size 11, got 17"),
            (BATCH.float(), TypeError, "validation batch 1 must be a tensor of int64"),
            (BATCH.repeat(1, 3), ValueError, "validation batch 1 is 18 tokens long"),
            (BATCH[0], ValueError, r"validation batch 1 must have shape \(B, T\)"),
        ],
        ids=["an id", "floats", "too long", "one axis"],
    )
    def test_a_bad_batch_of_validation(self, train, build, as_readers_run_it, bad, error, said):
        model, seen = build(), []
        model.register_forward_pre_hook(lambda *_: seen.append(1))
        with pytest.raises(error, match=said):
            train(model, [BATCH], sgd(model), 1, validation=[BATCH, bad])
        assert not seen

    @pytest.mark.parametrize("name", ["dataloader", "validation", "on_epoch"])
    def test_what_is_none_of_its_kind(self, train, build, as_readers_run_it, name):
        model, seen = build(), []
        model.register_forward_pre_hook(lambda *_: seen.append(1))
        options = {"dataloader": [BATCH], "optimizer": sgd(model), "epochs": 1} | {name: 5}
        with pytest.raises(TypeError, match=f"{name} must be .* got 5"):
            train(model, **options)
        assert not seen

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64, torch.complex64])
    def test_a_precision_that_is_no_mixture(self, train, build, dtype):
        model = build()
        with pytest.raises(ValueError, match=r"autocast must be None, torch\.bfloat16 or .* got torch\."):
            train(model, [BATCH], sgd(model), 1, autocast=dtype)
        with pytest.raises(ValueError, match="autocast must be None"):
            evaluate(model, lambda b: causal_loss(model, b), [BATCH], autocast=dtype)

    def test_an_unknown_keyword(self, train, build):
        with pytest.raises(TypeError, match="unexpected keyword argument 'schedul'"):
            train(build(), [BATCH], sgd(build()), 1, schedul=None)

    def test_progress_without_its_package(self, train, build, monkeypatch):
        monkeypatch.setitem(sys.modules, "tqdm", None)
        model = build()
        with pytest.raises(ModuleNotFoundError, match="pip install tqdm"):
            train(model, [BATCH], sgd(model), 1, progress=True)
        assert math.isfinite(*train(model, [BATCH], sgd(model), 1))


@pytest.mark.parametrize("floor", [math.nan, -0.1, 1.1, math.inf])
def test_a_floor_that_is_no_share_is_refused(floor):
    with pytest.raises(ValueError, match="floor must be at least 0 and at most 1, got"):
        loop.warmup_cosine(1, 10, floor)


@pytest.mark.parametrize("bad", [None, "2", torch.tensor([1, 2]), True])
def test_steps_that_are_no_numbers_are_refused(as_readers_run_it, bad):
    for name in "warmup", "total":
        with pytest.raises(TypeError, match=f"{name} must be a number"):
            loop.warmup_cosine(**{"warmup": 1, "total": 10} | {name: bad})


def test_fit_takes_any_loss():
    model = causal()
    doubled = fit(model, lambda b: tuple(2 * x for x in causal_loss(model, b)), [BATCH], sgd(model, 0.0), 1)
    assert doubled == pytest.approx(train_clm(model, [BATCH], sgd(model, 0.0), 1))


def test_matrices_decay_and_vectors_do_not():
    """One step of AdamW with gradients of 0 takes rate · decay of each weight that decays."""
    model = causal(tie_embeddings=False)
    before = [weight.detach().clone() for weight in model.parameters()]
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    torch.optim.AdamW(loop.decay_groups(model, 0.5), lr=0.1).step()
    for weight, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), old if weight.ndim == 1 else old * 0.95)
    held = [weight for group in loop.decay_groups(model, 0.5) for weight in group["params"]]
    assert {id(weight) for weight in held} == {id(weight) for weight in model.parameters()}
