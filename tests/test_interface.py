"""The shared checks: what passes, what is refused, and with which message."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from lmbook.interface import (
    Cache,
    Interval,
    LanguageModel,
    check_causal,
    check_fits,
    check_generator,
    check_ids,
    check_int,
    check_logits_shape,
    check_mask,
    check_not_nan,
    check_number,
    check_shape,
    check_told,
    evaluating,
    is_dense,
    list_of,
)


class Limited:
    context_length = 7
    predicts = "next"

    def __call__(self, input_ids):
        return torch.zeros(*input_ids.shape, 3)


class Masked(Limited):
    predicts = "same"


def test_any_callable_is_a_language_model():
    assert isinstance(Limited(), LanguageModel)
    assert isinstance(lambda ids: ids, LanguageModel)
    assert not isinstance(3, LanguageModel)


def test_check_causal():
    check_causal(Limited(), "perplexity")
    check_causal(lambda ids: ids, "perplexity")
    with pytest.raises(
        TypeError, match=r"greedy_decode needs a model whose row t .* Masked .* pseudo_perplexity"
    ):
        check_causal(Masked(), "greedy_decode")


def test_what_can_not_be_called_is_no_language_model(as_readers_run_it):
    with pytest.raises(TypeError, match=r"greedy_decode needs a language model, a callable .*; got 3"):
        check_causal(3, "greedy_decode")


def test_check_ids_accepts():
    check_ids(torch.tensor([[0, 2], [1, 0]]), 3, min_length=2)
    check_ids(torch.tensor([[10**12]]), None)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (
            torch.zeros(2, 3, dtype=torch.int32),
            TypeError,
            "prompt must be a tensor of int64 ids, got torch.int32",
        ),
        (torch.zeros(3, dtype=torch.int64), ValueError, r"shape \(B, T\), got \(3,\)"),
        (torch.zeros(0, 3, dtype=torch.int64), ValueError, r"1 row of 2 token\(s\), got \(0, 3\)"),
        (torch.zeros(2, 1, dtype=torch.int64), ValueError, r"1 row of 2 token\(s\), got \(2, 1\)"),
        (torch.tensor([[1, 3]]), ValueError, "at least 0 and below vocab_size 3, got 3"),
        (torch.tensor([[-1, 3]]), ValueError, "at least 0 and below vocab_size 3, got -1"),
        (torch.tensor([[0, 3]]), ValueError, "at least 0 and below vocab_size 3, got 3"),
    ],
)
def test_check_ids_refuses(ids, error, message):
    with pytest.raises(error, match=message):
        check_ids(ids, 3, name="prompt", min_length=2)


def test_check_ids_without_a_vocabulary():
    with pytest.raises(ValueError, match="input_ids must be at least 0, got -2"):
        check_ids(torch.tensor([[-2]]), None)


def test_check_fits():
    check_fits(Limited(), 7, "the prompt")
    check_fits(lambda ids: ids, 10**9, "the prompt")
    with pytest.raises(ValueError, match="the prompt is 8 tokens long, the model's context_length is 7"):
        check_fits(Limited(), 8, "the prompt")


def test_check_int():
    for value in (3, 4, np.int8(3)):
        assert (check_int("k", value, 3), type(check_int("k", value, 3))) == (value, int)
    check_int("k", 1)
    with pytest.raises(ValueError, match="k must be at least 3, got 2"):
        check_int("k", 2, 3)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        check_int("k", 0)
    for value in (2.5, float("nan"), "7", None, True):
        with pytest.raises(TypeError, match=f"k must be an int, at least 1; got {value!r}"):
            check_int("k", value)
    assert check_int("k", 7, 3, 7) == 7
    with pytest.raises(ValueError, match=r"k must be at most 7, got 8$"):
        check_int("k", 8, 3, 7)
    with pytest.raises(ValueError, match=f"k must be at most 7, got {'9' * 30}$"):
        check_int("k", 10**30 - 1, 3, 7)
    with pytest.raises(ValueError, match=r"k must be at most 7, got an int of over 30 digits$"):
        check_int("k", 10**30, 3, 7)


def test_check_number():
    for value, kind in ((2, int), (0.5, float), (np.float32(0.1), float), (np.int8(2), int)):
        number = check_number("p", value, "(0, inf]")
        assert (number, type(number)) == (value, kind)
    for value in (0, -1.5, float("nan")):
        with pytest.raises(ValueError, match=f"p must be above 0, got {value}$"):
            check_number("p", value, "(0, inf]")
    for value in ("0.5", None, True, torch.tensor(0.5), 1j):
        with pytest.raises(TypeError, match=re.escape(f"p must be a number, above 0; got {value!r}")):
            check_number("p", value, "(0, inf]")


@pytest.mark.parametrize(
    ("within", "inside", "outside", "words"),
    [
        ("(0, 1]", [0.5, 1], [0, 1.5], "above 0 and at most 1"),
        ("[0, 1)", [0, 0.5], [-0.5, 1], "at least 0 and below 1"),
        ("[0, inf)", [0, 1e300], [-1, float("inf")], "at least 0 and finite"),
        ("(-inf, 2]", [-1e300, 2], [2.5], "at most 2"),
        ("(-inf, inf)", [-1e300, 1e300], [float("inf"), float("-inf"), float("nan")], "finite"),
        ("[1, inf]", [1, float("inf")], [0.5, float("nan")], "at least 1"),
    ],
)
def test_limits_of_a_number(within, inside, outside, words):
    for value in inside:
        check_number("p", value, within)
    for value in outside:
        with pytest.raises(ValueError, match=re.escape(f"p must be {words}, got {value}") + "$"):
            check_number("p", value, within)


def test_an_interval_that_many_share_can_not_be_changed():
    assert Interval.of("(0, 1]") is Interval.of("(0, 1]")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Interval.of("(0, 1]").low = -1.0


def test_a_number_greater_than_any_float():
    with pytest.raises(ValueError, match=r"p must be above 0, got an int of over 308 digits"):
        check_number("p", 10**400, "(0, inf]")


def test_what_a_model_tells_of_itself():
    model = Limited()
    model.vocab_size, model.context_length, model.markov_order = 1, 1, 0
    check_told(model)
    check_told(lambda ids: ids)
    for name in ("vocab_size", "context_length"):
        wrong = Limited()
        setattr(wrong, name, 0)
        with pytest.raises(ValueError, match=rf"Limited\.{name} must be at least 1, got 0"):
            check_told(wrong)
    wrong = Limited()
    wrong.markov_order = -1
    with pytest.raises(ValueError, match=r"Limited\.markov_order must be at least 0, got -1"):
        check_told(wrong)


class Elsewhere(torch.Generator):
    """A generator that says it draws on a GPU."""

    device = torch.device("cuda:1")


def test_check_generator():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    check_generator(None, gpu)
    check_generator(torch.Generator(), cpu)
    check_generator(Elsewhere(), gpu)
    with pytest.raises(ValueError, match="generator must be on cpu, as the ids are; got one on cuda:1"):
        check_generator(Elsewhere(), cpu)
    for value in ("a", 7, np.random.default_rng(0)):
        with pytest.raises(TypeError, match=r"generator must be a torch\.Generator or None, got "):
            check_generator(value, cpu)


@pytest.mark.parametrize("shape", [(1, 7), (7,), (5, 1), (1, 1), (), (5, 6), (6, 7), (5, 7, 1)], ids=str)
def test_nothing_is_stretched_to_a_shape(shape):
    check_shape("word_ids", torch.zeros(5, 7), (5, 7))
    check_mask("padding_mask", torch.zeros(5, 7).bool(), torch.Size((5, 7)))
    message = re.escape(f"word_ids must have shape (5, 7), got {shape}")
    with pytest.raises(ValueError, match=message):
        check_shape("word_ids", torch.zeros(shape), (5, 7))
    message = re.escape(f"padding_mask must be (5, 7) torch.bool, got {shape} torch.bool")
    with pytest.raises(ValueError, match=message):
        check_mask("padding_mask", torch.zeros(shape).bool(), (5, 7))


UNREADABLE = [
    (torch.zeros(3, dtype=torch.int64, device="meta"), "torch.int64 on meta, where tensors have no numbers"),
    (torch.zeros(3, dtype=torch.int64).to_sparse(), "a tensor with layout torch.sparse_coo"),
    (torch.nested.nested_tensor([torch.zeros(3), torch.zeros(2)], layout=torch.jagged), "a nested tensor"),
    (torch.zeros(2, 2, 1, dtype=torch.int64), r"torch.int64 of shape \(2, 2, 1\)"),
]


def test_a_list_is_anything_with_items():
    assert list_of("ids", torch.tensor([5, 7])) == [5, 7]
    assert list_of("ids", (n for n in (5, 7))) == [5, 7]
    with pytest.raises(TypeError, match="ids must be a list, got 3"):
        list_of("ids", 3)


@pytest.mark.parametrize(("value", "words"), UNREADABLE, ids=["meta", "sparse", "nested", "three axes"])
def test_a_tensor_that_is_no_list_is_refused_by_what_it_is(value, words):
    with pytest.raises(TypeError, match=f"ids must be a list, got {words}$"):
        list_of("ids", value)


@pytest.mark.parametrize(("value", "words"), UNREADABLE[:3], ids=["meta", "sparse", "nested"])
def test_a_tensor_without_numbers_at_hand_is_named(value, words):
    with pytest.raises(TypeError, match=f"input_ids must be a tensor of int64 ids, got {words}"):
        check_ids(value, 7)
    if value.device.type != "meta":
        with pytest.raises(TypeError, match=f"mask must be a tensor of bool, got {words}"):
            check_mask("mask", value, (3,))
        with pytest.raises(TypeError, match=rf"x must be a tensor of shape \(3,\), got {words}"):
            check_shape("x", value, (3,))


def test_a_mask_lies_where_the_ids_lie():
    here, there = torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool, device="meta")
    check_mask("mask", here, (2, 3), torch.device("cpu"))
    with pytest.raises(ValueError, match="mask must be on cpu, as the ids are; got one on meta"):
        check_mask("mask", there, (2, 3), torch.device("cpu"))


def test_a_mask_is_a_tensor_of_bool():
    for dtype in (torch.int64, torch.float32, torch.uint8):
        with pytest.raises(ValueError, match=rf"mask must be \(2, 3\) torch.bool, got \(2, 3\) {dtype}"):
            check_mask("mask", torch.zeros(2, 3, dtype=dtype), (2, 3))
    with pytest.raises(TypeError, match="mask must be a tensor of bool, got list"):
        check_mask("mask", [[True]], (1, 1))
    with pytest.raises(TypeError, match=r"word_ids must be a tensor of shape \(1, 1\), got list"):
        check_shape("word_ids", [[0]], (1, 1))


def test_logits_have_a_row_for_each_token():
    for vocab_size in (11, None):
        check_logits_shape(torch.zeros(5, 7, 11), torch.Size((5, 7)), vocab_size)
        for shape in ((5, 11), (7, 11), (5, 1, 11), (1, 7, 11), (7, 5, 11), (5, 7, 0), (5, 7), (11,), ()):
            message = rf"\(B, T, V\), \(5, 7, .*\) for ids \(5, 7\); got {re.escape(str(shape))}$"
            with pytest.raises(ValueError, match=message):
                check_logits_shape(torch.zeros(shape), (5, 7), vocab_size)
    check_logits_shape(torch.zeros(5, 7, 1, dtype=torch.float16), (5, 7), None)
    with pytest.raises(ValueError, match=r"\(5, 7, 11\) for ids \(5, 7\); got \(5, 7, 12\)"):
        check_logits_shape(torch.zeros(5, 7, 12), (5, 7), 11)
    with pytest.raises(TypeError, match=r"\(B, T, V\), a tensor of floats; got torch.int64"):
        check_logits_shape(torch.zeros(5, 7, 11).long(), (5, 7), 11)
    with pytest.raises(TypeError, match="got tuple"):
        check_logits_shape((torch.zeros(5, 7, 11),), (5, 7), 11)


class Remembered:
    length, batch_size = 3, 2

    def truncate(self, length):
        self.length = length

    def select(self, rows):
        self.batch_size = len(rows)


def test_a_cache_is_what_can_be_cut_and_reordered():
    assert isinstance(Remembered(), Cache)
    assert not isinstance([], Cache)


def test_check_logits():
    check_not_nan(torch.tensor([[0.0, -torch.inf]]))
    with pytest.raises(ValueError, match=r"NaN logits, first at index \(1, 0\)"):
        check_not_nan(torch.tensor([[0.0, 1.0], [torch.nan, 0.0]]))


def test_inference_mode_gives_each_part_its_mode_back():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.Dropout())).train()
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert torch.is_inference_mode_enabled()
    assert [module.training for module in model.modules()] == [True, True, False, False]
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError  # gives the modes back all the same
    assert [module.training for module in model.modules()] == [True, True, False, False]
    assert not torch.is_inference_mode_enabled()
    with evaluating(lambda ids: ids):
        assert torch.is_inference_mode_enabled()


@pytest.mark.filterwarnings("ignore")
def test_a_quantized_tensor_is_not_read():
    value = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    assert not is_dense(value)
    with pytest.raises(TypeError, match=r"ids must be a list, got torch\.qint8"):
        list_of("ids", value)


def test_a_number_of_numpy_is_no_list():
    with pytest.raises(TypeError, match=r"ids must be a list, got array\(2\)"):
        list_of("ids", np.array(2))
