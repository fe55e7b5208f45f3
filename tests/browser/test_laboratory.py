"""The laboratory on its page: runs that begin, stop, go on, are kept, fail and travel as files."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from lmbook.widgets import Laboratory

PAGE = "chapters/laboratory.html"


class Bench:
    """The widget of an open page."""

    def __init__(self, page: Page, root: Locator):
        self.page, self.root = page, root

    def data(self) -> dict[str, str]:
        return self.root.evaluate("(root) => ({ ...root.dataset })")

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def press(self, name: str, key: str = "Enter") -> None:
        self.button(name).focus()
        self.page.keyboard.press(key)

    def reach(self, state: str) -> dict[str, str]:
        expect(self.root).to_have_attribute("data-state", state, timeout=120_000)
        return self.data()

    def field(self, name: str) -> Locator:
        one, other = (self.root.get_by_role(role, name=name, exact=True) for role in ("combobox", "textbox"))
        return one.or_(other)

    def set(self, **values: str) -> None:
        for name, value in values.items():
            field = self.field(name.replace("_", " "))
            if field.evaluate("(node) => node.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)

    def small(self, steps: int = 40) -> None:
        """A run that takes a second or two."""
        self.set(Layers="1", Width="16", Heads="2", Steps=str(steps), Rows_in_a_batch="4")
        self.field("Context, tokens").select_option("32")
        self.field("Warm-up, steps").fill("5")


@pytest.fixture
def bench(page, site, open_widgets) -> Bench:
    open_widgets(page, site.http(PAGE))
    return Bench(page, page.locator("[data-lm-widget=laboratory]"))


def test_a_run_by_keyboard(bench):
    loaded = []
    bench.page.on("request", lambda request: loaded.append(request.url))
    assert bench.data()["state"] == "idle"
    bench.small()
    bench.press("Train")
    data = bench.reach("done")
    assert [url.rpartition("/")[2].partition("?")[0] for url in loaded if "_worker" in url] == [
        "laboratory_worker.js"
    ]
    assert data["step"] == "40"
    assert 1.6 < float(data["floor"]) < 1.9 < float(data["unseenLoss"]) < 4
    assert float(data["loss"]) < 4
    assert float(data["tokensPerSecond"]) > 0
    told = bench.root.locator(
        ".lmw-message", has_text=re.compile(r"Step 40 of 40; loss .* above the exact floor")
    )
    expect(told).to_be_visible()
    assert "exact floor 1.7" in bench.root.locator(".lml-chart").inner_text()
    assert bench.root.locator(".lml-sample").inner_text().startswith("the ")
    words = bench.root.locator(".lml-sentence .lmw-place")
    assert words.count() == 8
    words.nth(3).click()
    expect(bench.root.locator(".lml-sentence thead th").first).to_have_text("After “the gulls that”")
    bench.press("Keep this run")
    bench.press("Again with another seed", "Space")
    other = bench.reach("done")
    assert bench.field("Seed").input_value() == "2"
    assert other["unseenLoss"] != data["unseenLoss"]
    runs = bench.root.get_by_role("list", name="Runs that were kept").locator("li")
    expect(runs).to_have_text(re.compile(rf"seed 1: {float(data['unseenLoss']):.3f} after 40 steps"))
    runs.get_by_role("button").press("Enter")
    expect(runs).to_have_count(0)


def test_stop_go_on_and_one_step(bench):
    bench.small(steps=2000)
    bench.press("Train")
    bench.reach("running")
    expect(bench.button("Stop")).to_be_focused()  # Train can't be pressed any more
    expect(bench.root).not_to_have_attribute("data-step", "0", timeout=60_000)
    stopped = bench.page.evaluate(
        """() => {
          const root = document.querySelector('[data-lm-widget=laboratory]');
          const begin = performance.now();
          [...root.querySelectorAll('button')].find((one) => one.textContent === 'Stop').click();
          return new Promise((resolve) => {
            const watcher = new MutationObserver(() => {
              if (root.dataset.state === 'stopped') resolve(performance.now() - begin);
            });
            watcher.observe(root, { attributes: true });
          });
        }"""
    )
    assert stopped < 5000  # a step and a half on a machine that has much else to do
    expect(bench.button("Go on")).to_be_focused()
    step = int(bench.data()["step"])
    bench.page.wait_for_timeout(300)
    assert int(bench.data()["step"]) == step
    bench.press("One step")
    expect(bench.root).to_have_attribute("data-step", str(step + 1))
    assert bench.reach("stopped")["step"] == str(step + 1)
    bench.press("Go on")
    bench.reach("running")
    bench.press("Stop")
    assert int(bench.reach("stopped")["step"]) > step


def test_a_tab_that_is_put_to_sleep_goes_on_where_it_was(bench):
    bench.small(steps=150)
    bench.press("Train")
    bench.reach("running")
    browser = bench.page.context.new_cdp_session(bench.page)
    browser.send("Page.setWebLifecycleState", {"state": "frozen"})
    bench.page.wait_for_timeout(3000)
    browser.send("Page.setWebLifecycleState", {"state": "active"})
    slept = bench.reach("done")
    assert slept["step"] == "150"
    bench.press("Train")
    bench.reach("running")
    awake = bench.reach("done")
    assert slept["unseenLoss"] == awake["unseenLoss"]


def test_what_cannot_be_is_said_and_mended(bench):
    bench.set(Learning_rate="0")
    bench.press("Train")
    bench.reach("failed")
    expect(bench.root.locator(".lmw-message", has_text="(0, 100], got 0")).to_be_visible()
    bench.set(Learning_rate="0,01")
    bench.press("Train")
    expect(bench.root.locator(".lmw-message", has_text="(0, 100], got 0,01")).to_be_visible()
    bench.set(Text="own")
    bench.press("Train")
    bench.reach("failed")
    expect(
        bench.root.locator(".lmw-message", has_text="at least 1500 letters is needed, this one has 0")
    ).to_be_visible()
    bench.set(Learning_rate="0.01")
    bench.small(steps=20)
    bench.root.locator("input[type=file]").first.set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"abc abd " * 2_500_000}
    )
    expect(bench.root.get_by_text("All 20,000,000 characters are here")).to_be_visible()
    bench.press("Train")
    data = bench.reach("done")
    assert data["floor"] == ""
    assert float(data["unseenLoss"]) < 2


def test_a_text_of_the_readers_own_is_cleared_and_its_rare_letters_are_told(bench, tmp_path):
    bench.small()
    bench.field("Text").select_option("own")
    area, file = bench.root.locator("textarea"), bench.root.locator(".lmp-file input").first
    path = tmp_path / "own.txt"
    for _ in range(2):  # the same file can be chosen again
        path.write_text("".join(chr(0xAC00 + n * n % 257) for n in range(12_000)), encoding="utf-8")
        file.set_input_files(path)
        expect(area).to_have_js_property("readOnly", True)
        bench.press("Clear")
        expect(area).to_have_js_property("readOnly", False)
        expect(area).to_have_value("")
        assert file.evaluate("(input) => input.files.length") == 0
    path.write_text("".join(chr(0xAC00 + n % 400 * (n % 3)) for n in range(12_000)), encoding="utf-8")
    file.set_input_files(path)
    expect(area).to_have_js_property("readOnly", True)
    bench.press("Train")
    bench.reach("done")
    told = re.compile(r"The 250 most frequent letters are read; the others, [1-9][0-9.]* % of the text")
    expect(bench.root.locator(".lmw-quiet", has_text=told)).to_be_visible()


def test_weights_travel_to_lmbook_and_back(bench, tmp_path):
    bench.small(steps=20)
    bench.press("Train")
    before = bench.reach("done")
    with bench.page.expect_download() as download:
        bench.press("Save the weights")
    path = tmp_path / "laboratory.safetensors"
    download.value.save_as(path)
    model, language = Laboratory.load_model(path)
    Laboratory.save_model(tmp_path / "again.safetensors", model, language)
    bench.set(Width="32")
    opener = bench.root.get_by_label("or open saved weights")
    opener.set_input_files(tmp_path / "again.safetensors")
    expect(bench.root).to_have_attribute("data-step", "0", timeout=60_000)
    after = bench.reach("stopped")
    assert float(after["unseenLoss"]) == pytest.approx(float(before["unseenLoss"]), abs=1e-6)
    assert bench.field("Width").input_value() == "16"
    path.write_bytes(path.read_bytes()[:-9])
    opener.set_input_files(path)
    bench.reach("failed")
    expect(bench.root.locator(".lmw-message", has_text="the file is cut: ")).to_be_visible()
    bench.press("One step")  # the run that was there still is
    bench.reach("stopped")
    assert bench.data()["step"] == "1"


@pytest.mark.parametrize("from_disk", [False, True], ids=["http", "file"])
def test_a_model_goes_to_the_playground(page, site, open_widgets, from_disk):
    open_widgets(page, (site.file if from_disk else site.http)(PAGE))
    bench = Bench(page, page.locator("[data-lm-widget=laboratory]"))
    bench.small(steps=20)
    bench.press("Train")
    bench.reach("done")
    bench.press("Take it to the playground")
    playground = page.locator("[data-lm-widget=playground]")
    expect(playground.get_by_text("You trained it in the laboratory, for 20 steps.")).to_be_visible()
    assert page.url.endswith("/playground.html")
    expect(playground.get_by_label("Your prompt")).to_have_value("the gulls that")
    playground.get_by_role("button", name="Step", exact=True).click()
    expect(playground.locator(".lmp-token")).to_have_count(1)
