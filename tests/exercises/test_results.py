"""What was done at exercises: kept by `check`, carried to the page and back as a file, never lost.

`results.json` says what counts of two entries, which are sound, which files are refused; tests/js reads it.
"""

import json
import math
from pathlib import Path

import pytest

from lmbook.exercises import check, exercise, load_results, results, save_results
from lmbook.exercises.results import joined, sound, source_of

TABLE = json.loads(Path(__file__).with_name("results.json").read_text("utf-8"))
HOUR = 3_600_000


@pytest.fixture(autouse=True)
def done(monkeypatch):
    """What this test does is all that was done."""
    kept: dict = {}
    monkeypatch.setattr(results, "_done", kept)
    return kept


@pytest.fixture
def clock(monkeypatch):
    """Set the time, in hours since 1970."""

    def set_it(hours: float) -> None:
        monkeypatch.setattr(results.time, "time", lambda: hours * 3600)

    return set_it


@pytest.fixture
def file(tmp_path):
    return tmp_path / "results.json"


def right_choice(name: str) -> tuple[str, str]:
    return next(
        (letter, c.text) for letter, c in zip("abcdefgh", exercise(name).choices, strict=False) if c.right
    )


def written(file: Path) -> dict:
    return json.loads(file.read_text("utf-8"))


class TestCheckKeeps:
    def test_a_number_a_choice_and_code_as_the_page_keeps_them(self, done, clock):
        def perplexity_of(logits, ids):
            return 3  # wrong

        clock(5)
        letter, text = right_choice("probability-quiz-1")
        check("probability-1", 4)
        check("probability-quiz-1", f"({letter.upper()})")
        check("probability-5", perplexity_of)
        assert done["probability-1"] == {
            "state": "right",
            "answer": "4",
            "print": exercise("probability-1").page()["print"],
            "at": 5 * HOUR,
        }
        assert (done["probability-quiz-1"]["state"], done["probability-quiz-1"]["answer"]) == ("right", text)
        code = done["probability-5"]["answer"]
        assert done["probability-5"]["state"] == "wrong"
        assert code == "def perplexity_of(logits, ids):\n    return 3  # wrong"

    def test_a_prediction_when_it_is_compared(self, done):
        item = next(item for item in results.load("probability").exercises if item.kind == "prediction")
        check(item.id, 1 if item.answer is not None else "a")
        assert not done
        check(item.id)
        assert done[item.id]["state"] == "seen"

    def test_nothing_of_what_cannot_be_read(self, done):
        check("probability-1", "four")
        check("probability-5", None)
        check("probability-5")
        assert not done

    def test_what_was_solved_stays_solved_and_of_a_quiz_the_first_try(self, done):
        check("probability-1", 4)
        check("probability-1", 5)
        assert (done["probability-1"]["state"], done["probability-1"]["answer"]) == ("right", "5")
        letter, _ = right_choice("probability-quiz-1")
        check("probability-quiz-1", "a" if letter != "a" else "b")
        check("probability-quiz-1", letter)
        assert done["probability-quiz-1"]["state"] == "wrong"

    def test_what_was_solved_of_another_question_is_not(self, done):
        done["probability-1"] = {"state": "right", "answer": "5", "print": "old", "at": 1, "passed": 3}
        check("probability-1", 5)
        assert done["probability-1"]["state"] == "wrong"
        assert "passed" not in done["probability-1"]

    def test_what_reviews_found_outlives_an_answer(self, done):
        check("probability-1", 4)
        done["probability-1"]["passed"] = 2
        check("probability-1", 4)
        assert done["probability-1"]["passed"] == 2

    def test_code_that_cannot_be_read_or_is_too_long_is_left_out(self):
        class Calls:
            def __call__(self):
                pass

        names: dict = {}
        exec("def f():\n    return 1\n", names)  # its source is nowhere
        assert [source_of(f) for f in (names["f"], len, Calls(), None, math.sqrt)] == [""] * 5


@pytest.mark.parametrize("case", TABLE["joined"], ids=lambda case: case["why"])
def test_of_two_entries(case):
    before = json.dumps([case["mine"], case["other"]])
    assert joined(case["mine"], case["other"]) == case["joined"]
    assert json.dumps([case["mine"], case["other"]]) == before


def test_sound_entries():
    good, bad = TABLE["sound"]["good"], TABLE["sound"]["bad"]
    assert sound({**bad, **good}) == good
    long = {"a-1": {"state": "right", "answer": "x" * 5001, "at": 1}}
    assert sound(long) == {}
    assert sound({"a-1": {"state": "right", "answer": "", "at": 1, "passed": "2"}}) == {
        "a-1": {"state": "right", "answer": "", "at": 1}
    }


class TestFile:
    def test_there_and_back(self, done, file):
        check("probability-1", 4)
        check("probability-2", 0)
        before = {name: dict(entry) for name, entry in done.items()}
        assert "holds 2 answers" in save_results(file)
        done.clear()
        told = load_results(str(file))
        assert done == before
        assert told.startswith("Read 2 answers")
        assert f"probability   1 of {len(results.load('probability').exercises)} exercises" in repr(told)

    def test_a_file_of_the_page_keeps_what_only_the_page_knows(self, done, file, clock):
        clock(2)
        place = {"page": "02_tokens", "anchor": "x", "title": "Tokens", "at": 5}
        page = {"probability-1": {"state": "right", "answer": "4", "print": "p", "at": HOUR, "passed": 1}}
        whole = {"version": 1, "seed": 7, "done": page | {"odd-1": {"state": "new"}}, "place": place}
        file.write_text(json.dumps(whole), "utf-8")
        assert "1 answer could not be read and was left out" in load_results(file)
        check("tokens-1", 6)
        save_results(file)
        assert written(file) == {**whole, "done": {**whole["done"], "tokens-1": done["tokens-1"]}}

    def test_what_is_in_the_file_stays_though_python_began_anew(self, done, file):
        check("probability-1", 4)
        save_results(file)
        done.clear()
        check("probability-1", 5)
        check("probability-2", 0)
        save_results(file)
        assert written(file)["done"]["probability-1"]["state"] == "right"
        assert list(written(file)["done"]) == ["probability-1", "probability-2"]

    def test_loading_takes_nothing_away(self, done, file, clock):
        clock(1)
        check("probability-1", 4)
        save_results(file)
        clock(2)
        check("probability-1", 4.0)
        check("probability-2", 0)
        before = {name: dict(entry) for name, entry in done.items()}
        load_results(file)
        assert done == before

    @pytest.mark.parametrize("case", TABLE["refused"], ids=lambda case: case["text"][:30])
    def test_other_files_are_refused_and_stay_as_they_are(self, done, file, case):
        check("probability-1", 4)
        file.write_text(case["text"], "utf-8")
        told = {"damaged": "damaged, or no file of results", "foreign": "holds no results", "newer": "newer"}
        for act in (load_results, save_results):
            with pytest.raises(ValueError, match=told[case["why"]]) as refused:
                act(file)
            assert str(file) in str(refused.value)
        assert file.read_text("utf-8") == case["text"]
        assert list(done) == ["probability-1"]
        assert list(file.parent.iterdir()) == [file]

    def test_an_editor_may_have_marked_it_as_utf_8(self, done, file):
        file.write_bytes(b'\xef\xbb\xbf{"version": 1, "done": {}}')
        check("probability-1", 4)
        assert "holds 1 answer." in save_results(file)
        assert file.read_bytes()[:1] == b"{"

    def test_bytes_depth_and_size(self, file, monkeypatch):
        for content in (b"\xff\xfe{", b"[" * 200_000):
            file.write_bytes(content)
            with pytest.raises(ValueError, match="damaged, or no file of results"):
                load_results(file)
        monkeypatch.setattr(results, "LARGEST", 100)
        file.write_bytes(b" " * 101)
        with pytest.raises(ValueError, match="has 101 bytes, and results have at most 100"):
            load_results(file)

    def test_no_file_and_no_folder(self, file):
        with pytest.raises(FileNotFoundError):
            load_results(file)
        with pytest.raises(OSError, match="couldn't be written"):
            save_results(file / "deeper")

    def test_a_write_that_fails_leaves_the_file(self, file, monkeypatch):
        check("probability-1", 4)
        save_results(file)
        before = file.read_text("utf-8")
        check("probability-2", 0)

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match=r"couldn't be written: .*No space left"):
            save_results(file)
        assert file.read_text("utf-8") == before
        assert list(file.parent.iterdir()) == [file]
