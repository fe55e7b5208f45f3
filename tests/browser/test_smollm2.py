"""SmolLM2 in Chromium against PyTorch; tests/widgets asks Deno. And the prompt explorer that asks it live.

The file comes in through a file field.
"""

import lm_parity as parity
import pytest
import torch
from looks import assert_fits
from playwright.sync_api import Locator, expect
from smollm2_parity import WRITE, check, prompts, smollm2, tokenizer
from widget_page import served

from lmbook import filters
from lmbook.smollm2 import _smollm2_path
from lmbook.widgets import PromptExplorer

OPEN = """
const load = async (file) => {
  const kernels = new lib.Kernels();
  const at = kernels.take(file.size);
  new Uint8Array(kernels.memory.buffer, at, file.size).set(new Uint8Array(await file.arrayBuffer()));
  return await lib.inSlices(lib.loadPretrained(kernels, at, file.size, { name: 'SmolLM2' }));
};
"""


@pytest.fixture(scope="module")
def write(browser):
    """Answer WRITE in a blank page that holds the model."""
    page = browser.new_page()
    page.set_content("<input type=file>")
    page.locator("input").set_input_files(_smollm2_path())
    script = f"{parity.one_script()}\n{parity.PRELUDE.replace('const load =', 'const loadAll =')}\n{OPEN}"
    page.evaluate(
        f"async () => {{ {script} const model = await load(document.querySelector('input').files[0]);"
        f"globalThis.write = (data) => {{ {WRITE} }}; }}"
    )
    yield lambda data: page.evaluate("(data) => write(data)", data)
    page.close()


def test_smollm2_says_in_chromium_what_it_says_in_pytorch(write):
    check(write, [prompts()[i] for i in (0, 5, 14)], 8)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(15))
def test_smollm2_says_and_writes_what_pytorch_does(write, part):
    check(write, prompts()[part::15], 64)


# The prompt explorer, live

BEGINNINGS = ["The capital of France is", "Once upon a time"]
QUESTION = "What is the capital of Kenya?"
LAYER, HEAD = 11, 4  # from 0


def encoded(text: str) -> torch.Tensor:
    return torch.tensor([tokenizer().encode(text)])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with torch.inference_mode():
        logits = torch.stack([smollm2()(encoded(text))[0, -1] for text in BEGINNINGS])
    widget = PromptExplorer(BEGINNINGS, logits, tokenizer(), live=True)
    with served({"prompt-explorer": widget}, tmp_path_factory.mktemp("live")) as site:
        yield site


def check_next(root: Locator, text: str, tau: float, p: float) -> None:
    """The table has PyTorch's probabilities of the next token after `text`."""
    with torch.inference_mode():
        logits = smollm2()(encoded(text))[0, -1].double()
    order = logits.argsort(descending=True, stable=True)[:12]
    kept = filters.top_p(filters.temperature(logits, tau), p)
    lines = root.locator(".lmw-compare tbody tr").evaluate_all("(all) => all.map((n) => ({ ...n.dataset }))")
    for line, before, after in zip(lines, logits.softmax(-1)[order], kept.softmax(-1)[order], strict=False):
        assert float(line["before"]) == pytest.approx(before.item(), abs=2e-4)
        assert float(line["after"]) == pytest.approx(after.item(), abs=2e-4)
    assert int(root.get_attribute("data-size")) == pytest.approx(int(kept.isfinite().sum()), rel=0.02)


def check_attention(root: Locator, text: str) -> None:
    """The chosen head's shares are PyTorch's, seen from the last token."""
    with torch.inference_mode():
        shares = smollm2().attention_weights(encoded(text))[LAYER][0, HEAD, -1]
    shown = root.locator(".lmw-words small")
    expect(shown).to_have_count(len(shares))
    told = [float(number) for number in shown.all_inner_texts()]
    assert told == pytest.approx(shares.tolist(), abs=0.0051)
    assert f"head {LAYER + 1}.{HEAD + 1} looks most" in root.locator("details .lmw-message").inner_text()


def test_prompts_of_the_readers_own_are_answered_live(page, site, open_widgets):
    open_widgets(page, site.http("index.html"))
    root = page.locator("[data-lm-widget=prompt-explorer]")
    assert root.get_attribute("data-state") == "idle"
    assert not root.locator("textarea").is_visible()
    root.locator("input[type=file]").set_input_files(_smollm2_path())
    done = page.locator("[data-state=done][data-model=SmolLM2]")
    done.wait_for(timeout=120_000)
    check_next(root, BEGINNINGS[0], 1.0, 0.9)  # the saved logits still

    root.locator("textarea").fill(QUESTION)
    page.locator("[data-lm-widget][data-prompt='']").wait_for()
    check_next(root, QUESTION, 1.0, 0.9)
    root.get_by_label("a text to continue").press("ArrowRight")
    reads = root.locator(".lmw-reads")
    reads.wait_for()
    chat = tokenizer().chat([{"role": "user", "content": QUESTION}])
    assert reads.text_content() == chat
    check_next(root, chat, 1.0, 0.9)
    entropy = root.get_attribute("data-entropy")
    root.locator("input[type=range]").first.press("ArrowRight")
    expect(root).not_to_have_attribute("data-entropy", entropy)
    check_next(root, chat, 1.05, 0.9)

    root.get_by_role("button", name="Write 24 tokens").press("Enter")
    page.locator("[data-state=running]").wait_for()
    first = root.locator("[data-temperature='0'] td").first
    expect(first).to_have_text("The capital of Kenya is Nairobi. ■", timeout=60_000)
    root.get_by_role("button", name="Stop").press("Enter")
    page.locator("[data-state=stopped]").wait_for()

    root.locator("summary").press("Enter")
    for name, place in (("Layer", LAYER), ("Head", HEAD)):
        dial = root.get_by_label(name)
        dial.press("Home")
        for _ in range(place):
            dial.press("ArrowRight")
    check_attention(root, chat)
    for theme, width in (("light", 1280), ("dark", 360)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 800})
        assert_fits(page, "prompt-explorer", scrolls=".lmw-heard")

    root.locator("select").select_option("1")
    page.locator("[data-lm-widget][data-prompt='1']").wait_for()
    check_next(root, BEGINNINGS[1], 1.0, 0.9)
    assert root.locator("textarea").input_value() == BEGINNINGS[1]
    root.locator("textarea").fill("")
    expect(root.get_by_text("write something").first).to_have_class("lmw-message lmw-wrong")
    root.locator("textarea").fill(BEGINNINGS[1])  # a saved prompt has an answer
    expect(root.get_by_text("write something")).to_have_count(0)


def test_a_long_prompt_is_read_in_parts(page, site, open_widgets):
    """Stop and another prompt end it, and no number of an older prompt stays in sight."""
    open_widgets(page, site.http("index.html"))
    root = page.locator("[data-lm-widget=prompt-explorer]")
    root.locator("input[type=file]").set_input_files(_smollm2_path())
    expect(root).to_have_attribute("data-state", "done", timeout=120_000)
    prompt, numbers = root.locator("textarea"), root.locator(".lmw-compare")
    bar = root.get_by_label("Share of the prompt that is read")
    stop = root.get_by_role("button", name="Stop", exact=True)
    expect(numbers).to_be_visible()
    expect(stop).to_be_disabled()
    prompt.fill("word " * 350)
    expect(bar).to_be_visible()
    expect(root).to_have_attribute("data-state", "running")
    expect(numbers).to_be_hidden()
    stop.press("Enter")
    expect(root).to_have_attribute("data-state", "stopped")
    expect(root.get_by_text("Stopped. A change of the prompt or a slider reads on.")).to_be_visible()
    expect(root.get_by_role("button", name="Write 24 tokens")).to_be_focused()
    expect(bar).to_be_hidden()
    root.locator("input[type=range]").first.press("ArrowRight")
    expect(bar).to_be_visible()
    prompt.fill(QUESTION)
    expect(numbers).to_be_visible()
    expect(root).to_have_attribute("data-state", "done")
    check_next(root, QUESTION, 1.05, 0.9)
    prompt.fill("word " * 1100)
    expect(root.get_by_text("Of 5,500 characters the first 2,000 were taken.")).to_be_visible()
    for text, said in (
        ("한글" * 500, "this model reads at most 1,024: leave some out"),
        ("", "write something"),
    ):
        prompt.fill(text)
        expect(root.get_by_text(said).first).to_be_visible()
        expect(root).to_have_attribute("data-state", "failed")
        expect(numbers).to_be_hidden()
        assert root.get_attribute("data-entropy") is None
