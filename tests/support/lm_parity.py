"""Questions for the JavaScript core, and what Python answers: asked in Deno and in Chromium alike.

Everything goes through `run(script, data) -> value`, where `script` is the body of a function of `lib`
(the exports of all shared modules) and `data`. Numbers travel as base64, so that −∞ and the last bit do.

Axes: P prompts, T time, V vocabulary.
"""

import base64
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import lmbook.widgets
from lmbook import CausalLM, MaskedLM, NGramLM, ToyLanguage, beam_search, filters, greedy_decode
from lmbook.tokenizer import PIECES, BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer, WordTokenizer
from lmbook.widgets.bundle import modules, without_exports, without_imports
from lmbook.widgets.packing import pack_model, pack_models, rounded

FOLDER = Path(lmbook.widgets.__file__).parent
SHARED = [
    f"{name}.js"
    for name in (
        *("core/bytes", "core/random", "core/words", "core/pieces", "core/filters", "core/session"),
        *("core/blocks", "core/kernels", "core/gguf", "core/byte_level_bpe", "core/pretrained"),
        *("core/transformer", "core/tokenizers", "core/ngram", "core/toy_language", "core/models"),
        *("core/toy_models", "core/search", "core/slices", "playground/settings", "playground/own_text"),
        *("chain_rule_factors",),
    )
]
EXPORTED = re.compile(r"^export (?:const|class|(?:async )?function\*?) (\w+)", re.MULTILINE)
Run = Callable[[str, Any], Any]

# Numbers there and back.
PRELUDE = """
const fromBase64 = (text, ArrayType) =>
  new ArrayType(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const toBase64 = (array) => {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
};
const load = ({ headers, bytes }) =>
  lib.loadModels(headers, new DataView(fromBase64(bytes, Uint8Array).buffer));
const flatten = (rows, ArrayType) => {
  const all = new ArrayType(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) all.set(row, (at += row.length) - row.length);
  return all;
};
"""


def one_script() -> str:
    """All shared modules as the text of one, the way a widget's bundle has them, with `lib` at the end."""
    text, names = "", []
    for path in modules(*SHARED):
        names += EXPORTED.findall(without_imports(path))
        text += without_exports(path)
    return f"{text}\nconst lib = {{ {', '.join(names)} }};\n"


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def decoded(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


def packed(*models: tuple[dict, bytes]) -> dict:
    headers, data = pack_models(models)
    return {"headers": headers, "bytes": base64.b64encode(data).decode()}


# ---- Transformers ----------------------------------------------------------------------------------------


def sharpened(model: nn.Module, factor: float = 3.0) -> nn.Module:
    """A model as decided as a trained one: fresh weights say nearly the same whatever they read."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(factor if weight.ndim > 1 else 1)
    return model.eval()


def transformers() -> dict[str, CausalLM | MaskedLM]:
    torch.manual_seed(11)
    return {
        "toy-sized": sharpened(CausalLM(87, 64, 4, 2, context_length=128), 1.5),
        "masked": sharpened(MaskedLM(87, 64, 4, 2, context_length=128), 1.5),
        "mask token of the vocabulary": sharpened(
            MaskedLM(13, 24, 3, 1, mask_token_id=5, context_length=31), 1.5
        ),
        "grouped queries, untied": sharpened(
            CausalLM(
                87,
                60,
                6,
                3,
                context_length=37,
                num_kv_heads=2,
                tie_embeddings=False,
                rope_base=500.0,
                d_ff=53,
            ),
            1.5,
        ),
        "one key/value head": sharpened(CausalLM(87, 20, 5, 1, context_length=41, num_kv_heads=1), 2.0),
        "Shakespeare-sized": sharpened(CausalLM(85, 96, 4, 2, context_length=128), 1.5),
    }


def prompts(model: CausalLM | MaskedLM, count: int = 200) -> list[list[int]]:
    """At least `count` prompts (1, T): what is likely, what is awkward, and what nobody would ever say."""
    V, limit = model.vocab_size, model.context_length
    inputs = model.embedding.num_embeddings  # the mask token may be read too
    g = torch.Generator().manual_seed(limit + V)
    language = ToyLanguage()
    rows = [[i] for i in range(inputs)]  # a single token
    rows += [[i] * limit for i in (0, V // 2, inputs - 1)]  # one token over and over
    rows += [torch.randint(inputs, (limit,), generator=g).tolist() for _ in range(3)]  # all the context
    rows += [list(range(inputs))[-limit:], list(range(inputs))[::-1][:limit]]
    while len(rows) < count:
        length = int(torch.randint(2, min(limit, 24), (), generator=g))
        if len(rows) % 2 and language.vocab_size <= V:
            rows.append(language.sample(1, length, generator=g)[0].tolist())
        else:
            rows.append(torch.randint(inputs, (length,), generator=g).tolist())
    return rows


@torch.no_grad()
def expected_logits(model: CausalLM | MaskedLM, rows: list[list[int]]) -> np.ndarray:
    """What PyTorch makes of the float16 weights, (ΣT, V), in float64.

    In float32 its own rounding moves logits of about 10 by up to 1e-4, as much as the difference allowed.
    """
    twin = rounded(model).double().eval()
    return torch.cat([twin(torch.tensor([row]))[0] for row in rows]).numpy()


def stand_in(model: CausalLM | MaskedLM) -> Tokenizer:
    return CharTokenizer(chr(0x4E00 + i) for i in range(model.vocab_size))


def logits_apart(run: Run, model: CausalLM | MaskedLM, rows: list[list[int]]) -> float:
    """The largest difference between the logits of JavaScript and PyTorch, all rows of all prompts."""
    data = {"model": packed(pack_model(model, stand_in(model), "m")), "rows": rows}
    script = """
      const [model] = load(data.model);
      return toBase64(flatten(data.rows.flatMap((row) => model.logits(row)), Float32Array));
    """
    got = decoded(run(script, data), "<f4").reshape(-1, model.vocab_size)
    return float(np.abs(got - expected_logits(model, rows)).max())


def ngrams_apart(run: Run, model: NGramLM, tokenizer: Tokenizer, ids: Tensor, count: int = 220) -> float:
    """The largest difference of a log-probability after `count` prompts, seen in the text and unseen."""
    g = torch.Generator().manual_seed(3)
    rows = [[i] for i in range(model.vocab_size)]
    while len(rows) < count:
        at, length = int(torch.randint(len(ids) - 9, (), generator=g)), 1 + len(rows) % 9
        random = torch.randint(model.vocab_size, (length,), generator=g)
        rows.append((ids[at : at + length] if len(rows) % 2 else random).tolist())
    script = """
      const [model] = load(data.model);
      return toBase64(flatten(data.rows.map((row) => model.session(row).logits), Float64Array));
    """
    data = {"model": packed(pack_model(model, tokenizer, "n", ids=ids)), "rows": rows}
    got = decoded(run(script, data), "<f8").reshape(-1, model.vocab_size)
    want = torch.stack([model(torch.tensor([row]))[0, -1] for row in rows]).double().log_softmax(-1)
    return float(np.abs(got - want.numpy()).max())


# ---- Filters ---------------------------------------------------------------------------------------------


def filter_cases(count: int = 600) -> list[dict]:
    """Logits with ties and −∞, ids so far, and settings for every filter."""
    draw = np.random.default_rng(7)
    cases = []
    for n in range(count):
        size = int(draw.integers(1, 41))
        logits = draw.normal(0, 4, size)
        if n % 2:
            logits = np.round(logits)  # many equals
        if n % 3 == 0:
            logits[draw.random(size) < 0.4] = -np.inf
        if n % 50 == 0:
            logits[:] = -np.inf
        cases.append(
            {
                "logits": logits,
                "ids": draw.integers(-1, size + 2, int(draw.integers(0, 20))).tolist(),
                "tau": float(draw.choice([0, 1e-31, 0.3, 1, 2.5])),
                "k": int(draw.integers(1, size + 3)),
                "p": float(draw.choice([draw.uniform(0.01, 0.99), 1.0])),
                "min_p": float(draw.choice([0, draw.uniform(0.001, 0.9), 1])),
                "penalty": float(draw.choice([0.5, 1, 1.3, -0.7])),
                "n": int(draw.integers(1, 5)),
                "sigma": float(draw.choice([0, 0.5, 1, 2.5])),
                "bias": [[int(id), float(draw.normal(0, 9))] for id in set(draw.integers(0, size, 3))],
                "ignored": int(draw.integers(0, 23)),
            }
        )
    return cases


PENALTIES = ("repetition", "frequency", "presence", "no_repeat")
FILTERS = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical",
    "top_n_sigma",
    "logit_bias",
    *(f"{name}{of}" for of in ("", " of what is written") for name in PENALTIES),
)


def filtered(case: dict) -> list[Tensor]:
    """What Python's filters make of a case, in the order of FILTERS; then softmax."""
    x, ids = torch.from_numpy(case["logits"]), torch.tensor(case["ids"], dtype=torch.int64)
    return [
        filters.temperature(x, case["tau"]),
        filters.top_k(x, case["k"]),
        filters.top_p(x, case["p"]),
        filters.min_p(x, case["min_p"]),
        filters.typical(x, case["p"]),
        filters.top_n_sigma(x, case["sigma"]),
        filters.logit_bias(x, dict(case["bias"])),
        *(
            penalise(x, ids, value, ignored)
            for ignored in (0, case["ignored"])
            for penalise, value in (
                (filters.repetition_penalty, abs(case["penalty"])),
                (filters.frequency_penalty, case["penalty"]),
                (filters.presence_penalty, case["penalty"]),
                (filters.no_repeat_ngram, case["n"]),
            )
        ),
        x.softmax(-1),
    ]


def answer_filters(run: Run, cases: list[dict]) -> list[list[np.ndarray]]:
    script = """
      return data.map(({ logits, ids, tau, k, p, min_p, penalty, n, sigma, bias, ignored }) => {
        const x = fromBase64(logits, Float64Array);
        const before = [...x];
        const made = [lib.temperature(x, tau), lib.topK(x, k), lib.topP(x, p), lib.minP(x, min_p),
          lib.typical(x, p), lib.topNSigma(x, sigma), lib.logitBias(x, bias),
          ...[0, ignored].flatMap((prompt) => [
            lib.repetitionPenalty(x, ids, Math.abs(penalty), prompt),
            lib.frequencyPenalty(x, ids, penalty, prompt), lib.presencePenalty(x, ids, penalty, prompt),
            lib.noRepeatNgram(x, ids, n, prompt)]),
          lib.softmax(x)];
        const isPure = made.every((y) => y !== x) && before.every((value, id) => value === x[id]);
        if (!isPure) throw new Error('a filter must not write into what it is given, nor return it');
        return made.map(toBase64);
      });
    """
    data = [case | {"logits": encoded(case["logits"])} for case in cases]
    return [[decoded(text, "<f8") for text in made] for made in run(script, data)]


def check_filters(run: Run) -> None:
    cases = filter_cases()
    for case, made in zip(cases, answer_filters(run, cases), strict=True):
        for name, got, want in zip((*FILTERS, "softmax"), made, filtered(case), strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=0, atol=1e-6, err_msg=f"{name} of {case}")


# ---- Greedy and beam search ------------------------------------------------------------------------------

SEARCHES = [
    {"beams": beams, "penalty": penalty, "eos": eos}
    for beams in (1, 2, 4, 7)
    for penalty, eos in ((0.0, None), (0.0, 3), (0.8, 3), (2.0, 17))
]


def check_searches(run: Run, model: CausalLM, rows: list[list[int]], length: int) -> int:
    """Greedy decoding and beam search find what Python finds; return the number of searches compared.

    Python searches in float64, so that its own rounding decides nothing.
    """
    data = {"model": packed(pack_model(model, stand_in(model), "m")), "rows": rows, "length": length}
    script = """
      const [model] = load(data.model);
      return data.rows.map((row) => ({
        greedy: [null, 3].map((eos) => lib.greedyDecode(model, row, data.length, { eos })),
        beams: data.searches.map(({ beams, penalty, eos }) =>
          lib.beamSearch(model, row, beams, data.length, { lengthPenalty: penalty, eos })),
        lists: data.searches.map(({ beams, penalty, eos }) => {
          const count = Math.ceil(beams / 2);
          const steps = lib.bestSteps(model, row, beams, data.length, { lengthPenalty: penalty, eos, count });
          let step = steps.next();
          while (!step.done) step = steps.next();
          return step.value;
        }),
      }));
    """
    found = run(script, data | {"searches": SEARCHES})
    twin = rounded(model).double().eval()
    for row, answer in zip(rows, found, strict=True):
        ids = torch.tensor([row])
        for eos, got in zip((None, 3), answer["greedy"], strict=True):
            want = greedy_decode(twin, ids, length, eos_token_id=eos)[0].tolist()
            assert got + [eos] * (len(want) - len(got)) == want
        for search, got, listed in zip(SEARCHES, answer["beams"], answer["lists"], strict=True):
            count = (search["beams"] + 1) // 2
            texts, scores = beam_search(  # the first of several is the one that is found alone
                twin,
                ids,
                search["beams"],
                length,
                length_penalty=search["penalty"],
                eos_token_id=search["eos"],
                num_return_sequences=count,
            )
            possible = scores.isfinite()
            assert len(listed) == int(possible.sum())
            for one, text, score in zip(listed, texts[possible], scores[possible], strict=True):
                assert one["ids"] + [search["eos"]] * (len(text) - len(one["ids"])) == text.tolist()
                assert abs(one["logProb"] - float(score)) < 1e-5
            padded = got["ids"] + [search["eos"]] * (texts.shape[1] - len(got["ids"]))
            assert padded == texts[0].tolist(), f"{search} after {row}"
            assert abs(got["logProb"] - float(scores[0])) < 1e-5
    return len(rows) * (2 + len(SEARCHES))


# ---- Tokenizers ------------------------------------------------------------------------------------------

AWKWARD = [
    "",
    " ",
    "a",
    "To be, or not to be: that is the question.",
    "naïve café — “quoted” … ½ ² Ⅷ ٣٤ 一二",
    "e\u0301 n\u0303 combining, Z\u0351\u036b\u0343algo",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇬🇧 👍🏽",
    "\U0001d538 mathematical, \U00020000 rare, \U0010ffff last",
    "שלום עולם \u202eright to left\u202c مرحبا",
    "tabs\t\tand\n\n new \r\nlines \x0b\x0c",
    "\x00\x01\x07\x1b[31m\x1c\x1d\x1e\x1f\x7f\x85\xa0\u2028\u2029\ufeff\u200b\u3000",
    "\ufeffbyte order mark",
    "  many   spaces    ",
    "snake_case __dunder__ 123_456 x1y2",
    "<script>alert(1)</script>",
    "don't I'll we've o'clock",
    "İstanbul ǅ ß ﬁ Σς",
    "안녕하세요 こんにちは สวัสดี नमस्ते",
]
# Well-formed and not: what a model writes byte by byte.
BYTES = [
    [0xC3],
    [0xE2, 0x82],
    [0xF0, 0x9F, 0x98],
    [0xFF, 0x41, 0x80],
    [0xED, 0xA0, 0x80],
    [0xEF, 0xBB, 0xBF, 65],
]


def tokenizers() -> dict[str, Tokenizer]:
    text = " ".join(AWKWARD) + " the cat sat on the mat, the cat sat. " * 5 + "aaaa aaaaa bababab"
    return {
        "char": CharTokenizer.train(text),
        "byte": ByteTokenizer(),
        "bpe": BPETokenizer.train(text, 400),
        "bpe with a token made twice": BPETokenizer([(97, 97), (256, 97), (97, 256), (257, 97)]),
        "word": WordTokenizer.train(text),
        "few words": WordTokenizer.train(text, 30),
    }


def check_tokenizers(run: Run) -> None:
    """Ids and texts are Python's, on every awkward text."""
    script = """
      const tokenizer = lib.loadTokenizer(data.json);
      const reads = data.texts.map((text) => tokenizer.encode(text));
      return {
        reads,
        texts: [...reads.map(({ ids }) => ids), ...data.more].map((ids) => tokenizer.decode(ids)),
        size: tokenizer.tokens.length,
      };
    """
    for name, tokenizer in tokenizers().items():
        more = BYTES if tokenizer.kind in ("byte", "bpe") else []
        got = run(script, {"json": tokenizer.to_json(), "texts": AWKWARD, "more": more})
        want = [tokenizer.encode(text) for text in AWKWARD]
        assert [read["ids"] for read in got["reads"]] == want, name
        assert {read["problem"] for read in got["reads"]} == {None}, name
        assert got["texts"] == [tokenizer.decode(ids) for ids in [*want, *more]], name
        assert got["size"] == tokenizer.vocab_size


def check_every_character(run: Run) -> None:
    """Each character that this Python's Unicode knows is cut from its neighbours as Python cuts it."""
    known = [chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) not in ("Cn", "Co", "Cs")]
    text = "".join(f"a{char}1 {char}{char}.{char}" for char in known if char not in RECLASSIFIED)
    got = run("return lib.cutPieces(data).map((piece) => piece.length);", text)
    assert got == [len(piece.encode("utf-16-le")) // 2 for piece in PIECES.findall(text)]


RECLASSIFIED: set[str] = set()  # characters whose class Unicode has changed since this Python's tables


def error_of(run: Run, expression: str, data: object = None) -> str:
    """The message of the error that evaluating `expression` throws."""
    return run(
        f"try {{ {expression}; }} catch (error) {{ return `${{error.name}}: ${{error.message}}`; }}", data
    )
