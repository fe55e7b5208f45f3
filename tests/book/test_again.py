"""A build that draws a few pages again leaves nothing stale."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from extensions import incremental


@pytest.fixture
def app(tmp_path):
    return SimpleNamespace(doctreedir=tmp_path, builder=SimpleNamespace(format="html"), env=environment())


def environment(**titles):
    found = {name: nodes.title("", title) for name, title in titles.items()}
    return SimpleNamespace(titles=found, found_docs=set(found))


def test_every_page_is_drawn_again_when_a_title_changes_and_only_then(app):
    env = environment(one="Tokens", two="Decoding")
    assert incremental.draw_titles(app, env) == []  # the first build draws them all anyway
    assert incremental.draw_titles(app, env) == []
    env.titles["one"] = nodes.title("", "Words")
    assert incremental.draw_titles(app, env) == ["one", "two"]
    assert incremental.draw_titles(app, env) == []
