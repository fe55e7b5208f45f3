"""A term of the glossary shows its meaning where it stands; without scripts it is a link."""

import pytest
from looks import assert_accessible
from playwright.sync_api import Page, expect

PAGE = "chapters/01_probability.html"
TERM = ".bd-article a[href='glossary.html#term-{}']"
FILE = "term-texts.js"
BOTH = """(link) => {
  return [document.querySelector('.lm-term'), link].map((one) => one.getClientRects()[0].toJSON());
}"""


def term(page: Page, name: str = "cross-entropy"):
    return page.locator(TERM.format(name)).first


def box(page: Page):
    return page.locator(".lm-term")


@pytest.fixture
def opened(page, site):
    page.goto(site.http(PAGE))
    return page


def test_a_pointer_over_it_shows_it_until_it_leaves_and_nothing_is_loaded_before(opened):
    asked: list[str] = []
    opened.on("request", lambda request: FILE in request.url and asked.append(request.url))
    opened.reload()
    expect(box(opened)).to_be_hidden()
    assert not asked
    term(opened).hover()
    expect(box(opened)).to_contain_text("cross-entropy The ")
    assert len(asked) == 1
    box(opened).hover()  # one may go over to it, to read it or to select a word
    opened.wait_for_timeout(500)
    expect(box(opened)).to_be_visible()
    opened.locator(".bd-article h1").hover()
    expect(box(opened)).to_be_hidden()
    term(opened).hover()
    expect(box(opened)).to_be_visible()
    assert len(asked) == 1
    opened.keyboard.press("Escape")
    expect(box(opened)).to_be_hidden()


def test_by_keyboard_it_is_shown_and_read_out_and_enter_leads_to_the_glossary(opened):
    opened.keyboard.press("Tab")
    term(opened).focus()
    expect(box(opened)).to_be_visible()
    assert term(opened).get_attribute("aria-describedby") == box(opened).get_attribute("id")
    expect(box(opened)).to_have_role("tooltip")
    opened.keyboard.press("Tab")
    expect(term(opened)).not_to_have_attribute("aria-describedby", "lm-term")
    term(opened).focus()
    opened.keyboard.press("Enter")
    opened.wait_for_url("**/glossary.html#term-cross-entropy")


def test_the_first_tap_shows_it_the_second_follows(new_page, site):
    page = new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    page.goto(site.http(PAGE))
    term(page).tap()
    expect(box(page)).to_be_visible()
    page.locator(".bd-article h1").tap()
    expect(box(page)).to_be_hidden()
    term(page).tap()
    expect(box(page)).to_be_visible()
    term(page).tap()
    page.wait_for_url("**/glossary.html#term-cross-entropy")


def test_it_stays_a_link_without_scripts(new_page, site, problems):
    page = new_page(java_script_enabled=False)
    page.goto(site.http(PAGE))
    term(page).click()
    page.wait_for_url("**/glossary.html#term-cross-entropy")
    problems[:] = [one for one in problems if "/_static/scripts/" not in one]  # preloaded, and not run


def test_it_works_from_the_disk_and_on_the_glossary_itself(page, site):
    page.goto(site.file(PAGE))
    term(page).hover()
    expect(box(page)).to_contain_text("cross-entropy The ")
    page.goto(site.file("chapters/glossary.html"))
    page.locator(".bd-article a[href='#term-surprise']").first.hover()
    expect(box(page)).to_contain_text("surprise")


def test_every_term_of_a_page_has_its_meaning(opened):
    term(opened).hover()
    expect(box(opened)).to_be_visible()
    names = "(links) => links.map((link) => link.hash.slice(1)).filter((name) => !(name in lmTerms))"
    assert opened.locator(".bd-article a[href*='glossary.html#term-']").evaluate_all(names) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_stays_in_the_window_and_is_accessible(new_page, site, width, theme):
    page = new_page(viewport={"width": width, "height": 800}, color_scheme=theme, reduced_motion="reduce")
    page.goto(site.http(PAGE))
    page.keyboard.press("Tab")
    for link in page.locator(".bd-article a[href*='glossary.html#term-']").all()[:12]:
        link.focus()
        expect(box(page)).to_be_visible()
        shown, at = link.evaluate(BOTH)
        assert shown["left"] >= 0
        assert shown["right"] <= width
        assert shown["bottom"] <= at["top"] + 1 or shown["top"] >= at["bottom"] - 1
        link.blur()
        page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".bd-article a[href*='glossary.html#term-']").first.focus()
    assert_accessible(page, ".lm-term")
