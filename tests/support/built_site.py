"""The built site, page by page."""

from pathlib import Path

HTML = Path(__file__).resolve().parents[2] / "_build" / "html"
ELSEWHERE = {"_static", "course"}  # what is for a course has tests of its own
PAGES = sorted(
    str(p.relative_to(HTML)) for p in HTML.rglob("*.html") if not ELSEWHERE & set(p.relative_to(HTML).parts)
)
PHONE, DESK = {"width": 360, "height": 800}, {"width": 1280, "height": 900}
