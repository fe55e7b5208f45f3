"""The scripts of a page: only those that it has a use for, and none that a reader waits for.

The theme and the extensions bring scripts for tabs, hints that unfold, found words and menus, most of them
for things that no page has; the menus, the marks of the contents and the way to the top are in frame.js.
"""

from docutils import nodes
from sphinx.application import Sphinx

UNUSED = ("doctools.js", "sphinx_highlight.js", "togglebutton.js", "design-tabs.js")
SETTINGS = (
    "toggleHintShow",
    "toggleHintHide",
    "toggleOpenOnPrint",
    "togglebuttonSelector",
    "DOCUMENTATION_OPTIONS.",
)


def choose(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document) -> None:
    """Drop scripts without a use, and let the others run when the page has been read."""
    kept = []
    for script in context.get("script_files", []):
        name = str(getattr(script, "filename", None) or "")
        body = script.attributes.get("body", "")
        if name.endswith(UNUSED) or any(setting in body for setting in SETTINGS):
            continue
        if name:
            script.attributes["defer"] = "defer"
        late = name.endswith("static-widgets.js")  # when the views are there
        kept.append(type(script)(script.filename, priority=900, **script.attributes) if late else script)
    context["script_files"] = kept


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", choose, priority=950)  # after all have added theirs
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
