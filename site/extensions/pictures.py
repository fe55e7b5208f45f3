"""Figures as a page shows them: with their size, so that nothing moves, loaded when they come near, and in a
second version for phones, which `site/narrow.py` draws.

Also removes from the site the figures of earlier builds, which no page shows any more.
"""

import re
from hashlib import sha256
from pathlib import Path

import narrow
from book import ROOT
from docutils import nodes
from sphinx.application import Sphinx

KEPT = ROOT / "_build" / ".jupyter_cache" / "figures"  # tools/execute.py
PICTURE = re.compile(
    r'(?P<figure><figure [^>]*id="(?P<id>[^"]*)"[^>]*>\s*<div class="lm-figure">)?<img (?P<rest>[^>]*?)/?>'
)
SOURCE = re.compile(r'src="(?P<folder>[^"]*_images/)(?P<name>[0-9a-f]{64}\.svg)"')
SIZE = re.compile(r'<svg [^>]*?width="(?P<width>[\d.]+)pt" height="(?P<height>[\d.]+)pt"')
POINT = 4 / 3  # pixels


def size(svg: str) -> str:
    """Return the attributes that say how large a picture is."""
    found = SIZE.search(svg)
    return " ".join(f'{name}="{round(float(found[name]) * POINT)}"' for name in ("width", "height"))


def drawn_narrow(name: str, figure: str) -> str | None:
    """Return the picture `name` as it is drawn for a phone, if the execution has kept it."""
    kept = KEPT / f"{Path(name).stem}.pickle"
    if not kept.exists():
        return None
    options = narrow.OPTIONS.get(figure, {})
    state = sha256(Path(narrow.__file__).read_bytes() + narrow.STYLE.read_bytes() + repr(options).encode())
    earlier = KEPT / f"{kept.stem}-{state.hexdigest()[:16]}.svg"
    if not earlier.exists():
        earlier.write_text(narrow.narrow(kept, **options), encoding="utf-8")
    return earlier.read_text(encoding="utf-8")


def with_sizes(body: str, page: str, read: dict[str, Path], images: Path) -> str:
    """Return the HTML of a page whose pictures say their sizes and have a version for phones."""

    def picture(match: re.Match) -> str:
        source = SOURCE.search(match["rest"])
        if not source or source["name"] not in read:
            return match[0]
        wide = size(read[source["name"]].read_text(encoding="utf-8"))
        image = f'<img {match["rest"].strip()} {wide} loading="lazy" decoding="async">'
        svg = drawn_narrow(source["name"], f"{page.rpartition('/')[2]}/{match['id']}")
        if svg is None:
            return f"{match['figure'] or ''}{image}"
        name = source["name"].replace(".svg", "-narrow.svg")
        images.mkdir(parents=True, exist_ok=True)
        (images / name).write_text(svg, encoding="utf-8")
        other = f'<source media="(max-width: 600px)" srcset="{source["folder"]}{name}" {size(svg)}>'
        return f"{match['figure'] or ''}<picture>{other}{image}</picture>"

    return PICTURE.sub(picture, body)


def set_pictures(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    if "<img" in context.get("body", ""):
        read = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}
        context["body"] = with_sizes(context["body"], pagename, read, Path(app.outdir, "_images"))


def remove_left(app: Sphinx, error: Exception | None) -> None:
    """Remove the pictures that no page of the finished site names."""
    if error or app.builder.format != "html":
        return
    html = Path(app.outdir)
    pages = "".join(path.read_text(encoding="utf-8") for path in html.rglob("*.html"))
    for path in (html / "_images").glob("*.svg"):
        if path.name not in pages:
            path.unlink()


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", set_pictures, priority=610)  # after `typography` has put them into boxes
    app.connect("build-finished", remove_left, priority=700)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
