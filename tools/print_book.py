"""Prints the built site to one PDF, _build/book.pdf: `make pdf`.

The articles of the pages become one document: ids get the name of their page, links between pages become
links inside, widgets give way to their text, exercises to their questions, with the key at the end. Chromium
prints it twice, since only the first print tells on which page each part of the contents begins.
"""

import sys
from datetime import date
from functools import cache
from html import escape
from pathlib import Path
from posixpath import join, normpath, split
from urllib.parse import urlsplit

import ensure_chromium
import pypdf
import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.append(str(Path(__file__).resolve().parents[1] / "site"))
import book
from sheets import answer, sheets

HTML = book.ROOT / "_build" / "html"
PDF = book.ROOT / "_build" / "book.pdf"
LEFT_OUT = {"chapters/api", "chapters/review", "chapters/teachers"}  # nobody looks for these on paper
KEY = "key"  # the anchor of the key
UNPRINTED = "script, .lm-widget, .headerlink, .copybtn, .toggle-button, noscript, details.hide"
STYLE = """
@page { size: A4; margin: 20mm 18mm 22mm; }
html { font-size: 10.5pt; } body { background: white; }
.bd-article { max-width: none; padding: 0; break-before: page; }
.bd-article p, .bd-article li { max-width: none; }
.lm-still { display: block !important; }
pre.lm-still { white-space: pre-wrap; border-left: 3px solid var(--lm-line); }
h1, h2, h3, figcaption { break-after: avoid; } figure, .cell_output img, table { break-inside: avoid; }
pre { white-space: pre-wrap !important; overflow-wrap: anywhere; }
details > * { display: block; }
.toggle-hidden:not(.admonition) { visibility: visible; opacity: 1; height: auto; }
.lm-cover { height: 240mm; display: flex; flex-direction: column; justify-content: center; }
.lm-cover h1 { font-size: 34pt; } .lm-cover p:nth-child(3) { margin-top: 30mm; }
.lm-item { break-inside: avoid; } .lm-item pre { font-size: 0.76rem; } #key .lm-item { font-size: 0.92em; }
.lm-contents { break-before: page; }
.lm-contents a { display: flex; color: inherit; text-decoration: none; }
.lm-contents a.lm-part { margin-top: 0.8em; font-weight: 650; }
.lm-contents a.lm-section { padding-left: 1.5em; }
.lm-contents i { flex: 1; border-bottom: 1px dotted var(--lm-line); margin: 0 0.5em 0.3em; }
"""
NUMBER = (
    '<div style="width:100%;text-align:center;font:9px sans-serif"><span class="pageNumber"></span></div>'
)


def printed() -> list[str]:
    """Return the pages that are printed."""
    return [page for page in book.pages() if page not in LEFT_OUT]


def anchor(page: str, fragment: str = "") -> str:
    """Return the id, in the whole document, of a page or of a place on it."""
    return f"{page.replace('/', '-')}--{fragment}" if fragment else page.replace("/", "-")


def resolve(page: str, target: str, pages: list[str]) -> str | None:
    """Return where a link of `page` leads within the document, or None if it leads out of the book."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    name = normpath(join(split(page)[0], parts.path)).removesuffix(".html") if parts.path else page
    return f"#{anchor(name, parts.fragment)}" if name in pages else None


def article(page: str, pages: list[str]) -> Tag:
    """Return the article of a built page, with ids and links for the whole document."""
    soup = BeautifulSoup((HTML / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    body = soup.select_one("article.bd-article")
    for unprinted in body.select(UNPRINTED):
        unprinted.decompose()
    for node in body.select("[id]"):
        node["id"] = anchor(page, node["id"])
    for link in body.select("a[href]"):
        inside = resolve(page, link["href"], pages)
        if inside:
            link["href"] = inside
        elif not urlsplit(link["href"]).scheme:
            del link["href"]  # a file of the site, which isn't printed
    for picture in body.select("img[src]"):
        if not urlsplit(picture["src"]).scheme:
            picture["src"] = normpath(join(split(page)[0], picture["src"]))
    for details in body.select("details"):
        details["open"] = ""
    for cell in body.select("div.cell"):
        if not cell.get_text(strip=True) and not cell.select_one("img, svg"):
            cell.decompose()  # a cell whose code is hidden, and which shows nothing
    body["id"] = anchor(page)
    return body


def key(titles: dict[str, str]) -> Tag:
    """Return the key to all exercises, under the titles of the pages that ask them."""
    parts = []
    for name, sheet in sheets().items():
        answers = "".join(answer(*item) for item in sheet.numbered())
        title = escape(titles[f"chapters/{name}"])
        parts.append(f'<section id="{anchor(KEY, name)}"><h2>{title}</h2>{answers}</section>')
    whole = f'<article class="bd-article" id="{KEY}"><h1>Key to the exercises</h1>{"".join(parts)}</article>'
    return BeautifulSoup(whole, "html.parser").article


@cache
def articles() -> list[Tag]:
    """Return all that stands between contents and end: the pages and the key."""
    pages = printed()
    made = [article(page, pages) for page in pages]
    titles = {page: heading(one.find("h1")) for page, one in zip(pages, made, strict=True)}
    return [*made, key(titles)]


def cover(title: str, subtitle: str) -> str:
    """Return the first page: what the book is, who wrote it, as of when, and what one may do with it."""
    about = yaml.safe_load((book.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    config = yaml.safe_load((book.ROOT / "_config.yml").read_text(encoding="utf-8"))
    names = (
        one.get("name") or f"{one.get('given-names', '')} {one['family-names']}".strip()
        for one in about["authors"]
    )
    day = date.fromisoformat(book.git("log", "-1", "--format=%cs") or date.today().isoformat())
    licence = BeautifulSoup(config["html"]["extra_footer"], "html.parser").get_text().strip()
    lines = [subtitle, ", ".join(names), f"Version {about['version']}, {day:%-d %B %Y}", licence]
    return (
        f'<div class="lm-cover"><h1>{title}</h1>{"".join(f"<p>{escape(line)}</p>" for line in lines)}</div>'
    )


def heading(node: Tag) -> str:
    """Return a heading's words."""
    return " ".join(node.get_text().split())


def entries(articles: list[Tag]) -> list[tuple[str, str, str]]:
    """Return what the contents list: ("part" or "section", its title, its anchor)."""
    found = []
    for one in articles:
        found.append(("part", heading(one.find("h1")), one["id"]))
        found += [("section", heading(h2), h2.find_parent("section")["id"]) for h2 in one.find_all("h2")]
    return found


def contents(articles: list[Tag], starts: dict[str, int]) -> str:
    """Return the table of contents as HTML; `starts` tells the page of each anchor."""
    rows = [
        f'<a class="lm-{kind}" href="#{place}">{escape(title)}<i></i><span>{starts.get(place, "")}</span></a>'
        for kind, title, place in entries(articles)
    ]
    return f'<nav class="lm-contents"><h1>Contents</h1>{"".join(rows)}</nav>'


def document(articles: list[Tag], starts: dict[str, int]) -> str:
    """Return the whole book as one HTML document, which stands in the folder of the site."""
    first = BeautifulSoup((HTML / f"{book.pages()[0]}.html").read_text(encoding="utf-8"), "html.parser")
    title = heading(first.find("title")).partition(" —")[0]
    styles = "".join(
        f'<link rel="stylesheet" href="{normpath(join("chapters", link["href"]))}">'
        for link in first.select('link[rel="stylesheet"]')
    )
    styles += '<link rel="stylesheet" href="_static/course.css">'
    return (
        '<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        f"<title>{title}</title>{styles}<style>{STYLE}</style></head><body>"
        f"{cover(title, first.select_one('article p').get_text().partition('. ')[0].rstrip('.') + '.')}"
        f"{contents(articles, starts)}{''.join(map(str, articles))}</body></html>"
    )


def print_once(page: Page, articles: list[Tag], starts: dict[str, int]) -> None:
    """Write the PDF with these page numbers in its contents; without any it is only there to find them."""
    whole = HTML / "whole-book.html"
    whole.write_text(document(articles, starts), encoding="utf-8")
    try:
        page.goto(whole.as_uri(), wait_until="load")
        page.evaluate("document.fonts.ready")
        page.pdf(
            path=PDF, prefer_css_page_size=True, print_background=True, tagged=bool(starts),
            display_header_footer=True, header_template="<span></span>", footer_template=NUMBER,
        )  # fmt: skip
    finally:
        whole.unlink()


def page_numbers() -> dict[str, int]:
    """Return on which page of the PDF each anchor stands, from 1."""
    reader = pypdf.PdfReader(PDF)
    return {
        name.lstrip("/"): reader.get_destination_page_number(place) + 1
        for name, place in reader.named_destinations.items()
    }


def add_outline(articles: list[Tag]) -> None:
    """Give the PDF the outline that readers show beside it."""
    starts, part = page_numbers(), None
    writer = pypdf.PdfWriter(PDF, incremental=True)
    for kind, title, place in entries(articles):
        parent = part if kind == "section" else None
        item = writer.add_outline_item(title=title, page_number=starts[place] - 1, parent=parent)
        part = item if kind == "part" else part
    writer.write(PDF)


def print_book(browser: Browser) -> None:
    """Print the built site with `browser`; exit if a page is missing."""
    missing = [page for page in printed() if not (HTML / f"{page}.html").exists()]
    if missing:
        sys.exit(f"The site isn't built: {HTML.relative_to(book.ROOT)}/{missing[0]}.html is missing.")
    parts = articles()
    page = browser.new_page()
    print_once(page, parts, {})
    print_once(page, parts, page_numbers())
    page.close()
    add_outline(parts)


def main() -> None:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=ensure_chromium.find(), args=flags)
        print_book(browser)
        browser.close()
    print(f"{len(pypdf.PdfReader(PDF).pages)} pages: {PDF.as_uri()}")


if __name__ == "__main__":
    main()
