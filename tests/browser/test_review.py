"""The review page: today's questions by the calendar, a final test, and a record to print."""

import json
from datetime import datetime, timedelta

import pytest
from looks import assert_accessible
from playwright.sync_api import Page, expect

from lmbook.exercises import chapters, load
from lmbook.exercises.specification import LETTERS, Exercise

PAGE = "chapters/review.html"
NOON = datetime(2026, 3, 2, 12)
SHEET = load("probability")
ALL = {
    item.id: item for name in chapters() for sheet in [load(name)] for item in (*sheet.exercises, *sheet.quiz)
}
NUMBERS = [item for item in SHEET.exercises if item.kind == "number"]
QUIZ = SHEET.quiz[0]


def entry(item: Exercise, state: str, days_ago: int, **more: int) -> dict:
    at = (NOON - timedelta(days=days_ago)).timestamp() * 1000
    return {"state": state, "answer": "0", "print": item.page()["print"], "at": at, **more}


@pytest.fixture
def review(page, site, open_widgets):
    """Open the page `days` after NOON, with `done` stored if it is given."""

    def open_it(done: dict | None = None, days: int = 0, on: Page = page):
        on.clock.install(time=NOON + timedelta(days=days))
        if done is not None:
            on.goto(site.http("404.html"))
            text = json.dumps({"version": 1, "seed": 7, "done": done, "place": None})
            on.evaluate("(text) => localStorage.setItem('lm-book-progress', text)", text)
        open_widgets(on, site.http(PAGE))
        return on.locator("[data-lm-widget='review']")

    return open_it


def told(root):
    return root.locator(".lmw-part-today [role='status']").first


def stored(page: Page, name: str) -> dict:
    return page.evaluate("(name) => lmProgress.recall(name)", name)


def begin(root):
    root.get_by_role("button", name="Begin").press("Enter")
    question = root.locator(".lmw-question")
    expect(question).to_be_focused()
    return question


def answer(part, item: Exercise, right: bool) -> None:
    """Fill in an answer by keyboard, without checking it."""
    if item.choices:
        at = next(i for i, choice in enumerate(item.choices) if choice.right == right)
        part.locator(f"input[value='{LETTERS[at]}']").press("Space")
    else:
        part.get_by_role("textbox").fill(str(item.answer if right else item.answer + 1000))


def test_who_has_done_nothing_is_sent_to_the_exercises_or_chooses(review):
    root = review()
    expect(told(root)).to_contain_text("You have answered nothing yet")
    expect(root.get_by_role("button", name="Begin")).to_have_count(0)
    root.get_by_role("combobox").select_option("probability")
    count = len(SHEET.exercises) + len(SHEET.quiz)
    expect(told(root)).to_have_text(f"{count} questions: {count} not tried yet. ")


def test_wrong_ones_come_first_then_new_ones_then_those_whose_pause_is_over(review):
    wrong, due, fresh = NUMBERS[1], NUMBERS[2], NUMBERS[3]
    done = {
        wrong.id: entry(wrong, "wrong", 0),
        due.id: entry(due, "right", 1),
        fresh.id: entry(fresh, "right", 0),
    }
    root = review(done)
    new = len(SHEET.exercises) + len(SHEET.quiz) - 3
    expect(told(root)).to_have_text(
        f"{new + 2} questions: 1 that went wrong, {new} not tried yet, 1 to repeat. Later: 1 tomorrow."
    )
    question = begin(root)
    seen = []
    for _ in range(new + 2):
        seen.append(question.get_attribute("data-id"))
        question.get_by_role("button", name="Skip").press("Enter")
    assert seen[0] == wrong.id
    assert seen[-1] == due.id
    assert fresh.id not in seen
    expect(told(root)).to_contain_text("That was the round.")
    expect(told(root)).to_be_focused()


@pytest.mark.parametrize("item", [NUMBERS[0], QUIZ], ids=["number", "quiz"])
def test_what_is_right_comes_again_after_one_three_and_seven_days(new_page, site, review, item):
    done = {one.id: entry(one, "right", 0, passed=3) for one in (*SHEET.exercises, *SHEET.quiz)}
    done[item.id] = entry(item, "wrong", 1)
    day = 0
    for pause in (1, 3, 7, None):
        page = new_page()
        root = review(done, day, page)
        expect(told(root)).to_contain_text("1 question: 1 ")
        question = begin(root)
        answer(question, item, right=True)
        question.get_by_role("button", name="Check").press("Enter")
        expect(question.locator(".lmw-verdict")).to_have_attribute("data-state", "right")
        question.get_by_role("button", name="Next").press("Enter")
        later = {1: " Later: 1 tomorrow.", 3: " Later: 1 in 3 days.", 7: " Later: 1 in 7 days."}.get(
            pause, " "
        )
        expect(told(root)).to_have_text(f"That was the round. Nothing is due today.{later}")
        done[item.id] = stored(page, item.id)
        day += pause or 0
    assert done[item.id]["state"] == ("wrong" if item is QUIZ else "right")  # a quiz keeps its first try


def test_a_wrong_answer_is_asked_first_the_next_time_and_stays_solved_in_its_chapter(page, review):
    first, second = NUMBERS[:2]
    root = review({first.id: entry(first, "right", 1), second.id: entry(second, "wrong", 1)})
    question = begin(root)
    question.get_by_role("button", name="Skip").press("Enter")
    while question.get_attribute("data-id") != first.id:
        question.get_by_role("button", name="Skip").press("Enter")
    answer(question, first, right=False)
    question.get_by_role("textbox").press("Enter")
    expect(question.locator(".lmw-verdict")).to_have_attribute("data-state", "wrong")
    assert stored(page, first.id)["state"] == "right"
    question.get_by_role("button", name="Stop here").press("Enter")
    expect(told(root)).to_contain_text("2 that went wrong")


def test_a_question_that_has_changed_is_asked_anew(review):
    root = review({NUMBERS[0].id: entry(NUMBERS[0], "right", 0, passed=3) | {"print": "0"}})
    expect(told(root)).to_contain_text("1 that changed since")
    expect(begin(root)).to_contain_text("it has changed since you answered")


def test_a_question_leads_to_the_widget_or_the_cell_that_it_needs(site, review):
    widget = next(item for item in SHEET.exercises if item.widget)
    code = next(item for item in SHEET.exercises if item.kind == "code")
    done = {item.id: entry(item, "right", 0, passed=3) for item in (*SHEET.exercises, *SHEET.quiz)}
    root = review(done | {item.id: entry(item, "wrong", 1) for item in (widget, code, NUMBERS[0])})
    question = begin(root)
    chapter = f"{SHEET.page}.html"
    found = {}
    for _ in range(3):
        addresses = [link.get_attribute("href") for link in question.get_by_role("link").all()]
        found[question.get_attribute("data-id")] = addresses
        question.get_by_role("button", name="Skip").press("Enter")
    assert found == {
        NUMBERS[0].id: [chapter],
        widget.id: [chapter, f"{chapter}#widget-{widget.widget}"],
        code.id: [chapter, f"{chapter}#exercises"],
    }
    text = (site.root / "chapters" / chapter).read_text("utf-8")
    assert all(f'id="{found[name][1].partition("#")[2]}"' in text for name in (widget.id, code.id))


def test_the_final_test_is_judged_together_kept_and_counted(page, review):
    root = review({})
    root.get_by_role("button", name="Draw twenty questions").press("Enter")
    questions = root.locator(".lmw-test > li > div")
    expect(questions).to_have_count(20)
    ids = [question.get_attribute("data-id") for question in questions.all()]
    assert len(set(ids)) == 20
    assert {name.partition("-")[0] for name in ids} == set(chapters())
    for i, name in enumerate(ids[:-1]):
        answer(questions.nth(i), ALL[name], right=i > 2)
    root.get_by_role("button", name="Hand in").press("Enter")
    score = root.locator(".lmw-part-test [role='status']").first
    missed = root.get_by_role("status").filter(has_text="Without an answer that can be read: 20.")
    expect(missed).to_be_in_viewport()  # beside the button, far below the score
    assert stored(page, ids[3]) is None
    root.get_by_role("button", name="Hand in").press("Enter")
    expect(missed).to_have_count(0)
    expect(score).to_contain_text(
        "16 of 20 right. 1 was left open. The review will ask the 3 wrong ones again."
    )
    expect(score).to_be_focused()
    expect(questions.first.locator(".lmw-verdict")).to_contain_text("Right is:")
    assert [stored(page, name)["passed"] for name in ids[:4]] == [-1, -1, -1, 0]
    assert stored(page, ids[-1]) is None
    record = root.locator(".lmw-part-record")
    expect(record).to_contain_text("Final test of 2 March 2026: 16 of 20 right.")
    # It has begun no chapter: what it didn't ask isn't asked now.
    expect(told(root)).to_have_text("3 questions: 3 that went wrong. Later: 16 tomorrow.")
    page.reload()
    expect(record).to_contain_text("Final test of 2 March 2026: 16 of 20 right.")


def test_the_record_counts_and_only_it_is_printed(page, review):
    done = {item.id: entry(item, "right", 3) for item in NUMBERS[:2]}
    done |= {
        SHEET.quiz[0].id: entry(SHEET.quiz[0], "wrong", 2),
        SHEET.quiz[1].id: entry(SHEET.quiz[1], "right", 1),
    }
    done[NUMBERS[2].id] = entry(NUMBERS[2], "right", 0) | {"print": "0"}  # it has changed: not done
    root = review(done)
    row = root.get_by_role("row", name=SHEET.title)
    cells = [f"2 of {len(SHEET.exercises)}", f"2 of {len(SHEET.quiz)}", "1", "–", "1 March 2026"]
    expect(row.get_by_role("cell")).to_have_text(cells)
    root.get_by_label("Name").fill("Ada")
    page.emulate_media(media="print")
    for part, shown in (("today", False), ("test", False), ("record", True)):
        expect(root.locator(f".lmw-part-{part}")).to_be_visible(visible=shown)
    expect(root.get_by_role("button", name="Print the record")).to_be_hidden()
    expect(root.locator(".lmw-files")).to_be_hidden()
    expect(page.locator(".bd-article :is(p, pre):not(.lmw *)").locator("visible=true")).to_have_count(0)
    expect(root).to_contain_text("Language Model Fundamentals, as of 2 March 2026; counted by this browser.")
    assert root.get_by_label("Name").input_value() == "Ada"


@pytest.mark.parametrize(
    "text", ["{not json", '{"version": 1, "done": {"final-test": {"state": "seen", "answer": "x", "at": 1}}}']
)
def test_damaged_progress_does_no_harm(page, site, review, text):
    page.goto(site.http("404.html"))
    page.evaluate("(text) => localStorage.setItem('lm-book-progress', text)", text)
    root = review()
    expect(told(root)).to_contain_text("You have answered nothing yet")
    expect(root.locator(".lmw-part-record")).to_contain_text("No final test yet.")


OFF = (
    "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, "
    "{ configurable: true, get() { throw new DOMException('denied', 'SecurityError'); } });"
)
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"


@pytest.mark.parametrize("script", [OFF, FULL], ids=["off", "full"])
def test_without_storage_it_works_as_long_as_the_page(new_page, review, script):
    page = new_page()
    page.add_init_script(script)
    root = review(on=page)
    root.get_by_role("combobox").select_option("probability")
    question = begin(root)
    first = ALL[question.get_attribute("data-id")]
    answer(question, first, right=False)
    question.get_by_role("button", name="Check").press("Enter")
    question.get_by_role("button", name="Stop here").press("Enter")
    expect(told(root)).to_contain_text("1 that went wrong")


def test_from_the_disk_it_asks_too(page, site, open_widgets):
    open_widgets(page, site.file(PAGE))
    page.get_by_role("combobox").select_option("all")
    begin(page.locator("[data-lm-widget='review']"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_all_parts_fit_and_are_accessible(new_page, review, width, theme):
    page = new_page(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    root = review({QUIZ.id: entry(QUIZ, "wrong", 1)}, on=page)
    question = begin(root)
    answer(question, QUIZ, right=False)
    question.get_by_role("button", name="Check").press("Enter")
    root.get_by_role("button", name="Draw twenty questions").press("Enter")
    for _ in range(2):
        root.get_by_role("button", name="Hand in").press("Enter")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page, "[data-lm-widget='review']")
