"""What depends on the addresses of site and repository: buttons, social preview, site map, the page 404.

The addresses come from `site/book.py`. Without them there are no buttons and no map.
"""

import json
import shutil
import sys
from contextlib import redirect_stdout
from datetime import datetime
from functools import cache
from pathlib import Path

import book
from book import ROOT, Repository, lead_to_pages
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

PREVIEW = ROOT / "site" / "preview.png"
RUNS = ROOT / "_build" / "colab-runs.json"
find_repository = cache(book.find_repository)  # one answer for all pages of a build


def button(label: str, text: str, tooltip: str, icon: str, url: str) -> dict:
    return {"type": "link", "label": label, "text": text, "tooltip": tooltip, "icon": icon, "url": url}


def add_buttons(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Put Colab, edit and source beside the theme's buttons, on pages that have a source of their own."""
    repository: Repository | None = find_repository()
    if repository is None or doctree is None or not context.get("page_source_suffix"):
        return
    path = pagename + context["page_source_suffix"]
    places = [
        button("source-button", "Source", "See this page's source", "fas fa-code", repository.source(path)),
        button("edit-button", "Edit", "Suggest a change", "fas fa-pencil-alt", repository.edit(path)),
    ]
    if path.endswith(".ipynb"):
        label, tip = "colab-button", "Run this chapter in Google Colab"
        places.insert(0, button(label, "Colab", tip, "fas fa-play", repository.colab(path)))
    group = {"type": "group", "label": "repository-buttons", "tooltip": "Run, edit", "icon": "fas fa-rocket"}
    context["header_buttons"].insert(0, group | {"buttons": places})


def load_opengraph(app: Sphinx) -> None:
    """Load opengraph as where Matplotlib is missing: its cards are off, and a build needn't wait for it."""
    sys.modules["sphinxext.opengraph._social_cards"] = None  # an import of it now fails
    with redirect_stdout(None):  # it says so
        app.setup_extension("sphinxext.opengraph")


def describe_links(app: Sphinx, config: Config) -> None:
    """Give opengraph the site's address, for the previews that other sites show of a linked page."""
    config.ogp_site_name = config.html_title
    config.ogp_social_cards = {"enable": False}  # the same picture for all pages, drawn by hand
    if repository := find_repository():
        config.ogp_site_url = repository.pages
        config.ogp_image = f"{repository.pages}{PREVIEW.name}"
        config.ogp_custom_meta_tags = ['<meta name="twitter:card" content="summary_large_image" />']


def add_not_found(app: Sphinx) -> list[tuple[str, dict, str]]:
    """Return the page for a wrong address; its links start from the site's address.

    sphinx-notfound-page makes every link absolute, and the page must also work from the disk.
    """
    repository = find_repository()
    base = f"/{repository.pages.split('/', 3)[3]}" if repository else ""
    return [("404", {"base": base, "title": "Page not found"}, "404.html")]


def write_map(app: Sphinx, error: Exception | None) -> None:
    """Write the preview's picture, and, where the site's address is known, the map for search engines.

    sphinx-sitemap lists only the pages drawn in this build, and most builds draw one.
    """
    if error or app.builder.format != "html":
        return
    shutil.copyfile(PREVIEW, Path(app.outdir, PREVIEW.name))
    if repository := find_repository():
        env: BuildEnvironment = app.env
        pages = "".join(
            f"  <url><loc>{repository.pages}{name}.html</loc></url>\n" for name in sorted(env.found_docs)
        )
        space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {space}>\n{pages}</urlset>\n'
        Path(app.outdir, "sitemap.xml").write_text(text, encoding="utf-8")


def tell_last_run(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Show at the top of a chapter the result of its last test with Colab's versions."""
    if not (find_repository() and RUNS.exists()):
        return
    run = json.loads(RUNS.read_text(encoding="utf-8")).get(pagename.rpartition("/")[2])
    if run is None or "body" not in context:
        return
    date = datetime.fromisoformat(run["date"])
    used = ", ".join(f"{name} {run['versions'][name]}" for name in ("torch", "numpy", "ipywidgets"))
    text = f"In Colab: about {run['seconds']} s with installation; last run on {date:%-d %B %Y} with {used}."
    context["body"] = context["body"].replace("</h1>", f'</h1>\n<p class="lm-last-run">{text}</p>', 1)


def lead_on(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Make links to notebooks in outputs lead to pages."""
    if "body" in context:
        context["body"] = lead_to_pages(context["body"])


def remember_address(app: Sphinx, config: Config) -> None:
    """Make address and last runs settings, so that all pages are drawn again when they change."""
    repository = find_repository()
    runs = RUNS.read_text(encoding="utf-8") if repository and RUNS.exists() else ""
    config.lm_address = f"{repository or ''} {runs}"


def setup(app: Sphinx) -> dict:
    app.add_config_value("lm_address", "", "html")
    load_opengraph(app)
    app.connect("config-inited", remember_address)
    app.connect("config-inited", describe_links)
    app.connect("html-page-context", lead_on)
    app.connect("html-page-context", add_buttons, priority=900)
    app.connect("html-page-context", tell_last_run)
    app.connect("html-collect-pages", add_not_found)
    app.connect("build-finished", write_map)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
