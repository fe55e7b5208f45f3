"""The chapters as files: complete, in normal form, and with all outputs compared."""

import copy
import json
import re
from pathlib import Path

import nbformat
import pytest
import refresh
from book import pages

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
TAGS = {
    *("hide-input", "hide-output", "hide-cell", "remove-input", "remove-output", "remove-cell"),
    *("raises-exception", "full-width", "margin", "setup"),
}
WORDS = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
UNCOMPARED = re.compile(r"nbval|NBVAL|PYTEST_VALIDATE")
MACHINE = re.compile(r"/home/|/root/|/tmp/|/Users/|/work/|/mnt/|[A-Z]:\\\\|site-packages|\.venv")
MAX_LINES = 25

every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.from_dict(json.loads(path.read_text(encoding="utf-8")))  # as it is: nothing mended


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def faults(cells: list, wrong) -> list[str]:
    return [cell.id for cell in cells if wrong(cell)]


@every_chapter
def test_a_chapter_has_its_number_in_its_title_and_other_pages_have_none(path):
    number = re.match(r"0?(\d+)_", path.stem)
    title = nbformat.read(path, as_version=4).cells[0].source
    assert re.match(r"# (?:(\d+)\. )?[A-Z]", title)[1] == (number and number[1])


def test_the_contents_name_every_chapter_once():
    named = pages()
    assert len(named) == len(set(named))
    assert {f"chapters/{path.stem}" for path in CHAPTERS} <= set(named)


@every_chapter
def test_is_a_valid_notebook_with_word_ids(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert not [cell_id for cell_id in ids if not WORDS.fullmatch(cell_id)]


@every_chapter
def test_is_stored_as_make_refresh_writes_it(path):
    text = path.read_text(encoding="utf-8")
    again = nbformat.writes(refresh.normalise(nbformat.reads(text, as_version=4)), version=4) + "\n"
    assert again == text, "run: make refresh"


@every_chapter
def test_every_code_cell_has_run(path):
    cells = [cell for cell in code_cells(path) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_chapter
def test_no_cell_is_kept_from_comparison(path):
    cells = code_cells(path)
    assert not faults(cells, lambda cell: set(cell.metadata.get("tags", [])) - TAGS)
    assert not faults(cells, lambda cell: UNCOMPARED.search(cell.source))


@every_chapter
def test_cells_are_short(path):
    assert not faults(code_cells(path), lambda cell: len(cell.source.splitlines()) > MAX_LINES)


@every_chapter
def test_figures_have_a_caption_and_say_what_is_to_be_seen(path):
    def untold(cell):
        if not any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {})):
            return False
        about = cell.metadata.get("mystnb", {})
        alt = about.get("image", {}).get("alt", "")
        return len(alt) < 40 or not re.search(r"\d", alt) or not about.get("figure", {}).get("caption")

    assert not faults(code_cells(path), untold)
    prose = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    assert not faults(prose, lambda cell: "![](" in cell.source)


@every_chapter
def test_outputs_tell_nothing_of_the_machine_and_no_warning(path):
    def told(cell):
        return MACHINE.search(json.dumps(cell.outputs)) or any(
            o.get("name") == "stderr" for o in cell.outputs
        )

    assert not faults(code_cells(path), told)


@every_chapter
def test_errors_are_deliberate(path):
    def stray(cell):
        failed = any(output.output_type == "error" for output in cell.outputs)
        return failed != ("raises-exception" in cell.metadata.get("tags", []))

    assert not faults(code_cells(path), stray)


def messy() -> nbformat.NotebookNode:
    v4 = nbformat.v4
    svg = "<svg><metadata><dc:date>2026-01-01T00:00:00</dc:date><dc:format/></metadata></svg>"
    outputs = [
        v4.new_output("stream", name="stdout", text="one "),
        v4.new_output("stream", name="stdout", text="line\n"),
        v4.new_output("stream", name="stderr", text="other\n"),
        v4.new_output("execute_result", {"text/plain": "W()", refresh.WIDGET_VIEW: {}}, execution_count=7),
        v4.new_output("display_data", {"image/svg+xml": svg}, metadata={"needs": "light"}),
    ]
    cell = v4.new_code_cell("print('one line')", execution_count=7, outputs=outputs, id="messy")
    cell.metadata = {"tags": ["hide-input"], "execution": {"iopub.status.busy": "now"}, "collapsed": False}
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# T", id="title"), cell])
    notebook.metadata = {"widgets": {}, "kernelspec": {"name": "mine", "display_name": "Mine"}}
    return nbformat.from_dict(notebook)


def test_refresh_removes_what_changes_from_run_to_run_and_keeps_the_rest():
    notebook = refresh.normalise(messy())
    cell = notebook.cells[1]
    assert notebook.metadata == refresh.METADATA
    assert (cell.id, cell.metadata, cell.execution_count) == ("messy", {"tags": ["hide-input"]}, 1)
    assert [o.get("text") for o in cell.outputs[:2]] == ["one line\n", "other\n"]
    assert cell.outputs[2].data == {"text/plain": "W()"}
    assert cell.outputs[2].execution_count == 1
    assert cell.outputs[3].data["image/svg+xml"] == "<svg><metadata><dc:format/></metadata></svg>"
    assert cell.outputs[3].metadata == {}


def test_refresh_changes_nothing_the_second_time():
    once = refresh.normalise(messy())
    assert refresh.normalise(copy.deepcopy(once)) == once
