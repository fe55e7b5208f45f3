"""The stored models: what their recipes promise, and files that hold what the recipe made."""

import json
from dataclasses import replace

import pytest
import torch

from lmbook.evaluation import cross_entropy
from lmbook.tokenizer import CharTokenizer
from lmbook.toy import ToyLanguage
from lmbook.training import recipes as trained
from lmbook.training.recipes import (
    MAX_BYTES,
    RECIPES,
    Recipe,
    held_out_loss,
    load_trained,
    save_trained,
    train_recipe,
    trained_info,
    training_data,
)
from lmbook.transformer import CausalLM, MaskedLM

NAMES = sorted(RECIPES)
TINY = Recipe(data="toy", d_model=14, num_heads=1, steps=7, batch_size=3, row_length=11, learning_rate=1e-2)
TINIES = {
    "toy-causal": TINY,
    "toy-masked": replace(TINY, mask_prob=0.3),
    "shakespeare": replace(TINY, data="shakespeare"),
}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(trained, "RECIPES", TINIES)
    monkeypatch.setattr(trained, "HELD_OUT_CHARACTERS", 211)
    text = "".join(f"the {n} seals of {n % 7} sleep.\n" for n in range(200))
    reader = CharTokenizer.train(text + text.upper())
    read, unread = (torch.tensor(reader.encode(t)) for t in (text, text.upper()))
    monkeypatch.setattr(trained, "_read_plays", lambda: (reader, read, unread))


@pytest.mark.parametrize("name", NAMES)
class TestStored:
    def test_is_small_and_says_what_it_is(self, name):
        model, reader = load_trained(name)
        info = trained_info(name)
        assert (trained.FOLDER / f"{name}.safetensors").stat().st_size <= MAX_BYTES
        assert info["parameters"] == sum(weight.numel() for weight in model.parameters()) <= 250_000
        assert model.vocab_size == reader.vocab_size
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
        assert not model.training

    def test_float16_costs_less_than_a_thousandth_of_a_nat(self, name):
        model, _ = load_trained(name)
        loss = held_out_loss(model, training_data(RECIPES[name]))
        assert loss == pytest.approx(trained_info(name)["loss"], abs=1e-3)


def test_the_stored_models_know_their_languages():
    language = ToyLanguage()
    data = training_data(RECIPES["toy-causal"])
    floor = cross_entropy(language, data.held_out)
    assert floor <= trained_info("toy-causal")["loss"] <= floor + 0.05
    data = training_data(RECIPES["toy-masked"])
    exact = language.masked_posterior(data.held_out, data.hidden)[data.hidden]
    floor = float(-exact.log().gather(-1, data.held_out[data.hidden][:, None]).mean())
    assert floor <= trained_info("toy-masked")["loss"] <= floor + 0.1


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_makes_the_same_model_twice_and_leaves_chance_alone(tiny, name):
    before = torch.get_rng_state()
    first, second = train_recipe(name), train_recipe(name)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.loss == second.loss == held_out_loss(first.model, first.data)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert isinstance(first.model, MaskedLM if name == "toy-masked" else CausalLM)
    assert not first.model.training


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss(tiny, name):
    data = training_data(TINIES[name])
    untrained = TINIES[name].build(data.codec.vocab_size)
    read = replace(
        data, held_out=data.batches[0], hidden=data.hidden[:3, :11] if data.hidden is not None else None
    )
    assert held_out_loss(train_recipe(name).model, read) < held_out_loss(untrained, read) - 0.01


@pytest.mark.parametrize("name", NAMES)
def test_what_is_held_out_is_in_no_batch(tiny, name):
    data = training_data(TINIES[name])
    rows = {tuple(row) for batch in data.batches for row in batch.tolist()}
    assert [batch.shape for batch in data.batches] == [(3, 11)] * 7
    assert len(rows) > 19
    length = 11
    held = data.held_out.unfold(1, length, 1).flatten(0, 1).tolist()
    assert not rows & {tuple(row) for row in held}
    assert (data.hidden is not None) == (name == "toy-masked")


def test_eyes_on_the_way_see_each_moment_and_change_nothing(tiny):
    seen = []

    def watch(step, model):
        seen.append((step, model.embedding.weight.detach().clone()))
        cross_entropy(model, torch.tensor([[1, 2, 3]]))

    watched = train_recipe("toy-causal", on_eval=watch, eval_steps=[7, 0, 3])
    assert [step for step, _ in seen] == [0, 3, 7]
    assert torch.equal(seen[0][1], TINY.build(ToyLanguage().vocab_size).embedding.weight)
    assert torch.equal(seen[2][1], watched.model.embedding.weight)
    assert not torch.equal(seen[1][1], seen[2][1])
    assert watched.loss == train_recipe("toy-causal").loss


def test_without_moments_each_tenth_is_seen(tiny):
    seen = []
    train_recipe("toy-causal", on_eval=lambda step, model: seen.append(step))
    assert seen == list(range(8))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_comes_back(tiny, tmp_path, name):
    made = train_recipe(name)
    path = save_trained(name, made, tmp_path / "models")
    model, reader = load_trained(name, tmp_path / "models")
    for a, b in zip(made.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)
    text = "the seals sleep."
    assert reader.encode(text) == made.data.codec.encode(text)
    info = trained_info(name, path.parent)
    assert info["loss"] == made.loss
    assert info["recipe"]["data_seed"] == 0
    assert json.dumps(info) != ""


def test_a_file_of_another_recipe_is_refused(tiny, tmp_path, monkeypatch):
    save_trained("toy-causal", train_recipe("toy-causal"), tmp_path)
    monkeypatch.setattr(trained, "RECIPES", {"toy-causal": replace(TINY, seed=2)})
    with pytest.raises(ValueError, match="another recipe: make models"):
        load_trained("toy-causal", tmp_path)


def test_a_file_of_another_language_is_refused(tiny, tmp_path, monkeypatch):
    made = train_recipe("toy-causal")
    made.data.codec.vocab.reverse()
    save_trained("toy-causal", made, tmp_path)
    with pytest.raises(ValueError, match="another toy language: make models"):
        load_trained("toy-causal", tmp_path)


def test_what_is_wrong_is_said(tiny, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="toy-causal, toy-masked, shakespeare; got 'bert'"):
        train_recipe("bert")
    with pytest.raises(ValueError, match="got 'bert'"):
        load_trained("bert", tmp_path)
    with pytest.raises(ValueError, match=r"eval_steps must be from 0 to 7, got \[8\]"):
        train_recipe("toy-causal", eval_steps=[8])
    with pytest.raises(ValueError, match=r"from 0 to 7, got \[-1, 2\]"):
        train_recipe("toy-causal", eval_steps=[2, -1])
    with pytest.raises(FileNotFoundError, match=r"toy-causal\.safetensors: make models"):
        load_trained("toy-causal", tmp_path)
    monkeypatch.setattr(trained, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"toy-causal takes [\d,]+ bytes, the limit is 1,000"):
        save_trained("toy-causal", train_recipe("toy-causal"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_safetensors_the_package_is_named(tiny, tmp_path, monkeypatch):
    path = save_trained("toy-causal", train_recipe("toy-causal"), tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match="pip install safetensors"):
        load_trained("toy-causal", path.parent)
