"""The service worker of the site, named by the content of its files, and what it keeps for reading offline.

It asks the network first, so that a page is never older than the site; what it keeps serves without one.
The weights and the Python of the pages are loaded on demand and keep themselves.
"""

import hashlib
import json
from pathlib import Path

TEMPLATE = Path(__file__).parent / "static" / "offline.js"
WORKER = "worker.js"
DEMAND = ("_static/weights/", "_static/python/", "_sources/", "course/", ".")  # not kept beforehand
UNUSED = (".inv", ".map", ".mo", ".po", ".ttf", "searchindex.js", "searchtools.js", "preview.png")


def kept(html: Path) -> list[Path]:
    """Return the files that a reader needs without a network, in a fixed order; of images those in use."""
    found = (path for path in html.rglob("*") if path.is_file() and path.name != WORKER)
    names = {path.relative_to(html).as_posix(): path for path in found}
    names = {n: names[n] for n in sorted(names) if not n.startswith(DEMAND) and not n.endswith(UNUSED)}
    pages = "".join(path.read_text(encoding="utf-8") for n, path in names.items() if n.endswith(".html"))
    return [path for n, path in names.items() if not n.startswith("_images/") or path.name in pages]


def write_worker(html: Path) -> None:
    """Write the worker; other content makes another version, which drops what the old one kept."""
    digest, addresses = hashlib.sha256(TEMPLATE.read_bytes()), []
    for path in kept(html):
        name = path.relative_to(html).as_posix()
        addresses.append(name)
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    start = f"const VERSION = '{digest.hexdigest()[:16]}';\nconst FILES = {json.dumps(addresses)};\n"
    (html / WORKER).write_text(start + TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
