"""Judges a number or a choice, given as text. `lmbook/widgets/judging.js` does the same on the page, with the
same sentences: the two are compared by the tests, letter by letter.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

LETTERS = "abcdefgh"
SENTENCES = {
    "right": "Right. {why}",
    "empty": "There is no answer yet.",
    "no number": "“{given}” can’t be read as a number. Write digits, such as 0.25, 1/4 or 2.5e-3.",
    "comma": "“{given}” has a comma, which means different things in different places. Write a point before "
    "the decimals, and nothing between thousands.",
    "not a number": "“{given}” is not a number that anything could be equal to. Somewhere on the way there "
    "was a logarithm of zero, a division by zero, or an overflow.",
    "by zero": "“{given}” divides by zero.",
    "unit": "The answer is asked for in {unit}; “{rest}” is something else. Convert it, or leave the unit "
    "out.",
    "no unit": "The answer is a plain number, and “{rest}” is not a part of it.",
    "close": "Close, but not right to {digits} significant digits. Carry more digits on the way and round "
    "last.",
    "small": "{given} is too small.",
    "large": "{given} is too large.",
    "no choice": "“{given}” is none of the choices. Answer with one letter, {first} to {last}.",
    "predicted": "You said {given}; it is {answer}. {text}",
    "noted": "Noted: {given}.",
}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity|∞)", re.IGNORECASE | re.ASCII)


class Judgement(NamedTuple):
    """`state` is "right", "wrong" or "unreadable"; `text` says why."""

    state: str
    text: str


def say(name: str, **values: str) -> str:
    """Return one of the `SENTENCES` with its places filled."""
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], SENTENCES[name]).strip()


def judge(item: Mapping[str, Any], given: str) -> Judgement:
    """Judge the answer `given` to `item`, an exercise as `Exercise.page` gives it."""
    if not given.strip():
        return Judgement("unreadable", say("empty"))
    return _judge_choice(item, given.strip()) if "choices" in item else _judge_number(item, given.strip())


def read_number(given: str, unit: str = "") -> tuple[float, str]:
    """Read "4", "−0.5", "1/3", "2e-3", "12 %" or "2.5 bits"; return the number and what is wrong with it.

    A unit may follow if it is `unit` or begins it; "%" divides by a hundred unless it is the unit.
    """
    text = given.strip().replace("−", "-")
    if _NO_NUMBER.fullmatch(text):
        return math.nan, say("not a number", given=given)
    if re.match(r"[+-]?[\d.]*,", text):
        return math.nan, say("comma", given=given)
    match = re.match(rf"({_NUMBER.pattern})(?:\s*/\s*({_NUMBER.pattern}))?\s*(\D*)$", text, re.I | re.A)
    if not match:
        return math.nan, say("no number", given=given)
    top, bottom, rest = float(match[1]), float(match[2] or 1), match[3].strip()
    if bottom == 0:
        return math.nan, say("by zero", given=given)
    value = top / bottom
    if not math.isfinite(value):
        return math.nan, say("not a number", given=given)
    if rest == "%" and not unit.startswith("%"):
        return value / 100, ""
    if rest and not f"{unit} ".startswith(f"{rest} ") and f"{rest}s" != unit.split(" ")[0]:
        return math.nan, say("unit", unit=unit, rest=rest) if unit else say("no unit", rest=rest)
    return value, ""


def _judge_number(item: Mapping[str, Any], given: str) -> Judgement:
    value, problem = read_number(given, item.get("unit", ""))
    if problem:
        return Judgement("unreadable", problem)
    off = abs(value - item["answer"])
    if item.get("bands"):
        band = next(b for b in item["bands"] if value <= b["upto"] or b is item["bands"][-1])
        text = say("predicted", given=given, answer=_plain(item["answer"]), text=band["text"])
        return Judgement("right" if off <= item["tolerance"] else "wrong", text)
    if off <= item["tolerance"]:
        return Judgement("right", say("right", why=item.get("right", "")))
    for mistake in item.get("mistakes", ()):
        if abs(value - mistake["answer"]) <= mistake["tolerance"]:
            return Judgement("wrong", mistake["reason"])
    if off <= item["near"]:
        return Judgement("wrong", say("close", digits=str(item["digits"])))
    return Judgement("wrong", say("small" if value < item["answer"] else "large", given=given))


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
