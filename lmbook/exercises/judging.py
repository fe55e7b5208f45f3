"""Judges a number or a choice, given as text. `lmbook/widgets/core/judging.js` does the same on the page,
with the same sentences: the tests compare the two letter by letter.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lmbook.exercises.reading import EDGES, LONGEST, read_number, say

LETTERS = "abcdefgh"


class Judgement(NamedTuple):
    """`state` is "right", "wrong" or "unreadable"; `text` says why."""

    state: str
    text: str


def judge(item: Mapping[str, Any], given: str) -> Judgement:
    """Judge the answer `given` to `item`, an exercise as `Exercise.page` gives it."""
    given = given.strip(EDGES)
    if not given:
        return Judgement("unreadable", say("empty"))
    if len(given) > LONGEST:
        return Judgement("unreadable", say("long", most=str(LONGEST), length=str(len(given))))
    return _judge_choice(item, given) if "choices" in item else _judge_number(item, given)


def _judge_number(item: Mapping[str, Any], given: str) -> Judgement:
    unit, answer = item.get("unit", ""), item["answer"]
    value, problem = read_number(given, unit, grouped=abs(answer) >= 1000)
    problem = problem or (_beyond(unit, given, value) if item.get("bands") else "")
    if problem:
        return Judgement("unreadable", problem)
    off = abs(value - answer)
    if item.get("bands"):
        band = next(b for b in item["bands"] if value <= b["upto"] or b is item["bands"][-1])
        text = say("predicted", given=given, answer=_plain(answer), text=band["text"])
        return Judgement("right" if off <= item["tolerance"] else "wrong", text)
    if off <= item["tolerance"]:
        return Judgement("right", say("right", why=item.get("right", "")))
    close = Judgement("wrong", say("close", digits=str(item["digits"])))
    if any(abs(value - rounded) <= 1e-9 * abs(rounded) for rounded in item.get("rounded", ())):
        return close
    for mistake in item.get("mistakes", ()):
        if abs(value - mistake["answer"]) <= mistake["tolerance"]:
            return Judgement("wrong", mistake["reason"])
    if off <= item["near"]:
        return close
    return Judgement("wrong", say("small" if value < answer else "large", given=given))


def _beyond(unit: str, given: str, value: float) -> str:
    """Return what is wrong with a predicted share: a prediction can't be taken back once it is noted."""
    if unit == "%" and not 0 <= value <= 100:
        return say("no per cent", given=given)
    if unit == "%" and 0 < value <= 1 and not given.rstrip(".").endswith(("%", "cent")):
        return say("per cent or share", given=given)
    if unit in ("share", "probability") and not 0 <= value <= 1:
        return say("no share", given=given)
    return ""


def _judge_choice(item: Mapping[str, Any], given: str) -> Judgement:
    letters = LETTERS[: len(item["choices"])]
    letter = given.lower().strip("().")
    if len(letter) != 1 or letter not in letters:
        return Judgement("unreadable", say("no choice", given=given, first=letters[0], last=letters[-1]))
    choice = item["choices"][letters.index(letter)]
    if choice["right"]:
        return Judgement("right", say("right", why=choice["reason"]))
    return Judgement("wrong", choice["reason"])


def _plain(number: int | float) -> str:
    """Return a number as both languages write it: without a point where it is whole."""
    return str(int(number)) if float(number).is_integer() else repr(number)
