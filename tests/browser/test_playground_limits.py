"""The playground page under hostile input, on narrow and dark screens, against the clock."""

from collections.abc import Callable

import pytest
from looks import assert_fits
from playground_page import NAMES, OWN, PAGE, Playground
from playwright.sync_api import expect

from lmbook.widgets.base import split_words

HOSTILE = {
    "script": "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>",
    "controls": "a\x07\x1b[31m\x7f\x85\u2028b",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "right to left": "\u202eשלום עולם\u202c مرحبا",
    "code": "'; alert(1) //${alert(1)}{{alert(1)}}javascript:alert(1)",
}


class TestHostileInput:
    def check_harmless(self, one: Playground) -> None:
        assert one.page.evaluate("window.hacked") is None
        assert one.find("script, img, b:has(*), iframe").count() == 0

    @pytest.mark.parametrize(
        "kind", ["script", *(pytest.param(kind, marks=pytest.mark.slow) for kind in list(HOSTILE)[1:])]
    )
    def test_prompts_links_and_texts(self, playground, kind):
        """In each model's prompt, as a model's name and a prompt in a link, as a text to learn from."""
        one, text = playground(), HOSTILE[kind]
        one.page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
        for name in NAMES:
            one.choose(name)
            one.type(text)
            value = one.field.input_value()
            known = set(one.nets["Shakespeare"].tokenizer.tokens)
            stranger = (
                next((word for word in split_words(value)), None)
                if name == "Animals"
                else next((char for char in value if char not in known), None)
            )
            if stranger is None:
                one.check(value)
            elif name != "Animals":
                assert f"U+{ord(stranger):04X}" in one.message
            else:
                assert "is not among the 87 words" in one.message
            self.check_harmless(one)
        one.choose(OWN)
        one.root.get_by_label("The text to learn from").fill(f"{text} " * 7)
        for unit in ("words", "characters"):
            one.press(one.root.get_by_label(unit, exact=True), "Space")
            one.press("Count it")
            expect(one.button("Step")).to_be_enabled()
            one.type("")
            for _ in range(5):
                one.press("Step")
            expect(one.find(".lmp-token")).to_have_count(5)
            self.check_harmless(one)
        one.page.evaluate(
            """(text) => { location.hash = '#play:' + new URLSearchParams({
              model: text, prompt: text, ids: text, temperature: text, strategy: text, seed: text }); }""",
            text,
        )
        expect(one.said).to_contain_text("There is no model “")
        self.check_harmless(one)


QUICK = [(360, "dark"), (640, "light")]


class TestLooks:
    @pytest.mark.parametrize(
        ("width", "theme"),
        [
            pytest.param(width, theme, marks=[] if (width, theme) in QUICK else pytest.mark.slow)
            for width in (320, 360, 640, 1280)
            for theme in ("light", "dark")
        ],
    )
    def test_fits_and_is_accessible_at_work(self, playground, new_page, theme, width):
        """320 and 640 pixels are what a desk's window of 640 and 1280 has at 200 % zoom."""
        phone = width < 640
        page = new_page(
            viewport={"width": width, "height": 800},
            has_touch=phone,
            color_scheme=theme,
            reduced_motion="reduce",
        )
        one = playground(page)
        one.press(one.dial("k"), "Home", *["ArrowRight"] * 4)
        for _ in range(12):
            one.press("Step")
        one.press("Show all 87")
        self.check(one, width)
        one.strategy("beam")
        one.type("every brave squirrel that hears " * 9 + "zz" + "z" * 300)
        self.check(one, width)
        one.choose(OWN)
        one.root.get_by_label("The text to learn from").fill("Extraordinary circumstances " * 9 + "m" * 400)
        one.press("Count it")
        expect(one.button("Search")).to_be_enabled()
        self.check(one, width)

    def check(self, one: Playground, width: int) -> None:
        assert_fits(one.page, "playground", lowest=34 if width < 640 else 0)
        cut = one.root.evaluate(
            """(root) => [...root.querySelectorAll('button, label, output, p, legend, .lmp-text')]
              .filter((n) => !n.matches('.lmw-heard') && n.offsetParent)
              .filter((n) => n.scrollWidth > n.clientWidth + 1 && n.clientWidth)
              .map((n) => n.outerHTML.slice(0, 99))"""
        )
        assert not cut, "text is cut off"

    @pytest.mark.parametrize("width", [1280, 360])
    def test_nothing_below_moves_when_another_model_is_chosen(self, playground, new_page, width):
        one = playground(new_page(viewport={"width": width, "height": 900}, has_touch=width == 360))
        place = one.page.locator(".lm-widget").first
        kept = place.bounding_box()["height"]
        for name in NAMES:
            one.choose(name)
            assert place.bounding_box()["height"] == pytest.approx(kept, abs=1)

    def test_results_are_spoken(self, playground):
        one = playground()
        one.type("the wale")
        expect(one.find("[role=status]").last).to_contain_text("Word 2, “wale”")

    def test_keys_stay_inside(self, playground):
        one = playground()
        one.press("Step")
        one.page.evaluate("window.heard = 0; document.body.addEventListener('keydown', () => window.heard++)")
        for control in one.find("button:visible, input, select, textarea, .lmp-token").all():
            if control.is_visible() and control.is_enabled():
                control.focus()
                for key in ("ArrowDown", "ArrowLeft", "x", "Home"):
                    one.page.keyboard.press(key)
        assert one.page.evaluate("window.heard") == 0


WATCH = """
  window.tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: 'longtask', buffered: true });
"""
MEGABYTES = """async (kind) => {
  const parts = {
    words: 'The quick brown fox, the lazy dog. ', letters: 'x',
    strange: '\u202e👩‍👩‍👧 ש\x07' };
  const text = parts[kind].repeat(Math.ceil(5e6 / parts[kind].length)).slice(0, 5e6);
  await navigator.clipboard.writeText(text);
}"""
FREEZE = 200  # milliseconds without a sign of life


@pytest.mark.slow
class TestFiveMegabytes:
    """Pasted for real, through the clipboard; the browser itself reports tasks of more than 50 ms."""

    @pytest.fixture
    def watched(self, playground, new_page) -> Callable[[], Playground]:
        def open_watched() -> Playground:
            page = new_page()
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            page.add_init_script(WATCH)
            return playground(page)

        return open_watched

    def longest(self, one: Playground) -> float:
        one.page.wait_for_timeout(150)
        return max(one.page.evaluate("tasks.splice(0)"), default=0.0)

    @pytest.mark.parametrize("kind", ["words", "letters", "strange"])
    def test_as_a_prompt(self, watched, kind, capsys):
        """The best of three: what other programs of the machine do isn't the page's fault."""
        took = []
        for _ in range(3):
            one = watched()
            one.page.evaluate(MEGABYTES, kind)
            self.longest(one)
            one.press(one.field, "Control+V")
            expect(one.said).to_contain_text("Of 5,000,000 characters the first 2,000 were taken.")
            taken = one.field.evaluate("(field) => [field.value.length, field.value.isWellFormed()]")
            assert taken in ([2000, True], [1999, True])  # no half character at the end
            took.append(self.longest(one))
            one.type("the gull")
            one.check("the gull", [])
        with capsys.disabled():
            print(f"\n5 MB of {kind} as a prompt: longest task {min(took):.0f} ms")
        assert min(took) < FREEZE

    @pytest.mark.parametrize("kind", ["words", "letters", "strange"])
    @pytest.mark.parametrize("unit", ["words", "characters"])
    def test_as_a_text_to_learn_from(self, watched, kind, unit, capsys):
        took = []
        for _ in range(3):
            one = watched()
            one.choose(OWN)
            one.root.get_by_label(unit, exact=True).press("Space")
            one.page.evaluate(MEGABYTES, kind)
            self.longest(one)
            field, said = one.root.get_by_label("The text to learn from"), one.find(".lmp-own [role=status]")
            one.press(field, "Control+V")
            expect(said).to_contain_text(
                "All 5,000,000 characters are here; the field shows the first 10,000."
            )
            pasting = self.longest(one)
            one.press("Count it")
            expect(one.find(".lmp-own progress")).to_be_visible()
            one.page.keyboard.press("Enter")
            expect(said).to_have_text("Stopped: nothing was changed.")
            one.press("Count it")
            expect(said).to_contain_text("Counted ", timeout=60_000)
            expect(one.button("Step")).to_be_enabled()
            took.append((max(pasting, self.longest(one)), said.inner_text()))
        with capsys.disabled():
            print(f"\n5 MB of {kind} by {unit}: longest task {min(took)[0]:.0f} ms. {min(took)[1]}")
        assert min(took)[0] < FREEZE

    def test_long_work_of_the_models(self, watched, capsys):
        """The widest and longest beam search on each model, and loading the one that is counted."""
        one, took = watched(), {}
        for name in NAMES:
            one.choose(name)
            if one.settings["strategy"] != "beam":
                one.strategy("beam")
                one.press(one.dial("beams"), "End")
                one.press(one.dial("length"), "End")
            self.longest(one)
            one.press("Search")
            expect(one.find(".lmp-token")).to_have_count(40, timeout=30_000)
            took[name] = self.longest(one)
        with capsys.disabled():
            print(f"\nlongest tasks of beam searches, 8 beams, 40 tokens: {took}")
        assert max(took.values()) < FREEZE

    def test_a_search_can_be_stopped(self, watched):
        one = watched()
        one.choose("Shakespeare")
        one.strategy("beam")
        one.press(one.dial("beams"), "End")
        one.press(one.dial("length"), "End")
        one.press("Search")
        expect(one.find("progress[aria-label=Progress]")).to_be_visible()
        one.press("Stop")
        expect(one.button("Stop")).to_be_hidden()
        assert one.find(".lmp-token").count() == 0
        assert one.message == "Stopped."


@pytest.mark.timed
class TestSpeed:
    def test_tokens_a_second(self, playground, capsys):
        """As the page itself tells it: logits of one token more, while it plays. The goal is 300."""
        one, rates = playground(), {}
        for name in NAMES[:2]:
            one.choose(name)
            one.press("Play")
            one.find(".lmp-token").nth(30).wait_for()
            one.press("Stop")
            rates[name] = float(one.root.get_attribute("data-tokens-per-second"))
        with capsys.disabled():
            print("\ntokens/s on the page:", {name: round(rate) for name, rate in rates.items()})
        assert min(rates.values()) >= 300

    def test_a_moved_slider_is_drawn_within_a_frame(self, playground, capsys):
        """From the slider's event to the laid-out page; the fastest of 40 moves, slower ones are noise."""
        one, took = playground(), {}
        for name in NAMES:
            one.choose(name)
            for key in ("temperature", "k", "p", "minP", "typical", "sigma", "repetition"):
                times = one.dial(key).evaluate(
                    """async (slider) => {
                      const { port1, port2 } = new MessageChannel();
                      const turn = () => new Promise((done) => {
                        port1.onmessage = done;
                        port2.postMessage(0);
                      });
                      const took = [];
                      for (let i = 0; i < 40; i++) {
                        const start = performance.now();
                        slider.value = Number(slider.min) + (slider.max - slider.min) * (i % 20) / 20;
                        slider.dispatchEvent(new Event('input', { bubbles: true }));
                        await turn(); // the model has answered
                        slider.closest('section').getBoundingClientRect();
                        took.push(performance.now() - start);
                      }
                      return took;
                    }"""
                )
                took[f"{name}, {key}"] = sorted(times)[0], sorted(times)[20]
        with capsys.disabled():
            print("\na moved slider, fastest and median ms:")
            for name, pair in took.items():
                print(f"  {name}: {pair[0]:.1f} {pair[1]:.1f}")
        assert max(fastest for fastest, _ in took.values()) < 16

    def test_usable_within_a_second(self, new_page, site, capsys):
        """From the request to a Step that can be pressed, on loopback; the best of ten on a busy machine."""
        took = []
        while len(took) < 10 and min(took, default=1000) >= 1000:
            page = new_page()
            page.goto(site.http(PAGE), wait_until="commit")
            page.get_by_role("button", name="Step", exact=True, disabled=False).wait_for()
            took.append(page.evaluate("performance.now()"))
        with capsys.disabled():
            print(f"\nusable after {min(took):.0f} ms (all: {[round(one) for one in took]})")
        assert min(took) < 1000
