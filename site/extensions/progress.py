"""Gives the site's progress.js the exercises and quiz questions of each page."""

from book import ROOT
from kept import kept
from sphinx.application import Sphinx
from sphinx.config import Config

EXERCISES = ROOT / "lmbook" / "exercises"


def questions() -> dict[str, dict[str, str]]:
    """Return the ids of each page's exercises and quiz questions, with what tells that one has changed."""
    from lmbook.exercises.specification import chapters, load

    return {
        sheet.page: {item.id: item.page()["print"] for item in (*sheet.exercises, *sheet.quiz)}
        for sheet in map(load, chapters())
    }


def kept_questions() -> dict[str, dict[str, str]]:
    """Return the same; to import the exercises takes seconds, so an earlier build's are taken."""
    files = sorted(path for path in EXERCISES.iterdir() if path.is_file())
    return kept("questions", b"\0".join(path.read_bytes() for path in files), questions)


def tell_questions(app: Sphinx, config: Config) -> None:
    """Give them to the template of the sidebar; all pages are drawn again when they change."""
    config.html_context = {**config.html_context, "lm_exercises": kept_questions()}


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", tell_questions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
