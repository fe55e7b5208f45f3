"""What a course is made from: sheets without answers, keys that `check` agrees with, weeks of like length."""

import doctest
from itertools import combinations, pairwise

import plan
import pytest
import sheets
from bs4 import BeautifulSoup
from extensions import course

from lmbook.exercises import check

SHEETS = sheets.sheets()


def words(html: str) -> str:
    return " ".join(BeautifulSoup(html, "html.parser").get_text(" ").split())


def secrets(item: dict) -> list[str]:
    """Return all texts that tell the answer to an item or help to find it."""
    told = [item.get(key, "") for key in ("right", "solution", "code", "output")] + item.get("hints", [])
    told += [part["reason"] for key in ("choice", "mistake") for part in item.get(key, ())]
    told += [band["text"] for band in item.get("band", ())]
    return [text.strip() for text in told if text.strip()]


@pytest.mark.parametrize("name", SHEETS)
def test_a_sheet_asks_everything_and_tells_no_answer(name):
    sheet = SHEETS[name]
    body = sheets.sheet_body(sheet, "Title")
    shown = words(body)
    for _, item in sheet.numbered():
        assert words(sheets.prose(item["text"])) in shown
        assert all(words(sheets.prose(choice["text"])) in shown for choice in item.get("choice", ()))
        for text in secrets(item):
            told = words(sheets.listing(text)) if text == item.get("code", "").strip() else text
            assert words(sheets.prose(told)) not in shown
    assert f"{len(sheet.quiz)} questions" in shown


@pytest.mark.parametrize("name", SHEETS)
def test_check_takes_the_answers_of_the_key(name):
    for number, item in SHEETS[name].numbered():
        key = BeautifulSoup(sheets.answer(number, item), "html.parser")
        if item.get("choice"):
            letter = key.select_one("b").get_text().strip("()")
            assert item["choice"][sheets.LETTERS.index(letter)]["right"]
            assert item["kind"] == "prediction" or check(item["id"], letter), item["id"]
        elif "answer" in item:
            value = float(plain(key.select_one("b").get_text()))
            assert value == pytest.approx(
                item["answer"], rel=0.06
            )  # one digit is the fewest that is asked for
            assert item["kind"] == "prediction" or check(item["id"], value), item["id"]
        else:
            assert item["code"].strip() in key.get_text()


def plain(written: str) -> str:
    return written.replace(",", "").replace("\N{MINUS SIGN}", "-")


def test_the_examples_in_what_makes_the_course_hold():
    for module in (sheets, plan, course):
        assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("words", ["", "soon", "**Time.** Some hours"])
def test_a_time_that_cannot_be_read_is_refused(words):
    with pytest.raises(ValueError, match="no span of time"):
        plan.minutes(words)


@pytest.mark.parametrize("costs", [[1], [5, 1, 1, 1, 5], [3, 1, 4, 1, 5, 9, 2, 6]])
def test_no_other_cut_has_a_cheaper_dearest_group(costs):
    def dearest(cuts: list[int]) -> float:
        return max(sum(costs[start:end]) for start, end in pairwise([0, *cuts, len(costs)]))

    for groups in range(1, len(costs) + 1):
        cuts = plan.split(costs, groups)
        assert len(cuts) == groups - 1
        assert dearest(cuts) == min(
            dearest(list(other)) for other in combinations(range(1, len(costs)), groups - 1)
        )


@pytest.mark.parametrize("groups", [0, 3])
def test_a_number_of_groups_that_cannot_be_made_is_refused(groups):
    with pytest.raises(ValueError, match=f"2 costs make 1 to 2 groups, not {groups}"):
        plan.split([1, 2], groups)


@pytest.mark.parametrize("number", [4, 8])
def test_a_plan_has_every_chapter_once_in_order(number):
    weeks = plan.weeks(number)
    assert len(weeks) == number
    assert [name for week in weeks for name in week] == list(SHEETS)


def test_each_exercise_has_its_points_and_chapters_add_up_to_the_book():
    whole = plan.marks()
    assert [kind for kind, _, _ in whole] == list(plan.POINTS)
    assert sum(count for _, count, _ in whole) == sum(len(sheet.numbered()) for sheet in SHEETS.values())
    chapters = [plan.marks(name) for name in SHEETS]
    for place in (1, 2):
        assert [
            sum(rows) for rows in zip(*[[row[place] for row in rows] for rows in chapters], strict=True)
        ] == [row[place] for row in whole]
    code = sum(item["kind"] == "code" for sheet in SHEETS.values() for item in sheet.exercises)
    assert ("code", code, 5 * code) in whole


def test_only_sentences_that_ask_stand_out():
    asked = '<strong class="lm-asked">'
    drawn = course.emphasised(
        '<p>At 0.5 it is <a href="x?y=1">one</a>. Is <em>it? Or</em> not. Who knows? No.</p>'
    )
    assert drawn.count(asked) == 1
    assert f"{asked}Who knows?</strong> No.</p>" in drawn
    assert course.emphasised("<p>What is <math><mi>x</mi></math>? Say.</p>").startswith(
        f"<p>{asked}What is <math>"
    )
