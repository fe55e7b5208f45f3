"""Runs a reader's code in the page: `lmbook/widgets/workers/python_worker.js` calls this, in Pyodide.

The verdict on the function is the one of `check`. The page ends what takes too long.
"""

import functools
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from lmbook.exercises import trial
from lmbook.exercises.functions import Tried, judge_function, reference
from lmbook.exercises.specification import Exercise, read_exercise
from lmbook.exercises.trial import Passing, late, text_of

READER = "<your code>"  # the name of the reader's code in a traceback


@functools.cache
def prepare(entry: str) -> Exercise:
    """Return the exercise of an `entry` of its file, in JSON; its reference has been run."""
    item = read_exercise(json.loads(entry))
    reference(item)
    return item


def run(entry: str, code: str, write: Callable[[str], Any], seconds: float) -> str:
    """Run the reader's `code` for a code exercise, then judge the function that it defines.

    Args:
        entry: the exercise, as its file has it, in JSON.
        code: defines the function; what else it does is done once.
        write: gets what is printed.
        seconds: after which the page ends this; named in sentences only.

    Returns:
        a `Tried`, in JSON.
    """
    return json.dumps(_ran(prepare(entry), code, write, seconds)._asdict())


def _ran(item: Exercise, code: str, write: Callable[[str], Any], seconds: float) -> Tried:
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = Passing(write)
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            exec(compile(code, READER, "exec"), names)
        except BaseException as error:  # also SystemExit: nothing of the reader's ends the worker
            return _error(error)
        if item.function not in names:
            return Tried("unreadable", f"The code defines no function `{item.function}`.")
        return judge_function(item, names[item.function], seconds)


def _error(error: BaseException) -> Tried:
    line, kind = line_of(error), type(error).__name__
    text = error.msg if isinstance(error, SyntaxError) else text_of(error)
    return Tried(
        "unreadable", f"{f'Line {line}: ' if line else ''}{kind}{f': {text}' if text else ''}.", line
    )


def line_of(error: BaseException) -> int:
    """Return the line of the reader's code, from 1, that an error comes from; 0 if it doesn't."""
    if isinstance(error, SyntaxError) and error.filename == READER:
        return error.lineno or 0
    return trial.line_of(error)


def too_long(seconds: float) -> str:
    """Return what the page says when it has ended the code after `seconds`."""
    return f"The code {late(seconds).problem}"
