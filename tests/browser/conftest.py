"""What browser tests share: the built site, a Chromium, and pages that tolerate nothing.

    def test_something(page, site):
        page.goto(site.http("chapters/index.html"))     # or site.file(...), the same page from the disk

- `site` knows the built pages: `site.pages` (relative paths), `site.http(path)`, `site.file(path)`.
- `page` is a fresh 1280 × 900 page. The test fails, at its end, if the page logged an error, threw one, or
  asked another host for anything.
- `new_page(**options)` makes more such pages; options are those of Playwright's `new_context`, for example
  `new_page(viewport={"width": 360, "height": 800}, color_scheme="dark", has_touch=True)`.
- `problems` is the list those pages write to: a test that provokes an error asserts on it and clears it.
- `open_widgets(page, url)` goes to `url`, waits until its widgets are drawn, and returns their locators.

The pages' own policy forbids evaluating strings: wait for locators, not with `wait_for_function`.

The site must have been built: `make browser` (a part of `make test`) does that first.
"""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ensure_chromium
import lm_parity as parity
import pytest
from built_site import HTML, PAGES
from playground_page import carried, playground  # noqa: F401  (fixtures of two modules)
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

# Without the service worker, which loads the whole site for later: test_offline.py lets it in.
PLAIN = {"viewport": {"width": 1280, "height": 900}, "service_workers": "block"}


@dataclass(frozen=True)
class Site:
    """The built site, under both of the addresses that a reader can open it at."""

    root: Path
    origin: str

    @property
    def pages(self) -> list[str]:
        return PAGES

    def http(self, path: str) -> str:
        return f"{self.origin}/{path}"

    def file(self, path: str) -> str:
        return (self.root / path).as_uri()

    def owns(self, url: str) -> bool:
        return url.startswith((f"{self.origin}/", self.root.as_uri(), "data:", "blob:", "about:"))


def left(request: Request) -> bool:
    """True for what had not come when its page was left: what is missing or refused fails otherwise."""
    return "ERR_ABORTED" in (request.failure or "")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    if not (HTML / "index.html").exists():
        pytest.fail("the site is not built: run `make book` first")
    handler = functools.partial(QuietHandler, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(HTML, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # as all else: a busy machine is no fault
    path = ensure_chromium.find()
    if path is None:
        pytest.fail(ensure_chromium.HOW)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def new_page(browser: Browser, site: Site, problems: list[str]) -> Iterator[Callable[..., Page]]:
    contexts = []

    def open_page(**options: object) -> Page:
        context = browser.new_context(**{**PLAIN, **options})
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda m: m.type == "error" and problems.append(f"console: {m.text} ({m.location['url']})"),
        )
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("request", lambda r: site.owns(r.url) or problems.append(f"request to another host: {r.url}"))
        page.on("requestfailed", lambda r: left(r) or problems.append(f"request failed: {r.url}"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems, "\n".join(problems)


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


@pytest.fixture
def open_widgets() -> Callable[[Page, str], list[Locator]]:
    def open_them(page: Page, url: str) -> list[Locator]:
        page.goto(url)
        expect(page.locator(".lm-widget:not([data-ready], [role=alert])")).to_have_count(0, timeout=30_000)
        return page.locator(".lm-widget").all()

    return open_them


@pytest.fixture
def run(browser: Browser):
    """Run the body of a function of (lib, data) in a blank page, on all modules in one script."""
    context = browser.new_context()
    page = context.new_page()
    script = f"{parity.one_script()}\n{parity.PRELUDE}\n"

    def ask(body: str, data: object = None) -> object:
        return page.evaluate(f"(data) => {{ {script} {body} }}", data)

    yield ask
    context.close()
