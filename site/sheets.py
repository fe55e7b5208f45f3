"""Assignment sheets and keys of the chapters, as HTML, from the files of `lmbook/exercises`.

A sheet has the questions and room for the answers, a key has the answers, what lies behind each wrong one,
and the solutions. The letters of choices are those of the notebook's `check`.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from html import escape

from book import ROOT
from markdown_it import MarkdownIt

FOLDER = ROOT / "lmbook" / "exercises"
LETTERS = "abcdefgh"
MARKDOWN = MarkdownIt("commonmark", {"html": False})


@dataclass(frozen=True)
class Sheet:
    """The exercises and the quiz of a chapter, as their file has them; lmbook.exercises checks the file."""

    page: str
    title: str
    exercises: tuple[dict, ...]
    quiz: tuple[dict, ...]

    @property
    def minutes(self) -> int:
        """What all exercises and the quiz take."""
        return sum(item.get("minutes", 1) for item in (*self.exercises, *self.quiz))

    @property
    def contents(self) -> str:
        """What is on it, in words."""
        exercises, quiz = f"{len(self.exercises)} exercises", f"a quiz of {len(self.quiz)} questions"
        return f"{exercises} and {quiz}" if self.exercises else quiz

    def numbered(self) -> list[tuple[str, dict]]:
        """Return all items with the numbers that they have on paper: 1, 2 … and Q1, Q2 … for the quiz."""
        exercises = [(str(i), item) for i, item in enumerate(self.exercises, 1)]
        return exercises + [(f"Q{i}", {"kind": "choice", **item}) for i, item in enumerate(self.quiz, 1)]


@cache
def sheets() -> dict[str, Sheet]:
    """Return the sheets of all chapters that have exercises, by the names of their pages, in order."""
    found = {}
    for path in FOLDER.glob("*.toml"):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        items = tuple(tuple(data.get(kind, ())) for kind in ("exercise", "quiz"))
        found[data["page"]] = Sheet(data["page"], data["title"], *items)
    return dict(sorted(found.items()))


def prose(text: str) -> str:
    """Return the small Markdown of the exercises as HTML."""
    return MARKDOWN.render(text)


def words(text: str) -> str:
    """Return a line of the same Markdown as HTML, without a paragraph around it."""
    return MARKDOWN.renderInline(text)


def listing(code: str) -> str:
    return f"<pre><code>{escape(code.strip(chr(10)))}</code></pre>"


def number(value: float, digits: int) -> str:
    """Return a number as it is written: with as many significant digits as are asked for.

    >>> number(0.6896551724, 3), number(219136, 0), number(0.26, 1), number(4.0, 0)
    ('0.690', '219,136', '0.3', '4')
    """
    written = Decimal(f"{value:.{digits - 1}e}") if digits else Decimal(repr(value)).normalize()
    return f"{written:,f}".replace("-", "\N{MINUS SIGN}")


def heading(name: str, item: dict) -> str:
    """Return the line above an item: its number, its title, the minutes that it takes."""
    minutes = item.get("minutes", 1)
    title = f"{name}. {words(item['title'])}" if "title" in item else f"{name}."
    return f"<h3>{title} <small>{minutes} minute{'s' if minutes != 1 else ''}</small></h3>"


def room(item: dict) -> str:
    """Return where the answer is written."""
    if item.get("choice"):
        return f'<p class="lm-answer">Your {wanted(item)}: <span class="lm-line lm-short"></span></p>'
    if item["kind"] == "code":
        call = f'check("{item["id"]}", {item["function"]})'
        return f'<p class="lm-answer">In the notebook: <code>{escape(call, quote=False)}</code></p>'
    digits, unit = item.get("digits", 0), escape(item.get("unit", ""))
    how = f" ({digits} significant digits)" if digits > 1 and item["kind"] == "number" else ""
    return f'<p class="lm-answer">Your {wanted(item)}: <span class="lm-line"></span> {unit}{how}</p>'


def wanted(item: dict) -> str:
    return "prediction" if item["kind"] == "prediction" else "answer"


def question(name: str, item: dict) -> str:
    """Return what is asked, with room for the answer; nothing in it tells the answer."""
    choices = "".join(f"<li>{prose(choice['text'])}</li>" for choice in item.get("choice", ()))
    parts = [heading(name, item), prose(item["text"]), f'<ol type="a">{choices}</ol>' if choices else ""]
    parts += [listing(item["stub"]) if item.get("stub") else "", room(item)]
    return f'<section class="lm-item">{"".join(parts)}</section>'


def right_answer(item: dict) -> str:
    """Return the answer in one line, or the output that settles a prediction."""
    if choices := item.get("choice"):
        letter, choice = next(pair for pair in zip(LETTERS, choices, strict=False) if pair[1].get("right"))
        return f"<p><b>({letter})</b> {words(choice['reason'])}</p>"
    if "answer" in item:
        value = number(item["answer"], item.get("digits", 0))
        return f"<p><b>{value}</b> {escape(item.get('unit', ''))}</p>"
    return ""


def answer(name: str, item: dict) -> str:
    """Return the answer to an item and how it is found."""
    parts = [heading(name, item), right_answer(item)]
    parts += [prose(item[key]) for key in ("right", "solution") if item.get(key)]
    parts += [listing(item["code"])] if item.get("code") else []
    parts += [f"<p>It prints</p>{listing(item['output'])}"] if item.get("output") else []
    return f'<section class="lm-item">{"".join(parts)}</section>'


def wrong_answers(item: dict) -> str:
    """Return what lies behind the wrong answers that are known."""
    rows = [
        (f"({letter})", choice["reason"])
        for letter, choice in zip(LETTERS, item.get("choice", ()), strict=False)
        if not choice.get("right")
    ]
    rows += [
        (number(float(f"{wrong['answer']:.4g}"), 0) if "answer" in wrong else "Code", wrong["reason"])
        for wrong in item.get("mistake", ())
    ]
    if not rows:
        return ""
    cells = "".join(f"<dt>{escape(given)}</dt><dd>{prose(reason)}</dd>" for given, reason in rows)
    return f"<details open><summary>Wrong answers</summary><dl>{cells}</dl></details>"


def parts(sheet: Sheet, draw: Callable[[str, dict], str]) -> str:
    """Return all items as `draw` draws them, exercises and quiz each under a heading."""
    drawn = [(name.startswith("Q"), draw(name, item)) for name, item in sheet.numbered()]
    exercises, quiz = (
        "".join(text for quizzed, text in drawn if quizzed is asked) for asked in (False, True)
    )
    return (f"<h2>Exercises</h2>{exercises}" if exercises else "") + f"<h2>Quiz</h2>{quiz}"


def sheet_body(sheet: Sheet, title: str) -> str:
    """Return the assignment sheet of a chapter, `title` being that of its page."""
    return (
        f"<h1>{escape(title)}</h1><p>Assignment: {sheet.contents}, about {sheet.minutes} minutes. "
        "In the chapter’s notebook <code>check</code> answers too.</p>"
        '<p class="lm-answer">Name: <span class="lm-line"></span> Date: <span class="lm-line"></span></p>'
        f"{parts(sheet, question)}"
    )


def key_body(sheet: Sheet, title: str) -> str:
    """Return the key to a chapter's sheet, with what each known wrong answer comes from."""
    answers = parts(sheet, lambda name, item: answer(name, item) + wrong_answers(item))
    return f"<h1>{escape(title)}: key</h1>{answers}"
