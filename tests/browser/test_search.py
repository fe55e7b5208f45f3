"""The search: what readers ask leads first to the place that answers, from the disk too."""

import pytest
from looks import PHONE, assert_accessible
from playwright.sync_api import expect

# What is asked, and the place that answers it best.
ASKED = {
    "KV cache": "08_practice.html#the-key-value-cache",
    "top p": "07_decoding.html#cutting-off-the-tail",
    "top-k": "07_decoding.html#cutting-off-the-tail",
    "PPL": "01_probability.html#how-good-is-a-model",
    "perplexity": "01_probability.html#how-good-is-a-model",
    "perplexty": "01_probability.html#how-good-is-a-model",
    "BPE": "02_tokens.html#byte-pairs",
    "kneser ney": "01_probability.html#taking-from-the-rich",
    "attention": "04_attention.html#attention-by-hand",
    "beam search": "07_decoding.html#beam-search",
    "temperture": "07_decoding.html#temperature",
    "speculative decoding": "08_practice.html#speculative-decoding",
    "RoPE": "04_attention.html#order-must-be-told",
    "chain rule": "01_probability.html#the-chain-rule",
    "bits per byte": "02_tokens.html#the-same-text-the-same-information",
    "pseudo-perplexity": "06_masked.html#pseudo-perplexity",
    "backprop": "03_learning.html#a-count-made-soft",
    "masked language model": "06_masked.html#fill-the-gap",
    "chat template": "09_real_model.html#the-chat-template",
    "nucleus_decode": "api.html#lmbook.nucleus_decode",
}


@pytest.fixture
def ask(page, site):
    page.goto(site.http("search.html"))
    field = page.locator(".bd-search-container form input")

    def ask(words: str) -> list[str]:
        field.fill(words)
        expect(page.locator("#search-results")).to_have_attribute("aria-busy", "false")
        links = page.locator("#search-results li a")
        return links.evaluate_all("links => links.map((link) => link.getAttribute('href'))")

    return ask


def test_each_question_leads_first_to_its_answer(ask):
    places = {words: [*ask(words), ""] for words in ASKED}
    missed = {words: found[:3] for words, found in places.items() if found[0] != f"chapters/{ASKED[words]}"}
    assert not missed


def test_sections_come_before_the_glossary_and_that_before_the_api(ask):
    found = ask("perplexity")
    term, api = "chapters/glossary.html#term-perplexity", "chapters/api.html#lmbook.perplexity"
    assert found.index(f"chapters/{ASKED['perplexity']}") < found.index(term) < found.index(api)


def test_what_is_nowhere_is_not_found(ask, page):
    assert ask("xylophonist zebrafish") == []
    expect(page.locator("#search-results [role=status]")).to_have_text("Nothing found.")


def test_texts_that_do_not_come_are_told_and_asked_for_again(ask, page, problems):
    page.route("**/search-texts.js*", lambda route: route.abort())
    assert ask("atten") == []
    expect(page.locator("#search-results [role=status]")).to_have_text(
        "The texts to search could not be loaded."
    )
    page.unroute("**/search-texts.js*")
    assert ask("attention")
    problems.clear()  # the request that was refused


def test_a_result_shows_the_word_in_its_sentence(page, site):
    page.goto(site.http("search.html?q=underflow"))
    context = page.locator("#search-results p.context", has=page.locator("mark")).first
    expect(context.locator("mark").first).to_have_text("underflow", ignore_case=True)
    expect(context).not_to_contain_text(".ipynb")


def test_from_the_disk_by_keyboard_alone(page, site):
    page.goto(site.file("search.html"))
    page.keyboard.type("KV cache")  # the field has the focus
    page.keyboard.press("Enter")
    expect(page.locator("#search-results li a").first).to_have_text("The key/value cache")
    page.locator("#search-results li a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/08_practice.html#the-key-value-cache")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_results_are_accessible_and_fit_a_phone(new_page, site, scheme):
    page = new_page(**PHONE, color_scheme=scheme)
    page.goto(site.http("search.html?q=attention"))
    expect(page.locator("#search-results li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_accessible(page)
