"""The list of figures and widgets: what every chapter shows, in order, with a link to the place.

It is made from the parsed chapters, so it is complete and current. A figure is described by its caption, a
widget by the first sentence of its class.
"""

import ast
import json
import re
from functools import cache
from html import unescape
from pathlib import Path

from book import ROOT, chapters
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

WIDGETS = ROOT / "lmbook" / "widgets"
VIEW = "application/vnd.jupyter.widget-view+json"
DRAWN = re.compile(r"<figure\b.*<figcaption>(.*?)</figcaption>", re.DOTALL)  # by a cell, as HTML
AUTOMATIC = re.compile(r"id\d+")


class shown_there(nodes.General, nodes.Element):
    """Placeholder for the list of what the page `of` shows, until all pages are read."""


class ShownThere(SphinxDirective):
    """A section for each chapter of the book."""

    def run(self) -> list[nodes.Node]:
        """Return the sections, each with a placeholder for its list."""
        sections = []
        for path in chapters():
            title = "".join(stored_cells(path)[0]["source"]).partition("\n")[0].lstrip("# ")
            section = nodes.section(ids=[nodes.make_id(f"shown-in-{path.stem}")], names=[])
            section += nodes.title("", title)
            section += shown_there(of=path.relative_to(self.env.srcdir).with_suffix("").as_posix())
            sections.append(section)
        self.env.metadata[self.env.docname]["lists-figures"] = "yes"
        return sections


@cache
def summaries() -> dict[str, str]:
    """Return, by their names, the first sentences of the widgets' docstrings."""
    found = {}
    for path in WIDGETS.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and (text := ast.get_docstring(node)):
                found[node.name] = " ".join(text.partition("\n\n")[0].split())
    return found


def stored_cells(path: Path) -> list[dict]:
    """Return the cells of a notebook as they stand in the file, which the build has validated."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def cells(doctree: nodes.document) -> list[nodes.container]:
    return [node for node in doctree.findall(nodes.container) if node.get("nb_element") == "cell_code"]


def widget_name(cell: nodes.container) -> str | None:
    """Return the class of the widget that a cell shows: the first word of its text."""
    for bundle in cell.findall(nodes.container):
        kinds = {
            child.get("mime_type"): child for child in bundle.children if isinstance(child, nodes.Element)
        }
        if VIEW in kinds:
            text = kinds["text/plain"].astext() if "text/plain" in kinds else ""
            return re.match(r"\w*", text)[0] or "Widget"
    return None


def drawn_caption(cell: nodes.container) -> str | None:
    """Return the caption of the figure that a cell writes as HTML, if it does."""
    found = (DRAWN.search(node.astext()) for node in cell.findall(nodes.raw))
    return next((unescape(re.sub("<.*?>", "", match[1])) for match in found if match), None)


def name_places(app: Sphinx, doctree: nodes.document) -> None:
    """Give figures and widgets stable ids: that of their cell, if the chapter names none."""
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    ids = [cell.get("id", "") for cell in stored_cells(source)]
    for cell in cells(doctree):
        own = ids[cell["cell_index"]]
        if name := widget_name(cell):
            cell["ids"].append(f"widget-{own}")
            cell["widget"] = name  # which is no longer to be seen when pages are drawn
        if drawn_caption(cell):
            cell["ids"].append(f"figure-{own}")
        for figure in cell.findall(nodes.figure):
            if all(AUTOMATIC.fullmatch(name) for name in figure["ids"]):
                figure["ids"] = [f"fig-{own.removesuffix('-figure')}"]


def entries(env: BuildEnvironment, docname: str) -> list[tuple[str, str, str]]:
    """Return (name, place, description) of all that a page shows, in order."""
    found = []
    for cell in cells(env.get_doctree(docname)):
        if name := widget_name(cell):
            found.append((name, cell["ids"][-1], summaries().get(name, "")))
        if caption := drawn_caption(cell):
            found.append(("Figure", cell["ids"][-1], caption))
        for figure in cell.findall(nodes.figure):
            place = figure["ids"][0]
            number = env.toc_fignumbers.get(docname, {}).get("figure", {}).get(place, ())
            name = f"Figure {'.'.join(map(str, number))}".strip()
            caption = next(iter(figure.findall(nodes.caption)), None)
            found.append((name, place, caption.astext() if caption else ""))
    return found


def list_them(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    builder: Builder = app.builder
    for node in list(doctree.findall(shown_there)):
        shown = nodes.bullet_list()
        for name, place, text in entries(app.env, node["of"]):
            refuri = f"{builder.get_relative_uri(docname, node['of'])}#{place}"
            link = nodes.reference("", name, internal=True, refuri=refuri)
            words = [
                nodes.literal("", part) if i % 2 else nodes.Text(part)
                for i, part in enumerate(text.split("`"))
            ]
            shown += nodes.list_item("", nodes.paragraph("", "", link, nodes.Text(". "), *words))
        node.replace_self(shown if shown.children else nodes.paragraph("", "Words alone."))


def read_again(app: Sphinx, env: BuildEnvironment, added: set, changed: set, removed: set) -> list[str]:
    """Read the list again whenever any page is read again."""
    lists = [name for name, about in env.metadata.items() if "lists-figures" in about]
    return lists if added or changed or removed else []


def setup(app: Sphinx) -> dict:
    app.add_node(shown_there)
    app.add_directive("shown-there", ShownThere)
    app.connect("doctree-read", name_places)
    app.connect("doctree-resolved", list_them)
    app.connect("env-get-outdated", read_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
