"""The book on paper: one PDF, its contents, its links, and text in place of widgets."""

import book
import print_book
import pypdf
import pytest


@pytest.fixture(scope="module")
def pdf(browser) -> pypdf.PdfReader:
    print_book.print_book(browser)
    return pypdf.PdfReader(print_book.PDF)


@pytest.fixture(scope="module")
def texts(pdf) -> list[str]:
    return [page.extract_text() for page in pdf.pages]


def links(pdf) -> list[tuple[int, str]]:
    """Return (page, name of the place) of each link inside the document."""
    found = []
    for number, page in enumerate(pdf.pages):
        for note in page.get("/Annots", []):
            place = note.get_object().get("/Dest")
            if place is not None:
                found.append((number, str(place).lstrip("/")))
    return found


def test_every_chapter_is_there_and_in_the_outline(pdf):
    titles = [item.title for item in pdf.outline if not isinstance(item, list)]
    built = [print_book.article(page, book.pages()) for page in book.pages()]
    assert titles == [print_book.heading(one.find("h1")) for one in built]


def test_contents_tell_the_page_on_which_a_part_begins(pdf, texts):
    numbers = print_book.page_numbers()
    first = numbers[print_book.anchor(book.pages()[0])]  # before it stand the cover and the contents
    for page in book.pages():
        built = print_book.article(page, book.pages())
        title = print_book.heading(built.find("h1"))
        number = numbers[print_book.anchor(page)]
        assert title.split()[0] in texts[number - 1]
        assert any(
            f"{title}{number}" in text.replace("\n", "") or f"{title} {number}" in text
            for text in texts[1 : first - 1]
        )


def test_links_inside_the_book_lead_to_a_place_in_it(pdf):
    inside = links(pdf)
    places = {name.lstrip("/") for name in pdf.named_destinations}
    assert len(inside) > 50
    assert not [link for link in inside if link[1] not in places]


def test_figures_are_numbered_and_text_stands_in_for_widgets(texts):
    whole = "\n".join(texts)
    assert "Fig. 1" in whole
    assert "NextTokenDemo after" in whole
    assert "Hide code cell" not in whole


def test_nothing_is_left_in_the_site(pdf):
    assert not (print_book.HTML / "whole-book.html").exists()
