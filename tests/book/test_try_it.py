"""What "Try it" opens: it runs on the standard library alone, and its functions are the chapter's."""

import ast
import builtins
import io
import json
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout

import nbformat
import pytest
from book import ROOT
from extensions import try_it
from play import explain, play

CELLS = tomllib.loads(try_it.FILE.read_text(encoding="utf-8"))["cell"]
every_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell["id"])


def functions(source: str) -> dict[str, str]:
    """Return the functions at the top of a source, as they are written there."""
    source = "\n".join("" if line.startswith("%") else line for line in source.splitlines())
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(source, node) for node in found}


@every_cell
def test_it_stands_below_a_cell_of_the_chapter_and_has_its_functions(cell):
    code = [
        one
        for one in nbformat.read(ROOT / "chapters" / f"{cell['page']}.ipynb", as_version=4).cells
        if one.cell_type == "code"
    ]
    assert cell["id"] in [one.id for one in code]
    there = {name: text for one in code for name, text in functions(one.source).items()}
    for name, text in functions(cell["code"]).items():
        assert there[name] == text


@every_cell
def test_it_needs_nothing_but_the_standard_library_and_prints(cell):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", cell["code"]], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") >= 3


@pytest.mark.parametrize(
    ("code", "printed", "told"),
    [
        ("x = 2\nx + 1\n", "3\n", {"text": "", "line": 0}),
        ("print('a')\nNone\n", "a\n", {"text": "", "line": 0}),
        ("", "", {"text": "", "line": 0}),
        ("print('a')\n\n1 / 0\n", "a\n", {"text": "ZeroDivisionError: division by zero", "line": 3}),
        ("import sys\nsys.exit(3)\n", "", {"text": "SystemExit: 3", "line": 2}),
        ("x = (\n", "", {"text": "SyntaxError: '(' was never closed", "line": 1}),
    ],
)
def test_code_of_a_readers_own_shows_prints_its_last_value_and_its_error(code, printed, told):
    parts: list[str] = []
    with redirect_stdout(io.StringIO()):
        assert json.loads(play(code, parts.append)) == told
    assert "".join(parts) == printed


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nonsense.part", "No module named 'nonsense': the page has Python's standard library alone"),
        ("import json.nonsense", "No module named 'json.nonsense'"),
        ("input('?')", "OSError: the page can't ask for input. Write the value into the code"),
    ],
)
def test_what_the_page_lacks_is_said(monkeypatch, code, told):
    monkeypatch.setattr(builtins, "input", builtins.input)  # both are put back
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    explain()
    with redirect_stdout(io.StringIO()):
        result = json.loads(play(f"1\n{code}\n", str))
    assert told in result["text"]
    assert ("page" in result["text"], result["line"]) == ("page" in told, 2)
