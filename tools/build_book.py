"""Builds the site into _build/html: execute the chapters side by side, then let jupyter-book draw the pages.

`make book` calls this. Executed chapters are kept in jupyter-cache, whose key is their code alone; so it is
dropped whenever lmbook or the pinned versions change, and of it one chapter when its exercises do. If nothing
has changed this takes half a second, because what only a build needs is imported late.
"""

import contextlib
import gc
import hashlib
import json
import os
import re
import shutil
import sys
import tomllib
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "site"))
from book import ROOT, Repository, chapters, find_repository, git, pages
from offline import write_worker
from python_files import put_python
from views import WEIGHTS, name_views, write_views

BUILD = ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
STAMP = BUILD / "executed-with.json"
DRAWN = BUILD / "drawn-from.sha256"
STAMPED = BUILD / "colab-stamped"
RUNS = (
    "lmbook",
    "tools/kernel",
    "constraints.txt",
    "pyproject.toml",
)  # besides the chapters, what decides what they print
DRAWS = (*RUNS, "chapters", "site", "tools", "_config.yml", "_toc.yml", "references.bib")
VIEWS = re.compile(r"lmbook/widgets/.*\.(js|css)")  # they only change how a widget is drawn
SHEETS = re.compile(r"lmbook/exercises/.*\.toml")  # each decides what one chapter prints
HTML = BUILD / "html"
SITE_WEIGHTS = HTML / "_static" / WEIGHTS
SCRIPT = re.compile(r"<script\b|<iframe\b|\bjavascript:|<[^>]+\son\w+\s*=", re.IGNORECASE)
CODE_SPAN = re.compile(r"(`+).*?\1", re.DOTALL)


def files(*names: str) -> list[Path]:
    """Return these files, and all files in these folders, that belong to the book."""

    def belongs(path: Path) -> bool:
        folders = path.relative_to(ROOT).parts[:-1]
        return path.is_file() and not any(folder.startswith((".", "__")) for folder in folders)

    found = (path for name in names for path in (ROOT / name, *(ROOT / name).rglob("*")))
    return sorted(filter(belongs, found))


def content(path: Path, settings: tuple[str, ...]) -> bytes:
    """Return what counts of a file: of pyproject.toml the package and these of the book's own settings."""
    if path.name != "pyproject.toml":
        return path.read_bytes()
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    own = tables.get("tool", {}).get("lmbook", {})
    return repr((tables.get("project"), [own.get(name) for name in settings])).encode()


def is_view(path: Path) -> bool:
    return bool(VIEWS.fullmatch(path.relative_to(ROOT).as_posix()))


def fingerprint(paths: list[Path], settings: tuple[str, ...] = ("data", "fonts", "node")) -> str:
    """Return a hash of the names and contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + content(path, settings) + b"\0")
    return digest.hexdigest()


def is_sheet(path: Path) -> bool:
    return bool(SHEETS.fullmatch(path.relative_to(ROOT).as_posix()))


def executed_with() -> dict[str, str]:
    """Return fingerprints of what decides what chapters print, besides their code.

    Under "" that of what all of them share: no view, nothing that only pages need. Under a chapter's name
    that of its exercises.
    """
    decisive = [path for path in files(*RUNS) if not is_view(path)]
    shared = fingerprint([path for path in decisive if not is_sheet(path)], ("data",))
    sheets = {tomllib.loads(path.read_text("utf-8"))["page"]: path for path in decisive if is_sheet(path)}
    return {"": shared} | {page: fingerprint([path]) for page, path in sheets.items()}


def drop_stale_cache() -> None:
    """Forget the outputs that other versions of lmbook or of a chapter's exercises have printed."""
    now, before = executed_with(), {}
    with contextlib.suppress(OSError, ValueError):
        before = json.loads(STAMP.read_text())
    if before.get("") != now[""]:
        print("lmbook or the pinned versions have changed: every chapter is executed again.", flush=True)
        shutil.rmtree(CACHE, ignore_errors=True)
    elif changed := [page for page in now if before.get(page) != now[page]]:
        from execute import forget

        print(f"Exercises have changed: {', '.join(changed)} will be executed again.", flush=True)
        forget(changed, CACHE)
    BUILD.mkdir(exist_ok=True)
    STAMP.write_text(json.dumps(now))


def check_readable(path: Path) -> None:
    """Exit with the name of the file that is no notebook or whose prose holds a script."""
    import nbformat

    found: dict = {}
    try:
        notebook = nbformat.read(path, as_version=4, capture_validation_error=found)
        if found:
            raise found["ValidationError"]
    except Exception as error:
        sys.exit(f"{path.relative_to(ROOT)} is not a notebook: {str(error).splitlines()[0]}")
    for cell in notebook.cells:
        if cell.cell_type != "code" and SCRIPT.search(CODE_SPAN.sub("", cell.source)):
            sys.exit(f"{path.relative_to(ROOT)} holds a script in cell {cell.id}; only widgets may run code.")


def draw_pages() -> None:
    """Run jupyter-book, warnings being errors; a failed build forgets its pages, so that it fails again."""
    print("Drawing the pages.", flush=True)
    from jupyter_book.sphinx import build_sphinx

    gc.disable()  # the doctrees are many objects, none of which is garbage before the end
    os.chdir(ROOT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed = build_sphinx(
            ROOT,
            HTML,
            noconfig=True,
            path_config=ROOT / "_config.yml",
            confoverrides={
                "external_toc_path": str(ROOT / "_toc.yml"),
                "latex_individualpages": False,
                "nitpicky": True,
            },
            warningiserror=True,
            keep_going=True,
            quiet=True,
        )
    if failed:
        shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)
        shutil.rmtree(BUILD / "html" / ".doctrees", ignore_errors=True)
        sys.exit("The site has faults; they are listed above.")


def remove_left_pages(html: Path, names: list[str]) -> None:
    """Take away the pages of chapters that _toc.yml no longer names: their old addresses would stay alive."""
    for path in (html / "chapters").glob("*.html"):
        if f"chapters/{path.stem}" not in names:
            path.unlink()
    for path in (html / "_sources" / "chapters").glob("*"):
        if f"chapters/{path.name.partition('.')[0]}" not in names:
            path.unlink()


def build() -> None:
    from execute import execute_chapters

    drop_stale_cache()
    for path in chapters():
        check_readable(path)
    execute_chapters(chapters(), CACHE)
    draw_pages()
    remove_left_pages(HTML, pages())
    write_worker(HTML)


def stamp_notebooks(repository: Repository) -> None:
    """Write the notebooks for Colab, unless those of this very commit are there."""
    state = f"{repository} {git('rev-parse', 'HEAD')} {git('status', '--porcelain', '--untracked-files=no')}"
    if not STAMPED.exists() or STAMPED.read_text() != state:
        from stamp_colab import stamp

        stamp(chapters(), repository)
        STAMPED.write_text(state)


def has_weights() -> bool:
    """Put SmolLM2's file into the site, where readers load it from, or take it out: make book WEIGHTS=none.

    Returns whether it is there: without the package the site has none.
    """
    wanted = os.environ.get("WEIGHTS", "")
    if wanted not in ("", "none"):
        sys.exit(f"WEIGHTS can only be none, got {wanted}")
    if wanted == "none":
        SITE_WEIGHTS.unlink(missing_ok=True)
    elif not SITE_WEIGHTS.exists():
        from lmbook.smollm2 import _smollm2_path

        try:
            source = _smollm2_path()
        except ModuleNotFoundError as error:
            print(f"The site gets no weights. {error}", flush=True)
            return False
        SITE_WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
        try:
            SITE_WEIGHTS.hardlink_to(source)
        except OSError:  # another file system
            shutil.copyfile(source, SITE_WEIGHTS.with_suffix(".part")).replace(SITE_WEIGHTS)
    return SITE_WEIGHTS.exists()


def main() -> None:
    repository = find_repository()
    sources = files(*DRAWS, *(["_build/colab-runs.json"] if repository else []))
    weights = "with-weights" if has_weights() else "without"
    weights += "-with-python" if put_python(HTML) else "-without"
    views = fingerprint([path for path in sources if is_view(path)]) + weights
    others = fingerprint([path for path in sources if not is_view(path)]) + f" {repository}"
    drawn_from = f"{views} {others}"
    built = HTML.joinpath("index.html").exists() and DRAWN.exists()
    before, _, others_before = DRAWN.read_text().partition(" ") if built else ("", "", "")
    if (before, others_before) == (views, others):
        print("Nothing has changed since the last build.", flush=True)
    elif others_before == others:
        print("Only views of widgets or the weights have changed.", flush=True)
        DRAWN.unlink()
        name_views(HTML, write_views(HTML))
        write_worker(HTML)
        DRAWN.write_text(drawn_from)
    else:
        DRAWN.unlink(missing_ok=True)
        build()
        DRAWN.write_text(drawn_from)
    if repository:
        stamp_notebooks(repository)
    print(f"The book is built. Open {(HTML / 'index.html').as_uri()}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
