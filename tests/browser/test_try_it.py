""" "Try it" below a cell: an editor, and Python in the page; nothing of it is loaded before the click."""

import pytest
from extensions.try_it import tries
from looks import assert_accessible, show_in
from playwright.sync_api import expect

PAGE = "chapters/02_tokens.html"
SLOW = 60_000  # Python starts on a busy machine


@pytest.fixture
def opened(page, site, open_widgets):
    def open_it(on=page):
        open_widgets(on, site.http(PAGE))
        cell = on.locator("#try-utf8")
        cell.get_by_role("button", name="Try it").press("Enter")
        expect(cell.locator(".cm-content")).to_be_focused()
        return cell

    return open_it


def run(cell, code: str):
    cell.page.keyboard.press("ControlOrMeta+a")
    cell.page.keyboard.insert_text(code)
    cell.page.keyboard.press("ControlOrMeta+Enter")
    expect(cell.get_by_role("button", name="Run")).to_be_enabled(timeout=SLOW)
    return cell.get_by_role("status")


def test_code_is_changed_and_run(new_page, site, opened, open_widgets):
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_widgets(page, site.http(PAGE))
    assert page.get_by_role("button", name="Try it").count() == len(tries("02_tokens"))
    assert not [url for url in asked if "/python/" in url or "try_it" in url]
    cell = opened(page)
    assert all(site.owns(url) for url in asked)
    page.keyboard.press("ControlOrMeta+Enter")
    expect(cell.get_by_label("Printed")).to_contain_text("cat  3 characters,  3 bytes", timeout=SLOW)
    run(cell, "print('own')\n2 + 3")
    expect(cell.get_by_label("Printed")).to_have_text("own\n5\n")
    expect(run(cell, "x = 1\nx / 0")).to_have_text("Line 2: ZeroDivisionError: division by zero")
    expect(run(cell, "while True:\n    pass")).to_contain_text("had not finished after 5 s")
    run(cell, "7")
    expect(cell.get_by_label("Printed")).to_have_text("7\n")
    cell.get_by_role("button", name="The book’s code again").press("Enter")
    expect(cell.locator(".cm-content")).to_contain_text("naïve")


def test_looks(new_page, opened):
    page = new_page(viewport={"width": 390, "height": 800}, color_scheme="light")
    cell = opened(page)
    run(cell, "1 / 0")
    for theme in ("light", "dark"):
        show_in(page, theme)
        assert_accessible(page, "#try-utf8 .lmw")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_from_the_disk_it_says_that_the_page_runs_no_python(page, site, open_widgets):
    open_widgets(page, site.file(PAGE))
    cell = page.locator("#try-utf8")
    cell.get_by_role("button", name="Try it").press("Enter")
    expect(cell.locator(".cm-content")).to_be_focused()
    expect(run(cell, "1")).to_contain_text("from the disk")
