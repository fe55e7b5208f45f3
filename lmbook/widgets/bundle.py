"""Puts a view's module together: one text of JavaScript, and one of CSS, for each widget.

The sources are modules of their own: `core/` the models, without a page; `kit/` the look and the keyboard;
then the views. anywidget wants one text that imports nothing, and Colab has no Node to make it.
"""

import re
from pathlib import Path

_HERE = Path(__file__).parent
_IMPORT = re.compile(r"^import \{[^}]*\} from '(\.{1,2}/[\w./]+\.js)';\n", re.MULTILINE)
_REMARK = re.compile(r"^ *//.*\n", re.MULTILINE)


def bundle(view: str) -> str:
    """Return the ES module `view` (a path in this folder) with what it imports written in front of it.

    The imported files lose their `export` keywords, and all files the lines that are nothing but a comment:
    a quarter of what a page would load. All share one scope: top-level names must differ.
    """
    seen: list[Path] = []

    def inline(path: Path) -> str:
        seen.append(path)
        source = path.read_text(encoding="utf-8")
        imported = [path.parent.joinpath(other).resolve() for other in _IMPORT.findall(source)]
        before = [inline(other) for other in imported if other not in seen]
        body = _REMARK.sub("", _IMPORT.sub("", source))
        if path != first:
            body = re.sub(r"^export (?!default)", "", body, flags=re.MULTILINE)
        return "\n".join([*before, body])

    first = (_HERE / view).resolve()
    return inline(first)


def style(*names: str) -> str:
    """The style sheet of a widget: the kit's, then those of `names` (paths in this folder)."""
    return "".join((_HERE / name).read_text(encoding="utf-8") for name in ("kit/kit.css", *names))
