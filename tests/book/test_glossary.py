"""The glossary: every entry leads to its section, and the chapters lead to the glossary.

python tests/book/test_glossary.py      lists, chapter by chapter, terms that are used and never linked there
"""

import doctest
import re
from pathlib import Path

import nbformat
import pytest
from extensions import terms

CHAPTERS = Path(__file__).resolve().parents[2] / "chapters"
GLOSSARY = (CHAPTERS / "glossary.md").read_text(encoding="utf-8").partition("````{glossary}\n")[2]
# Words of every day, or of the book's own: used far oftener than in the sense of the glossary.
EVERYDAY = re.compile("layer|block|head|key|value|state|batch|query|merge|floor|bit|decoding|replay")
OTHER_SENSE = {"02_tokens": {"prefix"}, "10_bugs": {"surprise"}, "11_next": {"surprise"}}  # in these pages
NOT_PROSE = re.compile(
    r"^(```+|~~~+|:::+).*?^\1\s*$|^\$\$.*?^\$\$|^#.*?$|^\|.*?$|(`+).+?\2|\$[^$\n]+\$|\]\([^)]*\)|\*[^*\n]+\*",
    re.DOTALL | re.MULTILINE,
)
ROLE = re.compile(r"\{term\}`(?:[^`<]*<([^`>]+)>|([^`<]+))`", re.DOTALL)


def entries() -> list[list[str]]:
    """The terms of each entry: one name, or several for the same thing."""
    blocks = [block for block in GLOSSARY.split("\n\n") if block.strip("`\n")]
    return [[line for line in block.splitlines() if not line.startswith((" ", "`"))] for block in blocks]


def prose(name: str) -> str:
    cells = nbformat.read(CHAPTERS / f"{name}.ipynb", as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return "\n\n".join(text for text in texts if not text.startswith("## Sources"))


def never_linked(name: str) -> list[str]:
    """Return the terms that a chapter's prose uses and nowhere links."""
    text = prose(name)
    linked = {" ".join((a or b).split()) for a, b in ROLE.findall(text)}
    plain = NOT_PROSE.sub(" ", ROLE.sub(" ", text))

    def used(term: str) -> bool:
        return not EVERYDAY.fullmatch(term) and bool(
            re.search(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", plain)
        )

    open_terms = [names[0] for names in entries() if not linked & set(names) and any(map(used, names))]
    return [term for term in open_terms if term not in OTHER_SENSE.get(name, ())]


def test_entries_are_in_the_order_of_the_alphabet_and_each_there_once():
    names = [name for entry in entries() for name in entry]
    assert len(names) == len(set(names)) > 80
    first = [entry[0].lower().replace("–", "-") for entry in entries()]
    assert first == sorted(first)


def test_every_entry_leads_to_the_section_that_explains_it():
    assert not re.findall(r"(?<!\[)Chapter \d\b", GLOSSARY)


def places(name: str) -> set[str]:
    """The headings of a page, as links name them."""
    path = next(CHAPTERS.glob(f"{name}.*"))
    notebook = path.suffix == ".ipynb"
    text = prose(name) + "\n\n## Sources" if notebook else path.read_text(encoding="utf-8")
    titles = re.findall(r"^#{1,3} (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", ["glossary", "notation"])
def test_the_sections_that_are_linked_are_there(page):
    text = (CHAPTERS / f"{page}.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\((\w+)\.(?:ipynb|md)#([^)]+)\)", text))
    assert len(links) > 10
    assert not [f"{name}: {place}" for name, place in links if place not in places(name)]


def test_links_are_recognised():
    assert ROLE.findall("{term}`tokens <token>` and {term}`logits`") == [("token", ""), ("", "logits")]
    assert "tokenizer" in never_linked_in("a tokenizer")
    assert "tokenizer" not in never_linked_in("{term}`tokenizers <tokenizer>`, a tokenizer")
    assert "tokenizer" not in never_linked_in("`a tokenizer` and\n\n```python\na tokenizer\n```\n")


def never_linked_in(text: str) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "prose", lambda name: text)
        return never_linked("")


@pytest.mark.parametrize("name", sorted(path.stem for path in CHAPTERS.glob("*.ipynb")))
def test_every_term_that_a_chapter_uses_is_linked_there(name):
    assert not never_linked(name)


def test_the_meanings_that_pages_show_are_taken_from_the_glossary():
    found = doctest.testmod(terms)
    assert found.attempted
    assert not found.failed


if __name__ == "__main__":
    for path in sorted(CHAPTERS.glob("*.ipynb")):
        print(f"{path.stem}: {', '.join(never_linked(path.stem))}")
