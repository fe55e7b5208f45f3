"""Folded code stands below what it shows, with a line that says what it does."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from extensions.folds import FoldBelow, about, shown, visit_fold
from myst_nb.sphinx_ import HideCodeCellNode


@pytest.mark.parametrize(
    ("code", "shows", "expected"),
    [
        ("%config x\n# Draw all runs.\nplot(runs)", "text", "Code: draw all runs"),
        ("# CPU time of each\nrun()", "figure", "Code: CPU time of each"),
        ('import math\ndef share(x):\n    "Return the `share`. Of all."', "", "Code: return the share"),
        ("def share(x):\n    return x", "text", "Code: share"),
        ("fig, ax = plt.subplots()", "figure", "Code of this figure"),
        ("Demo()", "widget", "Code of this widget"),
        ("print(1)", "text", "Code of this output"),
        ("import math\nV = 3", "", "Code: imports, and V"),
        ("steps = 3", "", "Code: steps"),
        ("x.sort()", "", "Code: preparation"),
    ],
)
def test_the_line_says_what_the_code_does(code, shows, expected):
    assert about(code, shows) == expected


def test_code_goes_below_its_output():
    document = new_document("page")
    fold = HideCodeCellNode(prompt_show="Show", prompt_hide="Hide", classes=["above-input"])
    fold += nodes.literal_block("", "fig.show()")
    output = nodes.container("", nodes.image(uri="x.svg"))
    cell = nodes.container("", fold, output)
    document += cell
    FoldBelow(document).run()
    assert cell.children == [output, fold]
    assert (fold["prompt_show"], fold["prompt_hide"]) == ("Code of this figure",) * 2


def test_a_folded_output_has_a_line_too_and_stays_where_it_is():
    document = new_document("page")
    fold = HideCodeCellNode(prompt_show="Show", prompt_hide="Hide", classes=["below-input"])
    fold += nodes.literal_block("", "0.5")
    document += nodes.container("", nodes.literal_block("", "print(p)"), fold)
    FoldBelow(document).run()
    assert (fold["prompt_show"], fold["classes"]) == ("Output of this code", ["lm-fold"])
    assert document[0].children[1] is fold


def test_the_line_is_what_is_heard():
    writer = SimpleNamespace(body=[])
    visit_fold(writer, HideCodeCellNode(prompt_show="Code: imports", prompt_hide="Code: imports", classes=[]))
    assert "<summary>" in "".join(writer.body)


def folded_cell(code: str, name: str) -> nodes.container:
    fold = HideCodeCellNode(prompt_show="Show", prompt_hide="Hide", classes=["above-input"])
    fold += nodes.literal_block("", code)
    return nodes.container("", fold, ids=[name])


def test_two_folds_that_say_the_same_are_one():
    document = new_document("page")
    document += [folded_cell("import math", "setup"), folded_cell("import torch", "more")]
    document += [
        folded_cell("steps = 3", "steps"),
        nodes.paragraph("", "Words."),
        folded_cell("import re", "re"),
    ]
    FoldBelow(document).run()
    first, steps, _, last = document.children
    assert [node.astext() for node in first.findall(nodes.literal_block)] == ["import math", "import torch"]
    assert first["ids"] == ["setup", "more"]
    assert [len(list(cell.findall(nodes.literal_block))) for cell in (steps, last)] == [1, 1]


def test_a_fold_that_follows_what_a_cell_shows_stays_its_own():
    document = new_document("page")
    document += [folded_cell("x.sort()", "a"), folded_cell("y.sort()", "b")]
    document[0] += nodes.container("", nodes.raw("", "<table>", format="html"))
    FoldBelow(document).run()
    assert len(document.children) == 2


def test_what_is_shown():
    view = '<script type="application/vnd.jupyter.widget-view+json">{}</script>'
    assert shown(None) == ""
    assert shown(nodes.container("", nodes.raw("", view, format="html"))) == "widget"
    assert shown(nodes.container("", nodes.literal_block("", "1"))) == "text"
