"""Builds the site into _build/html: execute the chapters side by side, then let jupyter-book draw the pages.

`make book` calls this. Executed chapters are kept in jupyter-cache, whose key is their code alone; so it is
dropped whenever lmbook or the pinned versions change.
"""

import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import yaml
from address import Repository, find_repository
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from nbformat import NotebookNode
from stamp_colab import stamp

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
STAMP = BUILD / "executed-with.sha256"
DRAWN = BUILD / "drawn-from.sha256"
RUNS = ("lmbook", "constraints.txt", "pyproject.toml")  # besides the chapters, what decides what they print
DRAWS = (*RUNS, "chapters", "site", "tools", "_config.yml", "_toc.yml", "references.bib")
HTML = BUILD / "html"
SECONDS_PER_CHAPTER = 600
SCRIPT = re.compile(r"<script\b|<iframe\b|\bjavascript:|<[^>]+\son\w+\s*=", re.IGNORECASE)
CODE_SPAN = re.compile(r"(`+).*?\1", re.DOTALL)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def fingerprint(names: tuple[str, ...]) -> str:
    """Return a hash of these files, and of all files in these folders, that belong to the book."""
    digest = hashlib.sha256()
    for path in sorted(path for name in names for path in (ROOT / name, *(ROOT / name).rglob("*"))):
        name = path.relative_to(ROOT)
        if path.is_file() and not any(folder.startswith((".", "__")) for folder in name.parts[:-1]):
            digest.update(str(name).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def drop_stale_cache() -> None:
    executed_with = fingerprint(RUNS)
    if not STAMP.exists() or STAMP.read_text() != executed_with:
        print("lmbook or the pinned versions have changed: every chapter is executed again.", flush=True)
        shutil.rmtree(CACHE, ignore_errors=True)
        BUILD.mkdir(exist_ok=True)
        STAMP.write_text(executed_with)


def chapters() -> list[Path]:
    """Return the notebooks that _toc.yml names, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names: list[str] = [toc["root"]]
    groups = [toc]
    while groups:
        group = groups.pop(0)
        for key in ("parts", "chapters", "sections"):
            names += [entry["file"] for entry in group.get(key, []) if "file" in entry]
            groups += group.get(key, [])
    return [path for name in names if (path := ROOT / f"{name}.ipynb").exists()]


def check_readable(path: Path) -> bool:
    """Return True, or exit with the name of the file that is no notebook or holds a script."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        sys.exit(f"{path.relative_to(ROOT)} is not a notebook: {str(error).splitlines()[0]}")
    if found := scripts(notebook):
        sys.exit(f"{path.relative_to(ROOT)} holds a script in cell {found[0]}; only widgets may run code.")
    return True


def scripts(notebook: NotebookNode) -> list[str]:
    """Return the ids of cells whose text, or whose stored output, would run in the reader's browser."""

    def runs(cell: NotebookNode) -> bool:
        if cell.cell_type != "code":
            return bool(SCRIPT.search(CODE_SPAN.sub("", cell.source)))
        kinds = [(kind, text) for output in cell.outputs for kind, text in output.get("data", {}).items()]
        return any(
            kind == "application/javascript"
            or (kind in ("text/html", "text/markdown", "image/svg+xml") and SCRIPT.search("".join(text)))
            for kind, text in kinds
        )

    return [cell.get("id", str(place)) for place, cell in enumerate(notebook.cells) if runs(cell)]


def execute_chapters() -> None:
    """Execute, side by side, the chapters whose code is not in the cache; exit if one fails."""
    cache = get_cache(CACHE)
    records = [cache.add_nb_to_project(str(path)) for path in chapters() if check_readable(path)]
    waiting = [record for record in records if cache.get_cached_project_nb(record.uri) is None]
    if not waiting:
        print("Every chapter is in the cache.", flush=True)
        return
    print("Executing", ", ".join(Path(record.uri).name for record in waiting), flush=True)
    start = time.perf_counter()
    logging.getLogger("jupyter_cache").setLevel(logging.CRITICAL)
    result = load_executor("local-parallel", cache).run_and_cache(
        filter_pks=[record.pk for record in waiting], timeout=SECONDS_PER_CHAPTER
    )
    for uri in [*result.excepted, *result.errored]:
        story = cache.get_project_record(uri).traceback or "it could not be read as a notebook."
        print(f"{Path(uri).name}: {COLOURS.sub('', story)}", file=sys.stderr)
    if len(result.succeeded) < len(waiting):
        sys.exit("A chapter failed; the site was not built.")
    print(f"Executed in {time.perf_counter() - start:.1f} s.", flush=True)


def draw_pages(repository: Repository | None) -> None:
    """Run jupyter-book, warnings being errors; a failed build forgets its pages, so that it fails again."""
    print("Drawing the pages.", flush=True)
    command = [
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        ".",
        "-W",
        "-n",
        "--keep-going",
        "--quiet",
    ]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT / "tools")}
    environment["ADDRESS"] = repository.url if repository else ""
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)
        shutil.rmtree(BUILD / "html" / ".doctrees", ignore_errors=True)
        print(done.stdout)
        sys.exit("The site has faults; they are listed above.")


def main() -> None:
    repository = find_repository()
    drawn_from = fingerprint((*DRAWS, "_build/colab-runs.json") if repository else DRAWS) + f" {repository}"
    if HTML.joinpath("index.html").exists() and DRAWN.exists() and DRAWN.read_text() == drawn_from:
        print("Nothing has changed since the last build.", flush=True)
    else:
        DRAWN.unlink(missing_ok=True)
        drop_stale_cache()
        execute_chapters()
        draw_pages(repository)
        DRAWN.write_text(drawn_from)
    if repository:
        stamp(chapters(), repository)
    print(f"The book is built. Open {(HTML / 'index.html').as_uri()}", flush=True)


if __name__ == "__main__":
    main()
