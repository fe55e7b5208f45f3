"""The map of the book: every part is a link with a name, drawn twice, and no two lines overlap."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmbook.book_map import BookMap, Stop, spread

STEPS = [
    Stop(name="Tokens & more", link="02_tokens#byte-pairs", note="1 < 2"),
    Stop(name="Bugs", link="07_bugs"),
]
LADDER = [
    Stop(name="exact", link="01_probability#the-floor", nats=1.72),
    Stop(name="counted", link="01_probability#counting", nats=2.42),
    Stop(name="trained", link="03_causal#down-to-the-floor", nats=1.75),
]


def drawings(book_map: BookMap) -> list[ET.Element]:
    svgs = re.findall(r"<svg.*?</svg>", book_map._repr_html_(), re.DOTALL)
    return [ET.fromstring(svg) for svg in svgs]


def test_each_part_is_a_link_that_says_what_it_is_in_both_drawings():
    wide, narrow = drawings(BookMap(STEPS, LADDER))
    for svg in (wide, narrow):
        links = [(a.get("href"), a.get("aria-label")) for a in svg.iter("a")]
        assert links == [
            ("02_tokens.html#byte-pairs", "Tokens & more, 1 < 2. Chapter 2"),
            ("07_bugs.html", "Bugs. Chapter 7"),
            ("01_probability.html#counting", "counted: 2.42 nats per word. Chapter 1"),
            ("03_causal.html#down-to-the-floor", "trained: 1.75 nats per word. Chapter 3"),
            ("01_probability.html#the-floor", "exact: 1.72 nats per word. Chapter 1"),
        ]
        assert svg.get("role") == "group"


def test_heights_are_true_to_scale():
    svg = drawings(BookMap(STEPS, LADDER))[0]
    heights = [float(circle.get("cy")) for circle in svg.iter("circle")]
    assert (heights[1] - heights[0]) / (heights[2] - heights[0]) == pytest.approx(0.67 / 0.70, abs=1e-3)


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
