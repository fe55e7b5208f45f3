"""What is kept between builds is made again when its source changes, or when it can't be read."""

import kept as module
import pytest
from kept import kept


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", tmp_path / "kept")
    return tmp_path / "kept"


def test_of_one_source_it_is_made_once():
    made = iter(["first", "second"])
    assert [kept("a", b"1", lambda: next(made)) for _ in range(3)] == ["first"] * 3
    assert kept("a", b"2", lambda: next(made)) == "second"


def test_names_are_apart_and_of_each_the_last_is_kept(folder):
    for source in (b"1", b"2"):
        kept("a", source, lambda: 1)
        kept("b", source, lambda: 2)
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json"]
    assert kept("b", b"2", lambda: 3) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"word"'])
def test_a_damaged_file_is_made_again(folder, text):
    kept("a", b"1", lambda: 1)
    (folder / "a.json").write_text(text, encoding="utf-8")
    assert kept("a", b"1", lambda: 2) == 2
    assert kept("a", b"1", lambda: 3) == 2
