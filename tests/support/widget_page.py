"""Widgets on a page of their own, drawn from their saved states by the script that the site uses."""

import base64
import functools
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from ipywidgets.widgets.widget import _remove_buffers

from lmbook.widgets.base import BookWidget

SCRIPT = Path(__file__).resolve().parents[2] / "site" / "static" / "widgets" / "static-widgets.js"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Widgets</title>
<meta name="viewport" content="width=device-width"><style>html {{ color-scheme: light dark }}
{style}</style></head><body><main><h1>Widgets</h1>{places}</main>
<script type="application/vnd.jupyter.widget-state+json">{state}</script><script>{script}</script>
</body></html>"""
BOOK = """html { font-size: 17px } main { max-width: 667px }
@media (max-width: 600px) { body { margin: 8px 17px } }"""  # its letters, its column on a desk
PLACE = """<div class="lm-widget"></div><script type="application/vnd.jupyter.widget-view+json">
{{"model_id": "{name}"}}</script>"""


def saved(widget: BookWidget) -> dict:
    """Return the state of `widget` as a notebook keeps it."""
    state, paths, buffers = _remove_buffers(widget.get_state())
    pairs = zip(paths, buffers, strict=True)
    packed = [{"path": path, "data": base64.b64encode(data).decode()} for path, data in pairs]
    return {"model_module": "anywidget", "model_name": "AnyModel", "state": state, "buffers": packed}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(widgets: Mapping[str, BookWidget], folder: Path) -> Iterator[SimpleNamespace]:
    """Serve index.html with `widgets` from `folder`; what is yielded has the face of the fixture `site`."""
    state = {name: saved(widget) for name, widget in widgets.items()}
    text = PAGE.format(
        style=BOOK,
        places="".join(PLACE.format(name=name) for name in widgets),
        state=json.dumps({"version_major": 2, "version_minor": 0, "state": state}, default=str).replace(
            "</", r"<\/"
        ),
        script=SCRIPT.read_text(encoding="utf-8"),
    )
    (folder / "index.html").write_text(text, encoding="utf-8")
    (folder / "favicon.ico").touch()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        origin, disk = f"http://127.0.0.1:{server.server_port}/", folder.as_uri()
        yield SimpleNamespace(
            http=lambda path: origin + path,
            file=lambda path: f"{disk}/{path}",
            owns=lambda url: url.startswith((origin, disk, "data:", "blob:", "about:")),
        )
        server.shutdown()
