"""The views of the widgets as scripts, and their style sheet, in the folder _static of the site.

One script, which all pages share, has every file of `lmbook/widgets` once and a view for each class;
static-widgets.js finds it by the name of the class. A view with a folder of its own (the playground, the
laboratory, the review) is a script of its own, which only a page with this widget loads. What runs in a
worker is a file of its own too, which a view loads when a reader asks for it. They are classic scripts: a
browser loads no modules from the disk. Nothing here needs Sphinx, so a changed view is in the site at once.
"""

import ast
import json
import re
from collections import defaultdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from zlib import crc32

from book import ROOT
from python_files import write_book

WIDGETS = ROOT / "lmbook" / "widgets"
# Views of the site, which no class brings, with their names.
PAGES = {"review/view.js": "review", "try_it/view.js": "try-it"}
SCRIPT, STYLE = "widgets/views.js", "widgets/views.css"  # in the folder _static
WEIGHTS = "weights/SmolLM2-135M-Instruct.Q4_1.gguf"  # in the same folder, if the site has it


def views() -> dict[str, list[str]]:
    """Return the view files of the book's widgets and pages, each with the names of what it draws.

    They are read from lines such as `_esm = bundle("shannon.js")`: importing the classes takes seconds.
    """
    found = defaultdict(list)
    for path in sorted(WIDGETS.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and (view := view_of(node)):
                found[view].append(f"{module}.{node.name}")
    return dict(found) | {view: [name] for view, name in PAGES.items()}


def view_of(node: ast.ClassDef) -> str | None:
    """Return the file that a class gives to `bundle`, if it does."""
    for line in node.body:
        match line:
            case ast.Assign([ast.Name("_esm")], ast.Call(ast.Name("bundle"), [ast.Constant(view)])):
                return view
    return None


def bundler() -> ModuleType:
    """Return lmbook.widgets.bundle, without importing lmbook."""
    spec = spec_from_file_location("bundle", WIDGETS / "bundle.py")
    bundle = module_from_spec(spec)
    spec.loader.exec_module(bundle)
    return bundle


def workers() -> dict[str, str]:
    """Return the scripts by which pages get their workers, by the workers' names."""
    names = sorted(path.name.removesuffix("_worker.js") for path in WIDGETS.glob("workers/*_worker.js"))
    return {name: bundler().worker_registration(name) for name in names}


def has_own_script(view: str) -> bool:
    return "/" in view


def own_scripts() -> dict[str, str]:
    """Return the scripts of the views in folders of their own, by the folders' names."""
    scripts = {}
    for view, names in filter(lambda item: has_own_script(item[0]), views().items()):
        scripts[Path(view).parent.name] = registration(names, bundler().bundle(view))
    return scripts


def registration(names: list[str], view: str) -> str:
    """Return a script that registers a view, the text of a module, for the classes of these names."""
    assigned = "".join(f"lmViews[{json.dumps(name)}] = " for name in names)
    return f"{assigned}(() => {{\n{view.replace('export default ', 'return ')}}})();\n"


def checksum(text: str) -> str:
    return f"{crc32(text.encode()):08x}"


def script(weights: bool = False, python: dict | None = None) -> str:
    """Return the script that all pages share: what its views share, once, then each in a scope of its own.

    Shared files are one block, where two functions of one name are an error. In front stands where the other
    views' and the workers' scripts are, SmolLM2's file if the site has `weights`, and `python`, what
    python_files.py says of it: see kit/worker.js.
    """
    bundle = bundler()
    found = {view: names for view, names in views().items() if not has_own_script(view)}
    drawn = {(WIDGETS / view).resolve(): names for view, names in found.items()}
    sums = {name: checksum(text) for name, text in own_scripts().items()}
    elsewhere = {
        name: f"{folder}.js?v={sums[folder]}"
        for view, names in views().items()
        if (folder := Path(view).parent.name) in sums
        for name in names
    }
    places = {name: f"{name}_worker.js?v={checksum(text)}" for name, text in workers().items()}
    site = {"views": elsewhere, "workers": places, "weights": f"../{WEIGHTS}" if weights else None}
    site["python"] = python
    site = f"{{ script: globalThis.document?.currentScript.src, ...{json.dumps(site)} }}"
    parts = [f"'use strict';\nglobalThis.lmSite = {site};\nglobalThis.lmViews = {{}};\n{{\n"]
    for path in bundle.modules(*found):
        if path not in drawn:
            parts.append(bundle.without_exports(path))
            continue
        parts.append(registration(drawn[path], bundle.without_exports(path)))
    return "".join([*parts, "}\n"])


def style() -> str:
    """Return the style sheet of all views, the kit's first."""
    paths = sorted(WIDGETS.rglob("*.css"), key=lambda path: ("kit" not in path.parts, path))
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def write_views(html: Path) -> dict[str, str]:
    """Write all files into the site at `html`; return the check sums of script and style, Sphinx's way."""
    texts = {SCRIPT: script((html / "_static" / WEIGHTS).exists(), write_book(html)), STYLE: style()}
    beside = {f"widgets/{name}_worker.js": text for name, text in workers().items()}
    beside |= {f"widgets/{name}.js": text for name, text in own_scripts().items()}
    (html / "_static" / "widgets").mkdir(parents=True, exist_ok=True)
    for name, text in (texts | beside).items():
        (html / "_static" / name).write_text(text, encoding="utf-8")
    return {name: checksum(text) for name, text in texts.items()}


def name_views(html: Path, sums: dict[str, str]) -> None:
    """Name the check sums of these files in every page, so that browsers load the new ones."""
    named = re.compile(rf'(_static/({"|".join(map(re.escape, sums))}))(\?v=[0-9a-f]{{8}})?(?=")')
    for page in html.rglob("*.html"):
        before = page.read_text(encoding="utf-8")
        after = named.sub(lambda match: f"{match[1]}?v={sums[match[2]]}", before)
        if after != before:
            page.write_text(after, encoding="utf-8")
