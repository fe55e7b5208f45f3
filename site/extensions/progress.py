"""Gives the site's progress.js the exercises and quiz questions of each page."""

import tomllib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def exercises(folder: Path) -> dict[str, list[str]]:
    """Return the ids of the exercises and quiz questions of each page, from the sheets in `folder`."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        sheet = tomllib.loads(path.read_text(encoding="utf-8"))
        items = [*sheet.get("exercise", []), *sheet.get("quiz", [])]
        found[sheet["page"]] = [item["id"] for item in items]
    return found


def tell_exercises(app: Sphinx, config: Config) -> None:
    """Give them to the template of the sidebar; all pages are drawn again when they change."""
    found = exercises(Path(app.confdir, "lmbook", "exercises"))
    config.html_context = {**config.html_context, "lm_exercises": found}


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", tell_exercises)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
