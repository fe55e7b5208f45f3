"""One style sheet for all pages, with those rules only that some page or script of the site has a use for.

The theme and the extensions bring eleven sheets, 560 KB, of which pages use a tenth. A rule stays unless its
selector needs a class or an id that no page and no script names; a property of CSS's own (`--x`) stays if
something reads it.
"""

import re
from fnmatch import fnmatch
from pathlib import Path
from zlib import crc32

from sphinx.application import Sphinx

SHEET = "_static/site.css"
# What it is made from, in the order of the cascade. Other sheets belong to some pages and stay as they are.
SHEETS = (
    *("styles/theme.css", "styles/pydata-sphinx-theme.css", "pygments.css", "styles/sphinx-book-theme.css"),
    *("copybutton.css", "mystnb.*.css", "exercise.css", "proof.css", "sphinx-design.min.css", "lm.css"),
)
UNUSED = ("togglebutton.css",)
# Scripts that no page loads, and texts.
NOT_LOADED = (
    *("fontawesome.js", "bootstrap.js", "doctools.js", "sphinx_highlight.js", "togglebutton.js"),
    *("design-tabs.js", "searchtools.js", "language_data.js", "search-texts.js", "term-texts.js"),
)
LINK = re.compile(r'\s*<link\b[^>]*?href="(?P<root>[^"]*?)(?P<file>_static/[^"?]+\.css)[^"]*"[^>]*>')
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
GROUPS = ("@media", "@supports", "@layer", "@container", "@keyframes", "@-webkit-keyframes")
STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\''
# What ends the head of a rule: a semicolon, or a brace that no string or address has.
HEAD = re.compile(rf"(?:{STRING}|url\([^)\"']*\)|[^{{}};\"'])*", re.DOTALL)
BODY = re.compile(rf"(?:{STRING}|url\([^)\"']*\)|[^{{}}\"'])*", re.DOTALL)
IN_BRACKETS = re.compile(r"\((?:[^()]|\([^()]*\))*\)|\[[^\]]*\]")
NAMED = re.compile(r"[.#]((?:[\w-]|\\.)+)")
NAME = re.compile(r"[\w-]+")
MADE = re.compile(r"""classList\.\w+\(["']([\w-]+)""")  # by the theme's scripts, which know more than they do
OWN = re.compile(r"(--[\w-]+)\s*:")
READ = re.compile(r"--[\w-]+")
IMPORT = re.compile(r'@import\s+(?:url\()?["\']?([^"\')]+)["\']?\)?\s*;')
ADDRESS = re.compile(r"url\((['\"]?)(?!data:|#)([^'\")]+)\1\)")

Rule = tuple[str, "str | list[Rule]"]  # its head and its declarations, or the rules in it


def rules(sheet: str, start: int = 0) -> tuple[list[Rule], int]:
    """Return the rules of a sheet without comments, and where they end.

    >>> rules("a { b: c } @media print { d, e { f: '}' } }")[0]
    [('a', 'b: c'), ('@media print', [('d, e', "f: '}'")])]
    """
    found: list[Rule] = []
    while start < len(sheet):
        match = HEAD.match(sheet, start)
        head, start = match[0].strip(), match.end()
        if start >= len(sheet) or sheet[start] == "}":
            return found, start + 1
        if sheet[start] == ";":  # @charset, @import
            found += [(head, "")] if head else []
            start += 1
        elif head.startswith(GROUPS):
            inner, start = rules(sheet, start + 1)
            found.append((head, inner))
        else:
            body = BODY.match(sheet, start + 1)
            found.append((head, body[0].strip()))
            start = body.end() + 1
    return found, start


def split(selectors: str) -> list[str]:
    """Return the selectors of a list; commas in brackets don't part them.

    >>> split("a:is(b, c), d[e=',']")
    ['a:is(b, c)', "d[e=',']"]
    """
    parts, depth = [""], 0
    for sign in selectors:
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def is_used(selector: str, names: set[str]) -> bool:
    """Return whether all classes and ids that a selector needs are among `names`; brackets are let pass."""
    plain = IN_BRACKETS.sub("", selector)
    return all(name.replace("\\", "") in names for name in NAMED.findall(plain))


def used(found: list[Rule], names: set[str]) -> list[Rule]:
    """Return the rules that something on the site may have a use for."""
    kept: list[Rule] = []
    for head, body in found:
        if isinstance(body, list):
            inner = body if "keyframes" in head else used(body, names)
            kept += [(head, inner)] if inner else []
        elif head.startswith("@"):
            kept += [(head, body)] if body else []  # @font-face, @page
        elif body and (selectors := [part for part in split(head) if is_used(part, names)]):
            kept.append((",".join(selectors), body))
    return kept


def declarations(body: str) -> list[str]:
    """Return the declarations of a rule."""
    parts = re.findall(rf"(?:{STRING}|\((?:{STRING}|[^()]|\([^()]*\))*\)|[^;\"'()])+", body)
    return [part.strip() for part in parts if part.strip()]


def without_unread(found: list[Rule], read: set[str]) -> list[Rule]:
    """Return the rules without own properties that nothing reads."""
    kept: list[Rule] = []
    for head, body in found:
        if isinstance(body, list):
            kept.append((head, without_unread(body, read)))
            continue
        lines = [line for line in declarations(body) if not (own := OWN.match(line)) or own[1] in read]
        kept += [(head, ";".join(lines))] if lines else []
    return kept


def values(found: list[Rule]) -> str:
    """Return all that is declared, without the names of own properties."""
    texts = [values(body) if isinstance(body, list) else OWN.sub("", body) for _, body in found]
    return "\n".join(texts)


def written(found: list[Rule]) -> str:
    return "".join(f"{head}{{{written(body) if isinstance(body, list) else body}}}\n" for head, body in found)


def read_sheet(path: Path, static: Path) -> str:
    """Return a sheet with what it imports; its addresses lead from the folder _static."""
    text = COMMENT.sub("", path.read_text(encoding="utf-8"))
    text = text.removeprefix('@charset "UTF-8";').removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")

    def imported(match: re.Match) -> str:
        other = (path.parent / match[1]).resolve()
        return read_sheet(other, static) if other.exists() else ""

    def moved(match: re.Match) -> str:
        file, mark, query = match[2].partition("?")
        place = (path.parent / file).resolve()
        if not place.is_relative_to(static):
            return match[0]
        return f"url({place.relative_to(static).as_posix()}{mark}{query})"

    return IMPORT.sub(imported, ADDRESS.sub(moved, text))


def names_in_use(html: Path) -> set[str]:
    """Return all words of pages and scripts: whatever may be a class or an id."""
    found: set[str] = set()
    for path in html.rglob("*.html"):
        tags = re.findall(r'(?:class|id|name)="([^"]*)"', path.read_text(encoding="utf-8"))
        found.update(name for tag in tags for name in tag.split())
    for path in (html / "_static").rglob("*.js"):
        if path.name not in NOT_LOADED:
            read = MADE if path.parent.name == "scripts" else NAME
            found.update(read.findall(path.read_text(encoding="utf-8")))
    return found


def reads(path: Path) -> list[str]:
    return READ.findall(path.read_text(encoding="utf-8"))


def one_sheet(sheets: list[Path], static: Path) -> str:
    """Return what the site uses of these sheets, in their order."""
    names = names_in_use(static.parent)
    found = used(rules("\n".join(read_sheet(path, static) for path in sheets))[0], names)
    others = [path for kind in ("*.css", "*.js") for path in (static / "widgets").glob(kind)]
    others += [*static.glob("*.css"), *static.parent.rglob("*.html")]
    elsewhere = {name for path in others if path not in sheets for name in reads(path)}
    before = -1
    while (size := len(written(found))) != before:
        read = elsewhere | set(READ.findall(values(found)))
        found, before = without_unread(found, read), size
    return written(found)


def with_one_sheet(page: str, digest: str) -> str:
    """Return a page that loads the one sheet in place of those that it is made from."""
    if "pydata-sphinx-theme.css" not in page and SHEET not in page:  # a page of the course, without the theme
        return page
    first, last = True, f"{SHEET}?v={digest}"

    def link(match: re.Match) -> str:
        nonlocal first
        name = match["file"].removeprefix("_static/")
        if not any(fnmatch(name, kind) for kind in (*SHEETS, *UNUSED, "site.css")):
            return match[0]
        if not first or name in UNUSED:
            return ""
        first = False
        return f'\n<link rel="stylesheet" href="{match["root"]}{last}">'

    return LINK.sub(link, page)


def write_sheet(app: Sphinx, error: Exception | None) -> None:
    """Write the sheet, and let every page load it in place of what it is made from."""
    if error or app.builder.format != "html":
        return
    html = Path(app.outdir).resolve()
    static = html / "_static"
    text = one_sheet([path for kind in SHEETS for path in sorted(static.glob(kind))], static)
    (html / SHEET).write_text(text, encoding="utf-8")
    digest = f"{crc32(text.encode()):08x}"
    for path in html.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        if (after := with_one_sheet(page, digest)) != page:
            path.write_text(after, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_sheet, priority=600)  # after the check sums are named
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
