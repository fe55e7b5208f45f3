"""The API page: it has exactly the public names, and docstrings are rendered correctly."""

import importlib
import re
from pathlib import Path

import pytest
from extensions import api

import lmbook
import lmbook.exercises

PAGE = (Path(__file__).resolve().parents[2] / "chapters" / "api.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^\.\. auto(module|class|function):: (\S+)$", PAGE, re.MULTILINE)
NAMES = [name for _, name in ENTRIES]


def found(name: str) -> object:
    """The object of a dotted name: a module, or what a module has."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, last = name.rpartition(".")
        return getattr(importlib.import_module(module), last)


def test_every_public_name_has_an_entry():
    assert {f"lmbook.{name}" for name in lmbook.__all__} <= set(NAMES)
    assert ".. automodule:: lmbook.widgets\n   :members:\n" in PAGE  # all of its __all__
    told = re.search(r"lmbook\.exercises\n   :members: (.*)", PAGE)[1].split(", ")
    assert set(lmbook.exercises.__all__) - {"Note", "Verdict"} == set(told)  # those two nobody makes


def test_the_table_at_its_top_has_the_names_of_the_package():
    table = PAGE.partition(".. autosummary::")[2].partition("```")[0]
    assert sorted(re.findall(r"^   (\w+)$", table, re.MULTILINE)) == lmbook.__all__


def test_every_entry_is_there_once_and_documented():
    assert len(NAMES) == len(set(NAMES)) > 70
    assert not [name for name in NAMES if not (found(name).__doc__ or "").strip()]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("Take `ids` and `B * T`.", r"Take \ ``ids``\  and \ ``B * T``\ ."),
        ("See `CausalLM`.", r"See \ :py:obj:`CausalLM`\ ."),
        (
            "|a − b| and N * D and x_ of *this* and **that**",
            r"\|a − b\| and N \* D and x\_ of *this* and **that**",
        ),
        ("Args:\n    size: V.", "Args:\n    size: \\V."),
        ("So:\n\n    x = 1\n\nand", "So:\n\n.. code-block:: python\n\n    x = 1\n\nand"),
        ("So:\n\n    a  →  b", "So:\n\n.. code-block:: text\n\n    a  →  b"),
        ("Args:\n    x: one\n\n    two", "Args:\n    x: one\n\n    two"),
    ],
)
def test_markdown_becomes_restructured_text(markdown, expected):
    assert api.restructured(markdown, {"ids"}) == expected


def test_a_table_becomes_a_table():
    rows = api.restructured("| a | `b` |\n|---|---|\n| 1 | 2 |", {"b"}).splitlines()
    assert rows == [
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - a",
        r"     - \ ``b``\ ",
        "   * - 1",
        "     - 2",
    ]
