"""Firefox beside Chromium: its own arithmetic, every page, and what a reader does on them."""

from collections.abc import Callable, Iterator

import firefox
import lm_parity as parity
import pytest
import torch
from built_site import PAGES
from smollm2_parity import smollm2, tokenizer

from lmbook import greedy_decode
from lmbook.training.recipes import load_trained
from lmbook.widgets.packing import rounded

pytestmark = pytest.mark.skipif(
    firefox.find() is None, reason="no Firefox is installed (Debian: apt-get install firefox-esr)"
)
READY = """
  const until = async (what) => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  const widgets = [...document.querySelectorAll('.lm-widget')];
  await until(() => widgets.every((one) => 'ready' in one.dataset || one.role === 'alert'));
"""
FIRST_EXERCISE = """
  const card = document.querySelector('.lmw-cards > li');
  const field = () => card.querySelector('input[type=text]');
  if (!field()?.checkVisibility()) card.querySelector('.lmw-card').click();
  await until(() => field());
"""


@pytest.fixture(scope="module")
def browser_of_mozilla(site) -> Iterator[firefox.Firefox]:
    started = firefox.Firefox(firefox.find(), site.origin)
    yield started
    started.close()


@pytest.fixture
def ask(browser_of_mozilla) -> Callable[..., object]:
    """Run the body of a function of `data` on a page, which must have no problems."""

    def visit(url: str, body: str, data: object = None) -> object:
        value, problems = browser_of_mozilla.visit(url, body, data)
        assert not problems, problems
        return value

    return visit


@pytest.fixture
def run(ask) -> Callable[..., object]:
    """As the fixture of Chromium's: the body of a function of (lib, data), with all modules in one script."""
    return lambda body, data=None: ask("", f"{parity.one_script()}\n{parity.PRELUDE}\n{body}", data)


@pytest.mark.parametrize("name", ["toy-causal", "shakespeare", "toy-masked"])
def test_logits_of_the_books_own_models(run, name):
    model, _ = load_trained(name)
    assert parity.logits_apart(run, model, parity.prompts(model)) < 1e-4


def test_filters_equal_pythons(run):
    parity.check_filters(run)


def test_tokenizers_are_pythons(run):
    parity.check_tokenizers(run)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_draws_its_widgets_without_an_error(ask, site, page):
    states = ask(site.http(page), f"{READY} return widgets.map((one) => [one.role, one.innerText.length]);")
    assert all(role != "alert" and length > 10 for role, length in states), states


def test_the_playground_writes_what_python_writes(ask, site):
    body = """
      const root = document.querySelector("[data-lm-widget='playground']");
      const button = [...root.querySelectorAll('button')].find((one) => one.textContent.trim() === 'Step');
      const greedy = root.querySelector("input[type=radio][value='greedy']");
      greedy.click();
      const length = () => root.dataset.ids.split(' ').length;
      for (let n = length() + 1, end = n + 20; n < end; n++) {
        button.click();
        await until(() => length() === n);
      }
      return root.dataset.ids.split(' ').map(Number);
    """
    ids = ask(site.http("chapters/playground.html"), READY + body)
    model = rounded(load_trained("toy-causal")[0]).double()
    assert len(ids) > 20
    assert greedy_decode(model, torch.tensor([ids[:-20]]), 20).tolist() == [ids]


@pytest.mark.slow
def test_smollm2_says_what_python_says(ask, site):
    """Some 10 s: the file comes over the wire, and every weight is brought into its place."""
    body = """
      const root = document.querySelector("[data-lm-widget='playground']");
      const all = () => [...root.querySelectorAll('button')];
      const button = (words) => all().find((one) => one.textContent.startsWith(words));
      root.querySelector("input[type=radio][value='SmolLM2']").click();
      await until(() => button('Load SmolLM2'));
      button('Load SmolLM2').click();
      await until(() => root.dataset.state === 'loading');
      await until(() => root.dataset.state === 'idle');
      root.querySelector("input[type=radio][value='greedy']").click();
      const field = root.querySelector('textarea');
      field.value = 'The capital of France is';
      field.dispatchEvent(new Event('input', { bubbles: true }));
      await until(() => root.dataset.ids?.split(' ').length === 5);
      for (let n = 6; n <= 10; n++) {
        button('Step').click();
        await until(() => root.dataset.ids.split(' ').length === n);
      }
      return root.dataset.ids.split(' ').map(Number);
    """
    ids = ask(site.http("chapters/playground.html"), READY + body)
    prompt = tokenizer().encode("The capital of France is")
    assert ids == greedy_decode(smollm2(), torch.tensor([prompt]), 5)[0].tolist()


def test_an_answer_is_judged_and_remembered(ask, site):
    url = site.http("chapters/01_probability.html")
    answer = """
      field().value = '4';
      field().dispatchEvent(new Event('input', { bubbles: true }));
      field().dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
      await until(() => card.querySelector('.lmw-verdict')?.dataset.state);
      return card.querySelector('.lmw-verdict').dataset.state;
    """
    assert ask(url, READY + FIRST_EXERCISE + answer) == "right"
    again = "return [field().value, card.querySelector('.lmw-mark').textContent];"
    value, mark = ask(url, READY + FIRST_EXERCISE + again)
    assert value == "4"
    assert "✓" in mark
