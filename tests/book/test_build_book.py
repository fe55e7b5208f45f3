"""What the build refuses: files that aren't notebooks, and notebooks that would run scripts of their own."""

import re
import shutil
import subprocess
import sys

import book
import build_book
import nbformat
import pytest

V4 = nbformat.v4


def stored(tmp_path, monkeypatch, text: str):
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    path = tmp_path / "chapters" / "odd.ipynb"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', "\x00\x01", "# Only Markdown"])
def test_a_file_that_is_no_notebook_stops_the_build_by_name(tmp_path, monkeypatch, text):
    path = stored(tmp_path, monkeypatch, text)
    with pytest.raises(SystemExit, match=r"chapters/odd\.ipynb is not a notebook"):
        build_book.check_readable(path)


def test_prose_that_would_run_stops_the_build(tmp_path, monkeypatch):
    cell = V4.new_markdown_cell("Look: <iframe src='https://elsewhere.invalid'></iframe>", id="prose")
    path = stored(tmp_path, monkeypatch, nbformat.writes(V4.new_notebook(cells=[cell])))
    with pytest.raises(SystemExit, match="in cell prose"):
        build_book.check_readable(path)


def test_prose_may_speak_of_scripts(tmp_path, monkeypatch):
    cell = V4.new_markdown_cell("A page runs what stands in `<script>`; so this is `code`.", id="prose")
    build_book.check_readable(stored(tmp_path, monkeypatch, nbformat.writes(V4.new_notebook(cells=[cell]))))


def test_the_chapters_themselves_are_fine():
    assert book.chapters()
    for path in book.chapters():
        build_book.check_readable(path)


def build(folder, text: str, without: str | None = None) -> str:
    """What a build that fails says of a book of one page with this text; `without` names a file left out."""
    for part in ("site", "tools", "lmbook/widgets"):
        shutil.copytree(book.ROOT / part, folder / part)
    for part in ("_config.yml", "references.bib"):
        shutil.copy(book.ROOT / part, folder)
    (folder / "chapters").mkdir()
    (folder / "chapters" / "index.md").write_text(f"# A book\n\n{text}\n", encoding="utf-8")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: chapters/index\n", encoding="utf-8")
    if without:
        (folder / without).unlink()
    command = [sys.executable, folder / "tools" / "build_book.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.slow  # it builds a book
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("![A picture](nowhere.png)", "nowhere.png"),
        ("See [the other page](other.md).", "other.md"),
        ("{doc}`elsewhere`", "elsewhere"),
        ("$\\frac{1$", r"\\frac{1"),
    ],
)
def test_what_a_page_asks_for_and_is_not_there_stops_the_build_by_name(tmp_path, text, names):
    said = build(tmp_path, text)
    assert "index.md:3" in said
    assert re.search(names, said)


@pytest.mark.slow  # it builds a book
@pytest.mark.parametrize(
    "file",
    ["preview.png", *(f"static/{name}" for name in ("favicon.svg", "lm.css", "progress.js", "site.js"))],
)
def test_what_every_page_asks_for_and_is_not_there_stops_the_build_by_name(tmp_path, file):
    assert file.rpartition("/")[2] in build(tmp_path, "Nothing to see.", without=f"site/{file}")
