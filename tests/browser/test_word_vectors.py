"""WordVectors in Chromium, by keyboard and by touch; its list and its dots as Python has them."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from looks import PHONE, assert_fits
from playwright.sync_api import Locator, Page
from widget_page import served

from lmbook.widgets import WordVectors

WORDS = ["zebra", "yak", "wolf", "vole", "tapir", "seal", "rat", "quail", "pig", "otter", "newt", "mole"]
STEPS = [0, 7, 30]


@pytest.fixture(scope="module")
def python() -> WordVectors:
    tables = torch.randn(3, 12, 5, generator=torch.Generator().manual_seed(4))
    return WordVectors(WORDS, tables, steps=STEPS, word="wolf")


@pytest.fixture(scope="module")
def site(python, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """In the place of the book: one page with the widget."""
    with served({"word-vectors": python}, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def root(page, site, open_widgets) -> Locator:
    open_widgets(page, site.http("index.html"))
    return page.locator("[data-lm-widget='word-vectors']")


def check(root: Locator, python: WordVectors, moment: int, word: str) -> None:
    near = python.nearest(moment, WORDS.index(word))
    assert root.locator(".lmw-nearest b").all_inner_texts() == [name for name, _ in near]
    shown = [
        float(text.replace("−", "-")) for text in root.locator(".lmw-nearest .lmw-num").all_inner_texts()
    ]
    assert shown == pytest.approx([cosine for _, cosine in near], abs=0.0051)
    assert root.locator(".lmw-chosen title").text_content() == word
    marked = root.locator(".lmw-near title").all_text_contents()
    assert sorted(marked) == sorted(name for name, _ in near)
    assert root.locator(".lmw-moment .lmw-num").inner_text() == f"after {STEPS[moment]} steps"


def test_moments_by_keyboard(root, python):
    check(root, python, 0, "wolf")
    slider = root.locator("input[type=range]")
    slider.focus()
    for key, moment in (("End", 2), ("ArrowLeft", 1), ("Home", 0)):
        root.page.keyboard.press(key)
        check(root, python, moment, "wolf")
    assert slider.get_attribute("aria-valuetext") == "after 0 steps"


def test_words_from_the_list_the_neighbours_and_the_picture(root, python):
    choice = root.locator("select").first
    assert choice.locator("option").all_inner_texts() == sorted(WORDS)
    choice.select_option("newt")
    check(root, python, 0, "newt")
    third = python.nearest(0, WORDS.index("newt"))[2][0]
    root.locator(".lmw-nearest button").nth(2).press("Enter")
    check(root, python, 0, third)
    root.locator("circle", has=root.page.locator("title", has_text="yak")).dispatch_event("click")
    check(root, python, 0, "yak")


def test_another_direction_moves_the_dots_and_no_neighbour(root, python):
    def places() -> list[str]:
        return root.locator("circle").evaluate_all("(all) => all.map((dot) => dot.style.transform).sort()")

    before = places()
    root.locator("select").nth(1).select_option("direction 3")
    assert places() != before
    check(root, python, 0, "wolf")


def test_play_ends_at_the_last_moment(root, python):
    root.get_by_role("button", name="Play").press("Enter")
    root.page.wait_for_function("document.querySelector('[data-moment]').dataset.moment === '2'")
    check(root, python, 2, "wolf")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_fits_and_is_accessible(new_page, site, open_widgets, scheme, options):
    page: Page = new_page(color_scheme=scheme, **options)
    open_widgets(page, site.http("index.html"))
    assert_fits(page, "word-vectors")
