"""The review page: all exercises and quiz questions, drawn like a saved widget that no notebook has made.

`lmbook/widgets/review` asks them, by what progress.js has stored.
"""

import json

from book import HEIGHTS, ROOT
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from views import STYLE

from extensions.widgets import STATE, with_places

SHEETS = ROOT / "lmbook" / "exercises"
VIEW = '<script type="application/vnd.jupyter.widget-view+json">{"model_id": "review"}</script>'


class Review(SphinxDirective):
    """The place where the questions are asked; the page is drawn again when one changes."""

    def run(self) -> list[nodes.Node]:
        """Return the place."""
        for path in (*SHEETS.glob("*.toml"), SHEETS / "specification.py"):
            self.env.note_dependency(str(path))
        self.env.metadata[self.env.docname]["asks-questions"] = "yes"
        return [nodes.raw("", f'<div id="widget-review">{VIEW}</div>', format="html")]


def sheets() -> list[dict]:
    """Return the questions of all chapters, in the order of the book, as their own pages have them."""
    from lmbook.exercises.specification import chapters, load  # takes seconds

    return [
        {
            "chapter": name,
            "number": int(sheet.page.partition("_")[0]),
            "page": sheet.page,
            "title": sheet.title,
            "exercises": [item.page() for item in sheet.exercises],
            "quiz": [item.page() for item in sheet.quiz],
        }
        for name in chapters()
        for sheet in [load(name)]
    ]


def state() -> str:
    """Return what the page carries, in the form of saved widgets."""
    from lmbook.exercises.reading import SENTENCES

    shown = {"_anywidget_id": "review", "sheets": sheets(), "sentences": SENTENCES}
    saved = {"review": {"model_module": "anywidget", "model_name": "AnyModel", "state": shown}}
    return json.dumps({"state": saved}, ensure_ascii=False).replace("</", "<\\/")


def ask(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document) -> None:
    if "asks-questions" in app.env.metadata.get(pagename, {}):
        heights = json.loads(HEIGHTS.read_text(encoding="utf-8"))["pages"].get(pagename, {})
        context["body"] = with_places(context["body"], {}, heights)
        app.add_css_file(STYLE, priority=900)  # after lm.css
        app.add_js_file(None, body=state(), type=STATE)
        for name, attributes in app.config.nb_ipywidgets_js.items():
            app.add_js_file(name, **attributes)


def setup(app: Sphinx) -> dict:
    app.add_directive("review", Review)
    app.connect("html-page-context", ask)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
