"""The start page: its table says of each chapter what the chapter itself and its exercises say."""

import re

import chapter_table
import pytest
from book import ROOT, chapters
from plan import reading

CELLS = {cell["id"]: cell for cell in chapter_table.cells(chapter_table.INDEX)}
TABLE = CELLS["map"]["source"]
NUMBERED = [path for path in chapters() if path.stem[:2].isdigit()]


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| {doc}")]


def test_every_chapter_has_its_line_in_order():
    assert re.findall(r"<(\w+)>`", TABLE) == [path.stem for path in NUMBERED]


def test_the_table_is_current():
    assert lines(TABLE) == lines(chapter_table.table(TABLE)), "run tools/chapter_table.py"


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_a_chapter_says_how_long_it_takes_to_read(path):
    assert reading()[path.stem] == pytest.approx(chapter_table.minutes_to_read(path), abs=10)


def test_minutes_to_read_count_words_formulas_code_and_figures(tmp_path):
    path = tmp_path / "chapter.ipynb"
    cells = [
        ("markdown", "word " * 360 + "$$x + y$$", {}, []),
        ("code", "a = 1\n\nb = 2\n" * 10, {}, [{"data": {"image/svg+xml": ""}}]),
        ("code", "hidden = 1\n" * 100, {"tags": ["hide-input"]}, []),
    ]
    names = ("cell_type", "source", "metadata", "outputs")
    path.write_text(
        chapter_table.json.dumps({"cells": [dict(zip(names, cell, strict=True)) for cell in cells]})
    )
    assert chapter_table.minutes_to_read(path) == pytest.approx(2 + 1 + 20 * 0.05 + 0.5)


def test_needs_are_the_chapters_that_a_chapter_names():
    opening = (
        "**What you need.** {doc}`3 <03_learning>`, {doc}`01_probability`.\n\n**Time.** {doc}`2 <02_tokens>`"
    )
    assert chapter_table.needs("09_x", opening) == "1, 3"


def test_three_ways_and_three_routes_are_one_click_away():
    cards = [line for line in CELLS["ways"]["source"].splitlines() if line.startswith("- ")]
    assert len(cards) == 6
    assert all("{doc}" in card or "](" in card for card in cards)


def test_a_notebooks_results_find_their_way_to_the_page():
    told = next(line for line in CELLS["ways"]["source"].splitlines() if "**Work through it.**" in line)
    assert "{doc}`the review page <review>`" in told
    for text in (told, (ROOT / "README.md").read_text("utf-8")):
        assert {"`save_results", "`load_results"} <= set(re.findall(r"`[a-z_]+_results", text))
