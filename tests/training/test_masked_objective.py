"""The masked objective: where its loss is taken, training on tokens and whole words, the exact posterior."""

import pytest
import torch
import torch.nn.functional as F
from masked_models import close, generator, small

from lmbook.toy import ToyLanguage
from lmbook.training import masked_loss, train_mlm, warmup_cosine
from lmbook.transformer import MaskedLM


def test_loss_is_taken_where_masked_alone():
    model, ids = small(mask_prob=0.4), torch.randint(23, (5, 13))
    loss, count = masked_loss(model, ids, generator=generator(4))
    masked, mask = model.create_masked_input(ids, generator=generator(4))
    log_probs = model(masked).log_softmax(-1)
    expected = -sum(log_probs[b, t, ids[b, t]] for b, t in mask.nonzero().tolist())
    close(loss, expected)
    assert count == mask.sum() > 0


def test_nothing_masked_is_loss_0_and_gradient_0():
    model = small(mask_prob=0.0)
    loss, count = masked_loss(model, torch.randint(23, (2, 5)))
    loss.backward()
    assert (float(loss.detach()), int(count)) == (0.0, 0)
    assert all(p.grad is None or (p.grad == 0).all() for p in model.parameters())
    mixed = small(special_token_ids=(0,), mask_prob=1.0)
    optimizer = torch.optim.SGD(mixed.parameters(), lr=1.0)
    before = [p.detach().clone() for p in mixed.parameters()]
    with pytest.raises(ValueError, match="0 tokens"):
        train_mlm(mixed, [torch.zeros(2, 5, dtype=torch.int64)], optimizer, 1)
    assert all(torch.equal(a, b) for a, b in zip(mixed.parameters(), before, strict=True))


def test_epoch_loss_weighs_masked_tokens():
    model = small(mask_prob=0.4)
    loader = [torch.randint(23, (5, 13)), torch.randint(23, (1, 3)), torch.randint(23, (2, 7))]
    draws = generator(9)
    sums = [masked_loss(model, batch, generator=draws) for batch in loader]
    expected = sum(loss.item() for loss, _ in sums) / sum(int(count) for _, count in sums)
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    assert train_mlm(model, loader, still, 1, generator=generator(9)) == pytest.approx([expected], rel=1e-5)


def test_padding_is_neither_masked_nor_seen_in_training():
    rows = [torch.randint(1, 23, (1, n)) for n in (5, 9)]
    model = small(
        mask_prob=1.0, split=(0.0, 0.0, 1.0)
    )  # every token scored and visible: nothing is left to chance
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    apart = train_mlm(model, rows, still, 1)
    batch = torch.cat((F.pad(rows[0], (0, 4)), rows[1]))
    assert train_mlm(model, [batch], still, 1, pad_token_id=0) == pytest.approx(apart, rel=1e-5)
    with pytest.raises(ValueError, match="pad_token_id must be from 0 to 22, got 23"):
        train_mlm(model, [batch], still, 1, pad_token_id=23)


def test_validation_draws_the_same_masks_each_epoch_and_none_from_the_generator():
    model = small()
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    batch, held, seen = torch.randint(23, (5, 31)), [torch.randint(23, (5, 31))], []
    options = {"validation": held, "on_epoch": lambda epoch, loss, value: seen.append(value)}
    losses = train_mlm(model, [batch], still, 3, generator=generator(1), **options)
    assert len(set(seen)) == 1
    assert len(set(losses)) == 3
    assert losses == train_mlm(model, [batch], still, 3, generator=generator(1))


def test_loss_falls_and_mode_is_kept():
    model = small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = train_mlm(model, [torch.arange(20).repeat(4, 1)] * 20, optimizer, 4, generator=generator())
    assert losses[-1] < losses[0] / 2
    assert not model.training


def test_a_long_gradient_is_shortened_and_no_bar_is_shown_unasked(capsys):
    model = small()
    before = [weight.detach().clone() for weight in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    train_mlm(model, [torch.randint(23, (5, 13))], optimizer, 1, max_grad_norm=0.01, generator=generator())
    moved = [(w.detach() - b).flatten() for w, b in zip(model.parameters(), before, strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(0.01, rel=1e-2)  # differences of float32
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_two_layer_model_comes_within_a_tenth_of_a_nat_of_the_exact_posterior():
    """The recipe of chapter 6: about a minute on two cores."""
    language, draws = ToyLanguage(), generator()
    batches = list(language.sample(32 * 2400, 64, generator=draws).split(32))
    held = language.sample(400, 64, generator=draws)
    mask = torch.rand(held.shape, generator=draws) < 0.15
    assert mask.sum() >= 2000
    torch.manual_seed(1)
    model = MaskedLM(language.vocab_size, 64, 4, 2, mask_prob=0.3, context_length=128)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98))
    schedule = warmup_cosine(len(batches) // 10, len(batches), floor=0.05)
    train_mlm(model, batches, optimizer, 1, generator=draws, schedule=schedule, max_grad_norm=1.0)

    def loss(log_probs):
        return -float(log_probs[mask].gather(-1, held[mask][:, None]).mean())

    exact = loss(language.masked_posterior(held, mask).log())
    with torch.inference_mode():
        learned = loss(model(held.masked_fill(mask, model.mask_token_id)).log_softmax(-1))
    assert exact <= learned <= exact + 0.1


def test_ten_epochs_unless_told_otherwise():
    model = small(mask_prob=1.0)
    batch = torch.zeros(2, 7, dtype=torch.int64)
    assert len(train_mlm(model, [batch], torch.optim.SGD(model.parameters(), lr=0.0))) == 10


class TestWholeWords:
    BATCH = torch.randint(23, (5, 12), generator=torch.Generator().manual_seed(4))
    WORDS = torch.arange(12).div(3, rounding_mode="floor").expand(5, 12)  # three tokens a word

    def model(self):
        torch.manual_seed(3)
        return MaskedLM(23, 12, 3, 2, mask_prob=0.4, context_length=12)

    def test_the_loss_is_that_of_words_masked_as_a_whole(self):
        model = self.model().eval()
        loss, count = masked_loss(
            model, self.BATCH, word_ids=self.WORDS, generator=torch.Generator().manual_seed(1)
        )
        hidden, mask = model.create_masked_input(
            self.BATCH, word_ids=self.WORDS, generator=torch.Generator().manual_seed(1)
        )
        words = mask.unflatten(1, (4, 3)).sum(-1)
        assert set(words.unique().tolist()) == {0, 3}
        assert count == mask.sum()
        close(loss, -model(hidden).log_softmax(-1)[mask].gather(1, self.BATCH[mask][:, None]).sum())
        other, _ = masked_loss(model, self.BATCH, generator=torch.Generator().manual_seed(1))
        assert not other.isclose(loss)

    def test_training_asks_for_the_words_of_each_batch(self, monkeypatch):
        model, asked, masks = self.model(), [], []
        create = model.create_masked_input
        monkeypatch.setattr(
            model, "create_masked_input", lambda *a, **k: masks.append(create(*a, **k)) or masks[-1]
        )

        def word_ids(batch):
            asked.append(batch)
            return self.WORDS[: len(batch)]

        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = [self.BATCH, self.BATCH[:2]]
        train_mlm(model, batches, optimizer, 1, word_ids=word_ids, validation=batches)
        assert [len(batch) for batch in asked] == [5, 2, 5, 2]
        for _, mask in masks:
            assert mask.unflatten(1, (4, 3)).sum(-1).remainder(3).eq(0).all()

    def test_what_is_no_function_is_refused(self, as_readers_run_it):
        model = self.model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(TypeError, match="word_ids must be a function from a batch to word ids"):
            train_mlm(model, [self.BATCH], optimizer, 1, word_ids=self.WORDS)
