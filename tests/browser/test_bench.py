"""The playground as a bench, by keyboard: order, penalties, n-best, stop strings, judge, two sides."""

import math
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from looks import assert_fits
from playground_page import Net, Playground
from playwright.sync_api import Page, expect
from widget_page import served

from lmbook import NGramLM, ToyLanguage, beam_search, greedy_decode
from lmbook.training.recipes import load_trained
from lmbook.widgets import Playground as PlaygroundWidget
from lmbook.widgets import PlaygroundModel
from lmbook.widgets.packing import rounded

PROMPTS = {"Animals": "the gulls that follow the crab", "Shakespeare": "HAMLET:\nTo be, or not to be"}
COUNTED = "Shakespeare, counted"


@pytest.fixture(scope="module")
def python() -> SimpleNamespace:
    """The widget, and its models as the page has them."""
    language = ToyLanguage()
    toy, _ = load_trained("toy-causal")
    bard, characters = load_trained("shakespeare")
    ids = torch.tensor(characters.encode("To be, or not to be: that is the question.\n" * 9))
    counter = NGramLM(3, characters.vocab_size).fit(ids)
    models = {"Animals": (toy, language), "Shakespeare": (bard, characters)}
    entries = [
        PlaygroundModel(name=name, model=model, tokenizer=tokenizer, prompts=[PROMPTS[name]])
        for name, (model, tokenizer) in models.items()
    ]
    entries.append(
        PlaygroundModel(name=COUNTED, model=counter, tokenizer=characters, prompts=["To"], ids=ids)
    )
    widget = PlaygroundWidget(entries)
    nets = {
        name: Net(rounded(model).double().requires_grad_(False).eval(), tokenizer)
        for name, (model, tokenizer) in models.items()
    }
    return SimpleNamespace(widget=widget, nets=nets, language=language)


@pytest.fixture(scope="module")
def site(python, tmp_path_factory) -> Iterator[SimpleNamespace]:
    with served({"playground": python.widget}, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def playground(page, site, python, open_widgets) -> Callable[..., Playground]:
    def open_playground(on: Page = page, link: str = "") -> Playground:
        open_widgets(on, site.http("index.html") + link)
        one = Playground(on, python.nets, python.widget.about)
        expect(one.button("Step")).to_be_enabled()
        return one

    return open_playground


def turn(one: Playground, key: str, value: float) -> None:
    """A slider to a place of its own, as a hand would put it there."""
    one.dial(key).evaluate(
        "(dial, value) => { dial.value = value; dial.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )
    one.settings[key] = value


def side(one: Playground, name: str) -> list[str]:
    return one.find(f"[data-side={name}] .lmp-token").all_text_contents()


class TestFilters:
    def test_in_any_order(self, playground):
        """By its buttons a filter changes places; the focus goes with it, and the numbers follow."""
        one = playground()
        turn(one, "temperature", 2)
        turn(one, "p", 0.6)
        before = one.check(PROMPTS["Animals"], [])
        left = one.root.get_attribute("data-left")
        earlier = one.button("Top-p: earlier")
        for place in (5, 4):
            one.press(earlier)
            order = one.find(".lmp-chain li").evaluate_all("(all) => all.map((one) => one.dataset.filter)")
            assert order.index("p") == place
            one.settings["order"] = order
            expect(earlier).to_be_focused()
        assert one.check().rows != before.rows
        assert int(one.root.get_attribute("data-left")) < int(left)  # the cut finds less without the heat
        for _ in range(6):
            one.press(earlier)
        expect(earlier).to_have_attribute("aria-disabled", "true")
        expect(earlier).to_be_focused()
        one.press("Set to rest")
        one.settings |= {"temperature": 1.0, "p": 1.0}
        order = one.find(".lmp-chain li").evaluate_all("(all) => all.map((one) => one.dataset.filter)")
        assert order.index("p") == 6

    def test_penalties_of_the_prompt_or_of_the_text(self, playground):
        one = playground()
        turn(one, "repetition", 2)
        turn(one, "frequency", 0.5)
        for scope, label in (("all", "prompt too"), ("written", "text only")):
            one.press(one.root.get_by_label(label, exact=True), "Space")
            one.settings["scope"] = scope
            one.check()
            one.press("Step")
            one.check()
        one.strategy("greedy")
        one.check()
        assert one.dial("temperature").is_hidden()
        turn(one, "noRepeat", 2)
        one.press("Step")
        one.check()

    def test_top_n_sigma(self, playground):
        one = playground()
        turn(one, "sigma", 0.8)
        one.check()
        assert int(one.root.get_attribute("data-left")) < 87


class TestWriting:
    def test_greedy_goes_round_and_sampling_finds_a_way_out(self, playground):
        """Past the model's context of 128 letters: both go on, with what Python expects there."""
        one = playground()
        one.choose("Shakespeare")
        one.strategy("greedy")
        one.press("Play")
        one.find(".lmp-token").nth(140).wait_for(timeout=60_000)
        one.press("Stop")
        view = one.check(PROMPTS["Shakespeare"])
        net, start = one.nets["Shakespeare"], len(PROMPTS["Shakespeare"])
        ids = torch.tensor([view.ids[:start]])
        best = greedy_decode(net.model, ids, 128 - start)[0].tolist()
        assert view.ids[:128] == best
        text = net.tokenizer.decode(view.ids)
        assert text.count(text[-20:]) > 1  # it goes round
        one.strategy("sample")
        written = view.ids
        for _ in range(12):
            expected = one.drawn(written, start)
            one.press("Step")
            expect(one.find(".lmp-token")).to_have_count(len(written) + 1 - start)
            written = one.view().ids
            assert written[-1] == expected
        one.check(PROMPTS["Shakespeare"])
        one.press("Undo")
        assert len(one.view().ids) == len(written) - 1

    def test_what_play_wrote_is_undone_at_once(self, playground):
        one = playground()
        one.press("Step")
        one.press("Play")
        one.find(".lmp-token").nth(5).wait_for()
        one.press("Stop")
        one.press("Undo")
        expect(one.find(".lmp-token")).to_have_count(1)

    def test_a_stop_string_ends_play(self, playground):
        one = playground()
        one.press(one.find("[data-stop]"))
        one.page.keyboard.insert_text("zz|.")
        one.press("Play")
        expect(one.said).to_have_text("“.” is written, so the text ends before it.")
        tokens = one.view().tokens
        assert tokens[-1].strip() == "."
        assert "." not in "".join(tokens[:-1])
        assert one.button("Play").is_enabled()
        one.press("Play")  # goes on, to the next one
        expect(one.find(".lmp-token").nth(len(tokens))).to_be_visible()
        expect(one.button("Play")).to_be_enabled()
        assert "".join(one.view().tokens).count(".") == 2

    def test_log_p_of_each_token(self, playground, python):
        one = playground()
        turn(one, "temperature", 0.5)
        for _ in range(4):
            one.press("Step")
        one.press(one.find("summary"))
        view, net = one.view(), one.nets["Animals"]
        rows = one.find(".lmp-logs tbody tr").evaluate_all(
            "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.replace('−', '-')))"
        )
        start = len(view.ids) - 4
        model, drawn, exact = [], [], []
        for t in range(start, len(view.ids)):
            logits = net.logits(view.ids[:t])
            model.append(float(logits.log_softmax(-1)[view.ids[t]]))
            drawn.append(float(one.after(logits, view.ids[:t], start).log()[view.ids[t]]))
            texts = [torch.tensor([view.ids[:n]]) for n in (t, t + 1)]
            exact.append(float(python.language.log_prob(texts[1]) - python.language.log_prob(texts[0])))
        told = [[float(cell) for cell in row[1:]] for row in rows]
        want = [list(row) for row in zip(model, drawn, exact, strict=True)]
        want.append([sum(column) for column in (model, drawn, exact)])
        torch.testing.assert_close(torch.tensor(told), torch.tensor(want), atol=2e-4, rtol=0)

    def test_the_best_of_a_beam(self, playground):
        one = playground()
        one.strategy("beam")
        turn(one, "beams", 3)
        turn(one, "length", 5)
        one.press("Search")
        expect(one.find(".lmp-token")).to_have_count(5)
        net = one.nets["Animals"]
        start = net.tokenizer.encode(PROMPTS["Animals"])
        texts, scores = beam_search(net.model, torch.tensor([start]), 3, 5, num_return_sequences=3)
        shown = one.find(".lmp-found li button")
        told = [float(text.replace("−", "-")) for text in shown.locator(".lmw-num").all_text_contents()]
        assert told == pytest.approx(scores.tolist(), abs=0.0051)
        words = [text.strip() for text in shown.locator("b").all_text_contents()]
        assert words == [net.tokenizer.decode(ids[len(start) :].tolist()) for ids in texts]
        one.press(shown.first, "ArrowDown", "Enter")
        expect(one.find(".lmp-text")).to_have_text(net.tokenizer.decode(texts[1].tolist()))
        one.check(PROMPTS["Animals"], texts[1, len(start) :].tolist())
        expect(shown).to_have_count(3)
        one.press("Undo")
        one.check(PROMPTS["Animals"], texts[0, len(start) :].tolist())
        expect(one.find(".lmp-found")).to_be_hidden()


class TestJudge:
    def test_marks_the_first_impossible_word(self, playground, python):
        one = playground()
        turn(one, "temperature", 2)
        for _ in range(25):
            one.press("Step")
        expect(one.find(".lmp-token")).to_have_count(25)
        ids = one.view().ids
        start = len(ids) - 25
        possible = [
            math.isfinite(float(python.language.log_prob(torch.tensor([ids[: t + 1]]))))
            for t in range(start, len(ids))
        ]
        first = possible.index(False)
        marked = one.find(".lmp-token").evaluate_all(
            "(all) => all.flatMap((one, i) => one.matches('.lmp-impossible') ? [i] : [])"
        )
        assert marked == [first]
        word = python.language.vocab[ids[start + first]]
        said = f"The exact language can’t produce word {first + 1}, “{word}”, here."
        assert one.view().tally.endswith(said)
        label = one.find(".lmp-token").nth(first).get_attribute("aria-label")
        assert label.endswith(", impossible in the exact language")

    def test_says_when_all_is_possible_or_the_prompt_is_not(self, playground):
        one = playground()
        one.press("Step")
        assert one.view().tally.endswith("The exact language can produce all of it.")
        one.type("the the")
        one.press("Step")
        assert one.view().tally.endswith("The exact language can’t produce the prompt.")
        one.choose("Shakespeare")
        one.press("Step")
        assert "exact language" not in one.view().tally


class TestTwoSides:
    def test_the_same_settings_have_the_same_luck(self, playground):
        one = playground()
        one.press("Step")
        one.press("Compare")
        for _ in range(6):
            one.press("Step")
        expect(one.find("[data-side=B] .lmp-token")).to_have_count(7)
        assert side(one, "A") == side(one, "B")
        one.press("New dice")
        one.settings["seed"] = 2
        one.press("Step")
        expect(one.find("[data-side=B] .lmp-token")).to_have_count(8)
        assert side(one, "A") == side(one, "B")

    def test_other_settings_draw_with_the_same_numbers(self, playground):
        one = playground()
        net, start = one.nets["Animals"], one.nets["Animals"].tokenizer.encode(PROMPTS["Animals"])
        one.press("Compare")
        turn(one, "temperature", 1.8)
        texts = {}
        for _ in range(12):
            one.press("Step")
        expect(one.find("[data-side=B] .lmp-token")).to_have_count(12)
        for name, tau in (("A", 1.0), ("B", 1.8)):
            one.settings["temperature"] = tau
            ids = list(start)
            for _ in range(12):
                ids.append(one.drawn(ids))
            whole, begin = net.tokenizer.decode(ids), net.tokenizer.decode(start)
            texts[name] = whole[len(begin) :].strip()
            assert "".join(side(one, name)).strip() == texts[name]
        assert texts["A"] != texts["B"]

    def test_link_undo_and_ending_it(self, playground, new_page):
        one = playground()
        one.press("Step")
        one.press("Compare")
        turn(one, "k", 1)
        one.press(one.find("[data-stop]"))
        one.page.keyboard.insert_text(".")
        for _ in range(4):
            one.press("Step")
        expect(one.find("[data-side=B] .lmp-token")).to_have_count(5)
        texts = side(one, "A"), side(one, "B")
        one.press("Copy link")
        expect(one.said).to_contain_text("address bar")
        other = playground(new_page(), link=one.page.evaluate("location.hash"))
        expect(other.find("[data-side=B] .lmp-token")).to_have_count(5)
        assert (side(other, "A"), side(other, "B")) == texts
        assert other.dial("k").get_attribute("aria-valuetext") == "off"  # A is in sight
        other.press(other.root.get_by_label("A", exact=True), "ArrowRight")
        expect(other.dial("k")).to_have_attribute("aria-valuetext", "1")
        expect(other.find("[data-stop]")).to_have_value(".")
        one.press("Undo")
        expect(one.find("[data-side=B] .lmp-token")).to_have_count(4)
        expect(one.find("[data-side=A] .lmp-token")).to_have_count(4)
        one.press("Keep B only")
        expect(one.find("[data-side]")).to_have_count(1)
        assert [text.strip() for text in one.view().tokens] == [text.strip() for text in texts[1][:4]]
        one.settings["k"] = 1
        one.check(PROMPTS["Animals"])

    def test_a_token_of_the_other_side(self, playground):
        """A click on a token shows the distribution there, of its own side."""
        one = playground()
        one.press("Compare")
        turn(one, "k", 1)
        for _ in range(3):
            one.press("Step")
        one.press(one.find("[data-side=A] .lmp-token[tabindex='0']"), "Home", "Enter")
        expect(one.root.get_by_label("A", exact=True)).to_be_checked()
        assert one.view().title.startswith("In place of “")
        one.settings["k"] = 0
        assert one.view().title.endswith("87 of 87 left")

    @pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
    def test_fits_and_is_accessible(self, playground, new_page, width, theme):
        phone = width < 640
        one = playground(
            new_page(
                viewport={"width": width, "height": 844},
                has_touch=phone,
                color_scheme=theme,
                reduced_motion="reduce",
            )
        )
        turn(one, "temperature", 2)
        one.press("Compare")
        for _ in range(12):
            one.press("Step")
        one.press(one.find("summary"))
        assert_fits(one.page, "playground", lowest=34 if phone else 0)
        one.strategy("beam")
        one.press("Step")
        expect(one.find(".lmp-found li")).to_have_count(4)
        assert_fits(one.page, "playground", lowest=34 if phone else 0)


def test_a_model_that_is_not_loaded_leaves_no_numbers_behind(playground):
    one = playground()
    one.press("Step")
    assert one.root.get_attribute("data-ids")
    one.choose("SmolLM2")
    expect(one.said).to_have_text("Load it first.")
    for name in ("data-ids", "data-left", "data-cursor"):
        assert one.root.get_attribute(name) is None
    assert re.match("Next token: the prompt can’t be read yet", one.view().title)
