"""Progress is remembered in the browser, shown in the contents, exported, imported, forgotten."""

import json

import pytest
from looks import assert_accessible
from playwright.sync_api import Page, expect

from lmbook.exercises import check, exercise, load, results, save_results

PAGE, OTHER = "chapters/01_probability.html", "chapters/02_tokens.html"
REVIEW = "chapters/review.html"
KEY, COPY = "lm-book-progress", "lm-book-progress-damaged"
TOTAL = len(load("probability").exercises)
DONE = {"state": "right", "answer": "4", "print": exercise("probability-1").page()["print"], "at": 1}
CHANGED = DONE | {"print": "0"}


def stored(page: Page, key: str = KEY):
    text = page.evaluate(f"() => localStorage.getItem('{key}')")
    return json.loads(text) if text and key == KEY else text


def fill(page: Page, text: str, key: str = KEY) -> None:
    page.evaluate("([key, text]) => localStorage.setItem(key, text)", [key, text])


def badge(page: Page, path: str = "01_probability"):
    return page.locator(f".bd-links a[href$='{path}.html'] + .lm-done, .bd-links li.current > .lm-done").first


def solve_first(page: Page) -> None:
    card = page.locator(".lmw-cards > li").first
    card.locator(".lmw-card").click()
    card.get_by_role("textbox").fill("4")
    card.get_by_role("textbox").press("Enter")
    expect(card.locator(".lmw-verdict")).to_have_attribute("data-state", "right")


def open_panel(page: Page) -> None:
    page.locator(".lm-progress summary").click()


def test_what_was_done_is_there_again_and_in_the_contents(page, site, open_widgets):
    open_widgets(page, site.http(PAGE))
    solve_first(page)
    expect(badge(page)).to_contain_text(f"1/{TOTAL} · quiz 0/{len(load('probability').quiz)}")
    assert stored(page)["done"]["probability-1"]["answer"] == "4"
    page.goto(site.http(OTHER), wait_until="networkidle")
    expect(badge(page)).to_contain_text(f"1 of {TOTAL} exercises done")
    open_widgets(page, site.http(PAGE))
    card = page.locator(".lmw-cards > li").first
    expect(card.locator(".lmw-mark")).to_contain_text("✓")
    card.locator(".lmw-card").click()
    expect(card.get_by_role("textbox")).to_have_value("4")
    expect(card.locator(".lmw-verdict")).to_have_attribute("data-state", "right")


def test_the_place_in_the_book_is_offered_again(page, site):
    page.goto(site.http(PAGE), wait_until="networkidle")
    page.locator("#the-zero-problem").scroll_into_view_if_needed()
    page.locator("#the-zero-problem").evaluate("(section) => section.scrollIntoView()")
    page.wait_for_function(f"() => (localStorage.getItem('{KEY}') ?? '').includes('the-zero-problem')")
    page.goto(site.http(OTHER), wait_until="networkidle")
    link = page.locator(".lm-progress-place a")
    expect(link).to_contain_text("The zero problem")
    link.click()
    page.wait_for_url("**/01_probability.html#the-zero-problem")


def test_a_look_into_the_glossary_is_no_place_to_go_on_at(page, site):
    page.goto(site.http(PAGE), wait_until="networkidle")
    page.locator("#the-zero-problem").evaluate("(section) => section.scrollIntoView()")
    page.wait_for_function(f"() => (localStorage.getItem('{KEY}') ?? '').includes('the-zero-problem')")
    page.goto(site.http("chapters/notation.html"), wait_until="networkidle")
    page.evaluate("scrollTo(0, 2000)")
    page.wait_for_timeout(1000)  # a place is stored after 600 ms
    page.reload()
    expect(page.locator(".lm-progress-place a")).to_contain_text("The zero problem")


def test_what_a_review_has_found_outlives_the_chapter_and_bad_values_do_not(page, site):
    page.goto(site.http(PAGE), wait_until="networkidle")
    fill(
        page,
        json.dumps({"version": 1, "done": {"a": CHANGED | {"passed": 2}, "b": CHANGED | {"passed": "2"}}}),
    )
    page.reload()
    record = "(name) => lmProgress.record(name, { state: 'right', answer: '5', print: '0' })"
    for name, passed in (("a", 2), ("b", None)):
        page.evaluate(record, name)
        assert stored(page)["done"][name].get("passed") == passed
    page.evaluate("() => lmProgress.record('a', { state: 'right', answer: '5', print: 'new' })")
    assert "passed" not in stored(page)["done"]["a"]


def test_export_forget_import(page, site, open_widgets, tmp_path):
    open_widgets(page, site.http(PAGE))
    solve_first(page)
    open_panel(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    file = tmp_path / "progress.json"
    download.value.save_as(file)
    assert list(json.loads(file.read_text())["done"]) == ["probability-1"]

    page.get_by_role("button", name="Forget").press("Enter")
    assert stored(page)  # not at the first press
    page.get_by_role("button", name="Forget everything?").press("Enter")
    assert stored(page) is None
    expect(badge(page)).to_have_text("")
    expect(page.locator(".lmw-cards > li").first.locator(".lmw-mark")).to_have_text("")

    page.locator(".lm-progress-import").set_input_files(file)
    expect(page.locator(".lm-progress-said")).to_contain_text(
        "progress.json holds 1 answer; 1 of them taken over."
    )
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")
    expect(page.locator(".lmw-cards > li").first.locator(".lmw-mark")).to_contain_text("✓")


def test_a_file_of_something_else_changes_nothing(page, site, tmp_path):
    page.goto(site.http(PAGE), wait_until="networkidle")
    open_panel(page)
    for text, says in (
        ("not json", "other.json is damaged"),
        ("{}", "other.json holds no results"),
        ('{"version": 99, "done": {}}', "A newer edition of the book wrote other.json (version 99)"),
        ('{"version": 1, "done": 7}', "other.json holds no results"),
    ):
        (tmp_path / "other.json").write_text(text)
        page.locator(".lm-progress-import").set_input_files(tmp_path / "other.json")
        expect(page.locator(".lm-progress-said")).to_contain_text(says)
        page.locator(".lm-progress-said").evaluate("(said) => { said.textContent = ''; }")
    assert stored(page) is None


@pytest.mark.parametrize("text", ["{not json", "[]", '{"version": 0}', '{"version": 1}', "null"])
def test_damaged_data_starts_again_and_keeps_a_copy(page, site, text):
    page.goto(site.http(PAGE), wait_until="networkidle")
    fill(page, text)
    page.goto(site.http(OTHER), wait_until="networkidle")
    open_panel(page)
    expect(page.locator(".lm-progress-note")).to_contain_text("could not be read")
    assert stored(page, COPY) == text
    assert stored(page)["done"] == {}


def test_entries_of_another_edition_do_no_harm(page, site, open_widgets):
    page.goto(site.http(PAGE), wait_until="networkidle")
    done = {
        "probability-1": CHANGED,
        "probability-999": DONE,
        "poetry-3": DONE,
        "probability-2": {"state": "odd"},
    }
    place = {"page": "99_gone", "anchor": "x", "title": "Gone", "at": 5}
    fill(page, json.dumps({"version": 1, "done": done, "place": place}))
    open_widgets(page, site.http(PAGE))
    expect(badge(page)).to_have_text("")  # what was answered is no longer what is asked
    expect(page.locator(".lm-progress-place")).to_have_text("")
    card = page.locator(".lmw-cards > li").first
    card.locator(".lmw-card").click()
    expect(card).to_contain_text("This exercise has changed since you did it.")
    expect(card.get_by_role("textbox")).to_have_value("")


@pytest.mark.parametrize(
    ("seed", "kept"), [(7, True), ("7", False), (-1, False), (0.5, False), (2**32, False)]
)
def test_the_seed_of_the_order_of_choices_is_kept_if_it_is_one(page, site, open_widgets, seed, kept):
    page.goto(site.http(OTHER), wait_until="networkidle")
    fill(page, json.dumps({"version": 1, "seed": seed, "done": {"probability-1": DONE}, "place": None}))
    open_widgets(page, site.http(PAGE))
    page.locator(".lmw-cards > li").last.locator(".lmw-card").click()
    now = stored(page)
    assert "probability-1" in now["done"]
    assert (now["seed"] == seed) == kept
    assert 0 < now["seed"] < 2**32
    assert isinstance(now["seed"], int)


def test_with_storage_switched_off_it_says_so_and_lasts_as_long_as_the_page(new_page, site, open_widgets):
    page = new_page()
    page.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, "
        "{ configurable: true, get() { throw new DOMException('denied', 'SecurityError'); } });"
    )
    open_widgets(page, site.http(PAGE))
    open_panel(page)
    expect(page.locator(".lm-progress-note")).to_contain_text("stores nothing")
    solve_first(page)
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")


def test_a_full_storage_is_no_error(new_page, site, open_widgets):
    page = new_page()
    page.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
    )
    open_widgets(page, site.http(PAGE))
    solve_first(page)
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")


@pytest.mark.parametrize("refused", [KEY, COPY], ids=["no room at all", "none for a copy"])
def test_a_full_storage_that_is_damaged_is_no_error_and_stays_as_it_is(new_page, site, open_widgets, refused):
    page = new_page()
    page.goto(site.http(PAGE), wait_until="networkidle")
    fill(page, "{damaged")
    page.add_init_script(f"""
      const put = Storage.prototype.setItem;
      Storage.prototype.setItem = function (key, text) {{
        if (key.startsWith('{refused}')) throw new DOMException('full', 'QuotaExceededError');
        put.call(this, key, text);
      }};
    """)
    open_widgets(page, site.http(PAGE))
    expect(page.locator(".lm-progress-note")).to_contain_text("could not be read")
    solve_first(page)
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")
    assert page.evaluate(f"localStorage.getItem('{KEY}')") == "{damaged"


def test_two_tabs_do_not_forget_for_each_other(new_page, site, open_widgets):
    first = new_page()
    open_widgets(first, site.http(PAGE))
    second = first.context.new_page()
    open_widgets(second, site.http(PAGE))
    solve_first(first)
    card = second.locator(".lmw-cards > li").nth(6)
    card.locator(".lmw-card").click()
    card.get_by_role("textbox").fill("0.5")
    card.get_by_role("textbox").press("Enter")
    expect(card.locator(".lmw-verdict")).to_have_attribute("data-state", "right")
    expect(badge(first)).to_contain_text(f"2/{TOTAL}")  # the other tab's storage has come
    assert set(stored(first)["done"]) == {"probability-1", "probability-7"}


def test_the_contents_count_only_what_is_still_asked(page, site):
    page.goto(site.http(OTHER), wait_until="networkidle")
    sheet = load("probability")
    prints = {item.id: item.page()["print"] for item in (*sheet.exercises[:3], *sheet.quiz[:2])}
    done = {name: DONE | {"print": told} for name, told in prints.items()}
    done[sheet.exercises[1].id] = done[sheet.quiz[1].id] = CHANGED
    done[sheet.exercises[2].id]["state"] = "wrong"
    fill(page, json.dumps({"version": 1, "done": done}))
    page.reload()
    expect(badge(page)).to_contain_text(f"1/{TOTAL} · quiz 1/{len(sheet.quiz)}")


def test_results_of_a_notebook_are_opened_and_what_was_here_is_saved_with_them(
    page, site, open_widgets, tmp_path, monkeypatch
):
    monkeypatch.setattr(results, "_done", {})
    check("probability-1", 4)
    check("probability-5", lambda logits, ids: 0)
    save_results(tmp_path / "results.json")
    open_widgets(page, site.http(REVIEW))
    page.evaluate("() => lmProgress.record('tokens-1', { state: 'wrong', answer: '7', print: 'p' })")
    files = page.locator(".lmw-files")
    files.get_by_label("Open a file").set_input_files(tmp_path / "results.json")
    expect(files.get_by_role("status")).to_contain_text("results.json holds 2 answers; 2 of them taken over.")
    expect(page.get_by_role("row", name=load("probability").title)).to_contain_text(f"1 of {TOTAL}")
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")
    with page.expect_download() as download:
        files.get_by_role("button", name="Save as a file").press("Enter")
    download.value.save_as(tmp_path / "back.json")
    monkeypatch.setattr(results, "_done", {})
    told = results.load_results(tmp_path / "back.json")
    assert told.startswith("Read 3 answers")
    assert results._done["tokens-1"]["answer"] == "7"
    (tmp_path / "odd.json").write_text("[")
    files.get_by_label("Open a file").set_input_files(tmp_path / "odd.json")
    expect(files.get_by_role("status")).to_have_text(
        "odd.json is damaged, or no file of results. Nothing was changed."
    )
    assert set(stored(page)["done"]) == {"probability-1", "probability-5", "tokens-1"}


def test_a_storage_without_room_still_shows_what_it_holds_and_can_be_emptied(new_page, site, open_widgets):
    page = new_page()
    page.goto(site.http("404.html"))
    fill(page, json.dumps({"version": 1, "done": {"probability-1": DONE}}))
    page.evaluate(
        """() => {
          let text = 'x'.repeat(2 ** 22);
          for (let n = 0; text; n++) {
            try { localStorage.setItem(`filler-${n}`, text); }
            catch { text = text.slice(0, text.length / 2); }
          }
        }"""
    )
    open_widgets(page, site.http(PAGE))
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")
    card = page.locator(".lmw-cards > li").nth(6)
    card.locator(".lmw-card").click()
    card.get_by_role("textbox").fill("0.5")
    card.get_by_role("textbox").press("Enter")
    expect(badge(page)).to_contain_text(f"2/{TOTAL}")
    open_panel(page)
    expect(page.locator(".lm-progress-note")).to_contain_text("“Save as a file” keeps it.")
    page.reload()
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")
    open_panel(page)
    page.get_by_role("button", name="Forget").press("Enter")
    page.get_by_role("button", name="Forget everything?").press("Enter")
    page.reload()
    expect(badge(page)).to_have_text("")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel_is_accessible(new_page, site, theme):
    page = new_page(color_scheme=theme)
    page.goto(site.http(PAGE), wait_until="networkidle")
    done = {"probability-1": DONE}
    place = {"page": "01_probability", "anchor": "counting", "title": "Tokens: Byte pairs", "at": 5}
    fill(page, json.dumps({"version": 1, "done": done, "place": place}))
    page.reload()
    open_panel(page)
    expect(page.locator(".lm-progress-place a")).to_be_visible()
    assert_accessible(page, ".lm-sidebar")


def test_nothing_moves_when_progress_is_shown(new_page, site):
    page = new_page()
    page.goto(site.http(OTHER), wait_until="networkidle")
    place = {
        "page": "01_probability",
        "anchor": "counting",
        "title": "The probability of a sentence: Counting",
        "at": 5,
    }
    fill(page, json.dumps({"version": 1, "done": {"probability-1": DONE}, "place": place}))
    page.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => { for (const e of list.getEntries()) "
        "window.shifts += e.sources.some((s) => s.node?.parentElement?.closest('.lm-sidebar')) ? 1 : 0; })"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(site.http(OTHER), wait_until="networkidle")
    expect(badge(page)).to_contain_text(f"1/{TOTAL}")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("() => window.shifts") == 0
