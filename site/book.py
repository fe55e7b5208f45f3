"""The book's pages and repository: the only reader of _toc.yml and of the repository's address.

The address comes from git's remote, so that a fork needs no edit; `make book ADDRESS=https://github.com/
OWNER/NAME` names another one. Without either, the book has no buttons that lead to a repository.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GITHUB = re.compile(
    r"(?:https://github\.com/|(?:ssh://)?git@github\.com[:/])([\w.-]+)/([\w.-]+?)(?:\.git)?/?"
)
NOTEBOOK_LINK = re.compile(r'(<a href=")(\w+)\.ipynb(?=["#])')
COLAB_BRANCH = "colab"  # holds the notebooks that tools/stamp_colab.py writes
HEIGHTS = ROOT / "site" / "heights.json"  # of the widgets, which tools/measure_heights.py writes


def pages(root: Path = ROOT) -> list[str]:
    """Return the pages that _toc.yml names, such as chapters/index, in its order."""
    import yaml  # not needed when nothing has changed

    def below(entry: dict) -> list[str]:
        own = [name for key in ("root", "file") if (name := entry.get(key))]
        parts = [part for key in ("parts", "chapters", "sections") for part in entry.get(key, [])]
        return own + [name for part in parts for name in below(part)]

    return below(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


def chapters(root: Path = ROOT) -> list[Path]:
    """Return the notebooks among the pages."""
    return [path for name in pages(root) if (path := root / f"{name}.ipynb").exists()]


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, and the addresses of what it holds."""

    owner: str
    name: str

    @property
    def url(self) -> str:
        """Of its first page."""
        return f"https://github.com/{self.owner}/{self.name}"

    @property
    def pages(self) -> str:
        """Where GitHub Pages shows the site."""
        home = f"{self.owner.lower()}.github.io"
        return f"https://{home}/" if self.name.lower() == home else f"https://{home}/{self.name}/"

    def source(self, path: str) -> str:
        """Where a file can be read."""
        return f"{self.url}/blob/main/{path}"

    def edit(self, path: str) -> str:
        """Where a change to a file can be suggested."""
        return f"{self.url}/edit/main/{path}"

    def colab(self, path: str) -> str:
        """Where a notebook runs in Colab."""
        home = "https://colab.research.google.com/github"
        return f"{home}/{self.owner}/{self.name}/blob/{COLAB_BRANCH}/{path}"


def lead_to_pages(html: str, folder: str = "") -> str:
    """Make links to notebooks in an output lead to the pages of the site in `folder`.

    >>> lead_to_pages('<a href="05_causal.ipynb#growing">', "https://site/chapters/")
    '<a href="https://site/chapters/05_causal.html#growing">'
    """
    return NOTEBOOK_LINK.sub(rf"\1{folder}\2.html", html)


def git(*words: str) -> str:
    """Return git's output, or "" without a repository."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def parse(address: str) -> Repository | None:
    """Return the repository at an address as git writes it, or None if it isn't on GitHub."""
    match = GITHUB.fullmatch(address.strip())
    return Repository(*match.groups()) if match else None


def find_repository() -> Repository | None:
    """Return the repository that ADDRESS names, else that of a remote on GitHub (origin first), else None."""
    if address := os.environ.get("ADDRESS", ""):
        if not (found := parse(address)):
            sys.exit(f"ADDRESS must be like https://github.com/OWNER/NAME, got {address}")
        return found
    remotes = sorted(git("remote").split(), key=lambda name: name != "origin")
    return next(filter(None, (parse(git("remote", "get-url", name)) for name in remotes)), None)
