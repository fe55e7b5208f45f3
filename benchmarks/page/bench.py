"""SmolLM2-135M in Chromium, one thread: the book's page beside wllama (llama.cpp in WebAssembly), one file.

Tokens per second in writing, seconds for a prompt of 200 tokens, seconds until a model is ready after the
file's bytes have come, and the memory of a page that holds 1,000 tokens. Both take their times in their own
worker. wllama comes from npm on first use; while the benchmark runs nothing is asked of another host.
Run: make bench-page
"""

import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ensure_chromium
from environment import VENV, install_node_packages
from playwright.sync_api import Page, sync_playwright

from lmbook.corpora import load_shakespeare
from lmbook.smollm2 import _smollm2_path, load_smollm2_tokenizer
from lmbook.widgets.bundle import modules, without_exports

PACKAGE = "@wllama/wllama@3.13.0"
WLLAMA = VENV / "node" / "node_modules" / "@wllama" / "wllama" / "esm"
SHORT, LONG, WRITTEN = 8, 200, 33  # tokens
ROUNDS, LOADS = 7, 3
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
# The browser measures memory at once instead of at the next collection.
EAGER = "--enable-blink-features=ForceEagerMeasureMemory"
PAGE = b"<!doctype html><title>Benchmark</title><script src='page.js'></script>"


def worker() -> bytes:
    """The worker's modules as one script."""
    return "\n".join(map(without_exports, modules("../../benchmarks/page/worker.js"))).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves page, worker, file and wllama; below /isolated/ with the headers that measuring memory needs."""

    types = {".js": "text/javascript", ".wasm": "application/wasm", "": "text/html"}  # noqa: RUF012

    def __init__(self, scripts: dict[str, bytes], *arguments: object):
        self.scripts = scripts
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.removeprefix("/isolated")
        if path == "/model.gguf":
            data = _smollm2_path().read_bytes()
        elif path.startswith("/wllama/"):
            data = (WLLAMA / path.removeprefix("/wllama/")).read_bytes()
        else:
            data = self.scripts.get(path, b"")
        self.send_response(200)
        self.send_header("Content-Type", self.types.get(Path(path).suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(data)))
        if path != self.path:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@contextmanager
def served() -> Iterator[str]:
    scripts = {
        "/": PAGE,
        "/page.js": Path(__file__).with_name("page.js").read_bytes(),
        "/worker.js": worker(),
    }
    handler = functools.partial(Handler, scripts)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(page: Page, *what: object) -> dict:
    return page.evaluate("(what) => bench(...what)", list(what))


def prompts(length: int) -> list[str]:
    """Passages of `length` tokens, one for each round, so that no cache can know them."""
    tokenizer = load_smollm2_tokenizer()
    ids = tokenizer.encode(load_shakespeare("validation")["Hamlet"][20_000:80_000])
    starts = range(0, 30_000, length + 7)
    texts = (tokenizer.decode(ids[start : start + length]) for start in starts)
    exact = [text for text in texts if "\ufffd" not in text and len(tokenizer.encode(text)) == length]
    return exact[: ROUNDS + 1]


def measure_speed(page: Page) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each round, by side and task, after one round that isn't counted."""
    times = {side: {"ready": [], "prompt": [], "writing": []} for side in ("lmbook", "wllama")}
    ask(page, "fetch")
    for load in range(LOADS):
        for side, own in times.items():
            if load:
                ask(page, "close", side)
            own["ready"].append(ask(page, "load", side)["ready"])
    for turn, (short, long) in enumerate(zip(prompts(SHORT), prompts(LONG), strict=True)):
        for side, own in times.items():
            wrote = ask(page, "complete", side, short, WRITTEN)
            read = ask(page, "complete", side, long, 1)
            if (wrote["tokens"], read["tokens"], wrote["written"]) != (SHORT, LONG, WRITTEN):
                raise RuntimeError(f"{side} read {read['tokens']} tokens and wrote {wrote['written']}")
            if turn:
                own["writing"].append(wrote["writing"])
                own["prompt"].append(read["prompt"])
    return times


def report(times: dict[str, dict[str, list[float]]]) -> None:
    best = {side: {task: min(all_of) / 1000 for task, all_of in own.items()} for side, own in times.items()}
    ours, theirs = best["lmbook"], best["wllama"]
    print(f"Chromium, one thread; minimum of {ROUNDS} interleaved rounds ({LOADS} loads)")
    print(f"{'':24s}{'lmbook':>10s}{'wllama':>10s}{'ratio':>8s}  goal")
    # The first written token comes of the prompt.
    rates = [(WRITTEN - 1) / own["writing"] for own in (ours, theirs)]
    print(f"{'writing, tokens/s':24s}{rates[0]:10.1f}{rates[1]:10.1f}{rates[0] / rates[1]:8.2f}  2")
    for task, what, goal in (("prompt", f"prompt of {LONG}, s", "1"), ("ready", "ready, s", "at most 3 s")):
        ratio = theirs[task] / ours[task]
        print(f"{what:24s}{ours[task]:10.2f}{theirs[task]:10.2f}{ratio:8.2f}  {goal}")


def weigh(page: Page) -> None:
    """What the browser says that the page, its worker and their memories take."""
    ask(page, "fetch")
    ask(page, "load", "lmbook")
    ask(page, "forget")
    ask(page, "complete", "lmbook", prompts(LONG)[0] * 5, 1)
    taken = ask(page, "memory")["bytes"]
    print(f"memory with 1,000 tokens: {taken / 1e6:.0f} MB (goal: at most 200)")


def main() -> None:
    path = ensure_chromium.find()
    if path is None:
        sys.exit(ensure_chromium.HOW)
    if not WLLAMA.exists():
        install_node_packages(Path(sys.executable), [PACKAGE])
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, EAGER])
        for below, work in (("/isolated/", weigh), ("/", lambda page: report(measure_speed(page)))):
            page = browser.new_page()
            page.on("pageerror", lambda error: print("error in the page:", error))
            page.set_default_timeout(600_000)
            page.goto(address + below)
            work(page)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
