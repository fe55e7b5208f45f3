"""What the site has for a course: slides, sheets and keys, as pages of their own and on paper."""

import re
from urllib.parse import unquote, urlsplit

import print_course
import pypdf
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from built_site import DESK, HTML, PHONE
from playwright.sync_api import expect
from sheets import sheets

CHAPTER = "02_tokens"
KINDS = ("slides", "sheet", "key")
SLIDES = f"course/{CHAPTER}-slides.html"


def soup(path: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / path).read_text(encoding="utf-8"), "html.parser")


def test_each_chapter_has_its_slides_sheet_and_key_and_nothing_else_is_there():
    made = {path.name for path in (HTML / "course").iterdir()}
    assert made == {f"{name}-{kind}.html" for name in sheets() for kind in KINDS}
    linked = {link["href"] for link in soup("chapters/teachers.html").select('a[href^="../course/"]')}
    assert linked == {f"../course/{name}" for name in made}


def test_links_of_a_course_lead_to_places_of_the_book():
    pages: dict[str, set[str]] = {}
    for kind in KINDS:
        for link in soup(f"course/{CHAPTER}-{kind}.html").select("a[href]"):
            parts = urlsplit(link["href"])
            if parts.scheme or not parts.path:
                continue
            target = (HTML / "course" / unquote(parts.path)).resolve()
            if target.name not in pages:
                pages[target.name] = set(re.findall(r'\sid="([^"]+)"', target.read_text(encoding="utf-8")))
            assert not parts.fragment or unquote(parts.fragment) in pages[target.name], link["href"]
    assert {f"{CHAPTER}.html", "glossary.html", "teachers.html"} <= pages.keys()


def test_slides_have_every_figure_of_the_chapter_after_a_question():
    figures = soup(f"chapters/{CHAPTER}.html").select("article figure")
    slides = soup(SLIDES).select(".lm-slide")
    shown = [index for index, slide in enumerate(slides) if "lm-shown" in slide["class"]]
    captions = [slides[index].select_one("figcaption").get_text(" ", strip=True) for index in shown]
    pilcrow = [figure.select_one("figcaption").get_text(" ", strip=True).rstrip("#¶ ") for figure in figures]
    assert captions == pilcrow
    assert len(captions) > 3
    assert all("lm-question" in slides[index - 1]["class"] for index in shown)
    assert any("lm-live" in slide["class"] for slide in slides)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("looks", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_pages_of_a_course_can_be_read_by_everybody(new_page, site, kind, looks, viewport):
    page = new_page(viewport=viewport, color_scheme=looks)
    page.goto(site.http(f"course/{CHAPTER}-{kind}.html"))
    if kind == "slides" and viewport is DESK:
        expect(page.locator(".reveal.ready")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == looks
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response["violations"]
    assert not found, [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]


def test_arrow_keys_turn_the_slides_from_the_disk_too(page, site):
    page.goto(site.file(SLIDES))
    expect(page.locator(".reveal.ready")).to_be_visible()
    current = page.locator("section.present")
    expect(current).to_have_class(re.compile("lm-first"))
    page.keyboard.press("ArrowRight")
    expect(current).to_have_class(re.compile("lm-question"))
    page.keyboard.press("ArrowRight")
    expect(current.locator("figure img, .lm-open")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(current).to_have_class(re.compile("lm-question"))


def test_every_slide_fits_on_the_screen(page, site):
    page.goto(site.http(SLIDES))
    expect(page.locator(".reveal.ready")).to_be_visible()
    first = page.locator("section.present").bounding_box()
    assert first["width"] > DESK["width"] / 2  # before anything makes it measure again
    for index in range(page.locator("section.lm-slide").count()):
        page.evaluate("(index) => Reveal.slide(index)", index)
        box = page.locator("section.present").bounding_box()
        assert box["y"] >= 0, f"slide {index + 1}"
        assert box["y"] + box["height"] <= DESK["height"], f"slide {index + 1}"


def test_without_scripts_slides_are_one_page(new_page, site):
    page = new_page(java_script_enabled=False)
    page.goto(site.file(SLIDES))
    expect(page.locator("section.lm-slide").last).to_be_visible()


def test_on_paper_a_slide_is_a_page_and_a_sheet_stands_upright(browser, monkeypatch, tmp_path):
    monkeypatch.setattr(print_course, "PRINTED", tmp_path / "course")
    monkeypatch.setattr(
        print_course, "pages", lambda: [HTML / "course" / f"{CHAPTER}-{k}.html" for k in KINDS]
    )
    assert print_course.print_course(browser) == len(KINDS)
    slides, sheet, key = (pypdf.PdfReader(tmp_path / "course" / f"{CHAPTER}-{kind}.pdf") for kind in KINDS)
    assert len(slides.pages) == len(soup(SLIDES).select(".lm-slide"))
    assert slides.pages[0].mediabox.width > slides.pages[0].mediabox.height
    assert sheet.pages[0].mediabox.height > sheet.pages[0].mediabox.width
    assert "Assignment" in sheet.pages[0].extract_text()
    assert "Wrong answers" in key.pages[0].extract_text()
