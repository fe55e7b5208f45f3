"""A page keeps the place of every widget, as high as it was measured to be."""

import json

import pytest
from extensions import incremental, widgets
from measure_heights import written
from sphinx.config import Config

SAVED = {"a": {"state": {"still": "one < two"}}, "b": {"state": {}}}


def view(model: str) -> str:
    kind = "application/vnd.jupyter.widget-view+json"
    return f'<script type="{kind}">{{"model_id": "{model}"}}</script>'


def test_each_widget_has_the_height_of_its_own_cell():
    body = f'<div class="cell" id="widget-first">{view("a")}</div><div id="widget-new">{view("b")}</div>'
    heights = {"first": [571, 604], "gone": [1, 2]}
    assert widgets.with_places(body, SAVED, heights) == (
        '<div class="cell" id="widget-first">'
        '<div class="lm-widget" style="--lm-wide:571px;--lm-narrow:604px;"></div>'
        f'{view("a")}<pre class="lm-still">one &lt; two</pre></div>'
        f'<div id="widget-new"><div class="lm-widget" style=""></div>{view("b")}</div>'
    )


def test_a_widget_outside_of_the_notebooks_cells_has_a_place():
    assert widgets.with_places(view("b"), SAVED, {}).startswith('<div class="lm-widget" style=""></div>')


def test_the_file_has_a_line_for_each_widget():
    heights = {"ruler": [7, 8, 9], "pages": {"chapters/one": {"first": [571, 604], "last": [81, 74]}}}
    text = written(heights)
    assert json.loads(text) == heights
    assert [line.strip() for line in text.splitlines()][4:6] == ['"first": [571, 604],', '"last": [81, 74]']


@pytest.mark.parametrize(
    ("file", "setting"), [("heights.json", "lm_looks"), ("extensions/new.py", "lm_code")]
)
def test_all_pages_are_drawn_again_when_it_changes(tmp_path, monkeypatch, file, setting):
    monkeypatch.setattr(incremental, "ROOT", tmp_path)
    path = tmp_path / "site" / file
    path.parent.mkdir(parents=True)
    seen = set()
    for text in ("one", "two"):
        path.write_text(text)
        config = Config()
        config.add("lm_code", "", "env", ())
        config.add("lm_looks", "", "html", ())
        incremental.remember_files(None, config)
        seen.add(config[setting])
    assert len(seen) == 2
