"""TokenMerges on the built page, by keyboard and by touch; all numbers as Python has them.

Python's widget is made again from the merges that the page carries, and from the texts of the chapter.
"""

import base64
import json
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from looks import PHONE, assert_fits
from playwright.sync_api import Page

from lmbook.corpora import load_shakespeare
from lmbook.tokenizer import PIECES, BPETokenizer, merge
from lmbook.widgets.token_merges import TokenMerges

PAGE = "chapters/02_tokens.html"


@pytest.fixture(scope="module")
def twins() -> dict:
    return {}


@pytest.fixture
def widget(page, site, open_widgets, twins) -> Callable[..., SimpleNamespace]:
    def open_widget(on: Page = page) -> SimpleNamespace:
        open_widgets(on, site.http(PAGE))
        text = on.locator('script[type="application/vnd.jupyter.widget-state+json"]').first.text_content()
        states = json.loads(text)["state"].values()
        saved = next(s for s in states if s["state"].get("_anywidget_id", "").endswith("TokenMerges"))
        packed = {b["path"][0]: base64.b64decode(b["data"]) for b in saved["buffers"]}
        if not twins:
            merges = np.frombuffer(packed["merges"], dtype="<u2").reshape(-1, 2).tolist()
            hamlet = load_shakespeare("validation")["Hamlet"]
            start = hamlet.index("\nHAMLET:\nA little more than kin")
            twins["python"] = TokenMerges(
                BPETokenizer(merges),
                "\n".join(load_shakespeare("train").values()),
                hamlet[start : start + 20_000],
                sentence=saved["state"]["sentence"],
            )
        python = twins["python"]
        assert {name: getattr(python, name) for name in packed} == packed
        root = on.locator("[data-lm-widget='token-merges']").first
        return SimpleNamespace(page=on, root=root, state=saved["state"], python=python)

    return open_widget


def check(one: SimpleNamespace, sentence: str, num_merges: int) -> None:
    """Assert that the page shows the tokens of `sentence` after `num_merges`, and Python's numbers."""
    one.python.sentence = sentence
    assert one.root.get_attribute("data-merges") == str(num_merges)
    shown = one.root.locator("li").evaluate_all("(all) => all.map((n) => Number(n.dataset.token))")
    assert shown == one.python.tokens(num_merges)
    for key, (n, perplexity, bits) in one.python.scores(num_merges).items():
        size = len(sentence.encode()) if key == "sentence" else one.python.scores(0)[key][0]
        names = ("tokens", "bytes-per-token", "perplexity", "bits-per-byte")
        for name, value, digits in zip(
            names, (n, size / n if n else 0, perplexity, bits), (0, 2, 1, 4), strict=True
        ):
            cell = one.root.locator(f"[data-score='{key}-{name}']")
            if n == 0 and name != "tokens":
                assert cell.inner_text() == "–"
                continue
            assert float(cell.get_attribute("data-value")) == pytest.approx(value, rel=1e-9)
            assert float(cell.inner_text()) == pytest.approx(value, abs=0.50001 * 10**-digits)


def press(one: SimpleNamespace, name: str, key: str = "Enter") -> None:
    one.root.get_by_role("button", name=name).focus()
    one.page.keyboard.press(key)


def changes(one: SimpleNamespace, sentence: str) -> list[int]:
    """The numbers of merges after which `sentence` looks different."""
    words = [list(piece.encode()) for piece in PIECES.findall(sentence)]
    stops = []
    for m, pair in enumerate(one.python._tokenizer.merges, start=1):
        merged = [merge(word, pair, 255 + m) for word in words]
        if merged != words:
            stops.append(m)
        words = merged
    return stops


def test_starts_where_python_says(widget):
    one = widget()
    check(one, one.state["sentence"], one.state["num_merges"])


def test_step_and_back_by_keyboard(widget):
    one = widget()
    sentence = "the naïve cat ☃"
    one.root.locator("input[type=text]").focus()
    one.page.keyboard.press("Control+a")
    one.page.keyboard.type(sentence)
    stops = changes(one, sentence)
    for stop in stops[:4]:
        press(one, "Step")
        check(one, sentence, stop)
        assert "become “" in one.root.locator(".lmw-message").inner_text()
    press(one, "Back", "Space")
    check(one, sentence, stops[2])
    for _ in range(4):
        press(one, "Back")
    check(one, sentence, 0)
    assert one.page.evaluate("document.activeElement.textContent") == "◀ Back"
    press(one, "Step")
    press(one, "Start again")
    check(one, one.state["start"], 0)


def test_slider_by_keyboard(widget):
    one = widget()
    slider = one.root.locator("input[type=range]")
    last = int(slider.get_attribute("max"))
    slider.focus()
    for key, expected in (("End", last), ("ArrowLeft", last - 1), ("Home", 0), ("ArrowRight", 1)):
        one.page.keyboard.press(key)
        check(one, one.state["sentence"], expected)
    assert slider.get_attribute("aria-valuetext").startswith("1 merge, ")


def test_play_and_pause(widget):
    one = widget()
    first, second, *_ = changes(one, one.state["sentence"])
    press(one, "Play")
    one.page.locator(".lmw-new").first.wait_for(state="attached")
    press(one, "Pause")
    assert int(one.root.get_attribute("data-merges")) in (first, second)
    check(one, one.state["sentence"], int(one.root.get_attribute("data-merges")))


@pytest.mark.parametrize("sentence", ["", " ", "кот 猫 👩‍👩‍👧", "<b>&amp; \x01", "x" * 300])
def test_anything_can_be_typed(widget, sentence):
    one = widget()
    one.root.locator("input[type=text]").fill(sentence)
    one.root.locator("input[type=range]").press("End")
    check(one, sentence, int(one.root.locator("input[type=range]").get_attribute("max")))
    assert one.root.locator("b").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_fits_and_is_accessible_at_work(widget, new_page, theme):
    page = new_page(**PHONE, color_scheme=theme, reduced_motion="reduce")
    one = widget(on=page)
    one.root.locator("input[type=text]").fill("Extraordinary circumstances, 👩‍👩‍👧! " * 4)
    for _ in range(3):
        one.root.get_by_role("button", name="Step").tap()
    assert_fits(page, "token-merges")


def test_results_are_spoken(widget):
    one = widget()
    press(one, "Step")
    one.page.wait_for_timeout(600)
    said = one.root.locator("[role=status]").inner_text()
    count = len(one.python.tokens(int(one.root.get_attribute("data-merges")), one.state["sentence"]))
    assert said.startswith(f"{count} tokens, ")
    assert "Merge" in said


def test_keys_stay_inside(widget):
    one = widget()
    one.page.evaluate("window.heard = 0; document.body.addEventListener('keydown', () => window.heard++)")
    for control in ("input[type=text]", "input[type=range]", "button", "ol"):
        one.root.locator(control).first.focus()
        for key in ("ArrowDown", "x", "Home"):
            one.page.keyboard.press(key)
    assert one.page.evaluate("window.heard") == 0


@pytest.mark.timed
def test_answers_within_a_frame(widget):
    """The fastest of 15 changes of a long sentence, drawn and laid out; slower ones are noise."""
    one = widget()
    one.root.locator("input[type=text]").fill("Extraordinary circumstances! " * 10)
    times = one.root.evaluate(
        """(root) => Array.from({ length: 15 }, (_, i) => {
          const slider = root.querySelector('input[type=range]');
          const start = performance.now();
          slider.value = 100 * i;
          slider.dispatchEvent(new Event('input'));
          root.getBoundingClientRect();
          return performance.now() - start;
        })"""
    )
    assert min(times) <= 16
