"""The playground on its page, worked by keyboard, and what PyTorch and lmbook say in its place.

Two test modules share this: test_playground.py (every control) and test_playground_limits.py (hostile input,
looks, speed). The page's own float16 weights are those that Python computes with, in float64.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from torch import Tensor

from lmbook import NGramLM, ToyLanguage, filters
from lmbook.training.recipes import load_trained
from lmbook.widgets.packing import rounded

PAGE = "chapters/playground.html"
STATE = 'script[type="application/vnd.jupyter.widget-state+json"]'
TRAINED = {"Animals": "toy-causal", "Shakespeare": "shakespeare"}
NAMES = ("Animals", "Shakespeare", "Shakespeare, counted")
REAL, OWN = "SmolLM2", "Your own text"
OFF = {"repetition": 1.0, "frequency": 0.0, "presence": 0.0, "noRepeat": 0}
OFF |= {"temperature": 1.0, "k": 0, "p": 1.0, "minP": 0.0, "typical": 1.0, "sigma": 5.0}
PLAIN = {"strategy": "sample", "seed": 1, "order": list(OFF), "scope": "all", "beams": 4, "length": 12} | OFF
TEXT = "the cat sat on the mat. a dog sat on the cat, and the mat sat still.\n" * 3
VIEW = """(root) => ({
  ids: (root.dataset.ids ?? '').split(' ').filter(Boolean).map(Number),
  cursor: Number(root.dataset.cursor),
  title: root.querySelector('.lmp-title').textContent,
  rows: [...root.querySelectorAll('.lmp-dist li:not([hidden]) button')].map((n) => ({
    token: Number(n.dataset.token), before: Number(n.dataset.before), after: Number(n.dataset.after),
    texts: [...n.querySelectorAll('.lmw-num')].map((one) => one.textContent), label: n.ariaLabel })),
  rest: [...root.querySelectorAll('.lmp-rest:not([hidden]) .lmw-num')].map((n) => n.textContent),
  tokens: [...root.querySelectorAll('.lmp-token')].map((n) => n.textContent),
  odds: [...root.querySelectorAll('.lmp-token')].map((n) => n.title),
  tally: root.querySelector('.lmp-tally').textContent,
})"""


@dataclass(frozen=True)
class Net:
    """A model of the page as Python has it: in float64, so that its own rounding decides nothing."""

    model: Callable
    tokenizer: object

    def logits(self, ids: list[int]) -> Tensor:
        """After a text that has outgrown the context: a quarter of it is dropped at a time."""
        context = getattr(self.model, "context_length", None) or len(ids)
        step = max(context // 4, 1)
        start = math.ceil((len(ids) - context) / step) * step if len(ids) > context else 0
        return self.model(torch.tensor([ids[start:]]))[0, -1].detach().double()


class Playground:
    """The widget on an open page, and what Python says in its place."""

    def __init__(self, page: Page, nets: dict[str, Net], about: list[dict]):
        self.page, self.nets = page, dict(nets)
        self.about = {entry["name"]: entry for entry in about}
        self.root = page.locator("[data-lm-widget='playground']")
        self.name, self.settings = "Animals", dict(PLAIN)

    def find(self, selector: str) -> Locator:
        return self.root.locator(selector)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def dial(self, key: str) -> Locator:
        return self.find(f"[data-dial={key}]")

    @property
    def field(self) -> Locator:
        return self.root.get_by_label("Your prompt")

    @property
    def said(self) -> Locator:
        return self.find(".lmw-message:not([role=status])")

    @property
    def message(self) -> str:
        return self.said.inner_text()

    def press(self, target: str | Locator, *keys: str) -> None:
        """By keyboard: the focus on a button, by its name, or on another control; then `keys`."""
        (self.button(target) if isinstance(target, str) else target).focus()
        for key in keys or ("Enter",):
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.press(self.field, "Control+A", "Delete")
        self.page.keyboard.insert_text(text)

    def choose(self, name: str) -> None:
        """Another model, with the arrow keys of its radio buttons; wait until it can be asked."""
        names = [*NAMES, REAL, OWN]
        self.find("fieldset").first.locator("input:checked").focus()
        steps = names.index(name) - names.index(self.name)
        for _ in range(abs(steps)):
            self.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")
        self.name = name
        if name not in (REAL, OWN):
            expect(self.root.get_by_role("button", name=re.compile("^(Step|Search)$"))).to_be_enabled()

    def strategy(self, name: str) -> None:
        names = {"greedy": "Greedy", "sample": "Sampling", "beam": "Beam search"}
        steps = list(names).index(name) - list(names).index(self.settings["strategy"])
        self.root.get_by_label(names[self.settings["strategy"]], exact=True).focus()
        for _ in range(abs(steps)):
            self.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")
        self.settings["strategy"] = name

    def view(self) -> SimpleNamespace:
        return SimpleNamespace(**self.root.evaluate(VIEW))

    def after(self, logits: Tensor, ids: Sequence[int] = (), prompt: int = 0) -> Tensor:
        """What the settings leave of a distribution, (V,), after `ids`, of which `prompt` are the prompt."""
        now = self.settings
        if now["strategy"] == "beam":
            return logits.softmax(-1)
        seen, ignored = torch.tensor(ids, dtype=torch.int64), prompt if now["scope"] == "written" else 0
        steps = {
            "repetition": lambda x: filters.repetition_penalty(x, seen, now["repetition"], ignored),
            "frequency": lambda x: filters.frequency_penalty(x, seen, now["frequency"], ignored),
            "presence": lambda x: filters.presence_penalty(x, seen, now["presence"], ignored),
            "noRepeat": lambda x: filters.no_repeat_ngram(x, seen, int(now["noRepeat"]), ignored),
        }
        if now["strategy"] == "sample":
            steps |= {
                "temperature": lambda x: filters.temperature(x, now["temperature"]),
                "k": lambda x: filters.top_k(x, int(now["k"])),
                "p": lambda x: filters.top_p(x, now["p"]),
                "minP": lambda x: filters.min_p(x, now["minP"]),
                "typical": lambda x: filters.typical(x, now["typical"]),
                "sigma": lambda x: filters.top_n_sigma(x, now["sigma"]),
            }
        for key in now["order"]:
            logits = steps[key](logits) if key in steps and now[key] != OFF[key] else logits
        return (logits if now["strategy"] == "sample" else filters.temperature(logits, 0)).softmax(-1)

    def check(self, prompt: str | None = None, written: list[int] | None = None) -> SimpleNamespace:
        """Assert that all numbers in sight are those of Python for the ids that the page tells."""
        view, net = self.view(), self.nets[self.name]
        if prompt is not None:
            start = net.tokenizer.encode(prompt)
            assert view.ids[: len(start)] == start
            assert written is None or view.ids[len(start) :] == written
            self.check_written(view, start)
        logits = net.logits(view.ids)
        field = self.field.input_value()
        length = len(net.tokenizer.encode(field.lower() if self.name == "Animals" else field))
        before, after = logits.softmax(-1), self.after(logits, view.ids, length)
        order = before.sort(descending=True, stable=True).indices.tolist()
        shown = [row["token"] for row in view.rows]
        torch.testing.assert_close(before[shown], before[order[: len(shown)]], atol=1e-5, rtol=0)
        assert len(shown) == len(set(shown))
        for row in view.rows:
            for text, key, dist in zip(row["texts"], ("before", "after"), (before, after), strict=True):
                expected = float(dist[row["token"]])
                assert row[key] == pytest.approx(expected, abs=1e-5)
                assert (row[key] == 0) == (expected == 0) == (text == "0")
                assert float(text) == pytest.approx(row[key], abs=0.0000501)
        if len(shown) < len(before):
            others = [1 - float(dist[shown].sum()) for dist in (before, after)]
            assert [float(text) for text in view.rest] == pytest.approx(others, abs=2e-4)
        left, size = int((after > 0).sum()), len(after)
        assert view.title.endswith(f": {left} of {size} left"), self.settings
        return view

    def check_written(self, view: SimpleNamespace, start: list[int]) -> None:
        """Assert that tooltips and tally tell the model's own probabilities, at the end of a text."""
        ids, net = view.ids, self.nets[self.name]
        if view.cursor < len(view.tokens):
            return
        assert len(view.tokens) == len(ids) - len(start)
        whole = net.tokenizer.decode(ids)
        assert self.find(".lmp-text").text_content().strip() == whole.strip()
        if not view.tokens:
            assert view.tally.startswith("Nothing is written yet")
            return
        probs = [float(net.logits(ids[:t]).softmax(-1)[ids[t]]) for t in range(len(start), len(ids))]
        told = [float(text.removeprefix("P = ").replace("−", "-")) for text in view.odds]
        assert told == pytest.approx(probs, rel=6e-4, abs=0.00006)
        nats = -sum(map(math.log, probs)) / len(probs)
        found = re.match(r"(\d+) tokens? written, ([\d.]+) nats each: perplexity ([\d.]+)\.", view.tally)
        assert int(found[1]) == len(probs)
        assert float(found[2]) == pytest.approx(nats, abs=0.0051)
        assert float(found[3]) == pytest.approx(math.exp(nats), abs=0.0051, rel=1e-3)

    def drawn(self, ids: list[int], prompt: int = 0) -> int:
        """The token that sampling takes after `ids`: the page's own generator, written again."""
        state = (self.settings["seed"] * 0x9E3779B1 + (len(ids) + 1) * 0x85EBCA6B) % 2**32
        for _ in range(2):
            state = (state + 0x6D2B79F5) % 2**32
            t = (state ^ state >> 15) * (state | 1) % 2**32
            t ^= (t + (t ^ t >> 7) * (t | 61)) % 2**32
            number = (t ^ t >> 14) / 2**32
        dist = self.after(self.nets[self.name].logits(ids), ids, prompt)
        return int((dist.cumsum(0) <= number).sum())


@pytest.fixture(scope="module")
def carried(site) -> SimpleNamespace:
    """What the page carries, and the same models in Python."""
    text = (site.root / PAGE).read_text(encoding="utf-8")
    saved = re.search(r"<script type=.application/vnd.jupyter.widget-state\+json.>(.*?)</script>", text, re.S)
    (entry,) = [
        one
        for one in json.loads(saved[1])["state"].values()
        if one["state"].get("_anywidget_id", "").endswith(".Playground")
    ]
    (packed,) = [base64.b64decode(b["data"]) for b in entry["buffers"] if b["path"] == ["weights"]]
    nets, sizes, tokenizer = {}, {}, None  # an n-gram has the tokenizer of the model before it
    for header in entry["state"]["headers"]:
        name, start = header["name"], header["offset"]
        if header["kind"] == "ngram":
            ids = torch.from_numpy(
                np.frombuffer(packed, "u1", header["num_ids"], start).astype(np.int64)
            ).view(-1, header["row_length"])
            nets[name] = Net(NGramLM(header["order"], header["vocab_size"]).fit(ids), tokenizer)
            continue
        model, tokenizer = load_trained(TRAINED[name])
        twin = rounded(model)
        weights = np.concatenate([p.detach().half().numpy().ravel() for p in twin.parameters()])
        sizes[name] = weights.nbytes
        assert packed[start : start + weights.nbytes] == weights.tobytes(), f"{name}: other weights"
        nets[name] = Net(twin.double().requires_grad_(False).eval(), tokenizer or ToyLanguage())
    return SimpleNamespace(nets=nets, about=entry["state"]["about"], state=entry["state"], sizes=sizes)


@pytest.fixture
def playground(page, site, carried, open_widgets) -> Callable[..., Playground]:
    def open_playground(on: Page = page, from_disk: bool = False, link: str = "") -> Playground:
        open_widgets(on, (site.file if from_disk else site.http)(PAGE) + link)
        one = Playground(on, carried.nets, carried.about)
        if not link:
            expect(one.button("Step")).to_be_enabled()
        return one

    return open_playground
