"""SmolLM2 and other GGUF files in the page's core against lmbook.smollm2.

Axes: P prompts, T time, V vocabulary.
"""

import unicodedata

import gguf
import lm_parity as parity
import numpy as np
import pytest
import torch
from gguf.quants import quantize
from gguf_files import add_settings
from javascript import run_module
from smollm2_parity import TEXTS, WRITE, allowed, check, prompts, tokenizer

from lmbook.corpora import load_shakespeare
from lmbook.smollm2 import _smollm2_path, load_gguf
from lmbook.tokenizer.pretrained import byte_of

PATH = _smollm2_path()
OPEN = """
const open = (options = {}) => {
  const { size } = Deno.statSync(saved.path);
  const file = Deno.openSync(saved.path);
  const kernels = new lib.Kernels();
  const at = kernels.take(size);
  const bytes = new Uint8Array(kernels.memory.buffer, at, size);
  for (let done = 0; done < size;) done += file.readSync(bytes.subarray(done));
  const steps = lib.loadPretrained(kernels, at, size, { name: 'model', ...options });
  for (;;) {
    const { value, done } = steps.next();
    if (done) return value;
  }
};
"""


@pytest.fixture
def ask(tmp_path):
    """Run the body of a function of (open, data); open() is the model in the file data["path"]."""
    names = ("kernels", "gguf", "pretrained", "prompting")
    files = [(parity.FOLDER / "core" / f"{name}.js").as_uri() for name in names]
    imports = [f"import * as m{i} from '{file}';" for i, file in enumerate(files)]
    source = "\n".join([*imports, "const lib = { ...m0, ...m1, ...m2, ...m3 };", parity.PRELUDE])

    def answer(body, path, **data):
        script = f"{OPEN}\nprint(((data) => {{ {body} }})(saved));"
        return run_module(tmp_path, source, script, {"path": str(path), **data}, reads=path)

    return answer


# Small files


def settings_of(d_model, heads, kv_heads, d_ff):
    return {
        "embedding_length": d_model,
        "block_count": 2,
        "feed_forward_length": d_ff,
        "context_length": 37,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 500.0,
        "rope.dimension_count": d_model // heads,
    }


TOKENS = ["<|end|>", "<|end|>|", *byte_of(), "ab", "abab"]  # 260
FLOAT, Q4, Q8 = (gguf.GGMLQuantizationType[name] for name in ("F32", "Q4_1", "Q8_0"))


TOKENIZER = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3] + 258 * [1],
    "tokenizer.ggml.merges": ["a b", "ab ab"],
    "tokenizer.ggml.eos_token_id": 0,
}


def write_file(path, settings, kinds, *, tied=True, architecture="llama", changes=None):
    """A GGUF file with random weights, the kinds of embedding and other matrices given.

    `changes` are settings and tensors by name that the file has instead, or not (None).
    """
    changes = changes or {}
    rng = np.random.default_rng(5)
    d, f = settings["embedding_length"], settings["feed_forward_length"]
    kv = d // settings["attention.head_count"] * settings["attention.head_count_kv"]
    shapes = {"token_embd": (260, d), "output_norm": (d,)} | ({} if tied else {"output": (260, d)})
    block = {
        **{"attn_norm": (d,), "attn_q": (d, d), "attn_k": (kv, d), "attn_v": (kv, d), "attn_output": (d, d)},
        **{"ffn_norm": (d,), "ffn_gate": (f, d), "ffn_up": (f, d), "ffn_down": (d, f)},
    }
    for layer in range(2):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    writer = gguf.GGUFWriter(path, architecture)
    names = {f"llama.{name}": value for name, value in settings.items()} | TOKENIZER
    plain = str | int | float | list  # changes may be tensors too, or None
    add_settings(
        writer, {name: value for name, value in (names | changes).items() if isinstance(value, plain)}
    )
    for name, shape in shapes.items():
        weight = rng.normal(0, 0.3, shape).astype(np.float32)
        kind = FLOAT if len(shape) == 1 else kinds[name.split(".")[-1] != "token_embd"]
        data = weight if kind == FLOAT else quantize(weight, kind)
        data = changes.get(f"{name}.weight", data)
        if data is not None:
            writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    if "stranger.weight" in changes:
        writer.add_tensor("stranger.weight", changes["stranger.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("settings", "kinds", "tied"),
    [
        (settings_of(20, 5, 5, 13), (FLOAT, FLOAT), True),
        (settings_of(42, 7, 1, 11), (FLOAT, FLOAT), False),
        (settings_of(64, 4, 2, 96), (Q8, Q4), True),
        (settings_of(96, 3, 1, 64), (Q4, Q8), False),
        (settings_of(64, 8, 4, 32), (FLOAT, Q4), True),
    ],
    ids=["float", "grouped", "as SmolLM2", "the other way round", "mixed"],
)
def test_a_small_file_gives_the_logits_of_pytorch(ask, settings, kinds, tied, tmp_path):
    path = write_file(tmp_path / "tiny.gguf", settings, kinds, tied=tied)
    ids = torch.randint(260, (37,), generator=torch.Generator().manual_seed(1))
    got = ask(
        "const model = open(); return [toBase64(flatten(model.logits(data.ids), Float32Array)),"
        "model.contextLength, model.tokenizer.encode('abababé<|end|>|<|end|>|').ids];",
        path,
        ids=ids.tolist(),
    )
    model, tokenizer = load_gguf(path)
    with torch.inference_mode():
        want = model.double()(ids[None])[0]
    apart = np.abs(parity.decoded(got[0], "<f4").reshape(37, 260) - want.numpy()).max()
    assert apart < 1e-5 * max(1.0, float(want.abs().max()))
    assert got[1] == 37
    assert got[2] == tokenizer.encode("abababé<|end|>|<|end|>|")


SMALL = settings_of(64, 4, 2, 96)
NO_NUMBER = np.array([*63 * [1], np.nan], np.float32)
INFINITE = quantize(np.ones((64, 96), np.float32), Q4)
INFINITE[5, 23] = 0x7C  # the upper byte of a row's second m: 31 as its exponent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer.ggml.model": "llama"}, 'the kind "llama, smollm", not "gpt2, smollm"'),
        ({"tokenizer.ggml.pre": "qwen2"}, 'the kind "gpt2, qwen2"'),
        ({"tokenizer.ggml.token_type": [3, 1]}, "260 tokens and 2 token types"),
        ({"tokenizer.ggml.merges": ["a b", "a b"]}, 'the merge "a b"'),
        ({"tokenizer.ggml.merges": ["a c"]}, 'the merge "a c"'),
        ({"tokenizer.ggml.merges": ["ab"]}, 'the merge "ab"'),
        ({"tokenizer.ggml.merges": [1, 2]}, '"tokenizer.ggml.merges" can’t be a list of 2'),
        ({"tokenizer.ggml.tokens": [*TOKENS[:-1], "a"]}, "has a token twice"),
        ({"tokenizer.ggml.tokens": [*TOKENS[:10], "a b", *TOKENS[11:]]}, "token 10 has U+0020"),
        ({"tokenizer.ggml.eos_token_id": 260}, '"tokenizer.ggml.eos_token_id" can’t be "260"'),
        ({"llama.rope.scaling.type": "yarn"}, 'scales its rotary positions ("yarn")'),
        ({"llama.rope.dimension_count": 8}, "4 heads, 2 for keys, that turn 8 of 64 numbers"),
        ({"llama.attention.head_count": 0}, '"llama.attention.head_count" can’t be "0"'),
        ({"llama.attention.head_count_kv": 3}, "4 heads, 3 for keys"),
        ({"llama.block_count": 2**24}, "20 tensors, too few for 16777216 layers"),
        ({"llama.block_count": None}, 'no setting "llama.block_count"'),
        ({"llama.context_length": 2**21}, '"llama.context_length" can’t be "2097152"'),
        ({"llama.rope.freq_base": 0.5}, '"llama.rope.freq_base" can’t be "0.5"'),
        ({"llama.attention.layer_norm_rms_epsilon": 0.0}, 'rms_epsilon" can’t be "0"'),
        ({"llama.embedding_length": "64"}, '"llama.embedding_length" can’t be "64"'),
        ({"blk.1.attn_k.weight": None}, 'no tensor "blk.1.attn_k.weight"'),
        (
            {"llama.feed_forward_length": 64},
            '"blk.0.ffn_gate.weight" is 96 × 64 numbers, its place in the model 64 × 64',
        ),
        ({"stranger.weight": NO_NUMBER}, 'no place for: "stranger.weight"'),
        ({"blk.1.ffn_norm.weight": NO_NUMBER}, '"blk.1.ffn_norm.weight" has numbers that are NaN, infinite'),
        ({"output_norm.weight": -1e5 * np.ones(64, np.float32)}, "infinite or beyond 65504"),
        ({"blk.0.ffn_down.weight": INFINITE}, '"blk.0.ffn_down.weight" has numbers that are NaN, infinite'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_files_are_refused(ask, changes, message, tmp_path):
    path = write_file(tmp_path / "wrong.gguf", SMALL, (Q8, Q4), changes=changes)
    got = ask("try { open(); } catch (error) { return [error.name, error.message]; }", path)
    assert got[0] == "FileProblem"
    assert message in got[1]


def test_another_architecture_is_refused(ask, tmp_path):
    path = write_file(tmp_path / "other.gguf", SMALL, (Q8, Q4), architecture="qwen2")
    got = ask("try { open(); } catch (error) { return error.message; }", path)
    assert got == 'the file’s architecture is "qwen2"; this page runs "llama"'


def test_blocks_in_a_number_of_rows_that_the_kernels_do_not_take(ask, tmp_path):
    settings = settings_of(64, 32, 1, 96)  # two rows of keys
    path = write_file(tmp_path / "two.gguf", settings, (FLOAT, Q4))
    got = ask("try { open(); } catch (error) { return error.message; }", path)
    assert (
        got == 'the file’s tensor "blk.0.attn_k.weight" is of a kind or in a place that this page can’t read'
    )


def test_a_shorter_context_is_kept(ask, tmp_path):
    path = write_file(tmp_path / "tiny.gguf", settings_of(64, 4, 2, 96), (Q8, Q4))
    got = ask("return [open({ contextLength: 9 }).contextLength, open().capacity];", path)
    assert got == [9, 37]


# The tokenizer


def test_ids_and_texts_are_pythons(ask):
    texts = [allowed(text) for text in [*TEXTS, load_shakespeare("validation")["Hamlet"][:20000]]]
    got = ask(
        """const { tokenizer } = open();
        const reads = data.texts.map((text) => tokenizer.encode(text));
        return { reads, texts: [...reads.map(({ ids }) => ids), ...data.more].map(tokenizer.decode),
          missing: ['a\\u0007b', '\\u0004', 'ab\\ud83d'].map(tokenizer.encode),
          special: tokenizer.specialIds, eos: tokenizer.eosTokenId, label: tokenizer.label(504) };""",
        PATH,
        texts=texts,
        more=[[i] for i in range(0, 49152, 7)],
    )
    want = [tokenizer().encode(text) for text in texts]
    for text, read, ids in zip(texts, got["reads"], want, strict=True):
        assert (read["ids"], read["problem"]) == (ids, None), repr(text[:50])
    assert got["texts"] == [tokenizer().decode(ids) for ids in [*want, *([i] for i in range(0, 49152, 7))]]
    assert (got["special"], got["eos"], got["label"]) == (list(range(17)), 2, "The")
    half = got["missing"][2]
    assert half["ids"] == tokenizer().encode("ab")
    assert half["problem"].startswith("U+D83D at place 3 is half of a character")
    for text, read in zip(("a\x07b", "\x04"), got["missing"], strict=False):
        if ord(text.strip("ab")) in tokenizer()._missing:
            assert (
                read["problem"] == f"Character {1 + text.index(text.strip('ab'))}, "
                f"U+{ord(text.strip('ab')):04X}, has no token in this model."
            )
        else:
            assert read["ids"] == tokenizer().encode(text)


def test_every_character_is_cut_as_in_python(ask):
    known = [chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) not in ("Cn", "Co", "Cs")]
    text = allowed("".join(f"a{char}1 {char}{char}.{char} " for char in known))
    got = ask("return toBase64(Uint16Array.from(open().tokenizer.encode(data.text).ids));", PATH, text=text)
    np.testing.assert_array_equal(parity.decoded(got, "<u2"), tokenizer().encode(text))


USER = {"role": "user", "content": "What is 2 + 2?"}
ANSWER = {"role": "assistant", "content": "4.\n"}
SYSTEM = {"role": "system", "content": "Be brief."}
CHATS = [[USER], [SYSTEM, USER], [USER, ANSWER, USER], [SYSTEM], [ANSWER], [USER, SYSTEM]]


def test_chat_is_pythons(ask):
    got = ask(
        """const { tokenizer } = open();
        const fails = [[], [{ role: 'robot', content: 'hi' }], [{ role: 'user' }]].map((messages) => {
          try { tokenizer.chat(messages); } catch (error) { return error.message; }
        });
        return [fails, ...data.chats.map((messages) => [true, false].map((addGenerationPrompt) =>
          tokenizer.chat(messages, { addGenerationPrompt })))];""",
        PATH,
        chats=CHATS,
    )
    needs = "a message has a role, one of system, user, assistant, and a text as content"
    assert got[0] == [
        "a chat needs at least 1 message",
        f'{needs}: {{"role":"robot","content":"hi"}}',
        f'{needs}: {{"role":"user"}}',
    ]
    want = [[tokenizer().chat(chat, add_generation_prompt=end) for end in (True, False)] for chat in CHATS]
    assert got[1:] == want


# The model


@pytest.fixture
def write(ask):
    return lambda data: ask(f"const model = open(); {WRITE}", PATH, **data)


def test_smollm2_says_in_the_page_what_it_says_in_pytorch(write):
    check(write, [prompts()[i] for i in (0, 5, 14)], 8)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(15))
def test_smollm2_says_and_writes_what_pytorch_does(write, part):
    assert len(prompts()) == 30
    check(write, prompts()[part::15], 64)


def test_luck_that_the_chapter_tells_of(ask):
    got = ask(
        """const desk = new lib.PromptDesk(open());
        const asked = { prompt: 'The capital of France is', asChat: false, temperatures: [0.7], count: 3 };
        return [1, 2, 3, 4, 5, 6].map((seed) => [...desk.write({ ...asked, seed })].at(-1).text);""",
        PATH,
    )
    assert got[0] == " City of Light"
    assert sum(text.startswith(" Paris") for text in got[1:]) >= 4


def test_another_file_is_refused_with_a_sentence(ask, tmp_path):
    whole = PATH.read_bytes()[:3_000_000]
    for data, message in (
        (whole, "the file is damaged or cut short at 3,000,000 bytes"),
        (b"<!doctype html>", 'this is no GGUF file: it begins with "<!do", not with "GGUF"'),
    ):
        path = tmp_path / "wrong.gguf"
        path.write_bytes(data)
        got = ask("try { open(); } catch (error) { return [error.name, error.message]; }", path)
        assert got == ["FileProblem", message]
