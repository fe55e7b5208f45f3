"""The meanings of the glossary's terms in one file, which a page loads when a reader points at a term.

It is a script, because a page from the disk may load nothing else; `site/static/terms.js` shows them.
"""

import json
import re
from pathlib import Path

from sphinx.application import Sphinx

PAGE, FILE = "chapters/glossary.html", "_static/term-texts.js"
ENTRY = re.compile(r"((?:<dt id=\"term-[^\"]+\">.*?</dt>\s*)+)<dd>(.*?)</dd>", re.DOTALL)
NAME = re.compile(r"<dt id=\"([^\"]+)\">(.*?)</dt>", re.DOTALL)
HEADER_LINK = re.compile(r"<a class=\"headerlink\".*?</a>", re.DOTALL)
LINK = re.compile(r"</?a\b[^>]*>")


def meanings(html: str) -> dict[str, str]:
    """Return the HTML of each term and its meaning, without links, by the ids of the terms.

    >>> meanings('<dt id="term-a">A<a class="headerlink">#</a></dt><dt id="term-b">B</dt><dd>C <a>d</a></dd>')
    {'term-a': '<strong>A</strong> C d', 'term-b': '<strong>B</strong> C d'}
    """
    found = {}
    for names, text in ENTRY.findall(HEADER_LINK.sub("", html)):
        meaning = LINK.sub("", text).strip()
        found |= {name: f"<strong>{term.strip()}</strong> {meaning}" for name, term in NAME.findall(names)}
    return found


def write_meanings(app: Sphinx, error: Exception | None) -> None:
    page = Path(app.outdir, PAGE)
    if not error and app.builder.format == "html" and page.exists():
        text = json.dumps(meanings(page.read_text(encoding="utf-8")), ensure_ascii=False)
        Path(app.outdir, FILE).write_text(f"globalThis.lmTerms = {text};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_meanings)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
