"""Measures how high the widgets of the built site are: `make heights`.

A page reserves that much before a widget is drawn, so that nothing below it jumps. The heights stand in
site/heights.json by page and by the id of the widget's cell, in pixels on a desk and on a phone.
"""

import json
import re
import sys
from pathlib import Path

import ensure_chromium
from playwright.sync_api import Browser, sync_playwright

sys.path.append(str(Path(__file__).resolve().parents[1] / "site"))
from book import HEIGHTS, ROOT, pages

HTML = ROOT / "_build" / "html"
SCREENS = ({"width": 1280, "height": 900}, {"width": 360, "height": 800})  # a desk's and a phone's
MEASURE = """() => [...document.querySelectorAll('.lm-widget')].map((place) => {
  place.style.minHeight = 0;
  const cell = place.closest('[id^="widget-"]');
  return [cell ? cell.id.slice('widget-'.length) : '', Math.ceil(place.getBoundingClientRect().height)];
})"""
RULER = """() => ['system-ui', 'Georgia, serif', 'monospace'].map((font) => {
  const context = document.createElement('canvas').getContext('2d');
  context.font = `100px ${font}`;
  return Math.round(context.measureText('the quick brown fox jumps over the lazy dog').width);
})"""


def measure(browser: Browser, html: Path = HTML) -> dict:
    """Return what site/heights.json holds: the heights of all widgets, and a ruler.

    The ruler is the width of a text in the fonts of widgets: with other fonts, lines end elsewhere.

    Raises:
        ValueError: a widget has no cell of its own, or couldn't be drawn.
    """
    with_widgets = [name for name in pages() if "lm-widget" in (html / f"{name}.html").read_text("utf-8")]
    heights: dict[str, dict[str, list[int]]] = {name: {} for name in with_widgets}
    for screen in SCREENS:
        context = browser.new_context(viewport=screen)
        page = context.new_page()
        for name in with_widgets:
            page.goto((html / f"{name}.html").as_uri())
            page.locator(".lm-widget:not([data-ready], [role=alert])").first.wait_for(state="detached")
            if page.locator(".lm-widget[role=alert]").count():
                raise ValueError(f"a widget of {name} could not be drawn")
            found = page.evaluate(MEASURE)
            cells = [cell for cell, _ in found]
            if len(set(cells)) < len(cells) or "" in cells:
                raise ValueError(f"{name}: every widget needs a cell of its own, got the cells {cells}")
            for cell, height in found:
                heights[name].setdefault(cell, []).append(height)
        ruler = page.evaluate(RULER)
        context.close()
    return {"ruler": ruler, "pages": heights}


def written(heights: dict) -> str:
    """Return the text of site/heights.json: a line for each widget."""
    text = json.dumps(heights, indent=2)
    return re.sub(r"\[[\s\d,]+\]", lambda match: str(json.loads(match[0])), text) + "\n"


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=ensure_chromium.find(), args=["--no-sandbox", "--disable-gpu"]
        )
        text = written(measure(browser))
        browser.close()
    changed = not HEIGHTS.exists() or HEIGHTS.read_text(encoding="utf-8") != text
    HEIGHTS.write_text(text, encoding="utf-8")
    print(f"{HEIGHTS.relative_to(ROOT)} has {'changed' if changed else 'not changed'}.", flush=True)


if __name__ == "__main__":
    main()
