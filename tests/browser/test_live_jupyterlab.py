"""All widgets in a running JupyterLab: today's, and one with Colab's ipywidgets 7.7.1 and anywidget 0.9.21.

Each Lab lives in an environment of its own under `_build/lab`, made on first use; `lmbook` and torch come
from the environment that runs the tests. A notebook with every widget is run by Lab's own menu, then a
control of each is moved by keyboard, and what it shows is compared with the same objects in Python.
"""

import ast
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Locator, Page, expect

from lmbook import NGramLM, beam_search, filters
from lmbook.widgets.packing import rounded

ROOT = Path(__file__).resolve().parents[2]
LABS = {
    "lab4": ["jupyterlab==4.6.6", "ipywidgets==8.1.9", "anywidget==0.11.0"],
    "colab": ["jupyterlab==3.6.8", "ipywidgets==7.7.1", "jupyterlab_widgets==1.1.11", "anywidget==0.9.21"],
}
SETTINGS = {  # every cell is drawn at once, and Lab asks nobody for news
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}
SETUP = """\
import torch
from lmbook import NGramLM, ToyLanguage
from lmbook.tokenizer import BPETokenizer
from lmbook.training.recipes import load_trained
from lmbook.transformer import TransformerConfig
from lmbook.widgets.book_map import BookMap, Stop
from lmbook.widgets import *

language = ToyLanguage()
ids = language.sample(5, 256, generator=torch.Generator().manual_seed(2))
causal, masked = load_trained("toy-causal")[0], load_trained("toy-masked")[0]
config = TransformerConfig(vocab_size=87, d_model=32, num_heads=2, num_layers=1, context_length=16)
sentences = ["the gulls that follow the crab sleep.", "every horse near the barn rests."]
passage = "the gulls sleep near the oak while the crab hides"
letters = torch.tensor([["abcdefghijklmnopqrstuvwxyz ".index(c) for c in passage * 9]])
recorder = ReplayRecorder(language, sentences, ids[:, :23])
for step, model in enumerate([NGramLM(1, 87).fit(ids), NGramLM(2, 87).fit(ids), language]):
    recorder(step, model)
BookMap([Stop(name="Count", link="01_other#counting")], [Stop(name="exact", link="01_other", nats=1.72)])
"""
WIDGETS = {  # data-lm-widget: the cell that makes it
    "next-token": "NextTokenDemo(language, ids, prefix='the gulls')",
    "chain-rule": "ChainRuleExplorer(language, ids)",
    "shannon": "ShannonGame([passage], NGramLM(3, 27).fit(letters))",
    "token-merges": "TokenMerges(BPETokenizer.train(passage * 3, 270), passage * 3, passage)",
    "attention": "AttentionExplorer(causal, language)",
    "forward-pass": "ForwardPass(causal, language)",
    "training-replay": "TrainingReplay(recorder)",
    "masked-explorer": "MaskedExplorer(masked, language, ids)",
    "exercises": "Exercises('probability')",
    "playground": "Playground(causal, language, prompt='the gulls that follow the crab')",
    "beam-tree": "BeamTree({'gulls': (language, 'the gulls')})",
    "prompt-explorer": "PromptExplorer(['the gulls'], causal(ids[:1, :7])[:, -1].detach(), language, top=50)",
    "decoding-explorer": "DecodingExplorer(causal, language)",
    "training-panel": "TrainingPanel(language, steps=10)",
    "word-vectors": "WordVectors(language.vocab, causal.embedding.weight[None, :87].detach(), word='gulls')",
    "laboratory": "Laboratory(config=config, ids=ids)",
}

pytestmark = pytest.mark.slow


def environment(name: str) -> Path:
    """The Python of a Lab, which sees the packages of ours behind its own."""
    home = ROOT / "_build" / "lab" / name
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        call = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *LABS[name]]
        subprocess.run(call, check=True, timeout=900)
        (home / "ready").touch()
    ours = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    (next(home.glob("lib/python*/site-packages")) / "zz_ours.pth").write_text("\n".join(ours))
    return python


def has_answered(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


@pytest.fixture(scope="module", params=LABS)
def lab(request, tmp_path_factory) -> Iterator[str]:
    """The address of a running Lab that has the notebook with all widgets."""
    python = environment(request.param)
    folder = tmp_path_factory.mktemp("lab")
    (folder / "config" / "labconfig").mkdir(parents=True)
    (folder / "config" / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    cells = [new_code_cell(source) for source in (SETUP, *WIDGETS.values())]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "widgets.ipynb")
    nbformat.write(new_notebook(metadata={"kernelspec": kernel}), folder / "01_other.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [python, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    call += [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=", "--ServerApp.port_retries=0"]
    home = {f"JUPYTER_{what}_DIR": str(folder / what.lower()) for what in ("CONFIG", "DATA", "RUNTIME")}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(call, env=os.environ | home | {"PATH": path}, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            until = time.monotonic() + 120
            while not has_answered(f"{address}/api"):
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.2)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def run_all(page: Page) -> None:
    """Run all cells; again, where Lab said that the kernel is there before it was."""
    first, last = (page.locator(".jp-InputPrompt").nth(i) for i in (0, len(WIDGETS)))
    for _ in range(6):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(5000)
        if first.inner_text() != "[ ]:":
            break
    expect(last).to_have_text(f"[{len(WIDGETS) + 1}]:", timeout=120_000)


@pytest.fixture(scope="module")
def notebook(lab: str, browser) -> Iterator[Page]:
    """The page, with all cells run; it fails in the end if a page error or another host occurred."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(60_000)
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    ours = (lab, lab.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda r: r.url.startswith(ours) or problems.append(f"another host: {r.url}"))
    page.goto(f"{lab}/lab/tree/widgets.ipynb?reset")
    page.locator(".jp-Notebook .jp-Cell").nth(len(WIDGETS)).wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    run_all(page)
    yield page
    context.close()
    assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def python() -> SimpleNamespace:
    """What the notebook has made, made here."""
    names: dict = {}
    exec(SETUP, names)
    return SimpleNamespace(**names)


@pytest.fixture
def widget(notebook: Page) -> Callable[[str], Locator]:
    def find(name: str) -> Locator:
        errors = notebook.locator(
            ".jp-OutputArea-output [data-mime-type*=error], .jp-RenderedText[data-mime-type*=stderr]"
        )
        assert not errors.all_inner_texts()
        found = notebook.locator(f"[data-lm-widget='{name}']").first
        found.wait_for()
        found.scroll_into_view_if_needed()
        return found

    return find


def made(python: SimpleNamespace, name: str) -> object:
    """The widget `name` as Python has it here."""
    return eval(compile(ast.parse(WIDGETS[name], mode="eval"), name, "eval"), vars(python))


def press(view: Locator, selector: str, *keys: str) -> None:
    view.locator(selector).first.focus()
    for key in keys:
        view.page.keyboard.press(key)


def data(view: Locator, selector: str, key: str) -> list[float]:
    return view.locator(selector).evaluate_all("(all, key) => all.map((n) => Number(n.dataset[key]))", key)


def test_next_token(widget, python):
    view = widget("next-token")
    press(view, "[data-word=sleep]", "Enter")
    expect(view).to_have_attribute("data-prefix", "the gulls sleep")
    ids = [python.language.vocab.index(word) for word in ("the", "gulls", "sleep")]
    exact = python.language(torch.tensor([ids]))[0, -1].exp()
    words = view.locator("button.lmw-row").evaluate_all("(all) => all.map((n) => n.dataset.word)")
    want = [float(exact[python.language.vocab.index(word)]) for word in words]
    assert data(view, "button.lmw-row", "exact") == pytest.approx(want, abs=1e-6)


def test_chain_rule(widget, python):
    view = widget("chain-rule")
    press(view, "input[value='3']", "ArrowRight")
    words = view.locator("tbody tr").evaluate_all("(all) => all.map((n) => n.dataset.word)")
    ids = [python.language.vocab.index(word) for word in (".", *words)]
    rows = NGramLM(4, 87).fit(python.ids)(torch.tensor([ids]))[0, :-1].exp()
    want = rows.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
    assert data(view, "tbody tr", "ngram") == pytest.approx(want, abs=1e-6)


def test_shannon(widget, python):
    view, passage = widget("shannon"), made(python, "shannon").passages[0]
    view.locator(".lmw-text").focus()
    view.page.keyboard.type(passage["text"][passage["given"]])
    expect(view).to_have_attribute("data-played", "1")
    assert data(view, "[data-score=ngram-bits]", "value") == pytest.approx([-passage["log2_probs"][0]])


def test_token_merges(widget, python):
    view, here = widget("token-merges"), made(python, "token-merges")
    press(view, "input[type=range]", "End")
    expect(view).to_have_attribute("data-merges", "14")
    assert data(view, "li", "token") == here.tokens(14)
    bits = here.scores(14)["held-out"][2]
    assert data(view, "[data-score=held-out-bits-per-byte]", "value") == pytest.approx([bits])


def test_attention(widget, python):
    view = widget("attention")
    press(view, ".lmw-words button", "End")
    expect(view).to_have_attribute("data-place", "7")
    ids = torch.tensor([python.language.encode("the gulls that follow the crab sleep.")])
    target = int(view.get_attribute("data-target"))
    with torch.no_grad():
        weights = rounded(python.causal).attention_weights(ids)
    want = [float(head) for layer in weights for head in layer[0, :, 7, target]]
    assert data(view, ".lmw-head-map", "weight") == pytest.approx(want, abs=1e-4)


def test_training_replay(widget, python):
    view = widget("training-replay")
    press(view, "input[type=range]", "End")
    expect(view).to_have_attribute("data-checkpoint", "2")
    ids = torch.tensor([python.recorder.ids[0]])
    surprises = -python.language(ids)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
    assert data(view, ".lmw-words button", "model")[1:] == pytest.approx(surprises.tolist(), abs=1e-3)


def test_masked_explorer(widget, python):
    view = widget("masked-explorer")
    press(view, ".lmw-words button", "ArrowRight", "Enter")
    expect(view).to_have_attribute("data-hidden", "1 6")
    twin = rounded(python.masked).eval()
    ids = torch.tensor([python.language.encode("the gulls that follow the crab sleep.")])
    hidden = ids.clone()
    hidden[0, [1, 6]] = twin.mask_token_id
    surprise = -float(twin(hidden).detach()[0, 1].log_softmax(-1)[ids[0, 1]])
    assert data(view, ".lmw-foot", "model")[0] == pytest.approx(surprise, abs=1e-3)


def test_exercises(widget, python):
    view, items = widget("exercises"), made(python, "exercises")._sheet.exercises
    at = next(i for i, item in enumerate(items) if item.kind == "number")
    card = view.locator(".lmw-cards > li").nth(at)
    press(card, ".lmw-card", "Enter")
    for text, state in (("12345", "wrong"), (f"{items[at].answer:g}", "right")):
        card.get_by_role("textbox").fill(text)
        card.get_by_role("textbox").press("Enter")
        expect(card.locator(".lmw-verdict")).to_have_attribute("data-state", state)


def test_playground(widget, python):
    view = widget("playground")
    ids = python.language.encode("the gulls that follow the crab")
    expect(view).to_have_attribute("data-ids", " ".join(map(str, ids)))
    press(view, "[data-dial=p]", "Home")
    press(view, ".lmp-dist li button", "Enter")
    twin = rounded(python.causal).double().eval()
    ids.append(int(twin(torch.tensor([ids]))[0, -1].argmax()))
    expect(view).to_have_attribute("data-ids", " ".join(map(str, ids)))
    logits = twin(torch.tensor([ids]))[0, -1]
    order = data(view, ".lmp-dist li button", "token")
    for key, dist in (("before", logits), ("after", filters.top_p(logits, 0.05))):
        want = dist.softmax(-1)[[int(token) for token in order]].tolist()
        assert data(view, ".lmp-dist li button", key) == pytest.approx(want, abs=1e-5)
    assert view.get_by_role("button", name="Copy link").count() == 0  # the address isn't the playground's


def test_beam_tree(widget, python):
    view = widget("beam-tree")
    press(view, "input[type=range]", "ArrowRight")
    view.get_by_role("button", name="All steps").press("Enter")
    expect(view).to_have_attribute("data-steps", "4")
    prompt = torch.tensor([python.language.encode("the gulls")])
    _, scores = beam_search(python.language, prompt, 3, 4)
    best = python.language.best_continuation(prompt, 4)
    most = float(python.language.log_prob(best) - python.language.log_prob(prompt))
    assert data(view, "tbody tr", "logProb")[1:] == pytest.approx([float(scores), most])


def test_prompt_explorer(widget, python):
    view = widget("prompt-explorer")
    sliders = view.locator("input[type=range]")
    sliders.nth(1).focus()
    for _ in range(4):
        view.page.keyboard.press("ArrowLeft")
    p = float(sliders.nth(1).get_attribute("aria-valuetext"))
    assert p < 0.9
    dist = python.causal(python.ids[:1, :7])[0, -1].detach().double()
    left = filters.top_p(dist, p) > -torch.inf
    expect(view).to_have_attribute("data-size", str(int(left.sum())))
    assert float(view.get_attribute("data-mass")) == pytest.approx(
        float(dist.softmax(-1)[left].sum()), abs=1e-3
    )


def test_decoding_explorer(widget, python):
    view = widget("decoding-explorer")
    press(view, "[data-filter=top_p] input", *["ArrowLeft"] * 4)
    (p,) = data(view, "[data-filter=top_p]", "value")
    assert p < 0.9
    ids = torch.tensor([python.language.encode("the seals that")])
    logits = rounded(python.causal).double().eval()(ids)[0, -1]
    left = filters.top_p(filters.temperature(logits, 2.0), p) > -torch.inf
    assert data(view, "[data-filter=top_p]", "count") == [int(left.sum())]


def test_training_panel(notebook, python):
    """The one that needs the kernel: it trains there, and tells the loss here."""
    notebook.locator("button.jupyter-button", has_text="Train").press("Enter")
    status = notebook.get_by_text("nats per word").filter(has_text="Done")
    status.wait_for()
    here = made(python, "training-panel")
    here.start()
    assert here.wait(60.0)
    assert status.inner_text() == here.status.value


def test_word_vectors(widget, python):
    view, near = widget("word-vectors"), made(python, "word-vectors").nearest
    press(view, "[data-word=oak]" if view.locator("[data-word=oak]").count() else "select", "Enter")
    shown = view.locator(".lmw-nearest b").all_inner_texts()
    assert shown == [word for word, _ in near(0, python.language.vocab.index("gulls"))]


def test_laboratory(widget, python):
    """A reader's own configuration and ids are trained in the notebook's page."""
    view = widget("laboratory")
    view.get_by_label("Steps", exact=True).fill("40")
    press(view, "button.lmp-main", "Enter")
    expect(view).to_have_attribute("data-state", "done", timeout=60_000)
    assert view.get_attribute("data-step") == "40"
    assert float(view.get_attribute("data-unseen-loss")) < math.log(87)
    assert (
        view.get_by_role("button", name="Take it to the playground").count() == 0
    )  # there is none beside it


def test_links_of_the_map_open_the_notebook_beside_this_one(notebook):
    """The last test: another notebook is in front then."""
    links = notebook.locator(".lm-map a")
    links.first.scroll_into_view_if_needed()
    assert links.count() == 2
    links.first.click()
    notebook.locator(".lm-DockPanel-tabBar .lm-TabBar-tabLabel", has_text="01_other.ipynb").wait_for()
    assert notebook.url.endswith("01_other.ipynb")
