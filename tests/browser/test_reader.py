"""A new reader's way: from the start page through the exercises of chapter 1, to the next day's review."""

from datetime import datetime, timedelta

from playwright.sync_api import expect

from lmbook.exercises import load
from lmbook.exercises.specification import LETTERS

SHEET = load("probability")
EVENING = datetime(2026, 3, 2, 20)
# As people type: what is not right, what can't be read, what is right.
TYPED = {
    "probability-1": [("2", "wrong"), ("four", "unreadable"), ("4.0", "right")],
    "probability-2": [("1 000", "wrong"), ("0,69", "right"), ("69 %", "right"), ("20/29", "right")],
    "probability-3": [("36,6 %", "right"), ("0.366", "right")],
    "probability-6": [("3/8", "right")],
    "probability-7": [("1", "wrong"), ("0.5 nats", "unreadable"), ("½ bit", "right"), ("0,5 bits", "right")],
    "probability-11": [("12", "wrong"), ("120 words", "right")],
    "probability-12": [("1,38", "right")],
    "probability-13": [("5 500", "right"), ("5,500 bytes", "right")],
    "probability-15": [("37.5 %", "right")],
    "probability-16": [("7/9", "right")],
}


def answered(card, typed: list[tuple[str, str]]) -> None:
    card.locator(".lmw-card").press("Enter")
    for text, state in typed:
        card.get_by_role("textbox").fill(text)
        card.get_by_role("textbox").press("Enter")
        expect(card.locator(".lmw-verdict"), text).to_have_attribute("data-state", state)


def test_from_the_start_page_to_the_next_days_review(page, site):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install(time=EVENING)
    page.goto(site.http("index.html"))
    page.locator(".bd-article a[href*='01_probability']").first.press("Enter")
    page.wait_for_url("**/01_probability.html")
    page.locator("#exercises").evaluate("(section) => section.scrollIntoView()")
    page.clock.run_for(1000)
    cards = page.locator(".lmw-cards > li")
    expect(cards).to_have_count(len(SHEET.exercises) + 1)
    assert {item.id for item in SHEET.exercises if item.kind == "number"} == set(TYPED)
    for place, item in enumerate(SHEET.exercises):
        if item.id in TYPED:
            answered(cards.nth(place), TYPED[item.id])
    quiz = cards.last
    quiz.locator(".lmw-card").press("Enter")
    for place, item in enumerate(SHEET.quiz):  # the first goes wrong
        letter = next(
            letter for letter, c in zip(LETTERS, item.choices, strict=False) if c.right == (place > 0)
        )
        question = quiz.locator(".lmw-quiz > li").nth(place)
        question.locator(f"input[value='{letter}']").press("Space")
        question.get_by_role("button", name="Check").press("Enter")
    most = len(SHEET.quiz)
    expect(quiz).to_contain_text(f"Answered {most} of {most}, {most - 1} right at the first try.")
    badge = page.locator(".bd-links .lm-done").first
    expect(badge).to_contain_text(f"{len(TYPED)}/{len(SHEET.exercises)} · quiz {most}/{most}")
    assert not [url for url in asked if "/_static/python/" in url]  # nothing of Python unless it is to run

    page.clock.set_fixed_time(EVENING + timedelta(hours=12))
    page.locator(".bd-links a[href$='review.html']").first.press("Enter")
    told = page.locator(".lmw-part-today [role='status']").first
    new, again = len(SHEET.exercises) - len(TYPED), len(TYPED) + most - 1
    expect(told).to_have_text(
        f"{new + again + 1} questions: 1 that went wrong, {new} not tried yet, {again} to repeat. "
    )
    page.get_by_role("button", name="Begin").press("Enter")
    expect(page.locator(".lmw-question")).to_have_attribute("data-id", SHEET.quiz[0].id)
    row = page.get_by_role("row", name=SHEET.title)
    expect(row).to_contain_text("2 March 2026")
