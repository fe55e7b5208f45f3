"""Code exercises written and judged in the page: Python in a worker, CodeMirror, nothing before the click."""

import json
import re

import pytest
from looks import assert_accessible, show_in
from playwright.sync_api import expect

from lmbook.exercises import load

PAGE = "chapters/01_probability.html"
SHEET = load("probability")
ITEM = next(item for item in SHEET.exercises if item.id == "probability-10")
NEEDS_TORCH = next(item for item in SHEET.exercises if item.id == "probability-5")
SLOW = 60_000  # Python starts on a busy machine


@pytest.fixture
def open_editor(page, site, open_widgets):
    def open_it(on=page, item=ITEM):
        open_widgets(on, site.http(PAGE))
        return begin(card_of(on, item))

    return open_it


def begin(card):
    card.get_by_role("button", name="Write it here").press("Enter")
    expect(card.locator(".cm-content")).to_be_focused()
    return card


def card_of(page, item):
    card = page.locator(".lmw-cards > li").nth(SHEET.exercises.index(item))
    card.locator(".lmw-card").press("Enter")
    return card


def write(card, code: str) -> None:
    """Put `code` into the editor as a paste does: typed, it would be indented twice."""
    card.page.keyboard.press("ControlOrMeta+a")
    card.page.keyboard.insert_text(code)


def judged(card, code: str, state: str):
    write(card, code)
    card.page.keyboard.press("ControlOrMeta+Enter")
    verdict = card.locator(".lmw-verdict")
    expect(verdict).to_have_attribute("data-state", state, timeout=SLOW)
    expect(card.get_by_role("button", name="Run and check")).to_be_enabled()
    return verdict


def test_code_is_judged_as_check_does_and_remembered(page, site, open_editor, open_widgets):
    card = open_editor()
    for mistake in ITEM.mistakes:
        told = re.sub(r"[`*]", "", mistake.reason)
        expect(judged(card, mistake.code, "wrong")).to_contain_text(told[:60])
    code = f"{ITEM.code}\nprint('so far', {ITEM.function}([0, 0], 1, 1))\n"
    assert len(code) > 500
    expect(judged(card, code, "right")).to_contain_text(re.compile("^Right, on all"))
    expect(card.get_by_label("Printed")).to_have_text("so far [1.0]")
    kept = page.evaluate("lmProgress.recall('probability-10')")
    assert (kept["state"], kept["answer"]) == ("right", code)
    open_widgets(page, site.http(PAGE))
    again = card_of(page, ITEM)
    expect(again.locator("pre").first).to_contain_text("so far")
    expect(again.locator(".lmw-verdict")).to_have_attribute("data-state", "right")


ERRORS = [  # code, the line that is named, what is said
    ("def witten_bell(ids, h, V):\n    x = 1\n    return x / 0\n", 3, "ZeroDivisionError"),
    ("x = 1\n\nundefined + x\n", 3, "NameError"),
    ("def witten_bell(ids, h, V):\n    return (1\n", 2, "SyntaxError"),
    ("import numpy as np\n", 1, "the page has Python's standard library alone. Use the notebook."),
    ("ids = 0\nh = input('h? ')\n", 2, "the page can't ask for input"),
]


def test_an_error_names_the_line(open_editor):
    card = open_editor()
    for code, line, told in ERRORS:
        verdict = judged(card, code, "wrong" if "/ 0" in code else "unreadable")
        expect(verdict).to_contain_text(told)
        expect(verdict).to_contain_text(f"ine {line}")
        expect(card.locator(".cm-error-line")).to_have_text(code.splitlines()[line - 1])


def test_an_endless_loop_is_ended_and_the_page_lives_on(open_editor):
    card = open_editor()
    loop = "print('begun')\ndef witten_bell(ids, h, V):\n    while True:\n        pass\n"
    expect(judged(card, loop, "wrong")).to_contain_text("had not finished after 5 s")
    expect(card.get_by_label("Printed")).to_have_text("begun")
    judged(card, ITEM.code, "right")


WRONG = [
    ("def witten_bell(ids, h, V):\n    return witten_bell(ids, h, V)\n", "wrong"),
    ("import sys\nsys.exit()\n", "unreadable"),
    ("x = 1\n", "unreadable"),
    ("witten_bell = 3\n", "unreadable"),
    ("def witten_bell(ids, h, V):\n    ...\n", "unreadable"),
]


def test_what_goes_wrong_is_said_and_python_goes_on(open_editor):
    card = open_editor()
    for code, state in WRONG:
        assert judged(card, code, state).inner_text().count("\n") < 12
        judged(card, ITEM.code, "right")


def test_by_keyboard_alone_tab_indents_and_escape_leads_out(open_editor):
    card = open_editor()
    write(card, "")
    for line in ("def witten_bell(ids, h, V):", "return 1"):  # Enter indents the second line
        card.page.keyboard.type(line)
        card.page.keyboard.press("Enter")
    card.page.keyboard.press("Tab")
    card.page.keyboard.type("x")
    lines = card.locator(".cm-line").all_inner_texts()
    assert lines[:2] == ["def witten_bell(ids, h, V):", "    return 1"]
    assert lines[2].endswith("    x")
    card.page.keyboard.press("Escape")
    card.page.keyboard.press("Tab")
    expect(card.get_by_role("button", name="Run and check")).to_be_focused()


def test_one_starts_again_from_what_stood_there(open_editor):
    card = open_editor()
    write(card, "x = 1")
    card.get_by_role("button", name="Start again").press("Enter")
    expect(card.locator(".cm-content")).to_be_focused()
    expect(card.locator(".cm-line").first).to_have_text("def witten_bell(ids, h, V):")
    card.page.keyboard.press("ControlOrMeta+z")
    expect(card.locator(".cm-line").first).to_have_text("x = 1")


def test_nothing_is_loaded_before_the_click_and_python_is_kept(new_page, site, open_widgets):
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_widgets(page, site.http(PAGE))
    card = card_of(page, ITEM)
    assert not [url for url in asked if "/python/" in url or "python_worker" in url]
    begin(card)
    judged(card, ITEM.code, "right")
    loaded = [url for url in asked if "/python/" in url]
    assert all(site.owns(url) for url in asked)
    assert sum(url.endswith(".wasm") for url in loaded) == 1
    judged(card, "x = 1", "unreadable")
    assert [url for url in asked if "/python/" in url] == loaded


def test_what_needs_pytorch_says_so(page, site, open_widgets):
    open_widgets(page, site.http(PAGE))
    card = card_of(page, NEEDS_TORCH)
    expect(card).to_contain_text("It needs PyTorch, so write it in the notebook")
    expect(card.get_by_role("button", name="Write it here")).to_have_count(0)


def test_from_the_disk_the_page_says_that_it_runs_no_python(page, site, open_widgets):
    open_widgets(page, site.file(PAGE))
    card = card_of(page, ITEM)
    begin(card)
    expect(judged(card, ITEM.code, "unreadable")).to_contain_text("from the disk")


def test_looks(new_page, open_editor):
    page = new_page(viewport={"width": 390, "height": 800}, color_scheme="light")
    card = open_editor(page)
    judged(card, "def witten_bell(ids, h, V):\n    return 1 / 0  # a comment, 'text'\n", "wrong")
    for theme in ("light", "dark"):
        show_in(page, theme)
        assert_accessible(page, ".lmw")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_book_json_has_exactly_what_needs_no_other_package(site):
    book = json.loads((site.root / "_static" / "python" / "book.json").read_text("utf-8"))
    assert {ITEM.id, "bugs-4", "tokens-6"} <= set(book["exercises"])
    assert NEEDS_TORCH.id not in book["exercises"]
