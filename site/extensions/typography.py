"""Prevents line breaks before a per cent sign, within "n-gram", between a formula and its full stop.

Also puts every picture into a box of its own, which scrolls on a phone while the caption doesn't, and gives
the list of sources a role that fits its items.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

# Tags, and elements whose text stays as it is.
PASSED = r"(?P<passed><(?P<tag>pre|code|math|script|style|svg)\b.*?</(?P=tag)>|<[^>]*>)"
SPACE = (
    r"(?P<space>(?<=\d) (?=%)|(?<=[Cc]hapter) (?=\d|<)|(?<=[Ss]ection) (?=\d)|(?<=[Cc]ase|[Ss]tep) (?=\d))"
)
HYPHEN = r"(?P<hyphen>(?<![-\w])(?:\w-\w+|\w+-\w)(?![-\w]))"  # a letter that would stand alone: n-gram, top-k
TEXT = re.compile(f"{PASSED}|{SPACE}|{HYPHEN}", re.DOTALL)
FORMULA = re.compile(r'[(\[“‘]*<span class="math"><math>.*?</math></span>[.,;:!?)\]”’]*', re.DOTALL)
PICTURE = re.compile(r"(<figure [^>]*>\s*)(<img [^>]*>)")


def tie(match: re.Match) -> str:
    if match["passed"]:
        return match[0]
    return "\N{NO-BREAK SPACE}" if match["space"] else f'<span class="lm-tied">{match[0]}</span>'


def tie_formula(match: re.Match) -> str:
    alone = match[0].startswith("<") and match[0].endswith(">")
    return match[0] if alone else f'<span class="lm-tied">{match[0]}</span>'


def tied(body: str) -> str:
    """Return the HTML `body` with these line breaks prevented."""
    return FORMULA.sub(tie_formula, TEXT.sub(tie, body))


def set_lines(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document) -> None:
    if "body" in context:
        body = PICTURE.sub(r'\1<div class="lm-figure">\2</div>', tied(context["body"]))
        context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", set_lines, priority=600)  # after `widgets` has put the widgets' text in
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
