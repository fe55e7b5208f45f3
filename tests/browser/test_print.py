"""The book on paper: one PDF, its cover, contents and links, text in place of widgets, answers at the end."""

from collections.abc import Callable
from functools import cache

import book
import print_book
import pypdf
import pytest
import sheets
from bs4 import BeautifulSoup, Tag


@pytest.fixture(scope="module")
def pdf(browser) -> pypdf.PdfReader:
    print_book.print_book(browser)
    return pypdf.PdfReader(print_book.PDF)


@pytest.fixture(scope="module")
def text_of(pdf) -> Callable[[int], str]:
    """Return the text of a page of the PDF, counted from 1, which takes a fifth of a second."""
    return cache(lambda number: pdf.pages[number - 1].extract_text())


def links(pdf) -> list[tuple[int, str]]:
    """Return (page, name of the place) of each link inside the document."""
    found = []
    for number, page in enumerate(pdf.pages):
        for note in page.get("/Annots", []):
            place = note.get_object().get("/Dest")
            if place is not None:
                found.append((number, str(place).lstrip("/")))
    return found


@cache
def parts() -> dict[str, Tag]:
    """Return what the book consists of, by its anchors."""
    return {one["id"]: one for one in print_book.articles()}


def test_chapters_and_key_are_there_and_in_the_outline(pdf):
    titles = [item.title for item in pdf.outline if not isinstance(item, list)]
    assert titles == [print_book.heading(one.find("h1")) for one in parts().values()]
    assert titles[-1] == "Key to the exercises"
    numbered = [title for title in titles if title[0].isdigit()]
    assert [int(title.partition(".")[0]) for title in numbered] == list(range(1, len(sheets.sheets()) + 1))


def test_the_api_is_no_part_of_it():
    assert "chapters/api" in book.pages()
    assert not {print_book.anchor(page) for page in print_book.LEFT_OUT} & parts().keys()


def test_the_cover_says_who_wrote_it_when_and_what_one_may_do(text_of):
    cover = " ".join(text_of(1).split())
    assert book.git("log", "-1", "--format=%cs")[:4] in cover
    for words in (
        "Language Model Fundamentals",
        "The authors of",
        "Version 0.1.0",
        "CC BY 4.0",
        "MIT licence",
    ):
        assert words in cover


def test_no_heading_and_no_cell_is_empty():
    for one in parts().values():
        for node in one.select("h1, h2, h3, h4"):
            below = list(node.next_siblings)
            assert any(part.get_text(strip=True) for part in below) or any(
                part.find("img") for part in below if isinstance(part, Tag)
            ), node.get_text()
        assert all(cell.get_text(strip=True) or cell.select("img, svg") for cell in one.select("div.cell"))


def test_exercises_are_asked_where_they_stand_and_answered_in_the_key():
    key = parts()[print_book.KEY].get_text()
    for name, sheet in sheets.sheets().items():
        asked = parts()[print_book.anchor(f"chapters/{name}")]
        assert len(asked.select(".lm-item")) == len(sheet.numbered())
        for _, item in sheet.numbered():
            solution = BeautifulSoup(sheets.prose(item.get("solution", "")), "html.parser").get_text().strip()
            assert solution in key
            assert not solution or solution not in asked.get_text()


def test_contents_tell_the_page_on_which_a_part_begins(text_of):
    numbers = print_book.page_numbers()
    first = numbers[next(iter(parts()))]  # before it stand the cover and the contents
    for place, one in parts().items():
        title, number = print_book.heading(one.find("h1")), numbers[place]
        assert title.split()[0] in text_of(number)
        assert any(
            f"{title}{number}" in text.replace("\n", "") or f"{title} {number}" in text
            for text in map(text_of, range(2, first))
        )


def test_links_inside_the_book_lead_to_a_place_in_it(pdf):
    inside = links(pdf)
    places = {name.lstrip("/") for name in pdf.named_destinations}
    assert len(inside) > 50
    assert not [link for link in inside if link[1] not in places]


def test_figures_are_numbered_and_text_stands_in_for_widgets(text_of):
    first, _, third, *_ = map(print_book.page_numbers().get, parts())
    beginning = "\n".join(map(text_of, range(first, third)))
    assert "Fig. 1" in beginning
    assert "NextTokenDemo after" in beginning
    assert "Hide code cell" not in beginning


def test_nothing_is_left_in_the_site(pdf):
    assert not (print_book.HTML / "whole-book.html").exists()
