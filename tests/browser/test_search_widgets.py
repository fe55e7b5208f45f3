"""Beam tree and prompt explorer in Chromium, by keyboard and by touch; numbers as Python has them."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from looks import assert_fits
from playwright.sync_api import Locator, Page
from widget_page import served

from lmbook import ToyLanguage, beam_search, filters, greedy_decode
from lmbook.widgets import BeamTree, PromptExplorer

NAMES = ("beam-tree", "prompt-explorer")
OTHER = {"0": (0.34, "…"), "1": (0.33, "…"), "2": (0.33, "…")}
TRAP = {
    "start": {">": (1.0, "nothing")},
    "nothing": {"0": (0.52, "0"), "1": (0.48, "1")},
    "0": OTHER | {"0": (0.34, "00")},
    "1": {"0": (0.5, "…"), "1": (0.5, "…")},
    "00": {"0": (1.0, "…")},
    "…": OTHER,
}
PROMPTS = ["The capital of France is", "I opened the door and saw", "To be, or not to be: that is the"]
V = 307


class Words:
    """Decodes ids to pieces as long and as odd as a real tokenizer's."""

    def decode(self, ids: list[int]) -> str:
        return {0: " ", 1: "\n", 2: "", 3: " responsibilities", 4: "<b>"}.get(ids[0], f" w{ids[0]}")


@pytest.fixture(scope="module")
def python() -> SimpleNamespace:
    language = ToyLanguage()
    searches = {"a trap": (ToyLanguage(grammar=TRAP), ">"), "animals": (language, "the gull")}
    logits = 3 * torch.randn(3, V, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[:, :5] = torch.tensor([9.0, 8.5, 8.0, 7.5, 7.0])  # the odd tokens are to be seen
    widgets = {
        "beam-tree": BeamTree(searches, length=3),
        "prompt-explorer": PromptExplorer(PROMPTS, logits, Words(), top=101),
    }
    return SimpleNamespace(searches=list(searches.values()), logits=logits, widgets=widgets)


@pytest.fixture(scope="module")
def site(python, tmp_path_factory) -> Iterator[SimpleNamespace]:
    with served(python.widgets, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def widget(page, site, open_widgets) -> Callable[..., Locator]:
    def open_widget(name: str, on: Page = page, from_disk: bool = False) -> Locator:
        open_widgets(on, site.file("index.html") if from_disk else site.http("index.html"))
        return on.locator(f"[data-lm-widget='{name}']")

    return open_widget


def press(root: Locator, name: str) -> None:
    root.get_by_role("button", name=name).focus()
    root.page.keyboard.press("Enter")


class TestBeamTree:
    def check(self, root: Locator, python, search: int, num_beams: int, steps: int) -> None:
        """Assert that the page shows the prefixes that Python's beam search keeps, and their numbers."""
        language, prompt = python.searches[search]
        ids = torch.tensor([language.encode(prompt)])
        start = ids.shape[1]
        state = [root.get_attribute(f"data-{key}") for key in ("search", "num-beams", "steps")]
        assert state == [str(search), str(num_beams), str(steps)]
        nodes = root.locator(".lmw-node").evaluate_all("(all) => all.map((n) => ({ ...n.dataset }))")
        shown = [[int(i) for i in node["ids"].split()] for node in nodes]
        greedy = greedy_decode(language, ids, 3)[0].tolist()
        for node, text in zip(nodes, shown, strict=True):
            exact = language.log_prob(torch.tensor([text])) - language.log_prob(ids)
            assert float(node["logProb"]) == pytest.approx(exact.item(), abs=1e-9)
            assert node["greedy"] == str(greedy[: len(text)] == text).lower()
            assert (node["fate"] == "root") == (len(text) == start)
        for n in range(1, 4):
            kept = [
                text
                for node, text in zip(nodes, shown, strict=True)
                if node["fate"] == "kept" and len(text) == start + n
            ]
            assert len(kept) == (0 if n > steps else len({tuple(text) for text in kept}))
            if n <= steps:
                assert beam_search(language, ids, num_beams, n)[0][0].tolist() in kept
                assert 1 <= len(kept) <= num_beams
        logs = root.locator("tbody tr").evaluate_all("(all) => all.map((n) => n.dataset.logProb)")
        found = beam_search(language, ids, num_beams, 3)[0]
        texts = [torch.tensor([greedy]), found, language.best_continuation(ids, 3)]
        exact = [float(language.log_prob(text) - language.log_prob(ids)) for text in texts]
        assert [float(x) for x in logs if x] == pytest.approx(exact if steps == 3 else exact[:1], abs=1e-9)
        worse = steps == 3 and exact[1] < exact[0] - 1e-9
        missed = steps == 3 and not worse and exact[1] < exact[2] - 1e-9
        message = root.locator(".lmw-message").inner_text()
        assert ("The beam found something worse than greedy." in message) == worse
        assert ("The best text of all was dropped on the way." in message) == missed

    def test_by_keyboard_beam_two_is_worse_than_greedy(self, widget, python):
        root = widget("beam-tree")
        self.check(root, python, 1, 2, 0)  # where greedy, beam and best differ
        root.locator("select").focus()
        root.page.keyboard.press("ArrowUp")
        self.check(root, python, 0, 2, 0)
        for steps in (1, 2, 3):
            press(root, "One step")
            self.check(root, python, 0, 2, steps)
        message = root.locator(".lmw-message").inner_text()
        assert "Greedy’s prefix is not among them." in message
        assert root.locator("tbody tr").all_inner_texts() == [
            "greedy\t0 0 0\t0.1768",
            "beam, 2\t1 0 0\t0.0816",
            "best of all\t0 0 0\t0.1768",
        ]
        assert root.get_by_role("button", name="Back").evaluate("(n) => n === document.activeElement")
        root.page.keyboard.press("Enter")
        self.check(root, python, 0, 2, 2)

    def test_width_and_search_by_keyboard(self, widget, python):
        root = widget("beam-tree")
        root.locator("select").focus()
        root.page.keyboard.press("ArrowUp")
        press(root, "All steps")
        slider = root.locator("input[type=range]")
        slider.focus()
        for width in (3, 4):
            root.page.keyboard.press("ArrowRight")
            self.check(root, python, 0, width, 3)
            assert slider.get_attribute("aria-valuetext") == f"{width} beams"
        root.page.keyboard.press("Home")
        self.check(root, python, 0, 1, 3)
        root.locator("select").focus()
        root.page.keyboard.press("ArrowDown")
        self.check(root, python, 1, 1, 0)
        press(root, "All steps")
        self.check(root, python, 1, 1, 3)
        assert "dropped on the way" in root.locator(".lmw-message").inner_text()
        slider.focus()
        for width in (2, 3):
            root.page.keyboard.press("ArrowRight")
            self.check(root, python, 1, width, 3)
        assert "dropped on the way" not in root.locator(".lmw-message").inner_text()


class TestPromptExplorer:
    def check(self, root: Locator, python, prompt: int, tau: float, p: float) -> None:
        row = python.logits[prompt]
        order = row.argsort(descending=True, stable=True)
        warm = filters.temperature(row, tau)
        kept = filters.top_p(warm, p)
        after, before = kept.softmax(-1)[order], row.softmax(-1)[order]
        lines = root.locator("tbody tr").evaluate_all("(all) => all.map((n) => ({ ...n.dataset }))")
        for rank, line in enumerate(lines[:-1]):
            assert float(line["before"]) == pytest.approx(before[rank].item(), abs=2e-6)
            assert float(line["after"]) == pytest.approx(after[rank].item(), abs=2e-6)
        assert float(lines[-1]["before"]) == pytest.approx(before[12:].sum().item(), abs=1e-5)
        assert float(lines[-1]["after"]) == pytest.approx(after[12:].sum().item(), abs=1e-5)
        shown = [float(text) for text in root.locator("tbody .lmw-num").all_inner_texts()]
        told = [float(line[key]) for line in lines for key in ("before", "after")]
        assert shown == pytest.approx(told, abs=0.000051)
        mass = warm.softmax(-1)[kept.isfinite()].sum().item()
        assert root.get_attribute("data-size") == str(int(kept.isfinite().sum()))
        assert float(root.get_attribute("data-mass")) == pytest.approx(mass, abs=1e-9)
        entropy = torch.special.entr(warm.softmax(-1)).sum().item()
        assert float(root.get_attribute("data-entropy")) == pytest.approx(entropy, abs=1e-9)
        assert f"Entropy at this T: {entropy:.2f} nats" in root.locator(".lmw-message").inner_text()

    def test_sliders_by_keyboard(self, widget, python):
        root = widget("prompt-explorer")
        self.check(root, python, 0, 1.0, 0.9)
        warmth, nucleus = root.locator("input[type=range]").all()
        warmth.focus()
        for key, tau in (("ArrowRight", 1.05), ("End", 2.0), ("ArrowLeft", 1.95), ("Home", 0.0)):
            root.page.keyboard.press(key)
            self.check(root, python, 0, tau, 0.9)
            assert warmth.get_attribute("aria-valuetext") == f"{tau:.2f}"
        root.page.keyboard.press("End")
        nucleus.focus()
        for key, p in (("End", 1.0), ("ArrowLeft", 0.95), ("Home", 0.05)):
            root.page.keyboard.press(key)
            self.check(root, python, 0, 2.0, p)

    def test_prompts_by_keyboard(self, widget, python):
        root = widget("prompt-explorer")
        root.locator("select").focus()
        for prompt in (1, 2):
            root.page.keyboard.press("ArrowDown")
            self.check(root, python, prompt, 1.0, 0.9)

    def test_what_cannot_be_seen_is_written_out(self, widget):
        root = widget("prompt-explorer")
        words = set()
        for prompt in range(3):
            root.locator("select").select_option(str(prompt))
            words |= set(root.locator("tbody th").all_inner_texts())
        assert {"␣", "↵", "∅", "␣responsibilities", "<b>"} <= words
        assert root.locator("th b").count() == 0


class TestBoth:
    @pytest.mark.parametrize("name", NAMES)
    def test_from_the_disk(self, widget, name):
        assert widget(name, from_disk=True).locator("table").is_visible()

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [320, 360, 1280])
    def test_fits_and_is_accessible(self, widget, new_page, theme, width):
        page = new_page(viewport={"width": width, "height": 800}, has_touch=True, color_scheme=theme)
        root = widget("beam-tree", on=page)
        root.locator("select").select_option("1")
        root.locator("input[type=range]").press("End")
        press(root, "All steps")
        page.wait_for_timeout(250)
        for name in NAMES:
            assert_fits(page, name, scrolls=".lmw-heard, .lmw-tree *")

    @pytest.mark.parametrize(("name", "said"), list(zip(NAMES, ("Step 0 of 3", "Best token"), strict=True)))
    def test_results_are_spoken_and_keys_stay_inside(self, widget, name, said):
        root = widget(name)
        root.page.evaluate(
            "window.heard = 0; document.body.addEventListener('keydown', () => window.heard++)"
        )
        for control in root.locator("button:not([disabled]), input, select").all():
            control.focus()
            for key in ("ArrowDown", "x", "Home"):
                root.page.keyboard.press(key)
        assert root.page.evaluate("window.heard") == 0
        root.page.wait_for_timeout(600)
        assert said in root.locator("[role=status]").inner_text()

    @pytest.mark.timed
    @pytest.mark.parametrize("name", NAMES)
    def test_answers_within_a_frame(self, widget, name):
        """The fastest of 15 changes, drawn and laid out; slower ones are noise."""
        root = widget(name)
        if name == "beam-tree":
            root.locator("select").select_option("1")
            press(root, "All steps")
        times = root.evaluate(
            """(root) => Array.from({ length: 15 }, (_, i) => {
              const slider = root.querySelector('input[type=range]');
              slider.value = String(Number(slider.max) - (i % 2));
              const start = performance.now();
              slider.dispatchEvent(new Event('input'));
              root.getBoundingClientRect();
              return performance.now() - start;
            })"""
        )
        assert min(times) <= 16
