"""What the search looks through: each section, each term of the glossary, each entry of the API, in one file.

It is a script, because a page from the disk may load nothing else; `site/static/search.js` searches it with
MiniSearch, an npm package. A section that the glossary names as a term's place is found by that term first.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from book import ROOT
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from extensions.figures import cells

FILE, ENGINE = "_static/search-texts.js", "_static/minisearch.js"
FOLDER = "search"  # in the doctrees' folder, so that it is deleted with them
MINISEARCH = ROOT / ".venv" / "node" / "node_modules" / "minisearch"
SYNONYMS = ROOT / "site" / "synonyms.toml"


def words(node: nodes.Node, skip: tuple | type = (), code: frozenset[int] = frozenset()) -> str:
    """Return the text of a part of a page without code cells and formulas that are no plain text."""
    if isinstance(node, (skip, nodes.raw, nodes.comment)) or id(node) in code:
        return ""
    if isinstance(node, (nodes.math, nodes.math_block)):
        text = node.astext()
        return "…" if "\\" in text else text
    if isinstance(node, nodes.Text):
        return str(node)
    joint = "" if isinstance(node, nodes.TextElement) else " "
    return joint.join(words(child, skip, code) for child in node.children)


def terms(glossary: addnodes.glossary) -> Iterator[dict]:
    """Give each entry of the glossary with its names and the address of the section that explains it."""
    for item in glossary.findall(nodes.definition_list_item):
        names = [node for node in item.children if isinstance(node, nodes.term)]
        links = [node.get("refuri", "") for node in item.children[-1].findall(nodes.reference)]
        places = [link for link in links if "#" in link and "://" not in link and "#term-" not in link]
        yield {
            "kind": "term",
            "id": names[0]["ids"][0],
            "title": words(names[0]),
            "names": [words(name) for name in names],
            "place": places[-1] if places else "",
            "text": words(item.children[-1]),
        }


def parts(doctree: nodes.document) -> list[dict]:
    """Return what can be found on a page."""
    found: list[dict] = []
    code = frozenset(map(id, cells(doctree)))
    inner = (nodes.section, nodes.title, addnodes.glossary, addnodes.desc, addnodes.index)
    for section in doctree.findall(nodes.section):
        title = next(iter(section.findall(nodes.title)), nodes.title())
        text = " ".join(words(child, inner, code) for child in section.children)
        found.append({"kind": "section", "id": section["ids"][0], "title": words(title), "text": text})
    for glossary in doctree.findall(addnodes.glossary):
        found += terms(glossary)
    for entry in doctree.findall(addnodes.desc):
        for signature in entry.children:
            if isinstance(signature, addnodes.desc_signature) and signature["ids"]:
                text = words(entry.children[-1], (addnodes.desc, nodes.title))
                name = signature.get("fullname") or signature["ids"][0].rpartition(".")[2]
                found.append({"kind": "api", "id": signature["ids"][0], "title": name, "text": text})
    return [part | {"text": " ".join(part["text"].split())} for part in found]


def keep_parts(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None
) -> None:
    if doctree is not None and app.builder.format == "html":
        place = Path(app.doctreedir, FOLDER, f"{pagename}.json")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(parts(doctree)), encoding="utf-8")


def same(name: str, groups: list[list[str]]) -> list[str]:
    """Return a name with all that mean the same.

    >>> same("Perplexity", [["perplexity", "PPL"], ["nucleus", "top p"]])
    ['Perplexity', 'PPL']
    """
    others = (group for group in groups if name.lower() in map(str.lower, group))
    return [name, *(other for group in others for other in group if other.lower() != name.lower())]


def entries(pages: dict[str, list[dict]], groups: list[list[str]]) -> list[list]:
    """Return kind, page, id, title, names and text of all parts; sections get the names of their terms."""
    own: dict[tuple[str, str], list[str]] = {}
    for page, found in pages.items():
        for part in found:
            part["names"] = [other for name in part.get("names", []) for other in same(name, groups)]
            if place := part.get("place"):
                address, _, anchor = place.partition("#")
                folder = page.rpartition("/")[0]
                target = f"{folder}/{address.removesuffix('.html')}" if address else page
                own.setdefault((target, anchor), []).extend(part["names"])
    return [
        [
            part["kind"],
            page,
            part["id"],
            part["title"],
            "\n".join(part["names"] + own.get((page, part["id"]), [])),
            part["text"],
        ]
        for page, found in pages.items()
        for part in found
    ]


def write_texts(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    Path(app.outdir, "searchindex.js").unlink(missing_ok=True)  # of an earlier build
    groups = tomllib.loads(SYNONYMS.read_text(encoding="utf-8"))["same"]
    pages, titles = {}, {}
    for name in sorted(app.env.found_docs):
        kept = Path(app.doctreedir, FOLDER, f"{name}.json")
        if kept.exists():
            pages[name] = json.loads(kept.read_text(encoding="utf-8"))
            titles[name] = app.env.titles[name].astext()
    found = json.dumps({"titles": titles, "parts": entries(pages, groups)}, ensure_ascii=False)
    Path(app.outdir, FILE).write_text(f"globalThis.lmSearch = {found};\n", encoding="utf-8")
    if MINISEARCH.exists():
        engine = (MINISEARCH / "dist" / "umd" / "index.js").read_text(encoding="utf-8")
        Path(app.outdir, ENGINE).write_text(
            engine.partition("\n//# sourceMappingURL")[0] + "\n", encoding="utf-8"
        )


def drop_index(app: Sphinx) -> None:
    """Let Sphinx write no index of its own: half a megabyte that nothing loads."""
    app.builder.search = False


def add_page(app: Sphinx) -> list[tuple[str, dict, str]]:
    """Return the page of the search, which Sphinx would write with its index."""
    return [("search", {}, "search.html")] if app.builder.format == "html" else []


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", drop_index)
    app.connect("html-collect-pages", add_page)
    app.connect("html-page-context", keep_parts)
    app.connect("build-finished", write_texts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
