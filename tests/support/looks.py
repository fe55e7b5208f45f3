"""What every widget must fulfil, at any width, in both themes and with any content."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

# Of code, formulas and what the API says that look alike, one stays: they are nine of ten elements.
KEEP_ONE_OF_EACH = """() => {
  const seen = new Set();
  const isNew = (...traits) => seen.size < seen.add(traits.join('|')).size;
  for (const signature of document.querySelectorAll('dt.sig')) {
    if (!isNew(signature.parentElement.className)) signature.replaceChildren(signature.textContent);
  }
  for (const piece of document.querySelectorAll('.highlight pre span:not([id]), code > span.pre')) {
    const around = piece.closest('.highlight, code').parentElement;
    if (!isNew(piece.className, around.tagName, around.className)) piece.replaceWith(...piece.childNodes);
  }
  for (const words of document.querySelectorAll('dl.py :is(p, li)')) {
    const inside = [...words.querySelectorAll('*')].map((node) => `${node.tagName}.${node.className}`);
    const kinds = [...new Set(inside)].sort();
    const around = words.parentElement?.tagName; // none: it went with what it stood in
    if (!isNew(words.tagName, around, ...kinds)) words.replaceChildren();
  }
  for (const formula of document.querySelectorAll('math')) {
    const around = formula.parentElement;
    if (!isNew(around.tagName, around.className, getComputedStyle(formula).color)) formula.replaceChildren();
  }
  document.body.normalize();
}"""

PHONE = {"viewport": {"width": 360, "height": 800}, "has_touch": True}


def assert_fits(page: Page, name: str, *, scrolls: str = ".lmw-heard", lowest: int = 40) -> None:
    """Assert that the widget `name` fits its page, can be touched, and gives axe nothing to report.

    Args:
        page: the page, as wide as it is to be tried.
        name: of the widget, in `data-lm-widget`.
        scrolls: a CSS selector of what may reach beyond the widget's edge.
        lowest: the least height of a control, in pixels; axe has its own idea of too small.
    """
    root = page.locator(f"[data-lm-widget='{name}']")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    outside = root.evaluate(
        """(root, scrolls) => [...root.querySelectorAll(`:not(${scrolls})`)]
          .filter((node) => node.getBoundingClientRect().right > root.getBoundingClientRect().right + 0.5)
          .map((node) => node.outerHTML.slice(0, 99))""",
        scrolls,
    )
    assert not outside
    low = root.evaluate(
        """(root, lowest) =>
          [...root.querySelectorAll('button, select, input:not([type=radio]), .lmw-segment')]
            .filter((node) => node.offsetParent && node.getBoundingClientRect().height < lowest)
            .map((node) => node.outerHTML.slice(0, 99))""",
        lowest,
    )
    assert not low, f"touch targets lower than {lowest} px"
    assert_accessible(page, f"[data-lm-widget='{name}']")


def assert_accessible(page: Page, part: str = "html", only: list[str] | None = None) -> None:
    """Assert that axe-core has nothing against what stands in `part`, a CSS selector.

    Args:
        only: the rules that are tried, such as "color-contrast"; all if None.
    """
    options = {"preload": False, "resultTypes": ["violations"]}  # what passed would take twice as long
    found = Axe().run(page, context=part, options=options | ({"runOnly": only} if only else {})).response
    faults = [
        f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes'][:3]]}" for v in found["violations"]
    ]
    assert not faults, "\n".join(faults)


def show_in(page: Page, theme: str) -> None:
    """Show a page that follows the reader's system in "light" or "dark"."""
    page.emulate_media(color_scheme=theme)
    expect(page.locator("html")).to_have_attribute("data-theme", theme)


def keep_one_of_each(page: Page) -> None:
    """Take the repetition out of a page's code and formulas, so that axe-core looks at each look once."""
    page.evaluate(KEEP_ONE_OF_EACH)


def numbers(root: Locator, selector: str, key: str) -> list[float]:
    values = root.locator(selector).evaluate_all("(all, key) => all.map((n) => n.dataset[key])", key)
    return [float(value.replace("Infinity", "inf")) for value in values]


def choose(select: Locator, index: int) -> None:
    """By keyboard: to the first option, then down."""
    select.focus()
    select.press("Home")
    for _ in range(index):
        select.press("ArrowDown")
