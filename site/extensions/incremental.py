"""Makes a partial build give the same site as a full one.

Sphinx leaves two things stale: pages drawn by older code of the site, and a chapter's title in the side bars
of all other pages.
"""

from hashlib import sha256

from book import ROOT
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

LOOKS = ("static/**/*.*", "templates/**/*.*", "heights.json")


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


def setup(app: Sphinx) -> dict:
    app.add_config_value("lm_code", "", "env")
    app.add_config_value("lm_looks", "", "html")
    app.connect("config-inited", remember_files)
    app.connect("env-updated", draw_titles)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
