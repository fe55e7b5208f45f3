"""Runs code of a reader's own in the page: what it prints, the value of its last line, or its error.

It goes into the site with the modules of lmbook that judge exercises (python_files.py), and runs in Pyodide.
`explain` is called once there: it says what the page hasn't, where Python would name only an error.
"""

import ast
import builtins
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from lmbook.exercises.page import READER, line_of
from lmbook.exercises.trial import Passing, text_of


class NotHere:
    """The last to be asked for a module that nothing else has found."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Say that there is none, unless it is a part of a package."""
        if path is None:
            told = f"No module named {name!r}: the page has Python's standard library alone. Use the notebook"
            raise ModuleNotFoundError(told, name=name)


def explain() -> None:
    """Let `import` and `input` say what the page lacks."""

    def nobody_answers(prompt: object = "") -> str:
        raise OSError("the page can't ask for input. Write the value into the code")

    builtins.input = nobody_answers
    sys.meta_path.append(NotHere())


def play(code: str, write: Callable[[str], Any]) -> str:
    """Run `code`; `write` gets what it prints. Return what went wrong and in which line, in JSON."""
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = Passing(write)
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            tree = ast.parse(code, READER)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, READER, "exec"), names)
            if last:
                value = eval(compile(ast.Expression(last.value), READER, "eval"), names)
                if value is not None:
                    print(repr(value))
        except BaseException as error:  # also SystemExit: nothing of the reader's ends the worker
            text = error.msg if isinstance(error, SyntaxError) else text_of(error)
            return json.dumps({"text": f"{type(error).__name__}: {text}", "line": line_of(error)})
    return json.dumps({"text": "", "line": 0})
