"""A damaged checkpoint is refused by name, before a model of its shape is built."""

import json

import pytest
import torch
from safetensors.torch import save_file

from lmbook import CausalLM
from lmbook.tokenizer import ByteTokenizer, CharTokenizer
from lmbook.training.checkpoint import NAME, load_run

SHAPE = {"d_model": 6, "num_heads": 1, "num_layers": 2, "context_length": 13}
INFO = {"tokenizer": ByteTokenizer().to_json(), "shape": SHAPE}


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {f"model.{name}": weight.detach() for name, weight in CausalLM(256, **SHAPE).named_parameters()}


def stored(folder, tensors, info) -> None:
    save_file(tensors, folder / NAME, metadata={"info": json.dumps(info)})


def test_what_was_stored_is_loaded(tmp_path):
    tensors = weights()
    stored(tmp_path, tensors, INFO)
    model, tokenizer = load_run(tmp_path)
    assert all(weight.equal(tensors[f"model.{name}"]) for name, weight in model.named_parameters())
    assert tokenizer.decode(tokenizer.encode("ä")) == "ä"


@pytest.mark.parametrize(
    ("name", "weight", "said"),
    [
        ("norm.weight", None, r"lacks the weight norm\.weight"),
        ("embedding.weight", None, r"lacks the weight embedding\.weight"),
        ("norm.weight", torch.ones(5), r"norm\.weight is \(5,\), the model's is \(6,\)"),
        ("embedding.weight", torch.ones(256, 1), r"embedding\.weight is \(256, 1\)"),
        ("norm.weight", torch.ones(6, dtype=torch.int64), r"must be of torch\.float32, got torch\.int64"),
        ("norm.weight", torch.ones(6, dtype=torch.float16), r"must be of torch\.float32, got torch\.float16"),
        ("norm.weight", torch.full((6,), torch.nan), r"norm\.weight has numbers that are NaN or infinite"),
        ("blocks.2.attention_norm.weight", torch.ones(6), "has 2 layers, and it has weights for 3"),
        ("colour.weight", torch.ones(6), r"has the weight colour\.weight, which the model hasn't"),
    ],
)
def test_damaged_weights_are_named(tmp_path, name, weight, said):
    tensors = weights()
    tensors.pop(f"model.{name}", None)
    if weight is not None:
        tensors[f"model.{name}"] = weight
    stored(tmp_path, tensors, INFO)
    with pytest.raises(ValueError, match=rf"{NAME} is no checkpoint .*{said}"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ([1, 2], r"must be an object of JSON, got \[1, 2\]"),
        (7, "must be an object of JSON, got 7"),
        (INFO | {"shape": None}, "its shape must have context_length, d_model, .* got None"),
        (INFO | {"shape": [6, 1]}, r"got \[6, 1\]"),
        (INFO | {"shape": {"d_model": 6}}, "its shape must have"),
        (INFO | {"shape": SHAPE | {"colour": 3}}, "colour"),
        (INFO | {"shape": SHAPE | {"d_model": "six"}}, "d_model in its shape must be an int .* got 'six'"),
        (INFO | {"shape": SHAPE | {"d_model": True}}, "got True"),
        (INFO | {"shape": SHAPE | {"d_model": 6.0}}, r"got 6\.0"),
        (INFO | {"shape": SHAPE | {"num_heads": 0}}, "num_heads in its shape .* got 0"),
        (INFO | {"shape": SHAPE | {"num_heads": 4}}, "num_heads must divide d_model 6, got 4"),
        (INFO | {"shape": SHAPE | {"num_layers": 10**6}}, "1000000 layers, and it has weights for 2"),
        (INFO | {"shape": SHAPE | {"num_layers": 10**12}}, "num_layers in its shape must be"),
        (INFO | {"shape": SHAPE | {"context_length": 10**12}}, "context_length in its shape must be"),
        (INFO | {"objective": "both"}, "its objective must be one of causal, masked; got 'both'"),
        (INFO | {"objective": ["masked"]}, "its objective must be one of"),
        (INFO | {"objective": "masked"}, r"embedding\.weight is \(256, 6\), the model's is \(257, 6\)"),
        (INFO | {"tokenizer": None}, "its tokenizer must be text, got None"),
        (INFO | {"tokenizer": {"kind": "byte"}}, "its tokenizer must be text"),
        (INFO | {"tokenizer": CharTokenizer("abc").to_json()}, r"embedding\.weight is \(256, 6\)"),
    ],
)
def test_damaged_settings_are_named(tmp_path, info, said):
    stored(tmp_path, weights(), info)
    with pytest.raises(ValueError, match=rf"{NAME} is no checkpoint.*{said}"):
        load_run(tmp_path)


def test_lists_without_end_are_no_info(tmp_path):
    save_file(weights(), tmp_path / NAME, metadata={"info": "[" * 200_000})
    with pytest.raises(ValueError, match=rf"{NAME} is no checkpoint: "):
        load_run(tmp_path)


def test_a_foreign_file_is_told_apart(tmp_path):
    save_file({"weight": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors is no checkpoint: .*another program wrote it"):
        load_run(tmp_path / "model.safetensors")
