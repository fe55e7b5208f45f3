"""Bundles each widget's view: one text of JavaScript and one of CSS.

The sources are separate modules: `core/` has the models, without DOM; `kit/` the look and the keyboard;
`workers/` what runs beside the page; the others are views. anywidget needs one text without imports, and
Colab has no Node to bundle it.

Three rules for the sources: an import is written `import { a, b } from './x.js';` at the start of a line;
top-level names differ, because all files share one scope; a comment that is to be removed is on lines of its
own.
"""

import json
import re
from pathlib import Path

_HERE = Path(__file__).parent
_IMPORT = re.compile(r"^import \{[^}]*\} from '(\.{1,2}/[\w./]+\.js)';\n", re.MULTILINE)
_OTHER_IMPORT = re.compile(r"^(?:import|export (?:\*|\{)).*", re.MULTILINE)
_COMMENT = re.compile(r"^ *(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/)\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def bundle(view: str, *, workers: tuple[str, ...] = ()) -> str:
    """Return the ES module `view` (a path in this folder), preceded by the files that it imports.

    The imported files lose their `export` keywords, and all files their comments, which are a third of the
    size. `workers` names those that the view opens: their scripts travel with it.

    Raises:
        ValueError: an import or export of another form than those that can be inlined.
    """
    *imported, own = modules(view)
    parts = [*map(worker_registration, workers), *map(without_exports, imported), without_imports(own)]
    return "\n".join(parts)


def worker_registration(name: str) -> str:
    """Return the statement by which a page gets the script of workers/<name>_worker.js: see kit/worker.js."""
    files = modules(f"workers/{name}_worker.js")
    script = "'use strict';\n" + "".join(map(without_exports, files))
    return (
        f"(globalThis.lmWorkers ??= {{}})[{json.dumps(name)}] = {json.dumps(script, ensure_ascii=False)};\n"
    )


def modules(*views: str) -> list[Path]:
    """The files of `views` (paths in this folder) and all that they import, imported files first."""
    begun: set[Path] = set()
    found: list[Path] = []

    def add(path: Path) -> None:
        if path in begun:
            return
        begun.add(path)
        for other in _IMPORT.findall(path.read_text(encoding="utf-8")):
            add(path.parent.joinpath(other).resolve())
        found.append(path)

    for view in views:
        add((_HERE / view).resolve())
    return found


def without_imports(path: Path) -> str:
    """The text of a module without imports and comments.

    Raises:
        ValueError: an import or export of another form than those that can be inlined.
    """
    text = _COMMENT.sub("", _IMPORT.sub("", path.read_text(encoding="utf-8")))
    if other := _OTHER_IMPORT.search(text):
        raise ValueError(f"{path.name} has {other[0]!r}: a bundle takes only import {{ … }} from './….js';")
    return text


def without_exports(path: Path) -> str:
    """The same without the keyword `export`."""
    return _EXPORT.sub("", without_imports(path))


def style(*names: str) -> str:
    """The style sheet of a widget: the kit's, then those of `names` (paths in this folder)."""
    return "".join((_HERE / name).read_text(encoding="utf-8") for name in ("kit/kit.css", *names))
