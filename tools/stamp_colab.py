"""Writes the chapters for Colab into _build/colab: each installs the commit that it belongs to.

`make book` calls this where it knows the repository's address (see site/book.py); the publishing workflow
pushes the folder to the branch `colab`, which the Colab buttons of the site open.
"""

import re
import shutil
import tomllib
from pathlib import Path

import nbformat
from book import ROOT, Repository, git, lead_to_pages
from nbformat import NotebookNode

COLAB = ROOT / "_build" / "colab"
SETUP_ID = "colab-setup"
SETUP = """\
# Installs the book's package and data at the commit of this notebook, where they are missing.
import os
from importlib.util import find_spec

os.environ["LMBOOK_SITE"] = "{folder}"  # where links between chapters lead
if find_spec("lmbook") is None:
    %pip install -q "lmbook[book] @ git+{url}@{commit}"
    %pip install -q --no-deps {data}"""
ROLE = re.compile(r"\{(doc|term|cite|eq|ref|numref)\}`([^`]*)`")
TARGET = re.compile(r"(.*?)\s*<([^<>]*)>", re.DOTALL)
EXERCISE = re.compile(r"```\{exercise\}(?:[^\n]*)\n(?::label:[^\n]*\n)?(.*?)```", re.DOTALL)
SOURCES = re.compile(r"```\{bibliography\}.*?```", re.DOTALL)


def plain_role(match: re.Match, page: str) -> str:
    """Return what Colab should show for a role of the site: a link to the page, or plain words."""
    kind, text = match.groups()
    titled = TARGET.fullmatch(text)
    shown, target = titled.groups() if titled else (text, text)
    if kind == "doc":
        return f"[{shown}]({page.rpartition('/')[0]}/{target}.html)"
    if kind == "term":
        return shown
    if kind == "cite":
        return f"[{text}]({page})"
    return f"[{shown}]({page}#{target})"


def plain_markdown(text: str, page: str) -> str:
    """Rewrite the site's own markup for Colab; `page` is on the site."""
    text = EXERCISE.sub(lambda m: f"**Exercise.** {m[1].strip()}", text)
    text = SOURCES.sub(f"The list of sources is at the end of [the page]({page}).", text)
    return ROLE.sub(lambda match: plain_role(match, page), text)


def stamped(notebook: NotebookNode, repository: Repository, commit: str, page: str) -> NotebookNode:
    """Return `notebook` with a first code cell that installs `lmbook` and the data of `commit`."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["lmbook"]["data"]
    folder = f"{page.rpartition('/')[0]}/"
    source = SETUP.format(url=repository.url, commit=commit, data=" ".join(data), folder=folder)
    setup = nbformat.v4.new_code_cell(source, id=SETUP_ID, metadata={"cellView": "form"})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, page)
        for output in cell.get("outputs", []):
            if html := output.get("data", {}).get("text/html"):
                output.data["text/html"] = lead_to_pages(html, folder)
    at = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), len(notebook.cells))
    notebook.cells.insert(at, setup)
    return notebook


def stamp(paths: list[Path], repository: Repository) -> list[Path]:
    """Write the stamped copies of `paths`; none if something isn't committed, for nobody could install it."""
    shutil.rmtree(COLAB, ignore_errors=True)
    if git("status", "--porcelain", "--untracked-files=no"):
        print("There are changes that aren't committed: no notebooks for Colab were written.", flush=True)
        return []
    commit, written = git("rev-parse", "HEAD"), []
    for path in paths:
        name = path.relative_to(ROOT)
        page = repository.pages + name.with_suffix(".html").as_posix()
        notebook = stamped(nbformat.read(path, as_version=4), repository, commit, page)
        target = COLAB / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
        written.append(target)
    print(f"Notebooks for Colab, at commit {commit[:9]}, are in {COLAB.relative_to(ROOT)}.", flush=True)
    return written
