"""The decoding explorer in Chromium: every control by keyboard, every number as lmbook computes it."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from looks import assert_fits, choose, numbers
from playwright.sync_api import Locator, Page
from widget_page import served

from lmbook.toy import ToyLanguage
from lmbook.training.recipes import load_trained
from lmbook.widgets import DecodingExplorer
from lmbook.widgets.base import split_words
from lmbook.widgets.decoding_explorer import DIALS, apply_filter

PROMPT = "the seals that"
LOOP = "the gull that the gull sees swims. the gull that the gull sees"


@pytest.fixture(scope="module")
def python() -> SimpleNamespace:
    language, (model, _) = ToyLanguage(), load_trained("toy-causal")
    return SimpleNamespace(
        language=language, model=model.double(), widget=DecodingExplorer(model, language, prompt=PROMPT)
    )


@pytest.fixture(scope="module")
def site(python, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """In the place of the book: one page with the widget."""
    with served({"decoding-explorer": python.widget}, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def widget(page, site, open_widgets) -> Callable[..., Locator]:
    def open_widget(on: Page = page) -> Locator:
        open_widgets(on, site.http("index.html"))
        return on.locator("[data-lm-widget='decoding-explorer']")

    return open_widget


def row(root: Locator, key: str) -> Locator:
    return root.locator(f"[data-filter='{key}']")


def check(root: Locator, python: SimpleNamespace, chain: list[tuple[str, float]], **more) -> None:
    """Assert that the page shows what the filters `chain`, in this order, make of the model's distribution.

    `more`: prompt, stage (the place in the chain of the filter whose effect is shown), draws, seed.
    """
    prompt, draws, seed = more.get("prompt", PROMPT), more.get("draws", 200), more.get("seed", 1)
    assert root.get_attribute("data-words") == " ".join(split_words(prompt))
    assert (root.get_attribute("data-draws"), root.get_attribute("data-seed")) == (str(draws), str(seed))
    ids = torch.tensor([python.language.encode(prompt)])
    stages = [python.model(ids)[0, -1].detach()]
    for key, value in chain:
        stages.append(apply_filter(stages[-1], ids[0], key, value))
    dists = [logits.softmax(-1) for logits in stages]
    shown = root.locator(".lmd-chain li[data-on='true']")
    assert shown.evaluate_all("(all) => all.map((n) => n.dataset.filter)") == [key for key, _ in chain]
    assert numbers(shown, ":scope", "value") == pytest.approx([value for _, value in chain])
    assert numbers(shown, ":scope", "count") == [int((dist > 0).sum()) for dist in dists[1:]]
    place = more.get("stage")
    before, after = (dists[0], dists[-1]) if place is None else dists[place : place + 2]
    possible = python.language(ids)[0, -1].isfinite()
    check_words(root, python.language, before, after, possible)
    feet = root.locator(".lmw-foot")
    for key, dist in (("before", before), ("after", after)):
        count, impossible, entropy = numbers(feet, ":scope", key)
        assert count == int((dist > 0).sum())
        assert impossible == pytest.approx(float(dist[~possible].sum()), abs=1e-5)
        assert entropy == pytest.approx(float(torch.special.entr(dist).sum()), abs=1e-4)
    drawn = numbers(root, ".lmw-compare tbody tr:visible", "drawn")
    assert sum(drawn) == pytest.approx(1 if draws else 0)
    for share in drawn:
        assert share * draws == pytest.approx(round(share * draws), abs=1e-6)


def check_words(root: Locator, language: ToyLanguage, before, after, possible) -> None:
    """Assert that each line's numbers, told and shown, are its word's, and that ✗ marks the impossible."""
    lines = root.locator(".lmw-compare tbody tr[data-word]:visible")
    names = lines.evaluate_all("(all) => all.map((n) => n.dataset.word)")
    words = [language.vocab.index(name.removesuffix(" ✗")) for name in names]
    assert len(set(words)) == 12
    assert [name.endswith("✗") for name in names] == [not possible[w] for w in words]
    texts = lines.locator(".lmw-num").all_inner_texts()
    for k, (key, dist) in enumerate((("before", before), ("after", after))):
        expected = dist[words].tolist()
        assert numbers(lines, ":scope", key) == pytest.approx(expected, abs=1e-5)
        assert [float(text) for text in texts[k::3]] == pytest.approx(expected, abs=6e-5)
        others = numbers(root, ".lmw-rest", key)
        assert others == pytest.approx([1 - sum(expected)], abs=1e-5)
        rest = torch.ones(87, dtype=torch.bool)
        rest[words] = False
        assert max(dist[rest]) <= max(max(before[w], after[w]) for w in words) + 1e-9
    assert words == sorted(words, key=lambda w: -before[w])


HOT, NUCLEUS = ("temperature", 2.0), ("top_p", 0.9)


class TestFilters:
    def test_order_by_keyboard(self, widget, python):
        root = widget()
        check(root, python, [HOT, NUCLEUS])
        keys = root.page.keyboard
        row(root, "top_p").get_by_role("button", name="earlier").focus()
        keys.press("Enter")
        check(root, python, [NUCLEUS, HOT])
        focused = root.page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused == "Top-p (nucleus): earlier"  # the focus goes along
        keys.press("Enter")  # it is the first already
        check(root, python, [NUCLEUS, HOT])
        row(root, "top_p").get_by_role("button", name="later").focus()
        keys.press("Space")
        check(root, python, [HOT, NUCLEUS])

    @pytest.mark.parametrize("key", DIALS)
    def test_each_filter_is_switched_and_turned_by_keyboard(self, widget, python, key):
        root, dial = widget(), DIALS[key]
        root.locator("input[type=text]").fill(LOOP)
        for other in ("temperature", "top_p"):
            row(root, other).locator(".lmd-switch").press("Enter")
        check(root, python, [], prompt=LOOP)
        switch = row(root, key).locator(".lmd-switch")
        assert switch.get_attribute("aria-pressed") == "false"
        switch.press("Space")
        assert switch.get_attribute("aria-pressed") == "true"
        start = {"temperature": 2.0, "top_p": 0.9}.get(key, dial.at)
        check(root, python, [(key, start)], prompt=LOOP)
        slider = row(root, key).locator("input")
        low, high = dial.low, min(dial.high, 87)
        for press, value in (("ArrowRight", start + dial.step), ("Home", low), ("End", high)):
            slider.press(press)
            value = round(min(value, high), dial.digits)
            check(root, python, [(key, value)], prompt=LOOP)
            told = slider.get_attribute("aria-valuetext").replace("−", "-")
            assert float(told) == value
        switch.press("Enter")
        check(root, python, [], prompt=LOOP)
        slider.press("ArrowLeft")  # whoever turns a filter wants it on
        check(root, python, [(key, round(high - dial.step, dial.digits))], prompt=LOOP)

    def test_stages_one_by_one(self, widget, python):
        root = widget()
        row(root, "min_p").locator(".lmd-switch").press("Enter")
        chain = [HOT, NUCLEUS, ("min_p", 0.1)]
        check(root, python, chain)
        picker = root.locator("select").nth(1)
        for place in range(3):
            choose(picker, place + 1)
            check(root, python, chain, stage=place)
        row(root, "min_p").locator(".lmd-switch").press("Enter")  # what was looked at is gone: all together
        check(root, python, chain[:2])
        assert root.get_attribute("data-stage") == ""

    def test_typical_may_drop_the_best_word(self, widget, python):
        root = widget()
        for key in ("temperature", "top_p", "typical"):
            row(root, key).locator(".lmd-switch").press("Enter")
        slider = row(root, "typical").locator("input")
        slider.fill("0.2")
        check(root, python, [("typical", 0.2)])
        first = root.locator(".lmw-compare tbody tr").first
        assert first.get_attribute("data-after") == "0"
        assert "line-through" in first.locator("th").evaluate("(n) => getComputedStyle(n).textDecoration")


class TestPrompt:
    def test_presets_by_keyboard(self, widget, python):
        root = widget()
        picker = root.locator("select").first
        for i, prompt in enumerate(python.widget.presets):
            choose(picker, i + 1)
            check(root, python, [HOT, NUCLEUS], prompt=prompt)

    def test_own_prompt(self, widget, python):
        root = widget()
        field = root.locator("input[type=text]")
        field.focus()
        root.page.keyboard.press("Control+A")
        root.page.keyboard.type("many wolves")
        check(root, python, [HOT, NUCLEUS], prompt="many wolves")
        for text, message in (
            ("<i>", "not one of the 87"),
            ("", "Write some words"),
            ("a " * 25, "at most 24"),
        ):
            field.fill(text)
            assert message in root.locator(".lmw-message").inner_text()
            check(root, python, [HOT, NUCLEUS], prompt="many wolves")  # the last that could be read stays
        field.fill("a a")  # impossible: then every word is
        assert "can’t produce" in root.locator(".lmw-message").inner_text()
        assert root.locator("i").count() == 0


class TestDraws:
    def test_buttons_by_keyboard(self, widget, python):
        root = widget()
        total = 200
        for name, more in (("Draw a word", 1), ("+ 10", 10), ("+ 100", 100), ("+ 1,000", 1000)):
            root.get_by_role("button", name=name, exact=True).press("Enter")
            total += more
            check(root, python, [HOT, NUCLEUS], draws=total)
        for _ in range(9):
            root.get_by_role("button", name="+ 1,000").press("Space")
        check(root, python, [HOT, NUCLEUS], draws=10_000)
        after = numbers(root, ".lmw-compare tbody tr:visible", "after")
        drawn = numbers(root, ".lmw-compare tbody tr:visible", "drawn")
        chi = sum((d - a) ** 2 / a for a, d in zip(after, drawn, strict=True)) * 10_000
        assert chi < 34.5  # 12 degrees of freedom: 1 in 1,800
        root.get_by_role("button", name="Forget the drawn words").press("Enter")
        check(root, python, [HOT, NUCLEUS], draws=0)
        assert root.locator(".lmd-last").inner_text() == "No word is drawn yet."

    def test_a_seed_draws_the_same_words(self, widget, python):
        root = widget()
        seed, last = root.locator("input[type=number]"), root.locator(".lmd-last")
        texts = {}
        for value in ("7", "8", "7"):
            seed.fill(value)
            seed.press("Tab")
            check(root, python, [HOT, NUCLEUS], seed=value)
            texts.setdefault(value, []).append(last.inner_text())
        assert texts["7"][0] == texts["7"][1] != texts["8"][0]
        for text, kept in (("-3", "0"), ("99999999999", str(2**32 - 1)), ("", "0")):
            seed.fill(text)
            seed.press("Tab")
            check(root, python, [HOT, NUCLEUS], seed=kept)

    def test_what_a_filter_removes_is_never_drawn(self, widget, python):
        root = widget()
        row(root, "top_k").locator(".lmd-switch").press("Enter")
        row(root, "top_k").locator("input").fill("3")
        check(root, python, [HOT, NUCLEUS, ("top_k", 3)])
        lines = root.locator(".lmw-compare tbody tr[data-word]:visible")
        pairs = zip(numbers(lines, ":scope", "after"), numbers(lines, ":scope", "drawn"), strict=True)
        assert [after > 0 for after, drawn in pairs if drawn] == [True] * 3


class TestAsAWhole:
    @pytest.mark.parametrize(
        ("width", "theme"), [(320, "dark"), (360, "light"), (640, "dark"), (1280, "light"), (1280, "dark")]
    )
    def test_fits_and_is_accessible(self, widget, new_page, theme, width):
        page = new_page(viewport={"width": width, "height": 800}, has_touch=True, color_scheme=theme)
        root = widget(on=page)
        root.locator("input[type=text]").fill("every brave squirrel that hears " * 3)
        page.wait_for_timeout(250)
        assert_fits(page, "decoding-explorer")

    def test_results_are_spoken(self, widget):
        root = widget()
        row(root, "top_p").get_by_role("button", name="earlier").press("Enter")
        root.page.wait_for_timeout(600)
        assert "8 words left of 87" in root.locator("[role=status]").inner_text()

    def test_keys_stay_inside(self, widget):
        root = widget()
        root.page.evaluate(
            "window.heard = 0; document.body.addEventListener('keydown', () => window.heard++)"
        )
        for control in root.locator("button, input, select").all():
            control.focus()
            root.page.keyboard.press("ArrowDown")
        assert root.page.evaluate("window.heard") == 0

    @pytest.mark.timed
    def test_answers_within_a_frame(self, widget):
        """With 10,000 draws; the fastest of 15 changes, drawn and laid out: slower ones are noise."""
        root = widget()
        for _ in range(10):
            root.get_by_role("button", name="+ 1,000").press("Enter")
        times = root.evaluate(
            """(root) => Array.from({ length: 15 }, () => {
              const start = performance.now();
              root.querySelector("[data-filter='top_p'] .lmd-switch").click();
              root.getBoundingClientRect();
              return performance.now() - start;
            })"""
        )
        assert min(times) <= 16
