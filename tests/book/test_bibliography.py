"""The parts of pybtex that the bibliography asks for are found without a search."""

import pybtex.plugin
from extensions import bibliography


def test_each_part_is_the_one_that_a_search_finds(monkeypatch):
    monkeypatch.setattr(pybtex.plugin, "_RUNTIME_PLUGINS", {})
    searched = {part: pybtex.plugin.find_plugin(*part) for part in bibliography.PARTS}
    bibliography.setup(None)
    monkeypatch.setattr(pybtex.plugin, "entry_points", lambda **_: [])
    assert {part: pybtex.plugin.find_plugin(*part) for part in bibliography.PARTS} == searched
