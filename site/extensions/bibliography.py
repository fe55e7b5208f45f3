"""Sources: cited by author and year, shown where they are cited, and listed without a key.

Finds the parts of pybtex once: it searches all installed packages each time that it needs one.
"""

import re
from dataclasses import dataclass, field

from docutils import nodes
from pybtex.plugin import find_plugin, register_plugin
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinxcontrib.bibtex.plugin import register_plugin as register_style
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

PARTS = (  # those asked for at each entry or page
    ("pybtex.backends", "plaintext"),
    ("pybtex.style.formatting", "alpha"),
    ("pybtex.style.labels", "alpha"),
    ("pybtex.style.names", "plain"),
    ("pybtex.style.sorting", "author_year_title"),
)
STYLE = "author_year_round"
LABEL = re.compile(
    r'<span class="label"><span class="fn-bracket">\[</span>(.*?)<span class="fn-bracket">\]</span></span>\n'
)
BACK = re.compile(r'(<a role="doc-backlink" href="#[^"]*")>[^<]*</a>')
CITED = re.compile(r'<a class="reference internal" href="(#[^"]*)" title="([^"]*)">')


@dataclass
class RoundAuthorYear(AuthorYearReferenceStyle):
    """Cites as in "(Loshchilov and Hutter, 2019)"."""

    bracket_parenthetical: BracketStyle = field(default_factory=lambda: BracketStyle(left="(", right=")"))


def cite_by_author(app: Sphinx, config: Config) -> None:
    """Choose the style; jupyter-book passes no such setting on."""
    config.bibtex_reference_style = STYLE


def listed(body: str) -> str:
    """Return the HTML `body` with arrows for the keys of the sources, and their text for terms.js.

    >>> listed('<a class="reference internal" href="#id1" title="Ann. On it.">Ann, 1990</a>')
    '<a class="reference internal lm-source" href="#id1" data-source="Ann. On it.">Ann, 1990</a>'
    """
    body = LABEL.sub(lambda match: back_link(match[1]), body)
    return CITED.sub(r'<a class="reference internal lm-source" href="\1" data-source="\2">', body)


def back_link(label: str) -> str:
    """Return the label of a source: an arrow to its only citation, or nothing where they are numbered."""
    link = BACK.search(label)
    return f'<span class="label">{link[1]} aria-label="Back to the text">↑</a></span>\n' if link else ""


def show_sources(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    if "body" in context:
        context["body"] = listed(context["body"])


def find_parts() -> None:
    """Register each part under its name, so that pybtex doesn't search for it."""
    for group, name in PARTS:
        register_plugin(group, name, find_plugin(group, name), force=True)


def setup(app: Sphinx) -> dict:
    find_parts()
    register_style("sphinxcontrib.bibtex.style.referencing", STYLE, RoundAuthorYear)
    app.connect("config-inited", cite_by_author)
    app.connect("html-page-context", show_sources)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
