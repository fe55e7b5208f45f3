"""The built site as a whole: everything that can be looked at is listed, and no address is misspelt."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from book import find_repository
from bs4 import BeautifulSoup
from built_site import HTML, PAGES

import lmbook
import lmbook.widgets

CHAPTERS = [path for path in PAGES if path.startswith("chapters/")]
LIST, API = "chapters/figures.html", "chapters/api.html"
VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]'
HOST = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")


@cache
def soup(path: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / path).read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    """What the list says of each place, such as chapters/index.html#fig-pipeline."""
    links = soup(LIST).select("article li a.reference.internal")
    return {f"chapters/{link['href']}": link.find_parent("li").get_text() for link in links}


def test_every_figure_is_listed_with_its_caption(listed):
    figures = [(path, figure) for path in CHAPTERS for figure in soup(path).select("article figure")]
    assert len(figures) > 40
    for path, figure in figures:
        if not figure.get("id"):  # written as HTML by its cell
            place = f"{path}#{figure.find_parent(class_='cell')['id']}"
            assert figure.figcaption.get_text() in listed[place]
            continue
        caption = figure.select_one(".caption-text").get_text()
        assert caption in listed[f"{path}#{figure['id']}"], path
        number = figure.select_one(".caption-number").get_text().split()[-1]
        assert listed[f"{path}#{figure['id']}"].startswith(f"Figure {number}.")


def test_every_widget_is_listed_with_what_it_does(listed):
    widgets = [(path, view) for path in CHAPTERS for view in soup(path).select(f".cell {VIEW}")]
    assert len(widgets) > 8
    for path, view in widgets:
        name, _, about = listed[f"{path}#{view.find_parent(class_='cell')['id']}"].partition(".")
        assert name in lmbook.widgets.__all__
        assert len(about) > 40


def test_nothing_is_listed_that_is_not_there(listed):
    for place in listed:
        path, _, fragment = place.partition("#")
        found = soup(path).find(id=fragment)
        assert found.name == "figure" or found.select_one(f"figure, {VIEW}"), place


def test_the_api_page_has_an_entry_for_every_public_name():
    places = {node["id"] for node in soup(API).select("dt.sig[id]")}
    assert {f"lmbook.{name}" for name in lmbook.__all__} <= places
    assert {f"lmbook.widgets.{name}" for name in lmbook.widgets.__all__} <= places


def test_the_api_page_leads_nowhere_else():
    links = soup(API).select("article a[href]")
    assert len([link for link in links if link["href"].startswith("#lmbook.")]) > 100
    assert not [link["href"] for link in links if urlsplit(link["href"]).netloc]


def test_addresses_outside_are_well_formed():
    """They are listed in _build/addresses-outside.txt; nothing here asks whether they answer."""
    found: dict[str, str] = {}
    for path in PAGES:
        for link in soup(path).select("a[href], link[href]"):
            if urlsplit(link["href"]).scheme not in ("", "data"):  # data: is the page itself
                found.setdefault(link["href"], path)
    Path(HTML.parent, "addresses-outside.txt").write_text("\n".join(sorted(found)) + "\n", encoding="utf-8")
    parts = {url: urlsplit(url) for url in found}
    odd = [
        f"{found[url]}: {url}"
        for url, part in parts.items()
        if part.scheme != "https"
        or not HOST.fullmatch(part.netloc)
        or re.search(r"[\s<>\"{}|\\^`]|…|\.$", url)
    ]
    assert found
    assert not odd, "\n".join(odd)


def test_every_page_names_what_it_loads_from_its_own_site():
    told = [
        f"{path}: {node}"
        for path in PAGES
        for node in soup(path).select("script[src], img[src], link[rel=stylesheet]")
        if urlsplit(node.get("src") or node["href"]).netloc
    ]
    assert not told


def test_the_search_knows_every_chapter():
    script = (HTML / "_static" / "search-texts.js").read_text(encoding="utf-8")
    known = json.loads(script.partition(" = ")[2].rpartition(";")[0])["titles"]
    assert {path.removesuffix(".html") for path in CHAPTERS} == set(known)
    assert not (HTML / "searchindex.js").exists()  # nothing would load it


@pytest.mark.parametrize("path", PAGES)
def test_every_page_names_its_icon(path):
    icon = soup(path).select_one("link[rel~=icon]")["href"].partition("?")[0]
    if path == "index.html":
        assert icon == "data:,"  # the page only leads on, and asks the server for nothing
    else:
        assert icon.endswith("favicon.svg")
        assert (HTML / path).parent.joinpath(icon).exists()


@pytest.mark.parametrize("path", [path for path in PAGES if path != "index.html"])
def test_every_page_has_a_title(path):
    assert soup(path).title.text.strip()


@pytest.mark.parametrize("path", CHAPTERS)
def test_a_link_to_a_page_shows_its_title_and_what_it_is_about(path):
    told = {node["property"]: node["content"] for node in soup(path).select("meta[property]")}
    assert soup(path).h1.get_text().removesuffix("#").strip() == told["og:title"]
    assert told["og:site_name"] == "Language Model Fundamentals"
    assert len(told["og:description"]) > 40


def test_buttons_are_there_where_the_repository_has_an_address_and_else_absent():
    repository = find_repository()
    for path in CHAPTERS:
        links = [link["href"] for link in soup(path).select("a[href]:not(article a.external)")]  # no sources
        outside = [
            link for link in links if re.match(r"https://(github\.com|colab\.research\.google\.com)/", link)
        ]
        assert bool(outside) == bool(repository), path
        assert (HTML / "sitemap.xml").exists() == bool(repository)


def test_a_wrong_address_leads_to_a_page_that_leads_back(page, site):
    page.goto(site.http("404.html"))
    page.get_by_role("link", name="The book begins here").click()
    page.wait_for_url("**/chapters/index.html")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_start_page_shows_at_once_where_to_begin(new_page, site, open_widgets, width, height, theme):
    page = new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    open_widgets(page, site.http("chapters/index.html"))
    start = page.locator("article").get_by_role("link", name="Start chapter 1", exact=True)
    for target in (start, *page.locator("[data-choice]").all()):
        box = target.bounding_box()
        assert box["height"] >= 36
        assert box["y"] + box["height"] < height * 0.75
    look = start.evaluate(
        "(a) => [getComputedStyle(a).backgroundColor, getComputedStyle(a.parentNode).color]"
    )
    assert look[0] not in ("rgba(0, 0, 0, 0)", look[1]), "it isn't drawn as a button"
    start.click()
    page.wait_for_url("**/chapters/01_probability.html")
