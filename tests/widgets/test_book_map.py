"""The map of the book: every part is a link with a name, each at its height, and no two lines overlap."""

import itertools
import math
import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from lmbook.widgets.book_map import BookMap, Stop, spread

STEPS = [
    Stop(name="Tokens & more", link="02_tokens#byte-pairs", note="1 < 2"),
    Stop(name="Bugs", link="10_bugs"),
]
LADDER = [
    Stop(name="exact", link="01_probability#the-floor", nats=1.72),
    Stop(name="counted", link="01_probability#counting", nats=2.42),
    Stop(name="trained", link="05_causal#down-to-the-floor", nats=1.75),
]


def drawn(steps=STEPS, ladder=LADDER) -> BeautifulSoup:
    return BeautifulSoup(BookMap(steps, ladder, caption="1 < 2")._repr_html_(), "html.parser")


def test_each_part_is_a_link_to_a_notebook_that_says_what_it_is():
    links = [(a["href"], " ".join(a.get_text(" ").split())) for a in drawn().select("a")]
    assert links == [
        ("02_tokens.ipynb#byte-pairs", "chapter 2 Tokens & more 1 < 2"),
        ("10_bugs.ipynb", "chapter 10 Bugs"),
        ("01_probability.ipynb#counting", "chapter 1 2.42 counted"),
        ("05_causal.ipynb#down-to-the-floor", "chapter 5 1.75 trained"),
        ("01_probability.ipynb#the-floor", "chapter 1 1.72 exact"),
    ]


def test_no_link_is_part_of_a_drawing():
    """JupyterLab opens notebooks from links of HTML, not from links of SVG."""
    assert drawn().select("svg")
    assert not drawn().select("svg a")


def test_where_a_site_is_named_links_lead_there(monkeypatch):
    monkeypatch.setenv("LMBOOK_SITE", "https://site/chapters/")
    assert [a["href"] for a in drawn().select("a")][:2] == [
        "https://site/chapters/02_tokens.html#byte-pairs",
        "https://site/chapters/10_bugs.html",
    ]


def test_words_are_escaped():
    assert drawn().figcaption.get_text() == "1 < 2"


def test_heights_are_true_to_scale():
    heights = [float(circle["cy"]) for circle in drawn().select("circle")]
    assert (heights[1] - heights[0]) / (heights[2] - heights[0]) == pytest.approx(0.67 / 0.70, abs=1e-3)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_lines_of_the_ladder_keep_within_it(count):
    ladder = [Stop(name="x", link="01_probability", nats=2 + i / 1000) for i in range(count)]
    places = [
        float(re.search(r"top:([\d.]+)", a["style"])[1]) for a in drawn(ladder=ladder).select(".ladder a")
    ]
    height = int(re.search(r"height:(\d+)", drawn(ladder=ladder).select_one(".ladder")["style"])[1])
    assert all(after - before >= 26.8 for before, after in itertools.pairwise(places))
    assert places[0] >= 20
    assert places[-1] + 24 <= height


def test_it_can_be_read_as_text():
    assert str(BookMap(STEPS, LADDER)).splitlines()[-1] == "exact: 1.72 nats per word. Chapter 1"


@pytest.mark.parametrize("nats", [None, math.nan, -1.0, math.inf])
def test_a_rung_needs_a_height(nats):
    with pytest.raises(ValueError, match="nats between 0 and 100"):
        BookMap(STEPS, [Stop(name="x", link="01_probability", nats=nats)])


def test_an_empty_map_is_refused():
    with pytest.raises(ValueError, match="got 0 and 3"):
        BookMap([], LADDER)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=12))
def test_spread_keeps_lines_apart_and_in_order(places):
    rows = spread(sorted(places), 10, 300)
    assert all(after - before >= 10 - 1e-9 for before, after in itertools.pairwise(rows))
    assert rows[-1] <= 300
