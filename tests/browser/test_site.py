"""Every page of the built site, in a real Chromium: complete, private, light, accessible, on a phone too."""

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from built_site import DESK, HTML, PAGES, PHONE
from fontTools.ttLib import TTFont
from looks import assert_accessible, keep_one_of_each, show_in
from playwright.sync_api import expect

FOR_EYES = ["color-contrast", "link-in-text-block", "image-alt", "svg-img-alt", "role-img-alt"]  # of axe-core
PAGE_LIMIT = 255 * 1024  # bytes, gzipped, before widget weights and what is loaded on demand


class Links(HTMLParser):
    """Collects what a page points at, and the ids that can be pointed at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in {"href", "src"} and value:
                self.targets.append(value)


def check_drawn(page, widgets: list, path: str) -> None:
    """The page is whole: it has a title, and each of its widgets is drawn."""
    if path == "index.html":  # it forwards, and nothing is left half loaded
        page.wait_for_url("**/chapters/index.html")
    assert page.title()
    for widget in widgets:
        assert widget.get_attribute("data-ready") == "true", widget.inner_text()


def weigh(page) -> dict[str, int]:
    """The gzipped bytes of everything that the page will load, by address."""
    sizes: dict[str, int] = {}

    def add(response) -> None:
        if response.ok and not response.url.startswith("blob:"):  # a blob is part of the page that made it
            sizes.setdefault(response.url, len(gzip.compress(response.body())))

    page.on("response", add)
    return sizes


def size_of_widget_weights(page) -> int:
    """The gzipped bytes of the models and texts that the page's widgets bring."""
    texts = page.locator('script[type="application/vnd.jupyter.widget-state+json"]').all_text_contents()
    saved = json.loads(texts[0])["state"] if texts else {}
    weights = [buffer["data"] for model in saved.values() for buffer in model.get("buffers", [])]
    weights += [text for model in saved.values() for text in corpora_in(model["state"])]
    return len(gzip.compress("".join(weights).encode())) if weights else 0


def corpora_in(state: object) -> list[str]:
    """The texts of over 10,000 characters in a widget's state, which a reader trains on."""
    if isinstance(state, str):
        return [state] if len(state) > 10_000 else []
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else []
    return [text for part in parts for text in corpora_in(part)]


def test_the_site_has_its_pages():
    assert {"index.html", "search.html", "chapters/index.html"} <= set(PAGES)


@pytest.mark.parametrize("path", PAGES)
def test_loads_from_the_disk_without_an_error_or_a_foreign_request(page, site, open_widgets, path):
    check_drawn(page, open_widgets(page, site.file(path)), path)


@pytest.mark.parametrize("path", PAGES)
def test_loads_without_an_error_or_a_foreign_request_and_is_light(page, site, open_widgets, path, capsys):
    sizes = weigh(page)
    check_drawn(page, open_widgets(page, site.http(path)), path)
    page.wait_for_load_state("networkidle")
    weights = size_of_widget_weights(page)
    rest = sum(sizes.values()) - weights
    with capsys.disabled():
        print(f"\n{path}: {rest / 1024:.0f} KiB gzipped, and {weights / 1024:.0f} KiB of weights")
    assert rest <= PAGE_LIMIT


every_page = pytest.mark.parametrize(
    "path", [p for p in PAGES if p != "index.html"]
)  # that one only forwards


def check_looks(page, open_widgets, url: str) -> None:
    """Assert that a page fits and is accessible, by all rules in the light, in the dark by those for eyes."""
    open_widgets(page, url)
    for theme in ("light", "dark"):
        show_in(page, theme)
        excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert excess <= 0, f"{url} is {excess} px too wide in the {theme}"
    keep_one_of_each(page)
    assert_accessible(page, only=FOR_EYES)
    show_in(page, "light")
    assert_accessible(page)


class TestOnAPhone:  # a class for each, so that two processes share the work
    @every_page
    def test_fits_and_is_accessible(self, new_page, site, open_widgets, path):
        page = new_page(viewport=PHONE, color_scheme="light", reduced_motion="reduce")
        check_looks(page, open_widgets, site.http(path))


class TestOnADesk:
    @every_page
    def test_fits_and_is_accessible(self, new_page, site, open_widgets, path):
        page = new_page(viewport=DESK, color_scheme="light", reduced_motion="reduce")
        check_looks(page, open_widgets, site.http(path))


def test_code_in_a_pale_colour_is_found_among_its_like(page):
    pale = "<style>.k { color: #bbb }</style>"
    code = "<pre><span class=k>if</span> <span class=n>a</span> <span class=k>else</span></pre>"
    page.set_content(
        f"<html lang='en'><title>p</title>{pale}<main><h1>P</h1><div class=highlight>{code}</div>"
    )
    keep_one_of_each(page)
    assert page.locator("span").count() == 2
    with pytest.raises(AssertionError, match="color-contrast"):
        assert_accessible(page, only=FOR_EYES)


@pytest.mark.parametrize("text", ["<img src='data:,'>", "<p style='color: #bbb; background: #fff'>pale</p>"])
def test_what_cannot_be_seen_or_heard_is_found(page, text):
    page.set_content(f"<html lang='en'><title>page</title><main><h1>Page</h1>{text}</main></html>")
    with pytest.raises(AssertionError, match=r"image-alt|color-contrast"):
        assert_accessible(page, only=FOR_EYES)


FIGURES = [path for path in PAGES if 'class="lm-figure"' in (HTML / path).read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", FIGURES)
def test_figures_are_drawn_for_phones_and_none_scrolls_sideways(new_page, site, path):
    page = new_page(viewport={"width": 390, "height": 844})
    page.goto(site.http(path))
    found = page.locator(".lm-figure").evaluate_all("""(boxes) => Promise.all(boxes.map(async (box) => {
      const image = box.querySelector('img');
      image.loading = 'eager';
      await image.decode();
      return [image.currentSrc, image.naturalWidth, image.clientWidth, box.scrollWidth - box.clientWidth];
    }))""")
    assert found
    for source, drawn, shown, hidden in found:
        assert source.endswith("-narrow.svg")
        assert shown >= 0.97 * drawn  # its letters are shown as large as they are drawn
        assert hidden <= 0


def test_a_wide_table_shows_on_a_phone_that_it_goes_on(page):
    script = (HTML / "_static" / "site.js").read_text(encoding="utf-8")
    page.set_content(
        "<style>div { width: 100px; overflow: auto } p { width: 900px }</style>"
        f'<div class="lm-figure"><p>wide</p></div><script>{script}</script>'
    )
    box = page.locator(".lm-figure")
    expect(box).to_have_class("lm-figure lm-on-after")
    box.focus()
    page.keyboard.press("ArrowRight")
    expect(box).to_have_class("lm-figure lm-on-after lm-on-before")
    box.evaluate("box => box.scrollTo({left: 1000, behavior: 'instant'})")
    expect(box).to_have_class("lm-figure lm-on-before")


@pytest.mark.parametrize("path", [path for path in PAGES if "lm-formula" in (HTML / path).read_text("utf-8")])
def test_no_formula_on_a_phone_scrolls_for_less_than_what_fades(new_page, site, path):
    page = new_page(viewport={"width": 390, "height": 844})
    page.goto(site.http(path))
    hidden = page.locator(".lm-formula").evaluate_all(
        "(all) => all.map((n) => n.scrollWidth - n.clientWidth)"
    )
    assert not [pixels for pixels in hidden if 1 < pixels < 20]


def test_the_link_beside_the_number_of_a_formula_is_seen(page, site):
    page.goto(site.http("chapters/01_probability.html"))
    formula = page.locator("div.math.lm-equation").first
    formula.hover()
    link = formula.locator(".headerlink").bounding_box()
    seen = page.evaluate("(x) => document.elementFromPoint(...x)?.className", [link["x"] + 4, link["y"] + 8])
    assert seen == "headerlink"


def test_the_address_of_the_site_leads_to_its_first_page(page, site):
    page.goto(site.http(""))
    page.wait_for_url("**/chapters/index.html")


def test_links_inside_the_site_lead_somewhere():
    pages = {path: Links((HTML / path).read_text(encoding="utf-8")) for path in PAGES}
    dead = []
    for path, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (HTML / path).parent / unquote(parts.path) if parts.path else HTML / path
            name = str(file.resolve().relative_to(HTML))
            if not file.exists():
                dead.append(f"{path} -> {target}")
            elif parts.fragment and name in pages and unquote(parts.fragment) not in pages[name].ids:
                dead.append(f"{path} -> {target}: no such place")
    assert not dead, "\n".join(sorted(set(dead)))


def test_mathematics_is_mathml_in_its_own_font(page, site):
    page.goto(site.http("chapters/01_probability.html"))
    assert page.locator("math").count() > 0
    assert page.evaluate("document.fonts.load('16px \"LM Math\"').then((found) => found.length)") == 1


def test_the_font_of_the_formulas_draws_their_roots():
    assert any("<msqrt>" in (HTML / path).read_text(encoding="utf-8") for path in PAGES)
    assert ord("√") in TTFont(HTML / "_static" / "lm-math.woff2").getBestCmap()


def test_nothing_speaks_of_the_machine_that_built_it(site):
    told = [
        p for p in PAGES if re.search(rf"{re.escape(str(Path.home()))}/|/tmp/", (site.root / p).read_text())
    ]
    assert not told


WIDGET = """export default {
  initialize({ model }) { model.set('started', model.get('started') + 1); },
  render({ model, el }) {
    const button = document.createElement('button');
    const text = () => [model.get('n'), model.get('started'), model.get('raw').getUint8(1)];
    const show = () => { button.textContent = text(); };
    button.onclick = () => { model.set('n', model.get('n') + 1); model.save_changes(); };
    model.on('change:n', show); show(); el.append(button);
    el.stop = () => model.off('change:n', show);
  },
};"""


def widget_page(models: dict, views: list[str]) -> str:
    """Return a page that shows `views` of `models` as the built pages do."""
    marks = "".join(
        '<div class="lm-widget"></div><script type="application/vnd.jupyter.widget-view+json">'
        f"{json.dumps({'model_id': view})}</script>"
        for view in views
    )
    state = json.dumps({"version_major": 2, "version_minor": 0, "state": models})
    script = (HTML / "_static" / "widgets" / "static-widgets.js").read_text(encoding="utf-8")
    return (
        f"<!doctype html><title>widgets</title>{marks}"
        f'<script type="application/vnd.jupyter.widget-state+json">{state}</script><script>{script}</script>'
    )


def anywidget(**state: object) -> dict:
    buffers = [{"encoding": "base64", "path": ["raw"], "data": "Byo="}]  # the bytes 7, 42
    return {
        "model_name": "AnyModel",
        "model_module": "anywidget",
        "state": {"_esm": WIDGET, "n": 0, "started": 0, **state},
        "buffers": buffers,
    }


def test_views_of_a_model_share_it_and_models_do_not(page):
    page.set_content(widget_page({"a": anywidget(), "b": anywidget(n=5)}, ["a", "a", "b"]))
    buttons = page.locator("button")
    buttons.nth(2).wait_for()
    buttons.nth(0).click()
    assert buttons.all_text_contents() == ["1,1,42", "1,1,42", "5,1,42"]
    page.evaluate("document.querySelector('.lm-widget').stop()")
    buttons.nth(1).click()
    assert buttons.all_text_contents() == ["1,1,42", "2,1,42", "5,1,42"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (anywidget(_esm="export default { render() { throw new Error('no luck'); } }"), "no luck"),
        ({**anywidget(), "model_module": "@jupyter-widgets/controls"}, "needs a running kernel"),
        (None, "not on this page"),
    ],
)
def test_a_widget_that_fails_says_so_in_its_place(page, problems, model, message):
    page.set_content(widget_page({"a": model} if model else {}, ["a"]))
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert message in alert.inner_text()
    assert problems
    problems.clear()
