"""`check`, `hint` and `solution`: what a reader calls in a notebook."""

import difflib
import re
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lmbook.exercises.functions import judge_function
from lmbook.exercises.judging import judge, say
from lmbook.exercises.specification import LETTERS, Exercise, chapters, load

WIDTH = 76
MARKS = {"right": "✓", "wrong": "✗", "unreadable": "?", "noted": "→", "seen": "→"}
_predictions: dict[str, str] = {}


@dataclass(frozen=True)
class Verdict:
    """What `check` says; it is true where the answer is right, so that `assert check(…)` works.

    Args:
        id: the exercise.
        state: "right", "wrong", "unreadable", or of a prediction "noted" and then "seen".
        text: the reason.
    """

    id: str
    state: str
    text: str

    def __bool__(self) -> bool:
        return self.state == "right"

    def __repr__(self) -> str:
        return _wrapped(f"{MARKS[self.state]} {self.id}: {self.text}")


class Note(str):
    """A text whose repr is itself, in lines of 76 characters: a notebook shows it without quotes."""

    def __repr__(self) -> str:
        return _wrapped(str(self))


_NOTHING = object()


def check(exercise_id: str, answer: Any = _NOTHING, *, seconds: int | float = 5) -> Verdict:
    """Say whether an answer is right, or what is wrong with it.

    Nothing that is given as an answer raises or hangs: a function is tried on cases in a copy of the process.
    A prediction is noted first; then run what it says, and `check` it again without an answer.

    Args:
        exercise_id: such as "tokens-3", or "tokens-quiz-2" for a question of the quiz.
        answer: a number, the letter of a choice, or a function.
        seconds: how long a function may take over all cases.

    Raises:
        ValueError: there is no such exercise, or `seconds` isn't positive.
    """
    item = exercise(exercise_id)
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    if item.kind == "code":
        given = None if answer is _NOTHING else answer
        return Verdict(item.id, *judge_function(item, given, seconds))
    if item.kind == "prediction" and answer is _NOTHING:
        return _reveal(item)
    text, problem = _as_text("" if answer is _NOTHING else answer, item)
    if problem:
        return Verdict(item.id, "unreadable", problem)
    judged = judge(item.page(), text)
    if item.kind == "prediction" and judged.state != "unreadable":
        return _note(item, text)
    return Verdict(item.id, *judged)


def exercise(exercise_id: str) -> Exercise:
    """Return the exercise or quiz question of that id; its fields are described in `specification`.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    items = {
        item.id: item for chapter in chapters() for item in (*load(chapter).exercises, *load(chapter).quiz)
    }
    if exercise_id not in items:
        near = ", ".join(difflib.get_close_matches(str(exercise_id), items, n=3, cutoff=0.0))
        raise ValueError(f"no exercise {exercise_id!r}; the nearest are {near}")
    return items[exercise_id]


def hint(exercise_id: str, number: int = 1) -> Note:
    """Return a hint: 1 is a nudge, the last nearly gives it away.

    Raises:
        ValueError: there is no such exercise, or it has fewer hints.
    """
    hints = exercise(exercise_id).hints
    if not 1 <= number <= len(hints):
        raise ValueError(f"{exercise_id} has hints 1 to {len(hints)}, got {number}")
    more = f" (There are {len(hints)}.)" if number < len(hints) else ""
    return Note(f"{hints[number - 1]}{more}")


def solution(exercise_id: str) -> Note:
    """Return the full solution, in words and, where it has some, code.

    Raises:
        ValueError: there is no such exercise.
    """
    item = exercise(exercise_id)
    code = f"```python\n{item.code}\n```" if item.code else ""
    return Note("\n\n".join(filter(None, (_answer(item), item.solution, code))))


def _answer(item: Exercise) -> str:
    if item.choices:
        return next(f"({LETTERS[i]}) {c.text}: {c.reason}" for i, c in enumerate(item.choices) if c.right)
    return "" if item.answer is None else f"{item.answer:.10g} {item.unit}".strip()


def _as_text(answer: Any, item: Exercise) -> tuple[str, str]:
    """Return an answer as the page would have it, or what keeps it from being one."""
    if isinstance(answer, str):
        return answer, ""
    if isinstance(answer, Tensor | np.ndarray | np.generic) and np.size(np.asarray(answer)) == 1:
        answer = np.asarray(answer).item()
    asked = "a letter" if item.choices else "a number"
    if callable(answer) or isinstance(answer, bool) or not isinstance(answer, int | float):
        return "", f"{asked.capitalize()} is asked for, and this is of type {type(answer).__name__}."
    return repr(answer), ""


def _note(item: Exercise, text: str) -> Verdict:
    _predictions[item.id] = text
    advice = f"{say('noted', given=text)} Now run this, and then check({item.id!r}) again:"
    return Verdict(item.id, "noted", f"{advice}\n\n```python\n{item.code}\n```")


def _reveal(item: Exercise) -> Verdict:
    if item.id not in _predictions:
        return Verdict(item.id, "unreadable", f"Predict first: check({item.id!r}, your_answer).")
    judged = judge(item.page(), _predictions[item.id])
    return Verdict(item.id, "seen", f"{judged.text} {item.right}".strip())


def _wrapped(text: str) -> str:
    """Return small Markdown as plain text: prose in lines of 76 characters, fenced code as it is."""
    lines: list[str] = []
    for i, part in enumerate(text.split("```")):
        if i % 2:
            lines.append(part.partition("\n")[2].rstrip("\n"))
            continue
        for paragraph in filter(None, map(str.strip, re.split(r"\n\s*\n|\n(?=- )", part))):
            lines.append(textwrap.fill(" ".join(paragraph.split()), WIDTH, break_long_words=False))
    return "\n\n".join(lines).replace("\n\n- ", "\n- ")
