"""SmolLM2 in the playground: loaded on demand, kept, forgotten. It says what PyTorch says."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from looks import assert_fits
from playground_page import REAL, Net, Playground
from playwright.sync_api import Page, Route, expect
from smollm2_parity import smollm2, tokenizer

from lmbook import beam_search, greedy_decode
from lmbook.smollm2 import _smollm2_path
from lmbook.widgets import bundle

PROMPT = "The capital of France is"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LOAD = re.compile(r"^Load SmolLM2 \(98 MB, ")
MINUTES = 120_000


class Real(Playground):
    """The playground with SmolLM2 chosen."""

    def __init__(self, playground: Playground):
        super().__init__(playground.page, playground.nets, list(playground.about.values()))
        self.nets[REAL] = Net(smollm2(), tokenizer())
        self.choose(REAL)

    @property
    def told(self):
        return self.find(".lmw-corner [role=status]")

    def load(self) -> None:
        self.press(self.root.get_by_role("button", name=LOAD))
        self.rests()

    def rests(self, state: str = "idle") -> None:
        expect(self.root).to_have_attribute("data-state", state, timeout=MINUTES)

    def has_written(self, count: int) -> None:
        expect(self.find(".lmp-token")).to_have_count(count, timeout=MINUTES)
        self.rests("done")

    def compare(self, written: list[int]) -> None:
        """Assert that ids, probabilities and what the filters leave are PyTorch's."""
        view = self.view()
        assert view.ids == [*tokenizer().encode(PROMPT), *written]
        with torch.inference_mode():
            logits = self.nets[REAL].logits(view.ids)
        before, after = logits.softmax(-1), self.after(logits)
        for row in view.rows:
            assert row["before"] == pytest.approx(float(before[row["token"]]), abs=3e-4)
            assert row["after"] == pytest.approx(float(after[row["token"]]), abs=3e-4)
        shown = before[[row["token"] for row in view.rows]]
        assert (shown[:-1] > shown[1:] - 3e-4).all()
        assert float(view.rest[0]) == pytest.approx(float(1 - shown.sum()), abs=1e-3)
        assert int(self.root.get_attribute("data-left")) == pytest.approx(int((after > 0).sum()), rel=0.02)


@pytest.fixture
def real(playground) -> Callable[..., Real]:
    return lambda *arguments: Real(playground(*arguments))


def weights_requests(page: Page) -> list[str]:
    requests = []
    page.context.on("request", lambda request: FILE in request.url and requests.append(request.url))
    return requests


def test_it_is_loaded_asked_kept_and_forgotten(real, page, problems):
    requests = weights_requests(page)
    one = real()
    assert one.button("Step").is_disabled()
    assert one.message == "Load it first."
    assert one.root.get_attribute("data-state") == "idle"
    assert not requests
    expect(one.root.get_by_role("button", name=LOAD)).to_have_text("Load SmolLM2 (98 MB, from this site)")
    one.press(one.root.get_by_role("button", name=LOAD))
    expect(one.root).to_have_attribute("data-state", "loading")
    one.press("Stop")
    one.rests("stopped")
    assert one.told.inner_text() == "Stopped: nothing was loaded."
    stopped = len(requests)
    one.load()
    expect(one.told).to_contain_text("This browser keeps it")
    assert len(requests) == stopped + 1
    one.compare([])

    one.strategy("greedy")
    ids = torch.tensor([tokenizer().encode(PROMPT)])
    best = greedy_decode(smollm2(), ids, 3)[0, ids.shape[1] :].tolist()
    for count in (1, 2):
        one.press("Step")
        one.has_written(count)
    one.compare(best[:2])
    one.press("Play")
    one.find(".lmp-token").nth(5).wait_for()
    one.press("Stop")
    one.rests("stopped")
    assert one.view().ids[ids.shape[1] :][:3] == best
    assert float(one.root.get_attribute("data-tokens-per-second")) > 0
    one.press("Start again")
    expect(one.find(".lmp-token")).to_have_count(0)
    one.rests("stopped")

    one.strategy("sample")
    one.press(one.dial("k"), "Home", *["ArrowRight"] * 4)
    one.settings["k"] = 5
    expect(one.root).to_have_attribute("data-left", "5")
    one.compare([])
    places(one)
    one.strategy("beam")
    one.press(one.dial("beams"), "Home", "ArrowRight")
    one.press(one.dial("length"), "Home", "ArrowRight", "ArrowRight")
    one.settings |= {"beams": 2, "length": 3}
    one.press("Search")
    one.has_written(3)
    found, _ = beam_search(smollm2(), ids, 2, 3)
    found = found[0, ids.shape[1] :].tolist()
    one.compare(found)

    one.press("Copy link")
    link = page.evaluate("location.hash")
    page.reload()
    assert len(requests) == stopped + 1
    again = second_visit(one, link)
    again.settings = one.settings
    again.compare(found)
    beside = page.context.new_page()  # another tab at the same time
    other = second_visit(Playground(beside, {}, list(one.about.values())), link, page.url)
    other.press("Undo")
    expect(other.find(".lmp-token")).to_have_count(0)
    again.press("Forget SmolLM2")
    expect(again.told).to_contain_text("Forgotten")
    beside.reload()
    expect(beside.get_by_role("button", name=LOAD)).to_contain_text("from this site")
    assert len(requests) == stopped + 1
    # The transfer that was stopped is no fault, nor is the script of a worker that was stopped with it.
    problems[:] = [told for told in problems if not re.match(rf"request failed: (blob:|.*{FILE})", told)]


def places(one: Real) -> None:
    """The list of 49,152 tokens is turned and searched, and a token of it is taken and undone."""
    first = one.view().rows
    one.press("Show 128")
    expect(one.find(".lmp-dist li:not([hidden])")).to_have_count(128)
    one.press("Further down")
    expect(one.find(".lmp-further")).to_contain_text("Places 129 to 256.")
    one.press("Further up")
    one.press("Show 10")
    expect(one.find(".lmp-dist li:not([hidden])")).to_have_count(10)
    assert one.view().rows == first
    one.press(one.root.get_by_label("Find a token"))
    one.page.keyboard.insert_text(" lond")
    expect(one.find(".lmp-further")).to_contain_text("tokens contain “ lond”")
    london = one.find(f"[data-token='{tokenizer().encode(' London')[0]}']:not([hidden])")
    one.press(london)
    expect(one.find(".lmp-text")).to_have_text(f"{PROMPT} London")
    one.press("Undo")
    expect(one.find(".lmp-text")).to_have_text(PROMPT)
    one.press(one.root.get_by_label("Find a token"), "Control+A", "Delete")
    expect(one.find(".lmp-further")).not_to_contain_text("contain")


def second_visit(playground: Playground, link: str, url: str = "") -> Real:
    """The page opened again with a link: SmolLM2 comes from what the browser keeps."""
    page = playground.page
    if url:
        page.goto(url)
    one = Real.__new__(Real)
    Playground.__init__(one, page, {REAL: Net(smollm2(), tokenizer())}, list(playground.about.values()))
    one.name = REAL
    assert link.startswith("#play:model=SmolLM2&")
    expect(one.said).to_have_text("This link was made with SmolLM2: load it to see what it wrote.")
    expect(one.root.get_by_role("button", name=LOAD)).to_have_text(
        "Load SmolLM2 (98 MB, kept by this browser)"
    )
    one.load()
    expect(one.find(".lmp-token")).to_have_count(3)
    return one


def test_a_long_prompt_can_be_stopped(real, page):
    one = real()
    one.load()
    expect(one.told).to_be_focused()  # the button that was pressed is gone
    one.root.get_by_label("Your prompt").fill("word " * 350)
    expect(one.button("Stop")).to_be_visible()
    one.press("Stop")
    one.rests("stopped")
    assert one.message == "Stopped."
    expect(one.find(".lmp-dist")).to_contain_text("the text isn’t read to its end; Step and Play read on")
    assert one.find(".lmp-text").inner_text().startswith("word word")
    one.press("Step")
    one.has_written(1)
    expect(one.find(".lmp-dist")).not_to_contain_text("isn’t read")


def test_a_transfer_that_fails_is_told(real, page, problems):
    """The transfer doesn't begin, isn't there, breaks off, brings other bytes."""
    one = real()
    answers = iter(
        [
            lambda route: route.abort(),
            lambda route: route.fulfill(status=404, body=""),
            lambda route: route.fulfill(body=b"GGUF" + bytes(3_000_000)),
        ]
    )

    def answer(route: Route) -> None:
        next(answers)(route)

    page.context.route(f"**/{FILE}", answer)
    for said in (
        "The transfer of SmolLM2 didn’t begin. Is there a connection? Then try again.",
        "This site gave no file of SmolLM2 (it answered 404). Try again later.",
        "The transfer broke off after 3 of 98 MB. Is there a connection? Then try again.",
    ):
        one.press(one.root.get_by_role("button", name=LOAD))
        expect(one.told).to_have_text(said)
        one.rests("failed")
    assert all("ERR_FAILED" in one or "404" in one or "request failed" in one for one in problems)
    problems.clear()
    one.choose("Animals")
    one.check()


CUT = """async (digest) => {
  const shelf = await caches.open('lm-weights');
  await shelf.put(`${location.origin}/lm-weights/${digest}`, new Response(new Uint8Array(1000)));
}"""


def test_a_kept_file_that_was_cut_is_dropped(real, page):
    core = (Path(bundle.__file__).parent / "core" / "smollm2.js").read_text(encoding="utf-8")
    one = real()
    page.evaluate(CUT, re.search(r"digest: '(\w+)'", core)[1])
    page.reload()
    load = page.get_by_role("button", name=LOAD)
    one.name = "Animals"
    one.choose(REAL)
    expect(load).to_contain_text("kept by this browser")
    load.press("Enter")
    expect(one.told).to_contain_text("was damaged, and is deleted")
    expect(load).to_contain_text("from this site")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files that aren't SmolLM2's: 1 KB that claims 10^9 tensors, one cut short, one of the right size."""
    claims = b"GGUF" + (3).to_bytes(4, "little") + (10**9).to_bytes(8, "little") * 2 + bytes(1000)
    size = _smollm2_path().stat().st_size
    found = {"small.gguf": claims, FILE: claims}
    for name, data in found.items():
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "same-size.gguf").open("wb") as file:
        file.write(claims)
        file.truncate(size)
    return {name: tmp_path / name for name in (*found, "same-size.gguf")}


def test_from_the_disk_a_reader_picks_the_file(real, new_page, files):
    """On a phone, in the dark: strangers are refused, the right one runs, and nothing is kept."""
    page = new_page(
        viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark", reduced_motion="reduce"
    )
    one = real(page, True)
    assert one.root.get_by_role("button", name=LOAD).is_hidden()
    picker = one.root.get_by_label(f"Load SmolLM2 from your own copy of {FILE}")
    assert_fits(page, "playground", lowest=34)
    for name, said in (
        ("small.gguf", "“small.gguf” has 1,024 bytes, and .* has 98,362,432: it is another file."),
        (FILE, f"“{FILE}” has 1,024 bytes, and .* has 98,362,432: it is cut short."),
        ("same-size.gguf", "The file has the size of SmolLM2’s and other bytes: it is damaged, or another"),
    ):
        picker.set_input_files(files[name])
        expect(one.told).to_have_text(re.compile(said), timeout=MINUTES)
        one.rests("failed")
    picker.set_input_files(_smollm2_path())
    one.rests()
    expect(one.told).to_contain_text("keeps no copy")
    one.compare([])
    one.press("Show 128")
    expect(one.find(".lmp-dist li:not([hidden])")).to_have_count(128)
    assert_fits(page, "playground", lowest=34)
