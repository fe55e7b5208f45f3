"""The room that a page keeps for a widget is what the widget takes."""

import json

import pytest
from book import HEIGHTS
from measure_heights import measure

HOW = "`make heights` measures all widgets again and writes site/heights.json"
LIMIT = 8  # pixels: half of the smallest line of text, so that a line more or less is found
ELSEWHERE = 0.1  # of the height, on a machine whose fonts are others: there lines end elsewhere


@pytest.fixture(scope="module")
def heights(browser) -> tuple[dict, dict]:
    """What is stored, and what is measured now."""
    return json.loads(HEIGHTS.read_text(encoding="utf-8")), measure(browser)


def by_widget(heights: dict) -> dict[str, list[int]]:
    return {
        f"{name}.html#widget-{cell}": pair
        for name, cells in heights["pages"].items()
        for cell, pair in cells.items()
    }


def test_every_widget_was_measured(heights):
    stored, measured = map(by_widget, heights)
    differing = sorted(stored.keys() ^ measured.keys())
    assert not differing, f"new or gone: {differing}; {HOW}"


def test_places_are_as_high_as_their_widgets(heights):
    stored, measured = map(by_widget, heights)
    same_fonts = heights[0]["ruler"] == heights[1]["ruler"]
    off = {
        widget: f"{pair} is stored, {measured[widget]} is measured"
        for widget, pair in stored.items()
        for kept, taken in zip(pair, measured.get(widget, pair), strict=True)
        if abs(kept - taken) > (LIMIT if same_fonts else ELSEWHERE * taken)
    }
    assert not off, f"{off}; {HOW}"


def test_a_widget_that_was_not_measured_has_room(page, site):
    page.goto(site.http("chapters/index.html"))
    height = page.evaluate(
        """() => {
          const place = Object.assign(document.createElement('div'), { className: 'lm-widget' });
          document.querySelector('article').append(place);
          return place.getBoundingClientRect().height;
        }"""
    )
    assert 300 < height < 600
