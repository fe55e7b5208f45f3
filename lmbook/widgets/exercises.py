"""A chapter's exercises and quiz, answered on the page: numbers, choices and predictions need no kernel."""

import textwrap

import traitlets

from lmbook.exercises.notes import Note
from lmbook.exercises.reading import SENTENCES
from lmbook.exercises.specification import LETTERS, Exercise, load
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle, style


class Exercises(BookWidget):
    """Shows the exercises and the quiz of a chapter: question, answer, hints one by one, solution on demand.

    Code is checked in a notebook; on the site, what needs no PyTorch is written and run in the page. The site
    stores what was done (`lmProgress`, of site/static/progress.js); elsewhere nothing is stored.

    Args:
        chapter: its name, such as "tokens"; `lmbook.exercises.chapters()` lists them.

    Raises:
        ValueError: the chapter has no exercises.
    """

    _esm = bundle("exercises.js")
    _css = style("exercises.css")
    sheet = traitlets.Dict().tag(sync=True)

    def __init__(self, chapter: str):
        self._sheet = load(chapter)
        super().__init__(
            sheet={
                "chapter": chapter,
                "title": self._sheet.title,
                "sentences": SENTENCES,
                "exercises": [item.page() for item in self._sheet.exercises],
                "quiz": [item.page() for item in self._sheet.quiz],
            },
        )

    def __repr__(self) -> str:
        """Return the questions, as one can read and answer them without the page."""
        items = self._sheet.exercises
        quiz = f"a quiz of {len(self._sheet.quiz)} questions"
        parts = [f"Exercises: {len(items)}, and {quiz}" if items else f"Exercises: {quiz}"]
        parts += [_printed(item, f"{item.title} ({item.kind}, {item.minutes} min)") for item in items]
        parts += [_printed(item, "Quiz") for item in self._sheet.quiz]
        return "\n\n".join(parts)


def _printed(item: Exercise, title: str) -> str:
    lines = [f"{item.id}. {title}", repr(Note(item.text))]
    for letter, choice in zip(LETTERS, item.choices, strict=False):
        lines.append(textwrap.fill(f"({letter}) {choice.text}", 76, subsequent_indent="    "))
    return "\n".join(lines)
