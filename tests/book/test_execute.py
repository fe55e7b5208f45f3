"""Chapters are executed side by side, and the reader of the log knows how far each is."""

import asyncio
import os
import re

import execute
import nbformat
import pytest

V4 = nbformat.v4


def notebook(tmp_path, name: str, *sources: str):
    path = tmp_path / f"{name}.ipynb"
    nbformat.write(V4.new_notebook(cells=[V4.new_code_cell(source) for source in sources]), path)
    return path


def test_a_chapter_is_executed_in_its_folder_without_a_port_and_kept(tmp_path, capfd):
    path = notebook(tmp_path, "one", "print(1 + 1)", "", "import os; print(os.getcwd())")
    execute.execute_chapters([path], tmp_path / "cache")
    said, warned = capfd.readouterr()
    assert "one: 2 of 2 cells, took" in said
    assert warned == ""
    execute.execute_chapters([path], tmp_path / "cache")
    assert capfd.readouterr().out == "Every chapter is in the cache.\n"
    cache = execute.get_cache(tmp_path / "cache")
    kept = cache.get_cache_bundle(cache.match_cache_notebook(nbformat.read(path, as_version=4)).pk).nb
    assert [cell.outputs[0].text for cell in kept.cells if cell.source] == ["2\n", f"{tmp_path}\n"]


def test_a_chapter_that_fails_stops_the_build_by_name_and_the_others_are_kept(tmp_path, capsys):
    paths = [notebook(tmp_path, "bad", "1 / 0", "2"), notebook(tmp_path, "good", "print(3)")]
    with pytest.raises(SystemExit, match="A chapter failed"):
        execute.execute_chapters(paths, tmp_path / "cache")
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err.partition("bad.ipynb: ")[2]
    assert "good: 1 of 1 cells, took" in said.out
    with pytest.raises(SystemExit):
        execute.execute_chapters(paths, tmp_path / "cache")
    assert "Executing bad.\n" in capsys.readouterr().out


def test_on_a_terminal_a_line_tells_how_far_each_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("os.get_terminal_size", lambda: os.terminal_size((80, 24)))
    runs = [execute.Run(tmp_path / f"{name}.ipynb", V4.new_notebook()) for name in ("a", "b")]
    display = execute.Display(runs)
    runs[0].cells, runs[0].done = 5, 3
    display.tell()
    assert capsys.readouterr().out == f"{execute.CLEAR}0 of 2 chapters · a 3/5"
    runs[0].seconds = 2.0
    display.end(runs[0])
    display.tell()
    assert capsys.readouterr().out.endswith(f"{execute.CLEAR}1 of 2 chapters")


def test_cells_are_counted_as_they_are_executed(tmp_path):
    path = notebook(tmp_path, "steps", "1", "2", "3")
    run, seen = execute.Run(path, nbformat.read(path, as_version=4)), []
    asyncio.run(run.execute(lambda: seen.append(str(run))))
    assert seen == [f"steps {done}/3" for done in (0, 1, 2, 3)]


def test_a_figure_that_is_drawn_again_is_the_same_file(tmp_path):
    draw = (
        "%config InlineBackend.figure_formats = ['svg']\nfrom matplotlib import pyplot as plt\nplt.plot([1])"
    )
    path = notebook(tmp_path, "drawn", "%matplotlib inline", draw, f"import time; time.sleep(0.01)\n{draw}")
    run = execute.Run(path, nbformat.read(path, as_version=4))
    asyncio.run(run.execute(lambda: None))
    first, second = (cell.outputs[-1].data["image/svg+xml"] for cell in run.notebook.cells[1:])
    dates = re.findall(r"<dc:date>(.*?)</dc:date>", first + second)
    assert dates == ["1970-01-01T00:00:00+00:00"] * 2
