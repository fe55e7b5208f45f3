"""A button below some cells of the chapters: "Try it" opens an editor with code that runs in the page.

`site/try_it.toml` has the code, `site/static/site.js` the button, `lmbook/widgets/try_it` the editor.
"""

import json
import tomllib

from book import ROOT
from docutils import nodes
from sphinx.application import Sphinx

from extensions.figures import cells, stored_cells

FILE = ROOT / "site" / "try_it.toml"


def tries(page: str) -> dict[str, str]:
    """Return the codes of a page such as "02_tokens", by the ids of its cells."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))["cell"]
    return {cell["id"]: cell["code"] for cell in found if cell["page"] == page}


def name_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Give these cells ids by which the page finds them."""
    source = app.env.doc2path(app.env.docname, base=False)
    codes = tries(app.env.docname.rpartition("/")[2])
    if codes:
        ids = [cell.get("id", "") for cell in stored_cells(ROOT / source)]
        for cell in cells(doctree):
            if ids[cell["cell_index"]] in codes:
                cell["ids"].append(f"try-{ids[cell['cell_index']]}")


def carry_codes(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    if "body" in context and (codes := tries(pagename.rpartition("/")[2])):
        text = json.dumps(codes, ensure_ascii=False).replace("</", "<\\/")
        context["body"] += f'<script type="application/json" id="lm-tries">{text}</script>'


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", name_cells)
    app.connect("html-page-context", carry_codes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
