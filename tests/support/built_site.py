"""The built site, page by page."""

from pathlib import Path

HTML = Path(__file__).resolve().parents[2] / "_build" / "html"
PAGES = sorted(str(p.relative_to(HTML)) for p in HTML.rglob("*.html") if "_static" not in p.parts)
PHONE, DESK = {"width": 360, "height": 800}, {"width": 1280, "height": 900}
