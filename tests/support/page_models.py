"""The models of the playground's page, and whether JavaScript says of each what Python says.

The widget is made by the chapter's own cells, so that a model that joins the page is compared too. Prompts
are texts: the page's tokenizers read them, and must read what Python's read.

Axes: P prompts, T time, V vocabulary.
"""

import ast
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import lm_parity as parity
import nbformat
import numpy as np
import torch
from torch import Tensor

from lmbook import CausalLM, beam_search, filters, greedy_decode
from lmbook.corpora import load_shakespeare
from lmbook.widgets import Playground, PlaygroundModel
from lmbook.widgets.packing import rounded

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / "playground.ipynb"
NAMES = ("Animals", "Shakespeare", "Shakespeare, counted")
COUNT, LENGTH, BEAMS = 200, 8, 4
MARGIN = 1e-3  # where two logits are nearer, either choice is right
SETTINGS = (
    {"temperature": 0.35},
    {"temperature": 0},
    {"k": 7},
    {"p": 0.6},
    {"minP": 0.05},
    {"typical": 0.4},
    {"temperature": 1.7, "k": 40, "p": 0.85, "minP": 0.01, "typical": 0.9},
)


@functools.cache
def widget() -> Playground:
    """What the cells of the page make."""
    cells = {cell["id"]: cell["source"] for cell in nbformat.read(CHAPTER, as_version=4)["cells"]}
    names: dict = {}
    exec(cells["setup"], names)
    *steps, last = ast.parse(cells["playground"]).body
    exec(compile(ast.Module(steps, []), "playground", "exec"), names)
    return eval(compile(ast.Expression(last.value), "playground", "eval"), names)


def entry(name: str) -> PlaygroundModel:
    return next(one for one in widget()._entries if one.name == name)


def data(name: str, **more: object) -> dict:
    """What a script needs: the page's headers and bytes, and which of the models is meant."""
    at = [header["name"] for header in widget().headers].index(name)
    header = widget().headers[at]
    ends = [one["offset"] for one in widget().headers[at + 1 :]] + [len(widget().weights)]
    packed = {
        "headers": [header | {"offset": 0}],
        "bytes": parity.encoded(np.frombuffer(widget().weights[header["offset"] : ends[0]], "u1")),
    }
    return {"model": packed, **more}


@functools.cache
def twin(name: str) -> Callable[[Tensor], Tensor]:
    """The model with the page's float16 weights, in float64: its own rounding decides nothing."""
    model = entry(name).model
    return rounded(model).double().requires_grad_(False).eval() if isinstance(model, CausalLM) else model


@functools.cache
def prompts(name: str) -> list[tuple[str, list[int]]]:
    """Texts and their ids as Python reads them, the shorter ones first."""
    one = entry(name)
    pairs = [(text, one.tokenizer.encode(text)) for text in texts(one)]
    assert len(pairs) >= COUNT
    return sorted(pairs, key=lambda pair: len(pair[1]))


def by_length(rows: list[list[int]]) -> Iterator[Tensor]:
    """Rows of one length at a time, (P, T); `rows` are sorted by length."""
    for _, same in itertools.groupby(rows, key=len):
        yield torch.tensor(list(same))


@functools.cache
def expected_logits(name: str) -> Tensor:
    """After each prompt, (P, V)."""
    rows = [ids for _, ids in prompts(name)]
    return torch.cat([twin(name)(ids)[:, -1].double() for ids in by_length(rows)])


def texts(one: PlaygroundModel) -> list[str]:
    """Prompts: each token alone, one over and over, a full context, real text, and what nobody would say."""
    g, tokenizer = torch.Generator().manual_seed(6), one.tokenizer
    V, limit = tokenizer.vocab_size, min(getattr(one.model, "context_length", 128), 128)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=g))

    real = one.ids if one.ids is not None else None
    if real is None and hasattr(tokenizer, "sample"):
        real = tokenizer.sample(1, 5000, generator=g)[0]
    elif real is None:
        real = torch.tensor(tokenizer.encode(load_shakespeare("validation")["Hamlet"][:5000]))
    rows = [[i] for i in range(V)] + [[i] * limit for i in (0, V // 2, V - 1)]
    rows += [torch.randint(V, (limit,), generator=g).tolist() for _ in range(3)]
    while len(rows) < COUNT + 20:
        length, at = draw(2, 60), draw(0, len(real) - 60)
        odd = torch.randint(V, (length,), generator=g)
        rows.append((real[at : at + length] if len(rows) % 3 else odd).tolist())
    return [*one.prompts, *(tokenizer.decode(row) for row in rows)]


def check_logits(run: parity.Run, name: str) -> str:
    """Assert that both read all prompts as the same ids and logits, to 1e-4; return how near they come."""
    script = """
      const [model] = load(data.model);
      const reads = data.texts.map((text) => model.tokenizer.encode(text));
      return { ids: reads.map((read) => read.ids), problems: reads.map((read) => read.problem),
        logits: toBase64(flatten(reads.map(({ ids }) => model.session(ids).logits), Float64Array)) };
    """
    got = run(script, data(name, texts=[text for text, _ in prompts(name)]))
    assert got["ids"] == [ids for _, ids in prompts(name)]
    assert set(got["problems"]) == {None}
    want = expected_logits(name)
    apart = float(np.abs(parity.decoded(got["logits"], "<f8").reshape(want.shape) - want.numpy()).max())
    assert apart < 1e-4
    return f"{name}: no logit of {len(want)} prompts is further off than {apart:.1e}"


def shaped(logits: Tensor, now: dict) -> Tensor:
    left = filters.temperature(logits, now.get("temperature", 1))
    left = filters.top_k(left, now["k"]) if "k" in now else left
    left = filters.top_p(left, now.get("p", 1.0))
    left = filters.min_p(left, now.get("minP", 0.0))
    return filters.typical(left, now.get("typical", 1.0))


def check_filters(run: parity.Run, name: str) -> None:
    """Assert that each setting leaves of the model's logits what Python leaves of the same numbers."""
    logits = expected_logits(name)
    script = """
      const logits = fromBase64(data.logits, Float64Array);
      const text = { ids: [], promptLength: 0 }; // the settings here hold no penalty
      const rows = Array.from({ length: logits.length / data.size }, (_, i) =>
        logits.slice(i * data.size, (i + 1) * data.size));
      return data.settings.map((now) => toBase64(flatten(
        rows.map((row) => lib.shapeLogits(row, { ...lib.plainSettings(), ...now }, text)), Float64Array)));
    """
    more = {"logits": parity.encoded(logits.numpy()), "size": logits.shape[1], "settings": SETTINGS}
    for now, text in zip(SETTINGS, run(script, more), strict=True):
        got = parity.decoded(text, "<f8").reshape(logits.shape)
        np.testing.assert_allclose(got, shaped(logits, now).numpy(), rtol=0, atol=1e-6, err_msg=str(now))


def check_searches(run: parity.Run, name: str) -> int:
    """Assert that greedy and beam search write what Python's do; return how many near ties there were."""
    model = twin(name)
    limit = min(getattr(model, "context_length", 128), 128) - LENGTH
    rows = [ids[:limit] for _, ids in prompts(name)]
    script = """
      const [model] = load(data.model);
      return data.rows.map((row) => ({ greedy: lib.greedyDecode(model, row, data.length),
        beam: lib.beamSearch(model, row, data.beams, data.length) }));
    """
    found = iter(run(script, data(name, rows=rows, length=LENGTH, beams=BEAMS)))
    ties = 0
    for ids in by_length(rows):
        start = ids.shape[1]
        greedy, (best, scores) = greedy_decode(model, ids, LENGTH), beam_search(model, ids, BEAMS, LENGTH)
        top = model(greedy)[:, start - 1 : -1].topk(2).values
        sure = (top[..., 0] - top[..., 1] > MARGIN).long().cumprod(1).sum(1)  # steps before a near tie
        for i, got in zip(range(len(ids)), found, strict=False):
            n = start + int(sure[i])
            assert got["greedy"][:n] == greedy[i, :n].tolist()
            assert abs(got["beam"]["logProb"] - float(scores[i])) < MARGIN
            if got["beam"]["ids"] != best[i].tolist():  # then as good a one, or nearly
                ties += 1
                other = torch.tensor([got["beam"]["ids"]])
                log_probs = model(other)[0, start - 1 : -1].double().log_softmax(-1)
                log_prob = float(log_probs.gather(1, other[0, start:, None]).sum())
                assert abs(log_prob - float(scores[i])) < MARGIN
    assert next(found, None) is None
    return ties
