"""Tries a reader's function on cases, compares it with the reference, and knows the usual wrong functions."""

import math
import reprlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from lmbook.exercises.specification import Exercise
from lmbook.exercises.trial import Calls, Other, Outcome, call_once, show_call, try_calls, type_name

TOLERANCE = 1e-4  # relative: a function that works in float32 is right


class Tried(NamedTuple):
    """`state` and `text` as of a judgement; `line` of the reader's code has an error, 0: none."""

    state: str
    text: str
    line: int = 0


def judge_function(item: Exercise, function: Any, seconds: int | float) -> Tried:
    """Judge `function`, the reader's answer to the code exercise `item`, on its cases.

    Args:
        item: an exercise of the kind "code".
        function: what the reader gave, which may be anything.
        seconds: for all cases together.
    """
    if not callable(function):
        call = f"check({item.id!r}, {item.function})"
        text = f"A function is asked for, and this is {_kind(function)}. Give it uncalled: {call}"
        return Tried("unreadable", text)
    calls, expected = reference(item)
    outcomes = try_calls(function, calls, seconds)
    for args, got, want in zip(calls, outcomes, expected, strict=False):
        problem = got.problem or difference(got.value, want.value)
        if problem:
            if got == Outcome():
                return Tried("unreadable", "The function returns nothing yet (None).")
            if known := _known_mistake(item, calls, outcomes):
                return Tried("wrong", known)
            told = f"This call {problem}.".replace("?.", "?")
            call = f"```python\n{show_call(item.function, args)}\n```"
            line = (f"The error is in line {got.line} of your code.",) if got.line else ()
            return Tried("wrong", "\n\n".join((told, call, *line)), got.line)
    if any(outcome.changed for outcome in outcomes):
        text = "The values are right, but the function writes into what it is given: whoever called it finds "
        return Tried("wrong", f"{text}their list or tensor changed. Work on a copy.")
    return Tried("right", f"Right, on all {len(calls)} cases. {item.right}".strip())


@cache
def reference(item: Exercise) -> tuple[Calls, list[Outcome]]:
    """Return the cases of a code exercise and what the reference makes of each."""
    names: dict[str, Any] = {}
    exec(item.cases, names)
    solution = compiled(item.code, item.function)
    return names["cases"], [call_once(solution, args) for args in names["cases"]]


def compiled(code: str, name: str) -> Callable:
    """Return the function `name` that `code` of the exercises' own files defines."""
    names: dict[str, Any] = {}
    exec(code, names)
    return names[name]


def difference(got: Any, want: Any, place: str = "") -> str:
    """Say how `got` differs from `want`, both plain, as the end of a sentence; "" where it doesn't."""
    where = f" at {place}" if place else ""
    if isinstance(want, list):
        return _list_difference(got, want, place)
    if got is None:
        return "" if want is None else "returns None: does every way through the function end in `return`?"
    if isinstance(want, str):
        return "" if got == want else f"gives {_short(got)}{where}, it should be {_short(want)}"
    if isinstance(got, str | Other | list):
        return f"gives {_kind(got)}{where} where a number is asked for"
    if got != got:
        told = f"gives NaN{where}: somewhere there is 0/0, ∞ − ∞ or the logarithm of a negative number"
        return "" if want != want else told
    if got == want or _is_close(got, want):
        return ""
    return f"gives {_number(got)}{where}, it should be {_number(want)}"


def _is_close(got: int | float, want: int | float | None) -> bool:
    try:
        return want is not None and math.isclose(got, want, rel_tol=TOLERANCE, abs_tol=1e-9)
    except OverflowError:  # an integer beyond every float
        return False


def _list_difference(got: Any, want: list, place: str) -> str:
    where = f" at {place}" if place else ""
    if not isinstance(got, list):
        return f"gives {_kind(got)}{where} where a list or tensor of {len(want)} is asked for"
    if len(got) != len(want):
        return f"gives {len(got)} values{where}, there should be {len(want)}: {_short(want)}"
    for i, (one, other) in enumerate(zip(got, want, strict=True)):
        if problem := difference(one, other, f"{place}[{i}]"):
            return problem
    return ""


def _known_mistake(item: Exercise, calls: Calls, outcomes: list[Outcome]) -> str:
    """Return the reason of the known mistake that does in every case what the reader's function did."""
    for mistake in item.mistakes:
        wrong = [call_once(compiled(mistake.code, item.function), args) for args in calls]
        if len(outcomes) == len(wrong) and all(map(_alike, outcomes, wrong)):
            return mistake.reason
    return ""


def _alike(one: Outcome, other: Outcome) -> bool:
    if one.problem or other.problem:
        return one.problem.split(":")[0] == other.problem.split(":")[0]
    return not difference(one.value, other.value)


def _kind(value: Any) -> str:
    kind = type(value)  # what `isinstance` asks too, and a reader's class may answer with an error
    if issubclass(kind, Other):
        return f"a {value.kind}"
    if issubclass(kind, list):
        return f"a list or tensor of {list.__len__(value)}"
    name = type_name(value)
    article = "an" if name[:1] in tuple("aeiou") else "a"
    return {"str": "a string", "NoneType": "None", "bool": "True or False"}.get(name, f"{article} {name}")


def _number(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"an integer of {math.floor(math.log10(abs(value))) + 1} digits"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return _number(value) if isinstance(value, int) else _kind(value)
