"""The playground page by keyboard: every number as PyTorch and lmbook have it on the page's own weights."""

import re
from types import SimpleNamespace

import pytest
import torch
from playground_page import NAMES, OWN, PLAIN, TEXT, Net, Playground
from playwright.sync_api import expect

from lmbook import NGramLM, beam_search, greedy_decode
from lmbook.tokenizer import PIECES


class TestEveryControl:
    @pytest.mark.parametrize("from_disk", [False, True], ids=["http", "file"])
    def test_each_model_and_each_prompt(self, playground, from_disk):
        one = playground(from_disk=from_disk)
        for name in NAMES:
            one.choose(name)
            prompts = one.about[name]["prompts"]
            assert one.field.input_value() == prompts[0]
            one.check(prompts[0], [])
            assert one.about[name]["note"] in one.root.inner_text()
            for prompt in prompts[1:]:
                one.press(one.find("select"), "ArrowDown")
                assert one.field.input_value() == prompt
                one.check(prompt, [])

    def test_a_prompt_of_ones_own(self, playground):
        one = playground()
        one.type("The many wolves hide. they")
        one.check("the many wolves hide. they", [])
        one.page.keyboard.type(" see")
        one.check("the many wolves hide. they see", [])
        assert one.find("select").input_value() == ""
        one.choose("Shakespeare, counted")
        one.type("")
        assert one.message.startswith("The prompt is empty: these are the shares in the text as a whole.")
        one.type("\nKING:\nq")
        one.check("\nKING:\nq", [])
        one.choose("Animals")  # each model keeps its own prompt
        one.check("the many wolves hide. they see", [])

    @pytest.mark.parametrize("name", NAMES)
    def test_step_draws_what_the_seed_says(self, playground, name):
        one = playground()
        one.choose(name)
        prompt, written = one.about[name]["prompts"][0], []
        start = one.nets[name].tokenizer.encode(prompt)
        for key in ("Enter", "Space", "Enter", "Enter"):
            written.append(one.drawn(start + written))
            one.press("Step", key)
            one.check(prompt, written)
        one.press("New dice")
        one.settings["seed"] = 2
        for _ in range(2):
            written.append(one.drawn(start + written))
            one.press("Step")
        one.check(prompt, written)
        one.press("Undo", "Enter", "Space")
        one.check(prompt, written[:-2])
        one.press("Start again")
        one.check(prompt, [])
        one.press("Undo")
        one.check(prompt, written[:-2])

    def test_play_and_stop(self, playground):
        one = playground()
        one.press("Play")
        one.find(".lmp-token").nth(3).wait_for()
        one.page.keyboard.press("Enter")
        expect(one.button("Play")).to_be_focused()
        view = one.view()
        one.page.wait_for_timeout(300)
        assert one.view().ids == view.ids
        prompt = one.about["Animals"]["prompts"][0]
        ids = one.nets["Animals"].tokenizer.encode(prompt)
        while len(ids) < len(view.ids):
            ids.append(one.drawn(ids))
        assert view.ids == ids
        one.check(prompt)

    def test_greedy(self, playground):
        one = playground()
        one.choose("Shakespeare")
        one.strategy("greedy")
        assert one.button("New dice").is_hidden()
        net, prompt = one.nets["Shakespeare"], one.about["Shakespeare"]["prompts"][0]
        for _ in range(6):
            one.press("Step")
        ids = torch.tensor([net.tokenizer.encode(prompt)])
        best = greedy_decode(net.model, ids, 6)[0, ids.shape[1] :].tolist()
        view = one.check(prompt, best)
        assert [row["after"] for row in view.rows] == [1.0] + [0.0] * 9

    @pytest.mark.parametrize("name", NAMES)
    def test_beam_search(self, playground, name):
        one = playground()
        one.choose(name)
        one.strategy("beam")
        net, prompt = one.nets[name], one.about[name]["prompts"][0]
        ids = torch.tensor([net.tokenizer.encode(prompt)])
        one.press(one.dial("beams"), "ArrowRight", "ArrowRight", "ArrowLeft")
        one.press(one.dial("length"), "Home", *["ArrowRight"] * 8)
        one.settings |= {"beams": 5, "length": 9}
        one.press("Search")
        expect(one.find(".lmp-token")).to_have_count(9)
        best, score = beam_search(net.model, ids, 5, 9)
        greedy = greedy_decode(net.model, ids, 9)
        rows = net.model(greedy)[0].double().log_softmax(-1)[ids.shape[1] - 1 : -1]
        plainly = float(rows.gather(1, greedy[0, ids.shape[1] :, None]).sum())
        found = re.fullmatch(
            r"5 beams, 9 tokens: log P = (−[\d.]+)\. Greedy comes to (−[\d.]+)\.", one.message
        )
        told = [float(number.replace("−", "-")) for number in found.groups()]
        assert told == pytest.approx([float(score), plainly], abs=0.0051)
        one.check(prompt, best[0, ids.shape[1] :].tolist())

    def test_dials(self, playground):
        one = playground()
        for key, keys, value, text in (
            ("temperature", ("Home",), 0, "0.00"),
            ("temperature", ("ArrowRight",) * 9, 0.45, "0.45"),
            ("temperature", ("End",), 2, "2.00"),
            ("temperature", ("ArrowLeft",), 1.95, "1.95"),
            ("k", ("Home",), 1, "1"),
            ("k", ("ArrowRight",) * 6, 7, "7"),
            ("k", ("End", "ArrowLeft", "PageDown"), None, None),
            ("p", ("Home",), 0.05, "0.05"),
            ("p", ("ArrowRight",) * 11, 0.6, "0.60"),
            ("minP", ("ArrowRight",) * 8, 0.08, "0.08"),
            ("typical", ("ArrowLeft",) * 3, 0.85, "0.85"),
        ):
            one.press(one.dial(key), *keys)
            shown = float(one.dial(key).input_value())
            assert value is None or shown == pytest.approx(value)
            one.settings[key] = shown
            assert text is None or one.dial(key).get_attribute("aria-valuetext") == text
            one.check(one.about["Animals"]["prompts"][0], [])
        one.press("Set to rest")
        one.settings = dict(PLAIN)
        one.check()
        for key, off in (("k", "End"), ("p", "End"), ("minP", "Home"), ("typical", "End")):
            one.press(one.dial(key), "ArrowLeft" if off == "End" else "ArrowRight")
            one.settings[key] = float(one.dial(key).input_value())
            one.check()
            one.press(one.dial(key), off)
            assert one.dial(key).get_attribute("aria-valuetext") == "off"
            one.settings[key] = PLAIN[key]
            one.check()

    def test_a_token_is_taken_from_the_list(self, playground):
        one = playground()
        prompt = one.about["Animals"]["prompts"][0]
        order = [row["token"] for row in one.check(prompt, []).rows]
        one.press(one.dial("k"), "Home")
        one.settings["k"] = 1
        one.press(one.find(".lmp-dist li button").first, *["ArrowDown"] * 3, "Enter")  # struck out, and taken
        view = one.check(prompt, [order[3]])
        one.press("Show all 87")
        assert len(one.check().rows) == 87
        one.press(one.find(".lmp-dist li button").first, "End", "Space")
        least = int(one.nets["Animals"].logits(view.ids).argmin())
        one.check(prompt, [order[3], least])
        one.press("Show 10")
        assert len(one.check().rows) == 10
        one.press("Undo")
        one.check(prompt, [order[3]])

    def test_back_to_a_token_that_was_written(self, playground):
        one = playground()
        prompt = one.about["Animals"]["prompts"][0]
        for _ in range(4):
            one.press("Step")
        ids = one.check(prompt).ids
        start = len(ids) - 4
        one.press(one.find(".lmp-token[tabindex='0']"), "ArrowLeft", "ArrowLeft", "Enter")
        view = one.check()
        label = one.nets["Animals"].tokenizer.vocab[ids[start + 1]]
        assert (view.cursor, view.ids) == (1, ids[: start + 1])
        assert view.title.startswith(f"In place of “{label}”")
        assert one.find(".lmp-token[aria-pressed=true]").text_content().strip() == label
        one.page.keyboard.press("Enter")  # the same again: back to the end
        assert one.check(prompt).ids == ids
        one.page.keyboard.press("Home")
        one.page.keyboard.press("Space")
        other = next(row["token"] for row in one.check().rows if row["token"] != ids[start])
        one.press(one.find(f".lmp-dist [data-token='{other}']"))
        one.check(prompt, [other])
        one.press("Undo")
        one.check(prompt, ids[start:])

    def test_tab_comes_to_every_control(self, playground):
        one = playground()
        one.press("Step")
        one.find("input").first.focus()
        reached = []
        for _ in range(70):
            inside = one.root.evaluate("(root) => root.contains(document.activeElement)")
            if not inside:
                break
            reached.append(
                one.page.evaluate(
                    """() => { const n = document.activeElement;
                      return n.dataset.dial ?? n.dataset.token ?? n.dataset.move ?? n.dataset.stop ??
                        (['BUTTON', 'SUMMARY'].includes(n.tagName) ? n.textContent
                          : n.className || n.value); }"""
                )
            )
            one.page.keyboard.press("Tab")
        prompt = one.about["Animals"]["prompts"][0]
        first = str(one.view().rows[0]["token"])
        buttons = ["Step", "Play", "Undo", "Start again", "New dice", "Compare", "Copy link"]
        filters = [name for key in one.settings["order"] for name in (key, f"{key} earlier", f"{key} later")]
        assert reached == [
            *("Animals", prompt, prompt, "lmp-text", "lmp-token"),
            *(*buttons, "sample", *filters, "all", "", "Set to rest"),
            *(first, "Show all 87", "log P of each token"),
        ]


class TestLink:
    @pytest.mark.parametrize("from_disk", [False, True], ids=["http", "file"])
    def test_it_brings_everything_back(self, playground, new_page, from_disk):
        one = playground(from_disk=from_disk)
        one.type("a whale")
        one.choose("Shakespeare")
        one.type("KATE:\nI")
        one.choose("Animals")
        one.choose("Shakespeare")
        for key, keys in (("temperature", ["ArrowLeft"] * 6), ("p", ["ArrowLeft"] * 2)):
            one.press(one.dial(key), *keys)
            one.settings[key] = float(one.dial(key).input_value())
        for _ in range(3):
            one.press("Step")
        view = one.check("KATE:\nI")
        one.press("Copy link")
        expect(one.said).to_contain_text("address bar")
        link = one.page.evaluate("location.hash")
        for on, more in ((new_page(), link), (one.page, "")):
            if more:
                other = playground(on, from_disk, link)
            else:
                one.page.reload()
                other = Playground(one.page, one.nets, list(one.about.values()))
            expect(other.button("Step")).to_be_enabled()
            other.name, other.settings = "Shakespeare", one.settings
            assert other.field.input_value() == "KATE:\nI"
            assert other.check("KATE:\nI").ids == view.ids
        other.press("Undo")  # what was written by the link can be undone at once
        other.check("KATE:\nI", [])

    def test_the_address_is_followed_while_the_page_is_open(self, playground):
        one = playground()
        one.page.evaluate("location.hash = '#play:model=Animals&prompt=many+wolves&k=3&ids=2.3'")
        expect(one.field).to_have_value("many wolves")
        one.settings["k"] = 3
        one.check("many wolves", [2, 3])
        one.page.evaluate("location.hash = '#losses'")  # not a link of ours: nothing changes
        one.check("many wolves", [2, 3])

    def test_the_text_itself_stays_in_the_page(self, playground, new_page):
        one = playground()
        one.choose(OWN)
        one.root.get_by_label("The text to learn from").fill(TEXT)
        one.press("Count it")
        expect(one.button("Step")).to_be_enabled()
        one.press("Copy link")
        expect(one.said).to_contain_text("doesn’t carry your text")
        link = one.page.evaluate("location.hash")
        assert "mat" not in link
        other = playground(new_page(), link=link)
        expect(other.said).to_contain_text("with a text that it doesn’t carry")
        assert other.root.get_by_label(OWN, exact=True).is_checked()


class TestOwnText:
    def learn(self, one: Playground, text: str, unit: str, order: int) -> None:
        tokens = PIECES.findall(text) if unit == "word" else list(text)
        vocab = list(dict.fromkeys(["<unk>", *tokens] if unit == "word" else tokens))
        ids = torch.tensor([vocab.index(token) for token in tokens])

        def encode(prompt: str) -> list[int]:
            pieces = PIECES.findall(prompt.rstrip()) if unit == "word" else prompt
            return [vocab.index(piece) if piece in vocab else 0 for piece in pieces]

        reader = SimpleNamespace(encode=encode, decode=lambda ids: "".join(vocab[i] for i in ids))
        one.nets[OWN] = Net(NGramLM(order, len(vocab)).fit(ids), reader)
        kinds = "words and marks" if unit == "word" else "characters"
        said = one.find(".lmp-own [role=status]")
        expect(said).to_contain_text(f"Counted {len(tokens)} {kinds}, {len(set(tokens))} different, in ")

    def test_words_and_characters_at_every_order(self, playground):
        one = playground()
        one.choose(OWN)
        assert one.button("Step").is_disabled()
        field, order = one.root.get_by_label("The text to learn from"), one.find(".lmp-own input[type=range]")
        one.press("Count it")
        assert one.find(".lmp-own [role=status]").inner_text().startswith("There is no text yet")
        one.press(field)
        one.page.keyboard.insert_text(TEXT)
        text = field.input_value()
        for unit, keys, n, shown in (
            ("word", (), 3, "trigram"),
            ("word", ("ArrowLeft",), 2, "bigram"),
            ("char", (), 5, "5-gram"),
            ("char", ("Home",), 1, "unigram"),
        ):
            if unit == "char":
                one.press(one.root.get_by_label("words", exact=True), "ArrowRight")
            one.press(order, *keys)
            assert order.get_attribute("aria-valuetext") == shown
            one.press("Count it")
            self.learn(one, text, unit, n)
            for prompt in ("the cat sat", "a dog"):
                one.type(prompt)
                one.check(prompt, [])
            start = one.nets[OWN].tokenizer.encode("a dog")
            one.press("Step")
            one.check("a dog", [one.drawn(start)])
        one.type("zebra")
        assert one.message.startswith("Character 1, “z” (U+007A), is not among the ")
        one.press("Clear")
        assert field.input_value() == ""
        one.press("Count it")
        assert one.find(".lmp-own [role=status]").inner_text().startswith("There is no text yet")

    def test_a_file(self, playground):
        one = playground()
        one.choose(OWN)
        one.find(".lmp-own input[type=file]").set_input_files(
            {"name": "mine.txt", "mimeType": "text/plain", "buffer": TEXT.encode()}
        )
        expect(one.root.get_by_label("The text to learn from")).to_have_value(TEXT)
        one.press("Count it")
        self.learn(one, TEXT, "word", 3)
        one.type("the mat")
        one.check("the mat", [])
        one.type("the zebra")
        assert one.message == "“zebra” isn’t among its words: read as <unk>."
        one.check("the zebra", [])


class TestMessages:
    @pytest.mark.parametrize(
        ("name", "prompt", "said"),
        [
            ("Animals", "", "The prompt is empty. This model predicts from what stands there: write a word."),
            (
                "Animals",
                "the wale",
                "Word 2, “wale”, is not among the 87 words of the language; did you",
            ),
            (
                "Animals",
                "a gull. " * 50,
                "The prompt has 150 words; this model reads at most 128: leave ",
            ),
            ("Shakespeare", "To bé", "Character 5, “é” (U+00E9), is not among the "),
            ("Shakespeare", "x" * 129, "The prompt has 129 characters; this model reads at most 128: leave "),
        ],
    )
    def test_what_cannot_be_read(self, playground, name, prompt, said):
        one = playground()
        one.choose(name)
        one.type(prompt)
        assert one.message.startswith(said)
        assert one.view().title == "Next token: the prompt can’t be read yet."
        assert one.button("Step").is_disabled()
        assert one.button("Play").is_disabled()
        one.type("a")
        assert one.message == ""
        one.check("a", [])

    def test_a_text_that_outgrows_the_context_goes_on(self, playground):
        one = playground()
        prompt = " ".join(["the", "gull"] * 63 + ["the"])
        one.type(prompt)
        for _ in range(3):
            one.press("Step")
        one.check(prompt)
        assert one.message == ""
        assert len(one.view().tokens) == 3

    def test_as_far_as_a_playground_goes(self, playground):
        one = playground(link=f"#play:model=Animals&prompt=the&seed=1&ids={'.'.join('1' * 400)}")
        expect(one.find(".lmp-token")).to_have_count(400)
        one.press("Step")
        assert one.message == (
            "400 tokens are written, which is as far as a playground goes. "
            "Undo, start again, or write from an earlier token."
        )
        one.press(one.find(".lmp-dist li button").first)
        assert one.message.startswith("400 tokens are written")
        assert len(one.view().tokens) == 400

    def test_a_link_to_a_model_that_is_not_here(self, playground):
        one = playground(link="#play:model=Hamlet%3Cb%3E&prompt=the+gull")
        expect(one.said).to_have_text("There is no model “Hamlet<b>” here; this is Animals.")
        one.check("the gull", [])
