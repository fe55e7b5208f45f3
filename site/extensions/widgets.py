"""A place for every widget on a page.

The saved state of a page has a widget's data; the site has the views, which `site/views.py` writes.
"""

import json
import re
from html import escape
from pathlib import Path

from book import HEIGHTS
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sheets import Sheet, question, sheets
from sphinx.application import Sphinx
from sphinx.builders.html._assets import _file_checksum
from views import STYLE, name_views, script_name, views, write_views

STATE = "application/vnd.jupyter.widget-state+json"
LATE = ("mystnb.*.css", "exercise.css", "proof.css")
PLACES = re.compile(
    r' id="widget-(?P<cell>[^"]+)"'  # written by extensions.figures
    r'|<script type="application/vnd\.jupyter\.widget-view\+json">(?P<view>.*?)</script>',
    re.DOTALL,
)


def write_first(app: Sphinx) -> None:
    """Write the views before the pages, which name them with a check sum."""
    if app.builder.format == "html":
        app.lm_views = write_views(Path(app.outdir))


def write_last(app: Sphinx, error: Exception | None) -> None:
    """Name in all pages the check sums of the views, and of the files that came after pages were drawn."""
    if not error and app.builder.format == "html":
        static = Path(app.outdir, "_static")
        late = {path.name: _file_checksum(static, path.name) for kind in LATE for path in static.glob(kind)}
        name_views(Path(app.outdir), app.lm_views | late)


def saved_widgets(app: Sphinx, pagename: str) -> dict:
    """Return the saved widgets of a page, by their ids."""
    _, script = NbMetadataCollector.get_js_files(app.env, pagename).get("ipywidgets_state", (None, {}))
    return json.loads(script["body"])["state"] if script else {}


def drop_kernel_controls(app: Sphinx, env) -> None:
    """Keep ordinary ipywidgets off the pages: they need a kernel, and their output is removed."""
    for docname in env.found_docs:
        _, script = NbMetadataCollector.get_js_files(env, docname).get("ipywidgets_state", (None, None))
        if script:
            saved = json.loads(script["body"])
            saved["state"] = {
                key: model for key, model in saved["state"].items() if model["model_module"] == "anywidget"
            }
            script["body"] = json.dumps(saved)


def stand_in(state: dict, sheet: Sheet | None) -> str:
    """Return what is shown of a widget on paper and without scripts: its trait `still`, or the `sheet`.

    The exercises, which have a trait `sheet`, are asked there as on a teacher's sheet, with room for answers.
    """
    if "sheet" in state and sheet:
        return f'<div class="lm-still">{"".join(question(*item) for item in sheet.numbered())}</div>'
    return f'<pre class="lm-still">{escape(text)}</pre>' if (text := state.get("still")) else ""


def with_places(body: str, saved: dict, heights: dict[str, list[int]], sheet: Sheet | None = None) -> str:
    """Return the HTML of a page with a place before the view of every widget, and what stands in for it.

    The place is as high as the widget will be: `heights` has, by the id of its cell, the pixels on a desk and
    on a phone. Without an entry the guess of lm.css stands. `sheet` has the page's exercises.
    """
    cell = ""

    def place(match: re.Match) -> str:
        nonlocal cell
        if match["cell"]:
            cell = match["cell"]
            return match[0]
        state = saved.get(json.loads(match["view"])["model_id"], {}).get("state", {})
        sizes = zip(("wide", "narrow"), heights.get(cell, ()), strict=False)
        style = "".join(f"--lm-{kind}:{height:d}px;" for kind, height in sizes)
        return f'<div class="lm-widget" style="{style}"></div>{match[0]}{stand_in(state, sheet)}'

    return PLACES.sub(place, body)


def place_widgets(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    saved = saved_widgets(app, pagename)
    if "body" in context and saved:
        heights = json.loads(HEIGHTS.read_text(encoding="utf-8"))["pages"].get(pagename, {})
        sheet = sheets().get(pagename.rpartition("/")[2])
        context["body"] = with_places(context["body"], saved, heights, sheet)
        app.add_css_file(STYLE, priority=900)  # after lm.css
        shown = {model["state"].get("_anywidget_id") for model in saved.values()}
        for view, names in views().items():
            if shown & set(names):
                app.add_js_file(f"widgets/{script_name(view)}.js", defer="defer", priority=600)


def lighten_state(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    """Remove from a page's state what the page already has as text."""
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        if attributes.get("type") == STATE:
            saved = json.loads(attributes["body"])
            for model in saved["state"].values():
                model["state"].pop("still", None)
            attributes["body"] = json.dumps(saved)


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", write_first)
    app.connect("env-updated", drop_kernel_controls)
    app.connect("html-page-context", place_widgets)
    app.connect("html-page-context", lighten_state, priority=900)  # after myst-nb has added the state
    app.connect("build-finished", write_last)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
