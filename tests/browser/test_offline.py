"""The service worker: pages without a network, never an old page, nothing from the disk."""

import functools
import http.server
import os
import threading
import time

import pytest
from offline import kept, write_worker
from playwright.sync_api import expect

POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'self'; script-src 'self'\">"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Lets browsers keep files for an hour, as many hosts do."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def build(html, text: str, age: int = 100) -> None:
    """Write a site of this text, some seconds old: http tells no shorter time apart."""
    (html / "chapters").mkdir(exist_ok=True)
    (html / "_static" / "weights").mkdir(parents=True, exist_ok=True)
    (html / "_static" / "weights" / "model.gguf").write_bytes(b"GGUF")
    (html / "_images").mkdir(exist_ok=True)
    (html / "_images" / "of-an-earlier-build.svg").write_text("<svg/>")
    (html / "_static" / "site.js").write_text(f"document.body.dataset.build = {text!r};")
    for name in ("one", "two"):
        page = f"<!doctype html>{POLICY}<title>{name}</title><body><p>{text}</p>"
        script = '<script src="../_static/site.js"></script></body>'
        (html / "chapters" / f"{name}.html").write_text(page + script)
    write_worker(html)
    for path in html.rglob("*.*"):
        os.utime(path, (time.time() - age,) * 2)


@pytest.fixture
def origin(tmp_path):
    build(tmp_path, "first")
    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


READY = """async () => {
  await navigator.serviceWorker.register('../worker.js');
  await navigator.serviceWorker.ready;
  return (await caches.keys()).filter((name) => name.startsWith('lm-site-'));
}"""


def keep_site(page, origin) -> list[str]:
    """Visit a page and wait until the worker holds it and the site is kept."""
    page.goto(f"{origin}/chapters/one.html")
    names = page.evaluate(READY)
    page.reload()
    return names


def test_a_page_never_visited_opens_without_a_network(browser, origin):
    context = browser.new_context()
    page = context.new_page()
    assert len(keep_site(page, origin)) == 1
    context.set_offline(True)
    page.goto(f"{origin}/chapters/two.html")
    expect(page.locator("p")).to_have_text("first")
    expect(page.locator("body")).to_have_attribute("data-build", "first")
    context.close()


def test_a_new_build_is_seen_at_once_and_replaces_what_was_kept(browser, origin, tmp_path):
    context = browser.new_context()
    page = context.new_page()
    before = keep_site(page, origin)
    build(tmp_path, "second", age=50)
    page.goto(f"{origin}/chapters/two.html")  # the worker of the first build still holds this page
    expect(page.locator("p")).to_have_text("second")
    page.goto(f"{origin}/chapters/one.html")
    expect(page.locator("p")).to_have_text("second")
    after = before
    for _ in range(100):
        page.evaluate("navigator.serviceWorker.getRegistration().then((found) => found.update())")
        page.wait_for_timeout(100)
        after = page.evaluate(READY)
        if len(after) == 1 and after != before:
            break
    assert len(after) == 1
    assert after != before
    context.set_offline(True)
    page.goto(f"{origin}/chapters/two.html")
    expect(page.locator("p")).to_have_text("second")
    expect(page.locator("body")).to_have_attribute("data-build", "second")
    context.close()


def test_the_same_content_is_the_same_version_and_weights_are_not_kept(tmp_path):
    build(tmp_path, "first")
    first = (tmp_path / "worker.js").read_bytes()
    write_worker(tmp_path)
    assert (tmp_path / "worker.js").read_bytes() == first
    build(tmp_path, "other")
    assert (tmp_path / "worker.js").read_bytes() != first
    names = [path.relative_to(tmp_path).as_posix() for path in kept(tmp_path)]
    assert names == ["_static/site.js", "chapters/one.html", "chapters/two.html"]


def test_the_site_on_the_web_registers_its_worker_and_can_be_installed(new_page, site):
    page = new_page(service_workers="allow")
    page.goto(site.http("chapters/notation.html"))
    address = page.evaluate("navigator.serviceWorker.ready.then((found) => found.active.scriptURL)")
    assert address == site.http("worker.js")
    manifest = page.locator("link[rel=manifest]").evaluate("async (l) => (await fetch(l.href)).json()")
    assert {icon["sizes"] for icon in manifest["icons"]} >= {"192x192", "512x512"}
    for icon in manifest["icons"]:
        assert (site.root / "_static" / icon["src"]).exists()


def test_a_page_from_the_disk_asks_for_neither(page, site):
    page.goto(site.file("chapters/notation.html"))
    expect(page.locator("link[rel=manifest]")).to_have_count(0)
