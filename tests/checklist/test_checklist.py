"""The checklist passes what the book builds, and each check fails on the bug that it is for."""

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from table_models import SizedFunctionModel, TableModel
from torch import nn
from torch.optim import SGD

from lmbook import checklist as check
from lmbook.checklist import CheckFailed
from lmbook.decoding import beam_search, greedy_decode, nucleus_decode, top_k_decode
from lmbook.filters import min_p, temperature, top_k, top_p, typical
from lmbook.ngram import NGramLM
from lmbook.toy import ToyLanguage
from lmbook.training import masked_loss, train_clm, train_mlm
from lmbook.transformer import CausalLM, MaskedLM
from lmbook.window import WindowLM

V, B, T = 13, 3, 7


@pytest.fixture
def ids():
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def causal():
    torch.manual_seed(0)
    return CausalLM(V, 22, 11, 2, context_length=32).eval()


@pytest.fixture
def masked():
    torch.manual_seed(0)
    return MaskedLM(V, 22, 11, 2, special_token_ids=[3], context_length=32).eval()


class Encoder(nn.Module):
    """The listing that circulates, its faults one by one."""

    def __init__(self, *, layers=1, batch_first=True, positions=True, mask_device=None, causal=True):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(V, 12)
        self.positions = nn.Embedding(32, 12) if positions else None
        layer = nn.TransformerEncoderLayer(12, 2, 24, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(12, V)
        self.mask_device, self.causal = mask_device, causal
        self.eval()

    def forward(self, ids):
        x, length = self.embedding(ids), ids.shape[1]
        if self.positions is not None:
            x = x + self.positions(torch.arange(length, device=ids.device))
        device = self.mask_device or ids.device
        mask = torch.ones(length, length, dtype=torch.bool, device=device).triu(1) if self.causal else None
        return self.head(self.encoder(x, mask=mask, is_causal=self.causal))


# A model


def test_correct_models_pass(causal, ids):
    language = ToyLanguage()
    torch.manual_seed(0)
    window = WindowLM(V, 3, 4, 5)
    for model in (causal, window, Encoder(), TableModel(V), NGramLM(3, V).fit(ids)):
        check.check_rows(model, ids)
        check.check_future(model, ids)
        check.check_logits(model, model, ids)
    for model in (causal, window, Encoder(), TableModel(V)):  # a trigram is blind beyond two tokens
        check.check_order(model, ids)
    check.check_rows(language, ids)
    check.check_device(causal, ids)
    check.check_device(Encoder(), ids)
    check.check_device(window, ids)


def test_a_masked_model_passes_what_is_asked_of_it(masked, ids):
    check.check_rows(masked, ids)
    check.check_order(masked, ids)
    check.check_device(masked, ids)
    with pytest.raises(CheckFailed, match="logits before place 1"):
        check.check_future(masked, ids)  # it reads both sides, as it should


def test_attention_across_the_batch_is_found_where_it_crashes_and_where_it_runs(ids):
    wrong = Encoder(batch_first=False)
    with pytest.raises(CheckFailed, match=r"fails on a batch|when it is read alone"):
        check.check_rows(wrong, ids)
    with pytest.raises(CheckFailed, match=r"when it is read alone|fails on a single row"):
        check.check_rows(wrong, ids[:, :3])
    with pytest.raises(CheckFailed, match=r"row . changes|row .'s logits change"):
        check.check_rows(lambda x: x.cumsum(0)[..., None].float() * torch.ones(V), ids)


def test_a_mix_of_rows_that_happens_in_a_square_only_is_found(ids):
    def model(x):
        return (x.cumsum(0) if x.shape[0] == x.shape[1] else x)[..., None] * torch.ones(V)

    with pytest.raises(CheckFailed, match="row 2's logits change"):
        check.check_rows(model, ids)


def test_a_look_ahead_is_found(ids):
    with pytest.raises(CheckFailed, match="logits before place"):
        check.check_future(Encoder(causal=False), ids)
    off_by_one = TableModel(V)
    with pytest.raises(CheckFailed, match="before place 1"):
        check.check_future(lambda x: off_by_one(x).roll(-1, 1), ids)


def test_order_blindness_is_found(ids):
    for causal in (True, False):
        with pytest.raises(CheckFailed, match="reversed"):
            check.check_order(Encoder(positions=False, causal=causal), ids)
    with pytest.raises(ValueError, match="reverse"):
        check.check_order(Encoder(), torch.zeros(2, 5, dtype=torch.int64))


def test_ids_that_could_show_no_mixture_are_refused(causal, ids):
    def mixed(x):
        return causal(x).mean(0, keepdim=True).expand(len(x), -1, -1)

    def ahead(x):
        return causal(x.roll(-1, 1))

    square = torch.cat((ids[:1, :3].expand(3, -1), ids[:, 3:]), dim=1)
    for equal, what in ((ids[:1].expand(3, -1), "ids"), (square, r"ids\[:3, :3\]")):
        with pytest.raises(ValueError, match=f"the 3 rows of {what} must not all be equal"):
            check.check_rows(mixed, equal)
    with pytest.raises(ValueError, match="the 3 rows of ids must not all be equal"):
        check.check_epoch_loss(lambda batches: 1.0, ids[:1].expand(3, -1))
    with pytest.raises(ValueError, match=r"ids must not repeat one token in each row; got \[0, 0\] repeated"):
        check.check_future(ahead, torch.zeros(2, 6, dtype=torch.int64))
    with pytest.raises(CheckFailed, match="logits before place"):
        check.check_future(ahead, torch.tensor([[0, 0, 0], [0, 0, 1]]))


def test_tensors_made_elsewhere_are_listed(ids):
    assert check.stray_tensors(Encoder(mask_device="cpu"), ids)[:2] == ["ones (7, 7)", "triu (7, 7)"]
    with pytest.raises(CheckFailed, match=r"ones \(7, 7\)"):
        check.check_device(Encoder(mask_device="cpu"), ids)


def test_a_number_may_live_anywhere(ids):
    class Scaled(Encoder):
        def forward(self, ids):
            return super().forward(ids) * torch.tensor(2.0)

    check.check_device(Scaled(), ids)


def test_a_failure_that_is_not_about_devices_is_told_as_it_is(ids):
    class Broken(nn.Module):
        def forward(self, ids):
            raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        check.stray_tensors(Broken(), ids)
    with pytest.raises(check.CheckFailed, match="fails on the meta device: RuntimeError: of its own"):
        check.check_device(Broken(), ids)


def test_rotary_rows_in_another_order_are_found(causal, ids):
    other = CausalLM(V, 22, 11, 2, context_length=32).eval()
    other.load_state_dict(causal.state_dict())
    check.check_logits(lambda x: other(x) + 3.0, causal, ids)  # the same probabilities
    with torch.no_grad():
        other.blocks[0].attention.qkv.weight[:4] = other.blocks[0].attention.qkv.weight[[0, 2, 1, 3]]
    with pytest.raises(CheckFailed, match=r"off by up to .* nats; the best token is the same in \d+%"):
        check.check_logits(other, causal, ids)
    check.check_logits(other, causal, ids, tolerance=10.0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model, ids: check.check_rows(model, ids[:1]), "at least 2 rows .* got 1"),
        (lambda model, ids: check.check_future(model, ids[:, :1]), r"ids must hold .* row of 2 token"),
        (lambda model, ids: check.check_order(model, ids[:, :2]), r"ids must hold .* row of 3 token"),
        (
            lambda model, ids: check.check_decoder(greedy_decode, model, ids[:, :1]),
            r"ids must hold .* row of 2 token",
        ),
    ],
    ids=["rows", "future", "order", "decoder"],
)
def test_too_few_tokens_to_ask_about_are_told(causal, ids, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(causal, ids)


# Its training


def recipe(model, shares="80/10/10", special=True, write=False):
    """A masking function with one thing different."""

    def mask_tokens(ids):
        generator = torch.Generator().manual_seed(5)
        masked, mask = model.create_masked_input(ids, generator=generator)
        if not special:
            mask = torch.rand(ids.shape, generator=generator) < 0.15
            masked = ids.masked_fill(mask, model.mask_token_id)
        if shares != "80/10/10":
            first, second = (torch.rand(ids.shape, generator=generator) for _ in range(2))
            replaced = mask & (first < 0.1)
            kept = mask & ~replaced & (second < 0.1) & (shares == "81/10/9")
            random = torch.randint(V - 1, ids.shape, generator=generator)
            random += random >= 3
            masked = torch.where(replaced & (shares == "81/10/9"), random, ids)
            masked = masked.masked_fill(mask & ~kept & (~replaced | (shares == "100/0/0")), V)
        if write:
            ids[mask] = masked[mask]
        return masked, mask

    return mask_tokens


def run_masking(model, **changes):
    check.check_masking(recipe(model, **changes), V, model.mask_token_id, model.special_token_ids)


def test_masking_passes_as_the_book_does_it(masked):
    run_masking(masked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": "81/10/9"}, "81.0.% hidden, not 80.00%"),
        ({"shares": "100/0/0"}, "100.00% hidden"),
        ({"special": False}, "special tokens were chosen"),
        ({"write": True}, "written to"),
    ],
)
def test_each_fault_of_masking_is_found(masked, changes, message):
    with pytest.raises(CheckFailed, match=message):
        run_masking(masked, **changes)


@pytest.mark.parametrize("mask_prob", [0.0, 1e-7, 1e-6, 1e-5])
def test_masking_that_chooses_nothing_or_next_to_nothing_passes(mask_prob):
    model = MaskedLM(V, 22, 11, 1, special_token_ids=[3], mask_prob=max(mask_prob, 1e-9))
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)

        def mask_tokens(ids, generator=generator):
            if not mask_prob:
                return ids.clone(), torch.zeros_like(ids, dtype=torch.bool)
            return model.create_masked_input(ids, generator=generator)

        check.check_masking(mask_tokens, V, V, [3], mask_prob=mask_prob)


def test_a_wrong_number_of_chosen_tokens_is_found_where_few_or_none_are_due():
    def choosing(count):
        def mask_tokens(ids):
            mask = (torch.arange(ids.numel()) < count).reshape(ids.shape)
            return ids.masked_fill(mask, V), mask

        return mask_tokens

    for count, prob, message in (
        (0, 0.15, "0.00% chosen, not 15.00% ± 0.1"),
        (1, 0.0, "0.0001000% chosen, not 0.0000000% ± 0.0000001%"),
        (10, 1e-7, "0.0010000% chosen, not 0.0000100% ± 0.0004"),
    ):
        with pytest.raises(CheckFailed, match=message):
            check.check_masking(choosing(count), V, V, mask_prob=prob)


def test_other_faults_of_masking_are_found(masked):
    def everywhere(ids):
        hidden, mask = recipe(masked)(ids)
        return hidden.roll(1, 0), mask

    def special_put_in(ids):
        hidden, mask = recipe(masked)(ids)
        return torch.where(mask & (hidden != V) & (hidden != ids), 3, hidden), mask

    for wrong, message in ((everywhere, "where no loss is taken"), (special_put_in, "put in")):
        with pytest.raises(CheckFailed, match=message):
            check.check_masking(wrong, V, masked.mask_token_id, masked.special_token_ids)
    with pytest.raises(CheckFailed, match=r"chosen, not 30.00%"):
        check.check_masking(recipe(masked), V, masked.mask_token_id, [3], mask_prob=0.3)


def test_replaced_tokens_are_counted_for_themselves():
    model = MaskedLM(V, 22, 11, 1, special_token_ids=[3], split=(0.8, 0.2, 0.0))
    with pytest.raises(CheckFailed, match="replaced, not"):
        run_masking(model)


class Given:
    """Stands for a masked model whose logits and mask are given, so that the book's own loss can be asked."""

    def __init__(self, logits, mask):
        self.logits, self.mask = logits, mask

    def create_masked_input(self, ids, **_):
        return ids, self.mask

    def hidden_states(self, ids, padding_mask):
        return self.logits

    def unembed(self, hidden):
        return hidden


def book_loss(logits, targets, mask):
    # The annotation asks for a MaskedLM; beneath it the function needs three methods.
    total, count = masked_loss.__wrapped__(Given(logits, mask), targets)
    return total / count.clamp(min=1)


def per_token(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def test_the_masked_loss_of_the_book_passes():
    check.check_masked_loss(book_loss)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda x, y, mask: per_token(x, y).mean(), "aren't masked"),
        (lambda x, y, mask: per_token(x, y)[mask].sum() / y.numel(), "the mean of −log P"),
        (lambda x, y, mask: per_token(x, y)[mask].mean() / math.log(2), "the mean of −log P"),
        (lambda x, y, mask: per_token(x, y)[mask].mean(), "nothing is masked is nan"),
    ],
    ids=["everywhere", "divided by all tokens", "bits", "nan"],
)
def test_each_fault_of_the_masked_loss_is_found(loss, message):
    with pytest.raises(CheckFailed, match=message):
        check.check_masked_loss(loss)


def test_epoch_losses(causal, ids):
    still = SGD(causal.parameters(), lr=0.0)
    check.check_epoch_loss(lambda batches: train_clm(causal, batches, still, 1)[0], ids)

    def mean_of_means(batches):
        return sum(train_clm(causal, [batch], still, 1)[0] for batch in batches) / len(batches)

    with pytest.raises(CheckFailed, match=r"in one batch and .* in two"):
        check.check_epoch_loss(mean_of_means, ids)


# Its decoding


def test_decoders_of_the_book_pass(causal, ids):
    check.check_decoder(lambda model, x: greedy_decode(model, x, 5), causal, ids)
    check.check_decoder(lambda model, x: top_k_decode(model, x, 4, 5), causal, ids)
    check.check_decoder(lambda model, x: beam_search(model, x, 1, 5)[0], causal, ids)


def usual_decoder(model, ids, *, leave_eval=False, leave_train=False, record=False, write=False, cache=True):
    mode = model.training or leave_train
    model.eval()
    with torch.set_grad_enabled(record):
        out, state = ids, model.new_cache(len(ids))
        for _ in range(5):
            logits = model(out[:, state.length :], cache=state) if cache else model(out)
            out = torch.cat((out, logits[:, -1].argmax(-1, keepdim=True)), dim=1)
    if write:
        ids[:, 0] = 0
    model.train(mode and not leave_eval)
    return out


def test_the_usual_decoder_passes_without_its_faults(causal, ids):
    check.check_decoder(usual_decoder, causal, ids)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"leave_eval": True}, "found the model in train mode, left it in eval mode"),
        ({"leave_train": True}, "found the model in eval mode, left it in train mode"),
        ({"record": True}, "gradients were recorded in 5 of 5 passes|gradients were recorded"),
        ({"write": True}, "prompt"),
        ({"cache": False}, "135 tokens were read for a result of 36"),
    ],
)
def test_each_fault_of_the_usual_decoder_is_found(causal, ids, fault, message):
    causal.train()
    with pytest.raises(CheckFailed, match=message):
        check.check_decoder(partial(usual_decoder, **fault), causal, ids + 1 - (ids == V - 1).long())
    assert causal.training
    assert not causal.embedding._forward_hooks


def test_a_decoder_that_returns_the_continuation_alone_is_found(causal, ids):
    with pytest.raises(CheckFailed, match="prompt"):
        check.check_decoder(lambda model, x: usual_decoder(model, x)[:, T:], causal, ids)


def test_filters_of_the_book_pass():
    for p in (1e-6, 0.3, 0.9, 1.0):
        check.check_filter(partial(top_p, p=p))
        check.check_filter(partial(typical, p=p))
        check.check_filter(partial(min_p, p=p))
    check.check_filter(partial(temperature, tau=0.0))
    for k in (1, 5, 50):
        check.check_filter(partial(top_k, k=k), keeps=k)


def test_small_numpy_ints_do_not_overflow(as_readers_run_it):
    check.check_filter(partial(top_k, k=100), keeps=np.int8(100))


def usual_top_k(logits, k, clamp=True, per_row=True):
    last = logits.topk(min(k, logits.shape[-1]) if clamp else k).values[..., -1:]
    return logits.masked_fill(logits < (last if per_row else last[..., 0]), -math.inf)


def usual_nucleus(logits, p, shift=True, per_row=True):
    ordered, order = logits.sort(descending=True, stable=True)
    remove = ordered.softmax(-1).cumsum(-1) > p
    if shift:
        remove = F.pad(remove[..., :-1], (1, 0))
    if per_row:
        remove = torch.zeros_like(remove).scatter(-1, order, remove)
        return logits.masked_fill(remove, -math.inf)
    logits = logits.clone()
    logits[:, order[remove]] = -math.inf
    return logits


def write_into(logits):
    logits[:, 0] = -math.inf
    return logits


@pytest.mark.parametrize(
    ("keep", "keeps", "message"),
    [
        (partial(usual_top_k, k=5, per_row=False), None, "fails on|keeps"),
        (lambda x: usual_top_k(x, 5, per_row=len(x) != x.shape[-1]), None, r"of shape \(11, 11\)"),
        (partial(usual_top_k, k=5), 5, r"keeps \d+ tokens, not 5"),
        (partial(usual_top_k, k=20, clamp=False), 20, "fails on"),
        (lambda x: x / 0.0, None, "lost all its tokens"),
        (partial(usual_nucleus, p=0.5, per_row=False), None, r"row \d+ .* keeps \d+|lost all"),
        (partial(usual_nucleus, p=0.5, shift=False), None, "lost all its tokens"),
        (lambda x: x[:, :5], None, "shape"),
        (lambda x: x.masked_fill(x > x.amax(-1, keepdim=True) - 0.1, math.nan), None, "lost all its tokens"),
    ],
    ids=["batch", "square", "ties", "k-above-v", "zero", "leak", "empty", "shape", "nan"],
)  # fmt: skip
def test_each_fault_of_a_filter_is_found(keep, keeps, message):
    with pytest.raises(CheckFailed, match=message):
        check.check_filter(keep, keeps)


def test_a_filter_that_writes_is_found():
    with pytest.raises(CheckFailed, match="written to"):
        check.check_filter(write_into)


@pytest.mark.parametrize("keep", [torch.zeros_like, lambda x: x.clamp(min=-30.0)], ids=["zeros", "clamp"])
def test_a_filter_that_revives_the_impossible_is_found(keep):
    with pytest.raises(CheckFailed, match=r"row 0 of logits of shape \(4, 11\) revives a token"):
        check.check_filter(keep)


def test_a_nucleus_without_faults_passes():
    check.check_filter(partial(usual_nucleus, p=0.5))


def test_temperature_zero(causal, ids):
    for decode in (top_k_decode, nucleus_decode):
        check.check_zero_temperature(
            lambda model, x, decode=decode: decode(model, x, max_length=5, temperature=0), causal, ids
        )

    def usual(model, x, tau):
        with torch.no_grad():
            probs = (model(x)[:, -1] / tau).softmax(-1)
        return torch.cat((x, torch.multinomial(probs, 1, generator=torch.Generator().manual_seed(0))), 1)

    with pytest.raises(CheckFailed, match="fails on temperature 0: RuntimeError"):
        check.check_zero_temperature(lambda model, x: usual(model, x, 0.0), causal, ids)
    with pytest.raises(CheckFailed, match="aren't the most probable"):
        check.check_zero_temperature(lambda model, x: usual(model, x, 5.0), causal, ids)


TREE = {(): [0.52, 0.48, 0], (0,): [0.34, 0.33, 0.33], (1,): [0.5, 0.5, 0], (0, 0): [1.0, 0, 0]}


def tree():
    """The example of chapter 9; what was read before the tree begins is one token, 2."""
    return SizedFunctionModel(lambda read: TREE.get(read[1:], [0.34, 0.33, 0.33]), 3)


def test_searches():
    prompt = torch.tensor([[2]])
    for model in (tree(), TableModel(3)):
        check.check_search(lambda m, x, n, length: beam_search(m, x, n, length), model, prompt)

    def per_token_score(model, x, n, length):
        out, score = beam_search(model, x, n, length)
        return out, score / length

    def narrow(model, x, n, length):
        return beam_search(model, x, min(n, 2), length)

    def wide(model, x, n, length):
        return beam_search(model, x, max(n, 2), length)

    wrong = (
        (per_token_score, "the score is"),
        (narrow, "all there are, find"),
        (wide, "one beam isn't greedy"),
    )
    for search, message in wrong:
        with pytest.raises(CheckFailed, match=message):
            check.check_search(search, tree(), prompt)


def test_masked_training_passes_too(masked, ids):
    still = SGD(masked.parameters(), lr=0.0)
    train_mlm(masked, [ids], still, 1)
    with pytest.raises(ValueError, match="at least 3 rows"):
        check.check_epoch_loss(lambda batches: 0.0, ids[:2])


def test_a_decoder_s_check_leaves_a_frozen_part_frozen(as_readers_run_it):
    model = CausalLM(7, 8, 2, 2)
    model.blocks[0].eval()
    modes = [part.training for part in model.modules()]
    check.check_decoder(lambda model, ids: greedy_decode(model, ids, 3), model, torch.tensor([[1, 2]]))
    assert [part.training for part in model.modules()] == modes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.norm.weight.data.mul_(1.5), r"isn't what it was: norm\.weight changed"),
        (lambda model: model.norm.half(), r"norm\.weight changed"),
        (lambda model: model.norm.requires_grad_(False), r"norm\.weight changed"),
        (lambda model: model.blocks.eval(), "found blocks in train mode, left it in eval mode"),
        (lambda model: model.blocks[1].train(), r"found blocks\.1 in eval mode, left it in train mode"),
    ],
    ids=["weights", "dtype", "frozen", "eval", "train"],
)
def test_a_decoder_that_leaves_a_part_of_the_model_changed_is_found(causal, ids, change, message):
    def decode(model, ids):
        out = greedy_decode(model, ids, 3)
        change(model)
        return out

    with pytest.raises(CheckFailed, match=message):
        check.check_decoder(decode, causal, ids)


def test_a_weight_that_is_nan_and_stays_nan_is_no_change(causal):
    causal.register_buffer("unused", torch.tensor(math.nan))
    check.check_decoder(partial(greedy_decode, max_length=3), causal, torch.tensor([[1, 2]]))


def test_a_decoder_that_adds_nothing_is_found(causal, ids):
    for checked in (check.check_decoder, check.check_zero_temperature):
        with pytest.raises(CheckFailed, match="nothing was decoded: the result has 7 tokens"):
            checked(lambda model, x: x.clone(), causal, ids)


def test_a_search_through_too_many_continuations_is_refused_at_once(as_readers_run_it):
    model = CausalLM(7, 8, 2, 1).eval()
    with pytest.raises(ValueError, match=r"at most 1,000,000 continuations, got 7 \*\* 50"):
        check.check_search(beam_search, model, torch.tensor([[1, 2]]), 50)
    with pytest.raises(ValueError, match=r"at most 1,000,000 continuations, got 3 \*\* 10{400}"):
        check.check_search(
            lambda *_: None, lambda x: torch.zeros(*x.shape, 3), torch.zeros(1, 2).long(), 10**400
        )


def test_a_model_without_modes_has_no_decoder_to_check(as_readers_run_it):
    with pytest.raises(TypeError, match=r"nn\.Module, got function"):
        check.check_decoder(lambda model, ids: ids, lambda ids: ids, torch.tensor([[1, 2]]))


class OwnError(Exception):
    pass


def failing(*arguments):
    raise OwnError("of its own")


class Failing(nn.Module):
    def forward(self, ids):
        raise OwnError("of its own")


RAISED = {
    "check_rows": lambda ids: check.check_rows(failing, ids),
    "check_future": lambda ids: check.check_future(failing, ids),
    "check_order": lambda ids: check.check_order(failing, ids),
    "check_device": lambda ids: check.check_device(Failing(), ids),
    "check_logits": lambda ids: check.check_logits(failing, failing, ids),
    "check_masking": lambda ids: check.check_masking(failing, V, V),
    "check_masked_loss": lambda ids: check.check_masked_loss(failing),
    "check_epoch_loss": lambda ids: check.check_epoch_loss(failing, ids),
    "check_decoder": lambda ids: check.check_decoder(failing, Failing(), ids),
    "check_decoder, model": lambda ids: check.check_decoder(greedy_decode, Failing(), ids),
    "check_filter": lambda ids: check.check_filter(failing),
    "check_zero_temperature": lambda ids: check.check_zero_temperature(failing, TableModel(V), ids),
    "check_zero_temperature, model": lambda ids: check.check_zero_temperature(
        lambda m, x: x.repeat(1, 2), failing, ids
    ),
    "check_search": lambda ids: check.check_search(failing, TableModel(3), ids % 3),
    "check_search, model": lambda ids: check.check_search(beam_search, failing, ids),
}


@pytest.mark.parametrize("call", RAISED.values(), ids=RAISED)
def test_what_the_code_under_test_raises_is_told_with_its_cause(ids, call):
    with pytest.raises(CheckFailed, match="OwnError: of its own") as failed:
        call(ids)
    assert isinstance(failed.value.__cause__, OwnError)


def test_what_is_no_function_is_no_failed_check(as_readers_run_it, ids, causal):
    for call in (
        lambda: check.check_rows(3, ids),
        lambda: check.check_device(failing, ids),
        lambda: check.check_masking(3, V, V),
        lambda: check.check_masked_loss(None),
        lambda: check.check_epoch_loss(0.5, ids),
        lambda: check.check_decoder("greedy", causal, ids),
        lambda: check.check_filter(torch.zeros(2)),
        lambda: check.check_zero_temperature(None, causal, ids),
        lambda: check.check_search(None, TableModel(3), ids % 3),
    ):
        with pytest.raises(TypeError):
            call()


def test_limits_of_the_checks_are_said_first(as_readers_run_it, ids):
    with pytest.raises(ValueError, match="keeps must be at most 1,000, got 1099511627776"):
        check.check_filter(failing, 2**40)
    for change, message in (
        ({"vocab_size": 10**12}, "vocab_size must be at most"),
        ({"special_token_ids": range(5)}, "all 5 ids are special"),
        ({"mask_token_id": 10**30}, "a special id must be at most 9,223,372,036,854,775,807"),
        ({"mask_prob": 1.5}, "mask_prob must be at least 0 and at most 1, got 1.5"),
        ({"split": (0.8, 0.1)}, "split must be three shares"),
    ):
        with pytest.raises(ValueError, match=message):
            check.check_masking(failing, **{"vocab_size": 5, "mask_token_id": 5} | change)
    model = TableModel(3)
    model.context_length = 8
    with pytest.raises(ValueError, match="prompt plus max_length is 10 tokens long"):
        check.check_search(failing, model, ids % 3, 10 - T)


def test_a_vocabulary_that_changes_fails(ids):
    def alone_is_narrower(ids):
        return torch.zeros(*ids.shape, V if len(ids) > 1 else V - 1)

    with pytest.raises(
        CheckFailed, match=rf"logits have shape \(1, {T}, {V}\) once, then \(1, {T}, {V - 1}\)"
    ):
        check.check_rows(alone_is_narrower, ids)


def test_a_vocabulary_that_shrinks_with_the_text_fails():
    def shrinking(ids):
        return torch.zeros(*ids.shape, 3 if ids.shape[1] == 1 else 2)

    with pytest.raises(CheckFailed, match="the logits are of 2 tokens, the text holds 2"):
        check.check_search(beam_search, shrinking, torch.tensor([[0]]), 1)


@pytest.mark.parametrize("layout", [torch.Tensor.to_sparse, lambda x: x.to("meta")], ids=["sparse", "meta"])
def test_a_result_without_readable_numbers_fails(as_readers_run_it, layout, ids, causal):
    for checked in (check.check_decoder, check.check_zero_temperature):
        with pytest.raises(CheckFailed, match=r"the result must be ids, .* got"):
            checked(lambda m, x: layout(x), causal, ids)


def test_tokens_that_an_embedding_reads_by_keyword_are_counted(ids, causal):
    class ByKeyword(CausalLM):
        def _embed(self, input_ids, padding_mask, cache=None):
            return self.embedding(input=input_ids)

    model = ByKeyword(V, 22, 11, 2, context_length=32)
    check.check_decoder(partial(greedy_decode, max_length=3), model, ids)

    @torch.no_grad()
    def reading_twice(model, ids):
        model(ids)
        return greedy_decode(model, ids, 3)

    with pytest.raises(CheckFailed, match="tokens were read for a result of"):
        check.check_decoder(reading_twice, model, ids)


def test_a_search_is_judged_with_few_texts_read_at_once(monkeypatch):
    monkeypatch.setattr("lmbook.checklist.decoding.ROWS", 4)
    check.check_search(beam_search, TableModel(3), torch.tensor([[0]]), 2)
