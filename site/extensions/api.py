"""Makes the API page from the package's docstrings, which have Google's form with Markdown inside.

autodoc collects them and napoleon reads their sections. This module turns their Markdown into
reStructuredText, and keeps every link inside the book: a name on the page links to its entry, others are not
links. Nothing is fetched.
"""

import ast
import re
from contextlib import suppress
from inspect import getdoc, signature
from textwrap import dedent, indent

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\(\))?")
EMPHASIS = re.compile(r"(?<![\w*])(\*\*?)(?=[^\s*])[^*\n]*(?<=[^\s*])\1(?![\w*])")
MARKUP = re.compile(r"[\\|*]|(?<=\w)_(?!\w)")  # what reStructuredText would take for its own
NUMBERING = re.compile(r"(^ *|: )([A-Z]|\d+|[ivxIVX]+)(?=\.(?:\s|$))", re.MULTILINE)  # "V." begins no list
HEAD = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
LIST_TAG = re.compile(r"<(/?)d[ld]>")
SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Source|Sources):")


def code_span(match: re.Match, own: set[str]) -> str:
    """Link a name in backticks to its entry, if it has one; `own` names and all else are code."""
    code = " ".join(match[2].split())
    return rf"\ :py:obj:`{code}`\ " if NAME.fullmatch(code) and code not in own else rf"\ ``{code}``\ "


def prose(text: str, own: set[str]) -> str:
    """Return a paragraph of Markdown as reStructuredText."""
    kept: list[str] = []

    def keep(written: str) -> str:
        kept.append(written)
        return f"\0{len(kept) - 1}\0"

    text = CODE.sub(lambda match: keep(code_span(match, own)), text)
    text = EMPHASIS.sub(lambda match: keep(match[0]), text)
    text = NUMBERING.sub(r"\1\\\2", MARKUP.sub(r"\\\g<0>", text))
    while "\0" in text:
        text = re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], text)
    return text


def table(block: str, own: set[str]) -> str:
    """Return a table of Markdown as one of reStructuredText."""
    rows = [line.strip("| ").split("|") for line in block.splitlines()]
    cells = [[prose(cell.strip(), own) for cell in row] for row in (rows[0], *rows[2:])]
    written = ["".join(f"\n{'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)) for row in cells]
    return ".. list-table::\n   :header-rows: 1\n" + indent("".join(written), "   ")


def listing(block: str) -> str:
    """Return an indented block as a listing, in Python's colours where it is Python."""
    try:
        ast.parse(dedent(block))
        language = "python"
    except SyntaxError:
        language = "text"
    return f".. code-block:: {language}\n\n" + block


def restructured(docstring: str, own: set[str]) -> str:
    """Return a docstring as napoleon expects it; `own` are the names of the arguments."""
    blocks, in_section = [], False
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        if not block.startswith(" "):
            in_section = bool(SECTION.match(block))
        if re.match(r"\|.*\n\|-", block):
            blocks.append(table(block, own))
        elif block.startswith("    ") and not in_section:
            blocks.append(listing(block))
        else:
            blocks.append(prose(block, own))
    return "\n\n".join(blocks)


def read_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    own: set[str] = set()
    with suppress(TypeError, ValueError):  # data, and an exception without a constructor of its own
        own = set(signature(obj).parameters)
    lines[:] = [*restructured("\n".join(lines), own).splitlines(), ""]


def read_property(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Undo napoleon's reading of a property: it takes the text before a colon for a type."""
    if what == "property":
        lines[:] = [*restructured(getdoc(obj) or "", set()).splitlines(), ""]


def find_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element
) -> nodes.Node | None:
    """Link a Python name, with or without its module, to its entry, if it has one."""
    if node.get("refdomain") != "py":
        return None
    python = env.get_domain("py")
    target = node["reftarget"].removesuffix("()")
    last = target.rpartition(".")[2]
    names = [target, f"lmbook.{target}"]
    if target.startswith("lmbook."):  # public names are listed without their module
        names.append(f"lmbook.{last}")
    if re.search("[A-Z_]", target):  # not a common word: it is that name, in any module
        names += [name for name in python.objects if name.count(".") == 2 and name.endswith(f".{last}")]
    for name in names:
        if found := python.objects.get(name):
            refuri = app.builder.get_relative_uri(node["refdoc"], found.docname)
            return nodes.reference("", "", contnode, internal=True, refuri=f"{refuri}#{found.node_id}")
    return contnode


def write_parameters(app: Sphinx, pagename: str, template: str, context: dict, doctree: object) -> None:
    """Turn the definition lists without terms that Sphinx writes inside a term into lines."""
    if "body" in context:
        context["body"] = HEAD.sub(
            lambda match: LIST_TAG.sub(lambda tag: f"<{tag[1]}span>", match[0]), context["body"]
        )


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.autosummary")
    app.connect("autodoc-process-docstring", read_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", read_property, priority=600)
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("missing-reference", find_name)
    app.connect("html-page-context", write_parameters)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
