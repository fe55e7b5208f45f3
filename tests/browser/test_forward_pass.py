"""ForwardPass in Chromium, by keyboard, mouse and touch; its numbers as PyTorch's own pass has them."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from lm_parity import sharpened
from looks import assert_fits, numbers
from playwright.sync_api import Locator, Page
from watched_passes import expected
from widget_page import served

from lmbook.toy import ToyLanguage
from lmbook.transformer import CausalLM
from lmbook.widgets import ForwardPass

TEXT = "the gulls that follow the crab sleep."
NAME = "forward-pass"


@pytest.fixture(scope="module")
def python() -> SimpleNamespace:
    language = ToyLanguage()
    torch.manual_seed(0)
    model = sharpened(CausalLM(87, 24, 4, 2, context_length=29, d_ff=17))
    return SimpleNamespace(language=language, model=model, widget=ForwardPass(model, language))


@pytest.fixture(scope="module")
def site(python, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """In the place of the book: one page with the widget."""
    with served({NAME: python.widget}, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def root(page, site, open_widgets) -> Locator:
    return opened(page, site.http("index.html"), open_widgets)


def opened(page: Page, url: str, open_widgets) -> Locator:
    open_widgets(page, url)
    return page.locator(f"[data-lm-widget='{NAME}']")


def number_of(root: Locator) -> float:
    """The number that is told of the marked cell, or of the one under the pointer."""
    text = root.locator(".lmw-finding").inner_text()
    return float(text.rsplit(": ", 1)[1].replace("−", "-"))


def check(root: Locator, python, off: list[str], place: int, text: str = TEXT) -> dict[str, torch.Tensor]:
    """Assert that words and table are those of the pass with `off` switched off; return its tensors."""
    ids = torch.tensor([python.language.encode(text)])
    tensors = expected(python.model, ids, off)
    log_p = python.language(ids)[0].double()
    log_q = tensors["logits"].log_softmax(-1)
    p = log_p.exp()
    divergence = (torch.xlogy(p, p) - p * log_q).sum(-1)
    words = root.locator(".lmw-words button")
    shown = [float(small) for small in words.locator("small").all_inner_texts()]
    assert shown == pytest.approx(divergence.abs().tolist(), abs=0.0051)
    pressed = words.evaluate_all("(all) => all.map((n) => n.getAttribute('aria-pressed'))")
    assert pressed == [str(t == place).lower() for t in range(len(shown))]
    cross_entropy, told = (numbers(root, ".lmw-foot", key) for key in ("model", "exact"))
    assert cross_entropy == pytest.approx(
        [float(-(p * log_q).sum(-1)[place]), float(divergence[place])], abs=1e-4
    )
    assert told == pytest.approx([float(-torch.xlogy(p, p).sum(-1)[place]), 0], abs=1e-6)
    rows = root.locator(".lmw-compare tbody tr[data-word]:visible")
    chosen = [python.language.vocab.index(word) for word in rows.evaluate_all(
        "(all) => all.map((n) => n.dataset.word)"
    )]  # fmt: skip
    for key, dist in (("model", tensors["probabilities"][place]), ("exact", p[place])):
        assert numbers(rows, ":scope", key) == pytest.approx(dist[chosen].tolist(), abs=1e-5)
    mean = re.search(r"Mean divergence after the \d+ words?: (-?[\d.]+) nats", root.inner_text())
    assert float(mean[1]) == pytest.approx(float(divergence.mean()), abs=0.00051)
    boxes = root.locator(".lmw-switch input")
    assert boxes.evaluate_all("(all) => all.filter((n) => !n.checked).length") == len(off)
    return tensors


def test_boxes_by_keyboard(root, python):
    tensors = check(root, python, [], 5)
    weights = tensors["2.weights"][:, 5]
    assert number_of(root) == pytest.approx(float(weights.max()), abs=0.00051)
    keys = root.page.keyboard
    root.locator(".lmw-box[aria-pressed=true]").focus()
    keys.press("ArrowLeft")
    keys.press("Enter")
    assert root.get_attribute("data-tensor") == "2.scores"
    scores = tensors["2.scores"][:, 5].flatten()
    largest = scores[scores.isfinite()]
    assert number_of(root) == pytest.approx(float(largest[largest.abs().argmax()]), abs=0.00051)
    assert "4 heads × 8 words × 8 words" in root.locator(".lmw-look").inner_text()
    assert "hidden by the causal mask" in root.locator(".lmw-look").inner_text()
    keys.press("End")
    keys.press("Space")
    assert root.get_attribute("data-tensor") == "probabilities"
    assert "8 words × 87 next words" in root.locator(".lmw-look").inner_text()
    assert number_of(root) == pytest.approx(float(tensors["probabilities"][5].max()), abs=0.00006)
    assert root.locator(".lmw-box[aria-pressed=true]").all_inner_texts() == ["probabilities"]


def test_every_box_shows_its_tensor(root, python):
    tensors = check(root, python, [], 5)
    shown = set()
    for box in root.locator(".lmw-box").all():
        box.press("Enter")
        name = root.get_attribute("data-tensor")
        shown.add(name)
        tensor = tensors[name] if tensors[name].ndim == 3 else tensors[name][None]
        row = root.locator(".lmw-row-numbers").text_content().replace("−", "-").replace("∞", "inf").split()
        head = int(root.locator(".lmw-look input:checked").input_value()) if len(tensor) > 1 else 0
        assert [float(x) for x in row] == pytest.approx(tensor[head, 5].tolist(), abs=0.00051), name
    assert shown == set(tensors)


@pytest.mark.parametrize("off", [["head 2.3"], ["feed-forward 1"], ["positions"], ["mask", "head 1.1"]])
def test_switches_by_keyboard_and_reset(root, python, off):
    names = {"head 2.3": "Block 2, head 3", "feed-forward 1": "Block 1, feed-forward"}
    names |= {"positions": "rotary positions", "mask": "causal mask", "head 1.1": "Block 1, head 1"}
    for one in off:
        root.get_by_label(names[one], exact=True).press("Space")
    check(root, python, off, 5)
    assert root.get_attribute("data-off") == ", ".join(off)
    assert "With nothing off: " in root.inner_text()
    root.get_by_role("button", name="Reset").press("Enter")
    check(root, python, [], 5)
    assert "With nothing off" not in root.inner_text()


def test_words_heads_and_numbers_by_keyboard(root, python):
    tensors = check(root, python, [], 5)
    root.locator(".lmw-words button").nth(5).focus()
    root.page.keyboard.press("ArrowLeft")
    root.page.keyboard.press("Enter")
    check(root, python, [], 4)
    root.get_by_role("button", name="block 1, key", exact=True).press("Enter")
    root.locator(".lmw-look .lmw-segments input").first.focus()
    for _ in range(3):
        root.page.keyboard.press("ArrowRight")
    assert number_of(root) == pytest.approx(
        float(tensors["1.key"][3, 4, tensors["1.key"][3, 4].abs().argmax()]), abs=0.00051
    )
    slider = root.locator("input[type=range]")
    slider.press("Home")
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert number_of(root) == pytest.approx(float(tensors["1.key"][3, 4, 2]), abs=0.00051)
    assert slider.get_attribute("aria-valuetext").startswith("head 4, “the”, number 3 of 6: ")
    root.get_by_role("button", name="block 1, gate", exact=True).press("Enter")
    slider.press("End")
    assert number_of(root) == pytest.approx(float(tensors["1.gate"][4, 16]), abs=0.00051)


def test_the_number_under_the_pointer(root, python):
    tensors = check(root, python, [], 5)
    root.get_by_role("button", name="block 1, query", exact=True).click()
    picture = root.locator(".lmw-heat")
    before = root.locator(".lmw-finding").inner_text()
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    wide = box["width"] * (1 - 3 * 0.015) / 24  # of a number; 1.5 % lie between two heads
    at = {"x": 2 * (6 * wide + 0.015 * box["width"]) + 3.5 * wide, "y": box["height"] * 1.5 / 8}
    picture.hover(position=at)
    assert root.locator(".lmw-finding").inner_text().startswith("head 3, “gulls”, number 4 of 6: ")
    assert number_of(root) == pytest.approx(float(tensors["1.query"][2, 1, 3]), abs=0.00051)
    root.locator("summary").hover()
    assert root.locator(".lmw-finding").inner_text() == before
    picture.click(position=at)
    root.locator("summary").hover()
    assert number_of(root) == pytest.approx(float(tensors["1.query"][2, 1, 3]), abs=0.00051)
    check(root, python, [], 1)


def test_a_tap_on_a_phone(new_page, site, open_widgets, python):
    page = new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    root = opened(page, site.http("index.html"), open_widgets)
    column = root.locator(".lmw-boxes").bounding_box()
    chosen = root.locator(".lmw-box[aria-pressed=true]").bounding_box()
    assert column["y"] <= chosen["y"] <= column["y"] + column["height"] - chosen["height"]
    tensors = check(root, python, [], 5)
    root.get_by_role("button", name="logits", exact=True).tap()
    picture = root.locator(".lmw-heat")
    box = picture.bounding_box()
    picture.tap(position={"x": box["width"] * 30.5 / 87, "y": box["height"] * 6.5 / 8})
    told = root.locator(".lmw-finding").inner_text()
    assert told.startswith(f"“{python.language.vocab[30]}” after “sleep”: ")
    assert number_of(root) == pytest.approx(float(tensors["logits"][6, 30]), abs=0.00051)


def test_own_sentence(root, python):
    field = root.locator("input[type=text]")
    field.fill("many wolves hide. they")
    check(root, python, [], 2, "many wolves hide. they")
    for text, message in (("<i>x", "not one of the 87"), ("", "Write a word"), ("a a", "can’t produce")):
        field.fill(text)
        assert message in root.locator(".lmw-message").inner_text()
    assert root.get_attribute("data-words") == "a a"
    assert root.locator(".lmw-tensor i").count() == 0
    root.get_by_role("button", name="Reset").press("Enter")
    assert field.input_value() == TEXT
    check(root, python, [], 5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 640, 1280])
def test_fits_and_is_accessible(new_page, site, open_widgets, scheme, width):
    page = new_page(viewport={"width": width, "height": 800}, has_touch=True, color_scheme=scheme)
    root = opened(page, site.http("index.html"), open_widgets)
    root.locator("input[type=text]").fill("every brave squirrel that hears " * 4)
    root.get_by_role("button", name="block 1, gate", exact=True).click()
    root.get_by_label("Block 2, head 1", exact=True).press("Space")
    page.wait_for_timeout(250)
    assert_fits(page, NAME)


def test_results_are_spoken_and_keys_stay_inside(root):
    root.get_by_label("Block 1, head 2", exact=True).press("Space")
    root.page.wait_for_timeout(600)
    spoken = root.locator("[role=status]").inner_text()
    assert re.match(r"block 2, weights, head \d, from “crab” to “\w+”: [\d.]+\. After “crab” ", spoken)
    root.page.evaluate("window.heard = 0; document.body.addEventListener('keydown', () => window.heard++)")
    for control in root.locator("button, input").all()[::5]:
        control.press("ArrowDown")
    assert root.page.evaluate("window.heard") == 0


def test_from_the_disk(page, site, open_widgets, python):
    check(opened(page, site.file("index.html"), open_widgets), python, [], 5)


@pytest.mark.timed
def test_answers_within_a_frame(root):
    """The fastest of 15 changes, drawn and laid out; slower ones are noise."""
    times = root.evaluate(
        """(root) => Array.from({ length: 15 }, (_, i) => {
          const switches = root.querySelectorAll('.lmw-switch input');
          const start = performance.now();
          switches[i % switches.length].click();
          root.getBoundingClientRect();
          return performance.now() - start;
        })"""
    )
    assert min(times) <= 16
