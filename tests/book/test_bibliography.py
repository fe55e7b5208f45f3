"""The parts of pybtex that the bibliography asks for are found without a search."""

import pybtex.plugin
import pytest
from extensions import bibliography


def test_each_part_is_the_one_that_a_search_finds(monkeypatch):
    monkeypatch.setattr(pybtex.plugin, "_RUNTIME_PLUGINS", {})
    searched = {part: pybtex.plugin.find_plugin(*part) for part in bibliography.PARTS}
    bibliography.find_parts()
    monkeypatch.setattr(pybtex.plugin, "entry_points", lambda **_: [])
    assert {part: pybtex.plugin.find_plugin(*part) for part in bibliography.PARTS} == searched


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (
            '<a role="doc-backlink" href="#id4">AB16</a>',
            '<span class="label"><a role="doc-backlink" href="#id4" aria-label="Back to the text">↑</a>'
            "</span>\n",
        ),
        ("AB16", ""),  # cited twice: numbers beside it lead back
    ],
)
def test_a_source_is_listed_without_its_key(label, expected):
    bracket = '<span class="fn-bracket">{}</span>'.format
    listed = f'<span class="label">{bracket("[")}{label}{bracket("]")}</span>\n'
    assert bibliography.listed(f"{listed}<p>Alain.</p>") == f"{expected}<p>Alain.</p>"
