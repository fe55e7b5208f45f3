"""The three widgets on the built pages, worked by keyboard and by touch; all numbers as Python has them.

What Python should say is computed from the state that the page itself carries, so the chapters may choose
other prefixes, sentences and passages freely.
"""

import base64
import json
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from looks import PHONE, assert_fits
from playwright.sync_api import Locator, Page

from lmbook.ngram import NGramLM
from lmbook.toy import ToyLanguage
from lmbook.widgets.base import split_words

PLACES = {
    "next-token": ("chapters/index.html", "NextTokenDemo"),
    "chain-rule": ("chapters/01_probability.html", "ChainRuleExplorer"),
    "shannon": ("chapters/01_probability.html", "ShannonGame"),
}
EXPOSED, SHOWN = 1e-6, 0.00005001  # tolerances: of data attributes; of four digits after the point


class Widget:
    """One widget on an open page: its root element, its saved state, and Python's idea of its models."""

    def __init__(self, page: Page, root: Locator, saved: dict):
        self.page, self.root, self.state = page, root, saved["state"]
        self.language = ToyLanguage()
        if "vocab" not in self.state:
            return
        packed = next(b["data"] for b in saved["buffers"] if b["path"] == ["ids"])
        ids = np.frombuffer(base64.b64decode(packed), dtype=np.uint8).astype(np.int64)
        self.ids = torch.from_numpy(ids).view(-1, self.state["row_length"])
        self.fitted: dict[int, NGramLM] = {}

    def words(self, text: str) -> list[int]:
        return [self.language.vocab.index(word) for word in split_words(text)]

    def exact(self, prefix: list[int]) -> torch.Tensor:
        state = self.language.states(torch.tensor([prefix], dtype=torch.int64))[0, -1]
        return self.language.log_probs[state]

    def ngram(self, prefix: list[int], order: int) -> torch.Tensor:
        if order not in self.fitted:
            self.fitted[order] = NGramLM(order, self.language.vocab_size).fit(self.ids)
        stop = self.language.vocab.index(".")
        return self.fitted[order](torch.tensor([[stop, *prefix]]))[0, -1]

    def find(self, selector: str) -> Locator:
        return self.root.locator(selector)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def tab_to(self, target: Locator, limit: int = 40) -> None:
        """Press Tab until `target` has the focus, starting from the widget's first control."""
        self.find(":is(input, select, button):not([disabled])").first.focus()
        for _ in range(limit):
            if target.evaluate("(node) => node === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"Tab never reached {target}")

    def press(self, name: str, key: str = "Enter") -> None:
        self.tab_to(self.button(name))
        self.page.keyboard.press(key)


@pytest.fixture
def widget(page, site, open_widgets) -> Callable[..., Widget]:
    def open_widget(name: str, on: Page = page, answer: str = "sleep") -> Widget:
        path, kind = PLACES[name]
        open_widgets(on, site.http(path))
        texts = on.locator('script[type="application/vnd.jupyter.widget-state+json"]').all_text_contents()
        saved = json.loads(texts[0])["state"].values()
        found = next(s for s in saved if s["state"].get("_anywidget_id", "").endswith(kind))
        root = on.locator(f"[data-lm-widget='{name}']").first
        if name == "next-token" and answer:  # it shows little before its question is answered
            root.locator(f"[data-choice={answer}]").click()
        return Widget(on, root, found)

    return open_widget


def number(text: str) -> float:
    """Read a number as the page writes it: "−1.25", "3.142e−6", "−∞"."""
    return float(text.strip().replace("−", "-").replace("∞", "inf"))


def assert_number(text: str, expected: float) -> None:
    """Assert that `text` shows `expected`: 0 and ∞ as such, else to four digits after the point or more."""
    shown = number(text)
    if expected in (0.0, math.inf, -math.inf):
        assert shown == expected
        return
    digits = re.search(r"\.(\d+)(e.\d+)?$", text.strip().replace("−", "-"))
    if shown != round(expected):
        assert digits, f"{text} shows too few digits of {expected}"
        assert len(digits[1]) >= (3 if digits[2] else 4), f"{text} shows too few digits of {expected}"
    tolerance = 0.0006 * abs(expected) if "e" in text else SHOWN
    assert shown == pytest.approx(expected, abs=tolerance)


class TestNextToken:
    def check(self, widget: Widget, prefix: str) -> None:
        """Assert that the widget shows `prefix`, and right numbers and the right words for it."""
        assert widget.root.get_attribute("data-prefix") == prefix
        ids = widget.words(prefix)
        p, q = widget.exact(ids).exp(), widget.ngram(ids, 2).exp()
        rows = widget.find("button.lmw-row").all()
        words = [widget.language.vocab.index(row.get_attribute("data-word")) for row in rows]
        asked = [w for w, row in zip(words, rows, strict=True) if "lmw-asked" in row.get_attribute("class")]
        assert len(asked) == (2 if prefix == widget.state["start"] else 0)
        others = set(range(len(p))) - set(words)
        height = torch.maximum(p, q)
        assert min(height[[w for w in words if w not in asked]]) >= max(height[list(others)])
        assert p[words].tolist() == sorted(p[words].tolist(), reverse=True)
        rest = widget.find("div.lmw-row")
        expected = [(p[w], q[w]) for w in words] + [(p[list(others)].sum(), q[list(others)].sum())]
        for row, (exact, bigram) in zip([*rows, rest], expected, strict=True):
            assert float(row.get_attribute("data-exact")) == pytest.approx(float(exact), abs=EXPOSED)
            assert float(row.get_attribute("data-bigram")) == pytest.approx(float(bigram), abs=EXPOSED)
            shown = row.locator(".lmw-num").all_text_contents()
            for text, value in zip(shown, (float(exact), float(bigram)), strict=True):
                assert number(text) == pytest.approx(value, abs=SHOWN)
                assert (text == "0") == (value == 0)

    def test_starts_where_python_says(self, widget):
        demo = widget("next-token")
        assert demo.find("input").input_value() == demo.state["prefix"]
        self.check(demo, demo.state["prefix"])

    def test_fits_above_the_fold(self, widget):
        assert widget("next-token").root.bounding_box()["height"] <= 610

    def test_the_answer_is_covered_until_one_is_chosen(self, widget):
        demo = widget("next-token", answer="")
        rows = demo.find("button.lmw-row:visible")
        assert rows.locator("b").all_inner_texts() == ["sleeps", "sleep"]
        assert rows.locator(".lmw-num").all_inner_texts() == ["?"] * 4
        shares = rows.locator(".lmw-bar").evaluate_all(
            "(all) => all.map((bar) => getComputedStyle(bar, '::before').width)"
        )
        assert shares == ["0px"] * 4
        assert "0." not in demo.root.inner_text() + str(rows.evaluate_all("(all) => all.map((n) => n.title)"))
        assert demo.find(".lmw-never").count() == demo.find("input:visible").count() == 0
        demo.page.wait_for_timeout(600)
        assert demo.find("[role=status]").inner_text() == ""

    def test_no_band_is_left_under_the_question(self, widget):
        demo = widget("next-token", answer="")
        hint, head = demo.find(".lmw-ask-said p").bounding_box(), demo.find(".lmw-head").bounding_box()
        assert head["y"] - hint["y"] - hint["height"] < 40

    def test_its_words_are_explained_where_they_stand(self, widget):
        demo = widget("next-token")
        heads = demo.find(".lmw-head > div").all_inner_texts()
        assert ["true probabilities" in heads[0], "counted word pairs" in heads[1]] == [True, True]
        assert [text.endswith("Draw a word") for text in heads] == [True, True]
        key, first = demo.find(".lmw-head s"), demo.find("button.lmw-row").first
        assert key.inner_text() == "Struck out"
        assert first.bounding_box()["y"] - key.bounding_box()["y"] < 80

    @pytest.mark.parametrize(("choice", "verdict"), [("sleep", "Yes: “sleep”"), ("sleeps", "Look again")])
    def test_its_question(self, widget, choice, verdict):
        demo = widget("next-token", answer="")
        said = demo.find(".lmw-ask-said")
        assert said.inner_text().startswith("Choose one")
        demo.press(choice)
        assert said.inner_text().startswith(verdict)
        assert "“sleeps” 0.0093, 1.8 times as much as “sleep”" in said.inner_text()
        for word in ("sleep", "sleeps"):
            assert "lmw-asked" in demo.find(f"[data-word={word}]").get_attribute("class")
        self.check(demo, demo.state["start"])
        demo.find("button.lmw-row").first.click()
        self.check(demo, demo.state["start"] + " swim")
        demo.press("Start again")
        assert said.inner_text().startswith(verdict)
        self.check(demo, demo.state["start"])

    def test_typing(self, widget):
        demo = widget("next-token")
        demo.find("input").focus()
        demo.page.keyboard.press("Control+a")
        demo.page.keyboard.type("The bears behind")
        self.check(demo, "the bears behind")
        demo.page.keyboard.type(" the oak  hide.")
        self.check(demo, "the bears behind the oak hide.")
        demo.page.keyboard.press("Control+a")
        demo.page.keyboard.press("Delete")
        self.check(demo, "")

    def test_choosing_words_by_keyboard(self, widget):
        demo = widget("next-token")
        demo.find("input").fill("the")
        first = demo.find("button.lmw-row").first
        demo.tab_to(first)
        demo.page.keyboard.press("ArrowDown")
        second = demo.find("button.lmw-row").nth(1)
        word = second.get_attribute("data-word")
        assert second.evaluate("(node) => node === document.activeElement")
        demo.page.keyboard.press("Enter")
        self.check(demo, f"the {word}")
        assert second.evaluate("(node) => node === document.activeElement"), "the focus stays in its place"
        demo.page.keyboard.press("Home")
        word_2 = first.get_attribute("data-word")
        demo.page.keyboard.press("Space")
        self.check(demo, f"the {word} {word_2}".replace(" .", "."))
        demo.page.keyboard.press("End")
        assert demo.find("button.lmw-row").last.evaluate("(node) => node === document.activeElement")

    def test_undo_and_start_again(self, widget):
        demo = widget("next-token")
        demo.find("input").fill("the wolf hides.")
        demo.press("Undo")
        self.check(demo, "the wolf hides")
        demo.press("Undo", "Space")
        self.check(demo, "the wolf")
        demo.find("input").fill("the wolf zebra")
        demo.press("Undo")
        assert demo.find("input").input_value() == "the wolf"
        demo.press("Start again")
        self.check(demo, demo.state["start"])
        demo.find("input").fill("")
        assert demo.button("Undo").is_disabled()

    @pytest.mark.parametrize("who", ["exact language", "bigram"])
    def test_samples_repeat_after_start_again(self, widget, who):
        demo = widget("next-token")
        texts = []
        for _ in range(2):
            demo.press("Start again")
            for _ in range(3):
                before = demo.words(demo.root.get_attribute("data-prefix"))
                demo.press(f"Draw a word from the {who}")
                text = demo.root.get_attribute("data-prefix")
                after = demo.words(text)
                log_probs = demo.exact(before) if who == "exact language" else demo.ngram(before, 2)
                assert after[:-1] == before
                assert log_probs[after[-1]] > -math.inf
                self.check(demo, text)
            texts.append(text)
        assert texts[0] == texts[1]

    def test_what_it_says_of_words_it_does_not_know(self, widget):
        demo = widget("next-token")
        message = demo.find(".lmw-message")
        demo.find("input").fill("the gulls that the wale follows")
        assert (
            message.inner_text()
            == "“wale” is not one of the 87 words of this language. Did you mean “whale”?"
        )
        self.check(demo, "the gulls that the")
        demo.find("input").fill("the wha")
        assert message.inner_text() == "… whale, whales"
        demo.find("input").fill("the the")
        assert "can’t produce these words (P = 0)" in message.inner_text()
        self.check(demo, "the the")
        demo.find("input").fill("<img src=x onerror=alert(1)>")
        assert "“<img” is not one of" in message.inner_text()
        assert demo.find("img").count() == 0


class TestChainRule:
    def check(self, widget: Widget, text: str, order: int, unit: str = "nats") -> None:
        scale = 1 / math.log(2) if unit == "bits" else 1
        ids = widget.words(text)
        rows = widget.find("tbody tr").all()
        assert [row.get_attribute("data-word") for row in rows] == [widget.language.vocab[i] for i in ids]
        exact_log = ngram_log = 0.0
        for t, (row, word) in enumerate(zip(rows, ids, strict=True)):
            exact, ngram = (float(x[word]) for x in (widget.exact(ids[:t]), widget.ngram(ids[:t], order)))
            exact_log = float(widget.language.log_prob(torch.tensor([ids[: t + 1]])))
            ngram_log += ngram
            expected = (math.exp(exact), math.exp(ngram), exact_log, ngram_log)
            names = ("data-exact", "data-ngram", "data-exact-log", "data-ngram-log")
            for name, value in zip(names, expected, strict=True):
                got = float(row.get_attribute(name).replace("Infinity", "inf"))
                assert got == pytest.approx(value, abs=EXPOSED), name
            shown = row.locator("td.lmw-num span").all_text_contents()
            for one, value in zip(shown, (*expected[:2], exact_log * scale, ngram_log * scale), strict=True):
                assert_number(one, value)
        product, perplexity = widget.find("tfoot tr").all()
        totals = (math.exp(exact_log), math.exp(ngram_log), exact_log * scale, ngram_log * scale)
        for one, value in zip(product.locator("span").all_text_contents(), totals, strict=True):
            assert_number(one, value)
        n = max(len(ids), 1)
        for one, log in zip(
            perplexity.locator("span").all_text_contents(), (exact_log, ngram_log), strict=True
        ):
            assert_number(one, math.exp(-log / n))
        for n, small in enumerate(widget.find("small[data-total]").all(), start=1):
            total = sum(float(widget.ngram(ids[:t], n)[word]) for t, word in enumerate(ids))
            assert float(small.get_attribute("data-total")) == pytest.approx(total, abs=EXPOSED)
            assert number(small.inner_text()) == pytest.approx(total * scale, abs=0.00501)

    def test_starts_where_python_says(self, widget):
        explorer = widget("chain-rule")
        state = explorer.state
        assert explorer.find("input[type=text]").input_value() == state["sentence"]
        self.check(explorer, state["sentence"], state["order"], state["unit"])

    def test_every_preset_by_keyboard(self, widget):
        explorer = widget("chain-rule")
        explorer.find("select").focus()
        explorer.page.keyboard.press("Home")
        for text in explorer.state["presets"]:
            explorer.page.keyboard.press("ArrowDown")
            assert explorer.find("input[type=text]").input_value() == text
            self.check(explorer, text, explorer.state["order"])

    def test_order_and_unit_by_keyboard(self, widget):
        explorer = widget("chain-rule")
        text, order = "the gulls that the whale follows dives.", explorer.state["order"]
        explorer.find("input[type=text]").fill(text)
        explorer.tab_to(explorer.find(f"input[value='{order}']"))
        for _ in range(5):
            explorer.page.keyboard.press("ArrowRight")
            order = order % 5 + 1
            self.check(explorer, text, order)
        explorer.tab_to(explorer.find("input[value=nats]"))
        explorer.page.keyboard.press("ArrowRight")
        self.check(explorer, text, order, "bits")
        explorer.page.keyboard.press("ArrowLeft")
        self.check(explorer, text, order, "nats")

    def test_building_a_sentence_by_keyboard(self, widget):
        explorer = widget("chain-rule")
        explorer.press("Clear")
        text = ""
        self.check(explorer, "", explorer.state["order"])
        for step in range(4):
            chips = explorer.find(".lmw-next-words button:visible")
            explorer.tab_to(chips.nth(0))
            if step % 2 and chips.count() > 1:
                explorer.page.keyboard.press("ArrowRight")
            word = explorer.page.evaluate("document.activeElement.textContent")
            explorer.page.keyboard.press("Enter")
            text = f"{text} {word}".strip().replace(" .", ".")
            self.check(explorer, text, explorer.state["order"])
            explorer.find("select").focus()  # the next Tab round begins at the first chip again
            explorer.page.keyboard.press("Tab")
            chips.nth(0).focus()
        explorer.press("Undo")
        self.check(explorer, text.rsplit(" ", 1)[0], explorer.state["order"])

    def test_says_where_and_why_they_part(self, widget):
        explorer = widget("chain-rule")
        explorer.find("input[type=text]").fill("the gulls that the whale follows dives.")
        explorer.find("input[value='3']").check(force=True)
        assert explorer.find("tr[data-widest]").get_attribute("data-word") == "dives"
        why = explorer.find(".lmw-why")
        assert "What decides is “gulls”, 5 words back: were it “gull”" in why.inner_text()
        prefix = explorer.words("the gull that the whale follows")
        alternative = math.exp(explorer.exact(prefix)[explorer.words("dives")[0]])
        assert f"would be {alternative:.4f}" in why.inner_text()
        explorer.tab_to(explorer.find("tbody button").nth(0))
        explorer.page.keyboard.press("End")
        explorer.page.keyboard.press("Enter")
        assert "have probability 0 already" in why.inner_text()
        explorer.page.keyboard.press("ArrowUp")
        explorer.page.keyboard.press("ArrowUp")
        explorer.page.keyboard.press("Space")
        assert why.inner_text().startswith("“follows”: the exact probability is")
        assert explorer.find("tr[data-selected] button[aria-pressed=true]").inner_text().startswith("follows")

    def test_unknown_words(self, widget):
        explorer = widget("chain-rule")
        explorer.find("input[type=text]").focus()
        explorer.page.keyboard.press("Control+a")
        explorer.page.keyboard.type("the gull and ☃<b>")
        assert "is not one of the 87 words" in explorer.find(".lmw-message").inner_text()
        self.check(explorer, "the gull and", explorer.state["order"])


class TestShannon:
    def check(self, widget: Widget, *played: list[int]) -> None:
        """Assert that the scores are those of the guesses `played`, a list for each passage so far."""
        passages = widget.state["passages"]
        guesses = [guess for one in played for guess in one]
        ranks = [r for one, data in zip(played, passages, strict=False) for r in data["ranks"][: len(one)]]
        log2 = [
            x for one, data in zip(played, passages, strict=False) for x in data["log2_probs"][: len(one)]
        ]
        n, data = len(guesses), passages[len(played) - 1]
        assert widget.root.get_attribute("data-played") == str(len(played[-1]))

        def bounds(found: list[int]) -> tuple[float, float]:
            q = [found.count(i) / n for i in range(1, 28)] + [0.0]
            upper = -sum(x * math.log2(x) for x in q if x)
            return upper, sum(i * (q[i - 1] - q[i]) * math.log2(i) for i in range(1, 28))

        expected = {"ngram-bits": -sum(log2) / n}
        for who, found in (("you", guesses), ("ngram", ranks)):
            expected[f"{who}-upper"], expected[f"{who}-lower"] = bounds(found)
            expected |= {f"{who}-first": found.count(1) / n, f"{who}-mean": sum(found) / n}
        for name, value in expected.items():
            cell = widget.find(f"[data-score={name}]")
            assert float(cell.get_attribute("data-value")) == pytest.approx(value, abs=EXPOSED), name
            assert number(cell.inner_text()) == pytest.approx(value, abs=SHOWN), name
            assert re.search(r"\.\d{4}$", cell.inner_text())
        whole = -sum(data["log2_probs"]) / len(data["log2_probs"])
        assert f"the n-gram’s cross-entropy is {whole:.4f} bits" in widget.root.inner_text()

    def letters(self, widget: Widget, passage: int = 0) -> str:
        data = widget.state["passages"][passage]
        return data["text"][data["given"] :]

    def test_playing_by_typing(self, widget):
        game = widget("shannon")
        game.tab_to(game.find(".lmw-text"))
        guesses = []
        for letter, wrong in zip(self.letters(game), ["", "q", "zq", "", "", "xjzqv", "z", ""], strict=False):
            tries = [w for w in wrong if w != letter]
            for key in [*tries, *tries, letter]:  # what was tried already isn't counted again
                game.page.keyboard.press("Space" if key == " " else key)
            guesses.append(len(tries) + 1)
        self.check(game, guesses)
        assert "too few for your bounds to mean much" in game.root.inner_text()
        game.press("Show the letter")
        self.check(game, [*guesses, 27])
        game.press("Start again")
        assert game.root.get_attribute("data-played") == "0"
        game.press("Show the letter")
        self.check(game, [27])

    def test_playing_with_the_buttons_by_keyboard(self, widget):
        game = widget("shannon")
        letter = self.letters(game)[0]
        game.tab_to(game.find(".lmw-key").first)
        keys = "qwertyuiopasdfghjklzxcvbnm "
        for _ in range(keys.index(letter)):
            game.page.keyboard.press("ArrowRight")
        game.page.keyboard.press("Enter")
        self.check(game, [1])

    def test_every_passage_to_its_end(self, widget):
        game, played = widget("shannon"), []
        for i in range(len(game.state["passages"])):
            game.find("select").focus()
            if i:
                game.page.keyboard.press("ArrowDown")
            game.find(".lmw-text").focus()
            text = self.letters(game, i)
            game.page.keyboard.type("z" + text if text[0] != "z" else text)
            first = 1 if text[0] == "z" else 2
            played.append([first] + [1] * (len(text) - 1))
            self.check(game, *played)
            assert "That was the last letter" in game.find(".lmw-message").inner_text()
            assert game.button("Show the letter").is_disabled()

    def test_playing_by_touch(self, widget, new_page):
        game = widget("shannon", on=new_page(**PHONE))
        guesses = []
        for letter in self.letters(game)[:7]:
            wrong = "q" if letter != "q" else "z"
            game.find(f"[data-letter='{wrong}']").tap()
            assert game.find(f"[data-letter='{wrong}']").get_attribute("aria-disabled") == "true"
            game.find(f"[data-letter='{letter}']").tap()
            guesses.append(2)
        self.check(game, guesses)
        assert "Right: " in game.find(".lmw-message").inner_text()


def work(widget: Widget, name: str) -> None:
    """Bring a widget into a state with messages, zeros and long lines."""
    if name == "next-token":
        widget.find("input").fill("the pelicans that the squirrel near the harbour follows wale")
        widget.find("button.lmw-row").first.focus()
    elif name == "chain-rule":
        widget.find("input[type=text]").fill(
            "the pelicans that the squirrels near the harbour follow grazes today."
        )
        widget.find("tbody button").nth(3).click()
    else:
        widget.find(".lmw-text").focus()
        widget.page.keyboard.type(
            widget.state["passages"][0]["text"][widget.state["passages"][0]["given"] :][:40]
        )
        widget.page.keyboard.type("qzxjv")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PLACES)
def test_fits_and_is_accessible_at_work(widget, new_page, name, theme):
    page = new_page(**PHONE, color_scheme=theme, reduced_motion="reduce")
    one = widget(name, on=page)
    work(one, name)
    assert_fits(page, name)


@pytest.mark.parametrize("name", PLACES)
def test_keys_stay_inside(widget, name):
    one = widget(name)
    one.page.evaluate("window.heard = 0; document.body.addEventListener('keydown', () => window.heard++)")
    for control in (
        "input >> nth=0",
        "select",
        "button:not([disabled]) >> nth=-1",
        "[tabindex='0'] >> nth=0",
    ):
        if one.find(control).count():
            one.find(control).focus()
            for key in ("ArrowDown", "ArrowUp", "x", "Home"):
                one.page.keyboard.press(key)
    assert one.page.evaluate("window.heard") == 0


@pytest.mark.parametrize("name", PLACES)
def test_results_are_spoken(widget, name):
    one = widget(name)
    work(one, name)
    one.page.wait_for_timeout(600)
    said = one.find("[role=status]").inner_text()
    expected = {"next-token": "“wale” is not one of", "chain-rule": "“the”: the exact", "shannon": "Guess 6"}[
        name
    ]
    assert expected in said


@pytest.mark.timed
@pytest.mark.parametrize("name", PLACES)
def test_answers_within_a_frame(widget, name):
    """The fastest of 15 changes, drawn and laid out, takes at most 16 ms; slower ones are noise."""
    one = widget(name)
    work(one, name)
    change = {
        "next-token": "(root, i) => { const field = root.querySelector('input');"
        "field.value = i % 2 ? 'the' : 'a gull'; field.dispatchEvent(new Event('input')); }",
        "chain-rule": "(root, i) => root.querySelector(`input[value='${1 + i % 5}']`).click()",
        "shannon": "(root, i) => root.querySelector(`[data-letter='${'abcdefghijklmnop'[i]}']`).click()",
    }[name]
    times = one.root.evaluate(
        f"""(root) => Array.from({{ length: 15 }}, (_, i) => {{
          const start = performance.now();
          ({change})(root, i);
          root.getBoundingClientRect();
          return performance.now() - start;
        }})"""
    )
    assert min(times) <= 16, times


@pytest.mark.parametrize("name", PLACES)
def test_two_views_share_a_model_and_clean_up(widget, name):
    one = widget(name)
    counts = one.page.evaluate(
        """(kind) => {
          const page = document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]');
          const all = Object.values(JSON.parse(page.textContent).state);
          const saved = all.find((s) => s.state._anywidget_id?.endsWith(kind));
          const state = { ...saved.state };
          for (const { data, path } of saved.buffers ?? [])
            state[path[0]] = new DataView(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
          const listeners = new Set();
          const model = { get: (k) => state[k], save_changes() {},
            set(k, v) { state[k] = v; for (const [n, f] of listeners) if (n === `change:${k}`) f(); },
            on(n, f) { listeners.add([n, f]); },
            off(n, f) { for (const l of listeners) if (l[0] === n && l[1] === f) listeners.delete(l); } };
          const view = lmViews[state._anywidget_id];
          const places = [document.createElement('div'), document.createElement('div')];
          document.body.append(...places);
          const stops = places.map((el) => view.render({ model, el }));
          const drawn = places.map((el) => el.querySelectorAll('.lmw').length);
          const field = places[0].querySelector('input[type=text]');
          if (field) { field.value = 'the wolf'; field.dispatchEvent(new Event('input')); }
          else {
            const { text, given } = state.passages[0];
            places[0].querySelector(`[data-letter='${text[given]}']`).click();
          }
          const shown = places.map((el) => el.querySelector('table, ol').innerText);
          stops.forEach((stop) => stop());
          const html = places.map((el) => el.innerHTML);
          return { drawn, same: shown[0] === shown[1], left: listeners.size, html };
        }""",
        PLACES[name][1],
    )
    assert counts == {"drawn": [1, 1], "same": True, "left": 0, "html": ["", ""]}
