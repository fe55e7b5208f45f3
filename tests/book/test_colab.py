"""The stamped notebooks where Colab's versions are and `lmbook` isn't: each installs what it needs and runs.

Environments stand in `_build/colab-…`, made on first use: one with the Python of these tests, to which their
PyTorch is lent, and, where a Python 3.13 is found, one with that and Colab's own PyTorch, a download of some
gigabytes. Whatever else Colab brings and the book uses has Colab's version. The book's address is redirected
by git to this very clone.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nbformat
import pytest
from book import ROOT, Repository, chapters, git
from packaging.requirements import Requirement
from stamp_colab import stamped

RUNS = ROOT / "_build" / "colab-runs.json"
HERE = Repository("someone", "book")
# What Colab had in August 2026, of what the chapters touch.
COLAB = {
    "numpy": "2.1.3",
    "ipywidgets": "7.7.1",
    "anywidget": "0.9.21",
    "ipython": "7.34.0",
    "ipykernel": "6.17.1",
    "traitlets": "5.7.1",
    "matplotlib": "3.10.0",
}
TORCH = "2.11.0"
VIEW = "application/vnd.jupyter.widget-view+json"
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""
VERSIONS = "import json, sys; from importlib.metadata import version as v; "
VERSIONS += "print(json.dumps({name: v(name) for name in sys.argv[1:]}))"


def lend(name: str, target: Path, lent: set[str]) -> None:
    """Link an installed package, and all that it needs, into the packages of another environment."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return  # wanted on other systems
    lent.add(name)
    for top in {path.parts[0] for path in package.files or [] if path.parts[0] not in ("..", "__pycache__")}:
        if not (target / top).exists():
            (target / top).symlink_to(package.locate_file(top))
    for need in map(Requirement, package.requires or []):
        if need.name not in lent and (need.marker is None or need.marker.evaluate({"extra": ""})):
            lend(need.name, target, lent)


def interpreter(version: str) -> str | None:
    """Return a Python of this version: pyenv's, or the one on PATH."""
    own = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python3"))
    return str(own[-1]) if own else shutil.which(f"python{version}")


@pytest.fixture(scope="session")
def colab(request) -> Path:
    """The Python of an environment like Colab's, without `lmbook`; made by Python `request.param` or ours."""
    maker = interpreter(request.param) if request.param else sys.executable
    if maker is None:
        pytest.skip(f"there is no Python {request.param} here")
    home = ROOT / "_build" / f"colab-{request.param or 'env'}"
    python, ready = home / "bin" / "python", home / "ready"
    wanted = [f"{name}=={version}" for name, version in COLAB.items()]
    wanted += [f"torch=={TORCH}"] if request.param else []
    if not (ready.exists() and ready.read_text() == repr(wanted)):
        subprocess.run([maker, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted, "nbclient"], check=True, timeout=1800)
        if not request.param:
            lend("torch", next(home.glob("lib/python*/site-packages")), set())
        ready.write_text(repr(wanted))
    pip = [python, "-m", "pip", "uninstall", "--quiet", "--yes", "lmbook"]
    subprocess.run(pip, check=True, capture_output=True)
    return python


def versions(python: Path) -> dict[str, str]:
    done = subprocess.run(
        [python, "-c", VERSIONS, "torch", *COLAB], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def environment(python: Path) -> dict[str, str]:
    """An environment in which git takes the book's address for this clone."""
    redirect = {"GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf", "GIT_CONFIG_VALUE_0": HERE.url}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "ADDRESS")}
    return kept | redirect | {"GIT_CONFIG_COUNT": "1", "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def record(chapter: str, seconds: float, found: dict[str, str]) -> None:
    """Write down, for the top of the page, how long a chapter took and with which versions."""
    runs = json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.exists() else {}
    today = datetime.now(UTC).date().isoformat()
    runs[chapter] = {"seconds": round(seconds), "date": today, "versions": found}
    RUNS.write_text(json.dumps(runs, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def cases() -> list:
    """The first chapter with our own Python; every other one, and Python 3.13, take long."""
    pairs = [(version, chapter) for version in ("", "3.13") for chapter in chapters()]
    marks = [(), *[pytest.mark.slow] * (len(pairs) - 1)]
    named = [f"{chapter.stem}-{version or 'own'}" for version, chapter in pairs]
    return [pytest.param(*p, id=n, marks=m) for p, n, m in zip(pairs, named, marks, strict=True)]


@pytest.mark.parametrize(("colab", "chapter"), cases(), indirect=["colab"])
def test_a_notebook_installs_its_own_commit_and_runs(colab, chapter, tmp_path):
    commit = git("rev-parse", "HEAD")
    notebook = stamped(nbformat.read(chapter, as_version=4), HERE, commit, f"{HERE.pages}{chapter.stem}.html")
    path = tmp_path / chapter.name
    nbformat.write(notebook, path)
    before = versions(colab)
    assert before | COLAB == before
    start = time.perf_counter()
    done = subprocess.run(
        [colab, "-c", RUN, path], cwd=tmp_path, env=environment(colab), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seconds = time.perf_counter() - start
    assert versions(colab) == before  # what Colab has is left alone
    where = [colab, "-c", "import lmbook; print(lmbook.__file__)"]
    home = subprocess.run(where, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert home.startswith(str(colab.parents[1]))
    outputs = [one for cell in nbformat.read(path, as_version=4).cells for one in cell.get("outputs", [])]
    if any("from lmbook.widgets import" in cell.source for cell in notebook.cells):
        assert any(VIEW in one.get("data", {}) for one in outputs)
    record(chapter.stem, seconds, before)
