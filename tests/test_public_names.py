"""The public names of `lmbook`, the order of their arguments, their defaults."""

import inspect

import pytest
import torch

import lmbook
from lmbook.tokenizer import Tokenizer

REQUIRED = inspect.Parameter.empty
# By position, then by keyword; what comes after these may grow.
SIGNATURES = {
    "CausalLM": (
        {"vocab_size": REQUIRED, "d_model": REQUIRED, "num_heads": REQUIRED, "num_layers": REQUIRED},
        {"context_length": 1024},
    ),
    "MaskedLM": (
        {
            "vocab_size": REQUIRED,
            "d_model": REQUIRED,
            "num_heads": REQUIRED,
            "num_layers": REQUIRED,
            "mask_prob": 0.15,
        },
        {"mask_token_id": None, "special_token_ids": ()},
    ),
    "MaskedLM.create_masked_input": ({"input_ids": REQUIRED}, {"generator": None}),
    "MaskedLM.forward": ({"input_ids": REQUIRED, "padding_mask": None}, {}),
    "train_clm": (
        {"model": REQUIRED, "dataloader": REQUIRED, "optimizer": REQUIRED, "epochs": 10},
        {"pad_token_id": None},
    ),
    "train_mlm": ({"model": REQUIRED, "dataloader": REQUIRED, "optimizer": REQUIRED, "epochs": 10}, {}),
    "greedy_decode": (
        {"model": REQUIRED, "input_ids": REQUIRED, "max_length": 100},
        {"eos_token_id": None},
    ),
    "top_k_decode": (
        {"model": REQUIRED, "input_ids": REQUIRED, "k": 50, "max_length": 100, "temperature": 1.0},
        {"generator": None, "eos_token_id": None},
    ),
    "nucleus_decode": (
        {"model": REQUIRED, "input_ids": REQUIRED, "p": 0.9, "max_length": 100, "temperature": 1.0},
        {"generator": None, "eos_token_id": None},
    ),
    "beam_search": (
        {"model": REQUIRED, "input_ids": REQUIRED, "num_beams": 4, "max_length": 100},
        {"length_penalty": 0.0},
    ),
    "speculative_decode": (
        {"target": REQUIRED, "draft": REQUIRED, "input_ids": REQUIRED, "max_length": 100},
        {"generator": None},
    ),
    "ToyLanguage": ({}, {"grammar": None}),
    "ToyLanguage.log_prob": ({"ids": REQUIRED}, {}),
    "ToyLanguage.entropy_rate": ({}, {}),
    "ToyLanguage.best_continuation": ({"ids": REQUIRED, "length": REQUIRED}, {}),
    "NGramLM": ({"order": REQUIRED, "vocab_size": REQUIRED}, {"smoothing": "kneser-ney"}),
    "NGramLM.fit": ({"ids": REQUIRED}, {}),
    "WindowLM": (
        {"vocab_size": REQUIRED, "window": REQUIRED, "d_embedding": REQUIRED, "d_hidden": REQUIRED},
        {"dropout": 0.0},
    ),
    "cross_entropy": ({"model": REQUIRED, "ids": REQUIRED}, {}),
    "perplexity": ({"model": REQUIRED, "ids": REQUIRED}, {}),
    "bits_per_byte": ({"model": REQUIRED, "ids": REQUIRED, "num_bytes": REQUIRED}, {}),
    "pseudo_perplexity": ({"masked_model": REQUIRED, "ids": REQUIRED}, {}),
    "load_smollm2": ({"dtype": torch.float32}, {}),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_keep_their_order_and_defaults(name):
    first, *rest = name.split(".")
    public = getattr(lmbook, first)
    for part in rest:
        public = getattr(public, part)
    parameters = [p for p in inspect.signature(public).parameters.values() if p.name != "self"]
    by_position = {p.name: p.default for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD}
    by_keyword = {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    positions, keywords = SIGNATURES[name]
    assert list(by_position.items()) == list(positions.items())
    assert keywords.items() <= by_keyword.items()


def test_every_name_is_there_and_no_other():
    assert lmbook.__all__ == dir(lmbook) == sorted(lmbook.__all__)
    assert {name.split(".")[0] for name in SIGNATURES} <= set(lmbook.__all__)
    for name in lmbook.__all__:
        assert getattr(lmbook, name).__module__.startswith("lmbook.")
    with pytest.raises(AttributeError, match="no attribute 'beam_serach'"):
        lmbook.beam_serach  # noqa: B018


def test_every_tokenizer_encodes_and_decodes():
    for kind in Tokenizer.kinds.values():
        assert list(inspect.signature(kind.encode).parameters) == ["self", "text"]
        assert list(inspect.signature(kind.decode).parameters) == ["self", "ids"]
