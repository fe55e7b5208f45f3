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
    return SimpleNamespace(titles=found, found_docs=set(found), _search_index_index_entries={})


def test_every_page_is_drawn_again_when_a_title_changes_and_only_then(app):
    env = environment(one="Tokens", two="Decoding")
    assert incremental.draw_titles(app, env) == []  # the first build draws them all anyway
    assert incremental.draw_titles(app, env) == []
    env.titles["one"] = nodes.title("", "Words")
    assert incremental.draw_titles(app, env) == ["one", "two"]
    assert incremental.draw_titles(app, env) == []


def test_the_search_keeps_the_entries_of_pages_that_are_not_drawn(app):
    incremental.recall_entries(app, app.env)  # nothing was kept yet
    app.env._search_index_index_entries = {"glossary": [("token", "term-token", "main")]}
    incremental.keep_entries(app, None)
    later = environment()
    incremental.recall_entries(app, later)
    assert later._search_index_index_entries == app.env._search_index_index_entries


def test_the_search_forgets_a_word_that_left_its_last_page(app):
    app.builder.indexer = SimpleNamespace(
        _mapping={"token": {"one"}, "zebra": set()}, _title_mapping={"zebra": set()}
    )
    assert incremental.forget_words(app) == []
    assert app.builder.indexer._mapping == {"token": {"one"}}
    assert app.builder.indexer._title_mapping == {}


def test_a_build_that_fails_keeps_nothing(app):
    incremental.keep_entries(app, ValueError("no luck"))
    assert not list(app.doctreedir.iterdir())
