"""`check`, `hint` and `solution`: what a reader calls in a notebook."""

import difflib
import operator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from lmbook.exercises.functions import judge_function
from lmbook.exercises.judging import judge
from lmbook.exercises.libraries import ARRAY, FLOATING, TENSOR, TRUTH, WHOLE, torch
from lmbook.exercises.notes import Note, wrapped
from lmbook.exercises.reading import say
from lmbook.exercises.results import record, source_of
from lmbook.exercises.specification import LETTERS, Exercise, chapters, load
from lmbook.exercises.trial import type_name

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
        return wrapped(f"{MARKS[self.state]} {self.id}: {self.text}")


_NOTHING = object()


def check(exercise_id: str, answer: Any = _NOTHING, *, seconds: int | float = 5) -> Verdict:
    """Say whether an answer is right, or what is wrong with it.

    Nothing that is given as an answer raises or hangs: a function is tried on cases in a copy of the process.
    A prediction is noted first; then run what it says, and `check` it again without an answer. What was
    answered is kept as long as Python runs; `save_results` writes it to a file.

    Args:
        exercise_id: such as "tokens-3", or "tokens-quiz-2" for a question of the quiz.
        answer: a number (also in a tensor or an array of one entry, a Fraction or a Decimal), the letter of a
            choice, or a function.
        seconds: how long a function may take over all cases.

    Raises:
        ValueError: there is no such exercise, or `seconds` isn't above 0 and at most 3,600.
    """
    from lmbook.interface import check_number  # not above: it needs PyTorch, which Python in the page hasn't

    item = exercise(exercise_id)
    check_number("seconds", seconds, "(0, 3600]")
    if item.kind == "code":
        given = None if answer is _NOTHING else answer
        tried = judge_function(item, given, seconds)
        return _kept(item, tried.state, tried.text, source_of(given))
    if item.kind == "prediction" and answer is _NOTHING:
        return _reveal(item)
    text, problem = _as_text("" if answer is _NOTHING else answer, item)
    if problem:
        return Verdict(item.id, "unreadable", problem)
    judged = judge(item.page(), text)
    if item.kind == "prediction" and judged.state != "unreadable":
        return _note(item, text)
    return _kept(item, *judged, _on_the_page(item, text))


def _kept(item: Exercise, state: str, text: str, answer: str) -> Verdict:
    record(item, state, answer)
    return Verdict(item.id, state, text)


def _on_the_page(item: Exercise, text: str) -> str:
    """Return an answer as the page remembers it: of a choice its text, which stays when places change."""
    letter = text.strip().lower().strip("().")
    known = item.choices and len(letter) == 1 and letter in LETTERS[: len(item.choices)]
    return item.choices[LETTERS.index(letter)].text if known else text


def exercise(exercise_id: str) -> Exercise:
    """Return the exercise or quiz question of that id; its fields are described in `specification`.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    if not isinstance(exercise_id, str):
        raise ValueError(f"an exercise has a name such as 'tokens-3', got a {type_name(exercise_id)}")
    items = {
        item.id: item for chapter in chapters() for item in (*load(chapter).exercises, *load(chapter).quiz)
    }
    if exercise_id not in items:
        near = ", ".join(difflib.get_close_matches(exercise_id, items, n=3, cutoff=0.0))
        raise ValueError(f"no exercise {exercise_id!r}; the nearest are {near}")
    return items[exercise_id]


def hint(exercise_id: str, number: int = 1) -> Note:
    """Return a hint: 1 is a nudge, the last nearly gives it away.

    Raises:
        ValueError: there is no such exercise, or it has no hint of that number.
    """
    hints = exercise(exercise_id).hints
    if not hints:
        raise ValueError(f"{exercise_id} has no hints")
    try:
        place = operator.index(number)
    except TypeError:
        place = 0
    if place not in range(1, len(hints) + 1):
        raise ValueError(f"{exercise_id} has hints 1 to {len(hints)}, got {number!r}")
    more = f" (There are {len(hints)}.)" if place < len(hints) else ""
    return Note(f"{hints[place - 1]}{more}")


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
    try:
        text = _written(answer)
    except KeyboardInterrupt:
        raise
    except BaseException:  # an object may do anything when it is looked at, SystemExit among it
        text = None
    if text is not None:
        return text, ""
    asked = "A letter" if item.choices else "A number"
    return "", f"{asked} is asked for, and this is of type {type_name(answer)}."


def _written(answer: Any) -> str | None:
    """Return a text or a number, whatever it is kept in, as one would type it; None if it is neither."""
    if isinstance(answer, str):
        return str.__str__(answer).encode("utf-8", "replace").decode()
    if isinstance(answer, TENSOR) and answer.numel() == 1:
        dense = answer.detach() if answer.layout == torch.strided else answer.detach().to_dense()
        answer = dense.item()
    elif isinstance(answer, ARRAY) and answer.size == 1:
        answer = answer.reshape(-1)[0]
    if isinstance(answer, (bool, TRUTH)):
        return None
    if isinstance(answer, (int, WHOLE)):
        return _written_whole(int.__int__(answer) if isinstance(answer, int) else int(answer))
    if isinstance(answer, float):
        return repr(float.__float__(answer))
    if type(answer) is Fraction and answer.denominator == 1:
        return _written_whole(answer.numerator)
    return repr(float(answer)) if isinstance(answer, (Fraction, Decimal, FLOATING)) else None


def _written_whole(number: int) -> str:
    if abs(number) < 10**16:
        return str(number)
    try:
        return repr(float(number))
    except OverflowError:
        return "inf" if number > 0 else "-inf"


def _note(item: Exercise, text: str) -> Verdict:
    _predictions[item.id] = text
    advice = f"{say('noted', given=text)} Now run this, and then check({item.id!r}) again:"
    return Verdict(item.id, "noted", f"{advice}\n\n```python\n{item.code}\n```")


def _reveal(item: Exercise) -> Verdict:
    if item.id not in _predictions:
        return Verdict(item.id, "unreadable", f"Predict first: check({item.id!r}, your_answer).")
    given = _predictions[item.id]
    judged = judge(item.page(), given)
    return _kept(item, "seen", f"{judged.text} {item.right}".strip(), _on_the_page(item, given))
