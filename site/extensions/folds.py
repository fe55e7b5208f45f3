"""Code that is not the lesson: below what it shows, folded, with a line that says what it does.

MyST-NB puts a bar "Show code cell source" before the output. Here a reader meets the output first, and the
line is the cell's own first comment, the first sentence of a function's docstring, or "Code of this figure".
"""

import ast
import re

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode, HideInputCells, depart_HideCellInput, visit_HideCellInput
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

COMMENT = re.compile(r"(?:%[^\n]*\n|\s)*#\s*(.+)")


def about(code: str, shows: str) -> str:
    r"""Return the line for a cell whose output is a "figure", a "widget", "text" or nothing ("").

    >>> about("# Draw all runs\nplot(runs)", "text")
    'Code: draw all runs'
    >>> about('import math\ndef share(x):\n    "Return the share. Of all."', "")
    'Code: return the share'
    >>> about("fig, ax = plt.subplots()", "figure")
    'Code of this figure'
    >>> about("import math", "")
    'Code: imports'
    """
    if comment := COMMENT.match(code):
        return told(comment[1])
    if shows in ("figure", "widget"):
        return f"Code of this {shows}"
    body = ast.parse("\n".join(line for line in code.splitlines() if not line.startswith(("%", "!")))).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in functions:
        if text := ast.get_docstring(node):
            return told(text)
    if functions:
        return "Code: " + ", ".join(node.name for node in functions)
    if shows:
        return "Code of this output"
    names = [target.id for node in body if isinstance(node, ast.Assign) for target in node.targets
             if isinstance(target, ast.Name)]  # fmt: skip
    if any(isinstance(node, ast.Import | ast.ImportFrom) for node in body):
        return "Code: imports" + (f", and {', '.join(names[:3])}" if names else "")
    return "Code: " + (", ".join(names[:4]) or "preparation")


def told(text: str) -> str:
    """Return "Code: " and the first sentence of a comment or docstring, which may start in lower case."""
    sentence = re.split(r"\.(?=\s|$)|\n", text.strip())[0].rstrip(".").replace("`", "")
    lower = sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence
    return f"Code: {lower}"


def shown(outputs: nodes.Node | None) -> str:
    """Return what a cell shows: "figure", "widget", "text" or ""."""
    if outputs is None:
        return ""
    if any(outputs.findall(nodes.image)) or any(outputs.findall(nodes.figure)):
        return "figure"
    views = ("widget-view+json" in node.astext() for node in outputs.findall(nodes.raw))
    return "widget" if any(views) else "text"


def join(cell: nodes.Element, fold: nodes.Element) -> None:
    """Put folded code into the fold right before it, if both say the same and neither cell shows anything."""
    siblings = cell.parent.children
    before = siblings[max(siblings.index(cell) - 1, 0)]
    if before is cell or len(before.children) != 1 or len(cell.children) != 1:
        return
    if (
        isinstance(first := before.children[0], HideCodeCellNode)
        and first["prompt_show"] == fold["prompt_show"]
    ):
        first.extend(fold.children)
        before["ids"].extend(cell["ids"])
        siblings.remove(cell)


class FoldBelow(SphinxPostTransform):
    """Writes these lines, puts folded code after the output, and makes one of two folds that say the same."""

    default_priority = HideInputCells.default_priority + 1
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        """Change all folded code of a page."""
        for fold in list(self.document.findall(HideCodeCellNode)):
            cell, parts = fold.parent, fold["classes"]
            if "below-input" in parts:  # an output that is an answer
                fold["prompt_show"] = fold["prompt_hide"] = "Output of this code"
                fold["classes"] = ["lm-fold"]
            if "above-input" not in parts:
                continue
            outputs = next((node for node in cell.children if node is not fold), None)
            code = next(iter(fold.findall(nodes.literal_block)), None)
            if code is None:
                continue
            fold["prompt_show"] = fold["prompt_hide"] = about(code.astext(), shown(outputs))
            fold["classes"] = ["lm-fold"]
            cell.remove(fold)
            cell.append(fold)
            join(cell, fold)


def visit_fold(writer: HTML5Translator, fold: nodes.Element) -> None:
    """Write the summary without MyST-NB's "Toggle hidden content", which is heard in place of the line."""
    start = len(writer.body)
    visit_HideCellInput(writer, fold)
    writer.body[start:] = [
        part.replace(' aria-label="Toggle hidden content"', "") for part in writer.body[start:]
    ]


def setup(app: Sphinx) -> dict:
    app.add_post_transform(FoldBelow)
    app.add_node(HideCodeCellNode, html=(visit_fold, depart_HideCellInput), override=True)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
