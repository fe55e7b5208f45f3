"""What an exercise is: one TOML file a chapter, read into dataclasses and checked.

The keys of an `[[exercise]]` are the fields of `Exercise`. A `[[quiz]]` question is an exercise of the kind
"choice" or "number" without hints and solution. Texts are in a small Markdown: paragraphs, lists, `code`,
*emphasis*, **strong**, fenced blocks; formulas are written in plain characters. `Exercise.page` is what the
published page and the judging in Python both read.
"""

import math
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from lmbook.exercises.judging import LETTERS
from lmbook.exercises.reading import spellings

FOLDER = Path(__file__).parent
KINDS = ("number", "choice", "code", "prediction")
DIGITS_OF_MISTAKES = 3  # to which a mistaken answer is recognised where the right one is exact
NATS_PER_BIT = math.log(2)
# Slips that can happen with any number: (how the unit must begin, factor on the right answer, what to say).
COMMON_MISTAKES = (
    ("", -1.0, "The size is right, the sign isn't."),
    (
        "bits per",
        NATS_PER_BIT,
        "That is the answer in nats. A bit is log 2 = 0.693 nats, so divide by it to have bits.",
    ),
    (
        "nats",
        1 / NATS_PER_BIT,
        "That is the answer in bits, from log₂. Nats come from the natural logarithm: 1 bit is 0.693 nats.",
    ),
    ("%", 0.01, "That is the share as a fraction; it is asked for in per cent, a hundred times as much."),
    ("probability", 100.0, "That is in per cent. A probability lies between 0 and 1: divide by 100."),
    ("share", 100.0, "That is in per cent. A share lies between 0 and 1: divide by 100."),
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of the answers to choose from; `reason` is said to whoever chooses it, right or wrong."""

    text: str
    reason: str
    right: bool = False


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A wrong answer that is recognised: a number, or a function that is wrong in a known way."""

    reason: str
    answer: int | float | None = None
    code: str = ""  # of a number: an expression that computes it, for the tests; of code: the wrong function


@dataclass(frozen=True, kw_only=True)
class Band:
    """What is said to a prediction up to `upto`, which the bands before this one haven't caught."""

    text: str
    upto: int | float = math.inf


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """An exercise, or a question of a quiz.

    Args:
        id: such as "tokens-3"; it stays, whatever comes before it in the file.
        title: a few words.
        kind: "number", "choice", "code" or "prediction" (of a number or a choice).
        minutes: what it takes.
        text: what is asked.
        widget: the id of the chapter's cell whose widget is asked about.
        answer: the number, where one is asked for.
        digits: significant digits asked for; 0: the number must be exact.
        unit: what the number counts; said beside the field.
        choices: two to eight, one of them right.
        mistakes: wrong answers that are recognised, at least two for a number or a function.
        bands: what to say to a predicted number, from the lowest up.
        right: what is said after "Right.", and below what a predicted number turned out to be.
        hints: from a nudge to nearly the solution.
        solution: how it is done, in words.
        code: the solution in Python, run by the tests. It sets `answer` (a number or a letter), or defines
            the function; of a prediction it is what the reader runs, and prints `output`.
        output: what `code` of a prediction prints.
        function: the name of the function to write; `stub` is where the reader begins.
        cases: Python that sets `cases`, a list of tuples of arguments.
    """

    id: str
    title: str
    kind: str
    text: str
    minutes: int = 1
    widget: str = ""
    answer: int | float | None = None
    digits: int = 0
    unit: str = ""
    choices: tuple[Choice, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    bands: tuple[Band, ...] = ()
    right: str = ""
    hints: tuple[str, ...] = ()
    solution: str = ""
    code: str = ""
    output: str = ""
    function: str = ""
    stub: str = ""
    cases: str = ""

    def page(self) -> dict[str, Any]:
        """Return what a page needs to ask and to judge, in JSON's types; no case and no reference."""
        shown = {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "minutes": self.minutes,
            "text": self.text,
            "widget": self.widget,
            "right": self.right,
            "hints": list(self.hints),
            "solution": self.solution,
            "code": self.code,
            "output": self.output,
            "stub": self.stub,
            "unit": self.unit,
            "units": list(spellings(self.unit)),
            "choices": [{"text": c.text, "reason": c.reason, "right": c.right} for c in self.choices],
        }
        if self.answer is not None:
            shown |= self._number()
        filled = {key: value for key, value in shown.items() if value not in ("", [])}
        return filled | {"print": self._print()}

    def _print(self) -> str:
        """Return what tells a page that the question has changed: its text, the right answer, the choices."""
        choices = tuple(sorted((choice.text, choice.right) for choice in self.choices))
        return f"{zlib.crc32(repr((self.text, self.answer, choices)).encode()):08x}"

    def _slack(self, mistaken: int | float) -> float:
        """Return how far from `mistaken` an answer is still recognised as it."""
        if not self.digits and float(mistaken).is_integer():
            return 1e-9 * abs(mistaken)
        return half_unit(mistaken, self.digits or DIGITS_OF_MISTAKES)

    def _number(self) -> dict[str, Any]:
        near = half_unit(self.answer, self.digits - 1) if self.digits else 0.0
        exact = {m.answer for m in self.mistakes}
        rounded = {float(f"{self.answer:.{digits}g}") for digits in range(1, self.digits)} - exact
        known = [(m.answer, m.reason) for m in self.mistakes]
        known += [
            (self.answer * factor, reason)
            for unit, factor, reason in COMMON_MISTAKES
            if self.answer and self.unit.startswith(unit) and self.kind == "number"
        ]
        return {
            "answer": self.answer,
            "digits": self.digits,
            "tolerance": half_unit(self.answer, self.digits) if self.digits else 1e-9 * abs(self.answer),
            "rounded": sorted(rounded),
            "near": max(near, 0.02 * abs(self.answer)) if self.digits else 0.0,
            "mistakes": [{"answer": a, "tolerance": self._slack(a), "reason": reason} for a, reason in known],
            "bands": [{"upto": min(b.upto, 1e300), "text": b.text} for b in self.bands],
        }


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The exercises and the quiz of a chapter; `setup` is Python that the solutions' code starts from."""

    chapter: str
    title: str
    page: str
    setup: str
    exercises: tuple[Exercise, ...]
    quiz: tuple[Exercise, ...]


def half_unit(value: int | float, digits: int) -> float:
    """Return half a unit of the last of `digits` significant digits of `value`."""
    size = math.floor(math.log10(abs(value))) if value else 0
    return 0.500001 * 10.0 ** (size - digits + 1)


@cache
def chapters() -> tuple[str, ...]:
    """Return the names of the chapters that have exercises, in the order of the book."""
    found = {path.stem: tomllib.loads(path.read_text("utf-8"))["page"] for path in FOLDER.glob("*.toml")}
    return tuple(sorted(found, key=lambda name: found[name]))


@cache
def load(chapter: str) -> Sheet:
    """Read and check the exercises of a chapter.

    Args:
        chapter: its name, such as "tokens"; `chapters()` lists them.

    Raises:
        ValueError: there is no such chapter, or its file breaks a rule.
    """
    if chapter not in chapters():
        raise ValueError(f"no exercises for a chapter {chapter!r}; there are {', '.join(chapters())}")
    data = tomllib.loads((FOLDER / f"{chapter}.toml").read_text(encoding="utf-8"))
    sheet = Sheet(
        chapter=chapter,
        title=data["title"],
        page=data["page"],
        setup=data.get("setup", ""),
        exercises=tuple(read_exercise(entry) for entry in data.get("exercise", [])),
        quiz=tuple(read_exercise({"kind": "choice", **entry}) for entry in data.get("quiz", [])),
    )
    ids = [item.id for item in (*sheet.exercises, *sheet.quiz)]
    if len(set(ids)) < len(ids) or not all(name.startswith(f"{chapter}-") for name in ids):
        raise ValueError(f"the ids of {chapter}.toml must begin with “{chapter}-” and differ: {ids}")
    return sheet


def read_exercise(entry: Mapping[str, Any]) -> Exercise:
    """Make an `Exercise` from its table in the file; ValueError names the rule that it breaks."""
    parts = {"mistake": Mistake, "choice": Choice, "band": Band}
    given = {key: value for key, value in entry.items() if key not in parts}
    for key, kind in parts.items():
        if key in entry:
            given[f"{key}s"] = tuple(kind(**part) for part in entry[key])
    given |= {key: value.strip("\n") for key, value in given.items() if isinstance(value, str)}
    unknown = set(given) - {field.name for field in fields(Exercise)}
    if unknown:
        raise ValueError(f"{entry.get('id')}: unknown keys {sorted(unknown)}")
    item = Exercise(**{**given, "hints": tuple(given.get("hints", ()))})
    for wrong, rule in (
        (item.kind not in KINDS, f"kind must be one of {KINDS}"),
        (item.kind == "number" and item.answer is None, "a number needs an answer"),
        (item.kind == "choice" and not 2 <= len(item.choices) <= len(LETTERS), "two to eight choices"),
        (bool(item.choices) and sum(c.right for c in item.choices) != 1, "one choice must be right"),
        (item.kind == "code" and not (item.function and item.cases), "code needs function and cases"),
        (
            item.kind == "prediction" and not (item.choices or item.bands),
            "a prediction needs bands or choices",
        ),
    ):
        if wrong:
            raise ValueError(f"{item.id}: {rule}")
    return item
