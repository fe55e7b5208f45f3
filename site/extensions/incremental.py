"""Makes a partial build give the same site as a full one.

Sphinx leaves four things stale: pages drawn by older code of the site, a chapter's title in the side bars of
all other pages, the search entries for names and terms on pages that were not drawn, and words of the search
that no page has any more.
"""

import pickle
from hashlib import sha256
from pathlib import Path

from book import ROOT
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

LOOKS = ("static/**/*.*", "templates/**/*.*", "heights.json")
ENTRIES = "search-entries.pickle"  # in the doctrees' folder, so that it is deleted with them


def remember_files(app: Sphinx, config: Config) -> None:
    """Make the site's files settings, so that Sphinx draws all pages again when one changes."""
    for setting, kinds in (("lm_code", ("**/*.py",)), ("lm_looks", LOOKS)):
        files = sorted(path for kind in kinds for path in (ROOT / "site").glob(kind))
        config[setting] = sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def draw_titles(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return the pages to draw again: all of them if a title has changed."""
    titles = {name: title.astext() for name, title in env.titles.items()}
    before, env.lm_titles = getattr(env, "lm_titles", titles), titles
    return sorted(env.found_docs) if before != titles else []


def recall_entries(app: Sphinx, env: BuildEnvironment) -> None:
    """Give the search index the entries of earlier builds: Sphinx stores its environment without them."""
    kept = Path(app.doctreedir, ENTRIES)
    if kept.exists():
        env._search_index_index_entries |= pickle.loads(kept.read_bytes())


def keep_entries(app: Sphinx, error: Exception | None) -> None:
    if not error and app.builder.format == "html":
        Path(app.doctreedir, ENTRIES).write_bytes(pickle.dumps(app.env._search_index_index_entries))


def forget_words(app: Sphinx) -> list:
    """Take the words that no page has out of the search index, when all pages are drawn; add no page."""
    if app.builder.format == "html":
        for words in (app.builder.indexer._mapping, app.builder.indexer._title_mapping):
            for word in [word for word, names in words.items() if not names]:
                del words[word]
    return []


def setup(app: Sphinx) -> dict:
    app.add_config_value("lm_code", "", "env")
    app.add_config_value("lm_looks", "", "html")
    app.connect("config-inited", remember_files)
    app.connect("env-updated", draw_titles)
    app.connect("env-updated", recall_entries)
    app.connect("html-collect-pages", forget_words)
    app.connect("build-finished", keep_entries)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
