"""Views belong to the site: a script for each and one that they share, none in the cached outputs."""

import re
from pathlib import Path

import anywidget
import build_book
import execute
import nbformat
import pytest
import views
from javascript import run_module
from sphinx.builders.html._assets import _file_checksum

import lmbook.widgets

CLASSES = [cls for name in lmbook.widgets.__all__ if isinstance(cls := getattr(lmbook.widgets, name), type)]
DRAWN = {f"{cls.__module__}.{cls.__name__}" for cls in CLASSES if issubclass(cls, anywidget.AnyWidget)}
DRAWN |= set(views.PAGES.values())


def test_every_widget_has_a_view_and_only_those():
    assert {name for names in views.views().values() for name in names} == DRAWN


def test_the_script_registers_a_view_for_each_class(tmp_path):
    kinds = "Object.entries(lmViews).map(([name, view]) => [name, typeof view.render])"
    asked = f"saved.forEach((0, eval)); print({kinds});"
    texts = [views.script(), *views.own_scripts().values()]
    assert dict(run_module(tmp_path, "", asked, texts)) == dict.fromkeys(DRAWN, "function")


def test_the_shared_script_has_no_view_and_says_where_each_is(tmp_path):
    asked = "(0, eval)(saved); print([Object.keys(lmViews), lmSite.views]);"
    drawn, places = run_module(tmp_path, "", asked, views.script())
    assert drawn == []
    assert places.keys() == DRAWN
    views.write_views(tmp_path)
    for address in places.values():
        file, _, known = address.partition("?v=")
        assert known == _file_checksum(tmp_path / "_static" / "widgets", file)


def test_a_file_is_in_the_shared_script_or_in_that_of_its_view_never_in_both():
    shared = views.shared_files()
    assert {path.name for path in shared} >= {"kit.js", "words.js"}
    for view in views.views():
        own = [path for path in views.bundler().modules(view) if path not in shared]
        assert own[-1] == views.WIDGETS / view
    assert not [path for path in shared if path.relative_to(views.WIDGETS).as_posix() in views.views()]


def test_scripts_stay_as_they_are_without_the_package_that_makes_them_small(monkeypatch, tmp_path):
    monkeypatch.setattr(views, "PACKAGES", tmp_path)
    views.small.cache_clear()
    assert views.minified({"a": "const long = 1;\n"}) == {"a": "const long = 1;\n"}
    views.small.cache_clear()


def test_the_style_sheet_has_all_that_the_widgets_bring():
    whole = views.style()
    for cls in CLASSES:
        if issubclass(cls, anywidget.AnyWidget):
            rules = re.findall(r"[^{}]+\{[^{}]*\}", str(cls._css))
            assert rules
            assert not [rule for rule in rules if rule.strip() not in whole]
    assert whole.startswith(Path(views.WIDGETS / "kit" / "kit.css").read_text(encoding="utf-8"))


def test_what_is_kept_of_a_chapter_holds_no_view_of_the_book(tmp_path):
    def state(name: str) -> dict:
        return {"state": {"_anywidget_id": name, "_esm": "export", "_css": "p {}", "n": 1}}

    saved = {"state": {"a": state("lmbook.widgets.shannon.ShannonGame"), "b": state("__main__.Own")}}
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {execute.WIDGET_STATE: saved}})
    execute.drop_views(notebook)
    kept = notebook.metadata["widgets"][execute.WIDGET_STATE]["state"]
    assert kept["a"]["state"] == {"_anywidget_id": "lmbook.widgets.shannon.ShannonGame", "n": 1}
    assert kept["b"] == state("__main__.Own")  # a chapter's own widget has no other home


def test_a_view_that_changes_executes_nothing_and_draws_again(monkeypatch, tmp_path):
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    folder = tmp_path / "lmbook" / "widgets" / "kit"
    folder.mkdir(parents=True)
    code, view = folder.parent / "shannon.py", folder / "kit.js"
    for path in (code, view):
        path.write_text("1", encoding="utf-8")

    def both() -> tuple[dict[str, str], str]:
        return build_book.executed_with(), build_book.fingerprint(build_book.files(*build_book.DRAWS))

    runs, draws = both()
    view.write_text("2", encoding="utf-8")
    assert both()[0] == runs
    assert both()[1] != draws
    code.write_text("2", encoding="utf-8")
    assert both()[0] != runs


def test_only_the_package_and_its_data_count_in_the_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    settings = tmp_path / "pyproject.toml"

    def runs(text: str) -> dict[str, str]:
        settings.write_text(text, encoding="utf-8")
        return build_book.executed_with()

    first = runs('[project]\nname = "a"\n[tool.lmbook]\ndata = ["b"]\n[tool.ruff]\nline-length = 1\n')
    assert runs('[project]\nname = "a"\n[tool.lmbook]\ndata = ["b"]\n[tool.ruff]\nline-length = 2\n') == first
    assert runs('[project]\nname = "c"\n[tool.lmbook]\ndata = ["b"]\n') != first
    assert runs('[project]\nname = "a"\n[tool.lmbook]\ndata = ["d"]\n') != first


def test_the_script_of_the_views_says_where_workers_and_weights_are(monkeypatch, tmp_path):
    monkeypatch.setattr(views, "workers", lambda: {"trial": "the trial's text\n"})
    weights = tmp_path / "_static" / views.WEIGHTS
    views.write_views(tmp_path)
    script = tmp_path / "_static" / views.SCRIPT
    asked = "print(lmSite);"
    without = run_module(tmp_path, "", f"{script.read_text(encoding='utf-8')}\n{asked}")
    weights.parent.mkdir()
    weights.touch()
    views.write_views(tmp_path)
    written = tmp_path / "_static" / "widgets" / "trial_worker.js"
    assert written.read_text(encoding="utf-8") == "the trial's text\n"
    named = run_module(tmp_path, "", f"{script.read_text(encoding='utf-8')}\n{asked}")
    assert named["workers"] == {"trial": f"trial_worker.js?v={_file_checksum(written.parent, written.name)}"}
    assert (script.parent / named["weights"]).resolve() == weights
    assert without == named | {"weights": None}


@pytest.mark.parametrize("before", ["?v=11111111", ""])
def test_new_views_are_written_and_every_page_names_their_sums(monkeypatch, tmp_path, before):
    monkeypatch.setattr(views, "script", lambda *_: "new script")
    monkeypatch.setattr(views, "style", lambda: "new style")
    page = tmp_path / "chapters" / "one.html"
    page.parent.mkdir()
    text = '<link href="../_static/{}?v={}"><script src="../_static/widgets/views.js{}">'
    page.write_text(text.format("lm.css", "00000000", before), encoding="utf-8")
    views.name_views(tmp_path, views.write_views(tmp_path))
    assert (tmp_path / "_static" / "widgets" / "views.js").read_text(encoding="utf-8") == "new script"
    known = _file_checksum(tmp_path / "_static", "widgets/views.js")  # what Sphinx itself writes
    assert page.read_text(encoding="utf-8") == text.format("lm.css", "00000000", f"?v={known}")
