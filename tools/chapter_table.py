"""Writes the table of chapters on the start page: `python tools/chapter_table.py`.

What a chapter is called, what it needs, how long it takes to read, to run and to work through comes from the
chapter itself and its exercises; the question that it answers is written by hand in the table. A test holds
the time that a chapter gives against `minutes_to_read`.
"""

import json
import re
import sys
from pathlib import Path

import nbformat

sys.path.append(str(Path(__file__).resolve().parents[1] / "site"))
from plan import reading
from sheets import sheets

ROOT = Path(__file__).resolve().parents[1]
INDEX, CELL = ROOT / "chapters" / "index.ipynb", "map"
HEAD = (
    "| chapter | the question it answers | to read | to run | exercises and quiz | needs |",
    "|---|---|--:|:--|--:|:--|",
)
WORDS_A_MINUTE = 180  # slower than a novel: people read explanations at 150 to 250
MINUTES = {"line of code": 0.05, "formula": 1.0, "figure": 0.5}  # besides its words
FORMULA = re.compile(r"\$\$.*?\$\$", re.DOTALL)
NEEDED = re.compile(r"\{doc\}`(?:\d+ <)?(\d\d)_\w+>?`")
RUNS = re.compile(r"\*\*Time\.\*\*.*?, (?:about )?([\w ]+?) to run")
QUESTION = re.compile(r"^\| \{doc\}`[^`]*<(\w+)>` \| (.*?) \|", re.MULTILINE)


def cells(path: Path) -> list[dict]:
    """Return the cells of a notebook, their sources joined."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in found]


def minutes_to_read(path: Path) -> float:
    """Return how long the words, formulas, figures and visible lines of code of a chapter take."""
    minutes = 0.0
    for cell in cells(path):
        if cell["cell_type"] == "markdown":
            text, formulas = FORMULA.subn("", cell["source"])
            minutes += len(text.split()) / WORDS_A_MINUTE + formulas * MINUTES["formula"]
            continue
        if not {"hide-input", "remove-input", "remove-cell"} & set(cell["metadata"].get("tags", [])):
            minutes += sum(map(bool, cell["source"].splitlines())) * MINUTES["line of code"]
        figures = sum("image/svg+xml" in output.get("data", {}) for output in cell["outputs"])
        minutes += figures * MINUTES["figure"]
    return minutes


def in_fives(minutes: float) -> int:
    return max(5, round(minutes / 5) * 5)


def needs(name: str, opening: str) -> str:
    """Return the chapters that the paragraph "What you need" links to, by number."""
    paragraph = opening.partition("**What you need.**")[2].partition("\n\n")[0]
    if numbers := sorted({int(number) for number in NEEDED.findall(paragraph)}):
        return ", ".join(map(str, numbers))
    return "Python" if name.startswith("01") else "the others"


def row(path: Path, question: str) -> str:
    """Return the table's line of a chapter."""
    opening = cells(path)[0]["source"]
    number, title = opening.partition("\n")[0].lstrip("# ").split(". ", 1)
    sheet = sheets()[path.stem]
    runs = RUNS.search(opening)
    if not runs:
        raise ValueError(f"{path.name} doesn't say how long it takes to run")
    items = f"{len(sheet.exercises)} + {len(sheet.quiz)}, {in_fives(sheet.minutes)} min"
    return (
        f"| {{doc}}`{number} {title} <{path.stem}>` | {question} | {in_fives(reading()[path.stem])} min "
        f"| {runs[1]} | {items} | {needs(path.stem, opening)} |"
    )


def table(text: str) -> str:
    """Return `text`, the cell with the table, with current lines; the questions are kept."""
    questions = dict(QUESTION.findall(text))
    rows = [row(ROOT / "chapters" / f"{name}.ipynb", question) for name, question in questions.items()]
    before, after = text[: text.index("|")].rstrip(), text[text.rindex("|") + 1 :].strip()
    return "\n".join([before, "", *HEAD, *rows, "", after]).rstrip()


def main() -> None:
    notebook = nbformat.read(INDEX, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == CELL)
    cell.source = table(cell.source)
    nbformat.write(notebook, INDEX)


if __name__ == "__main__":
    sys.exit(main())
