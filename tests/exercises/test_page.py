"""Code run for a page: the verdict of `check`, the line of an error, what is printed; without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from python_files import runnable

from lmbook.exercises import check, page, trial

ROOT = Path(__file__).resolve().parents[2]
EXERCISES = runnable()
FIRST = "def witten_bell(ids, h, V):\n"


@pytest.fixture(autouse=True)
def in_the_page(monkeypatch):
    """Call functions where they are, as Pyodide must: it can neither fork nor start a thread."""
    monkeypatch.setattr(trial, "FORKS", False)
    monkeypatch.setattr(sys, "platform", "emscripten")


def ran(code: str, exercise: str = "probability-10") -> tuple[dict, str]:
    printed: list[str] = []
    entry = json.dumps(EXERCISES[exercise])
    return json.loads(page.run(entry, code, printed.append, 5)), "".join(printed)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_verdict_is_the_one_of_check(exercise):
    entry = EXERCISES[exercise]
    for code in (entry["code"], entry["stub"], *(mistake["code"] for mistake in entry["mistake"])):
        names: dict = {"__name__": "__main__"}
        exec(code, names)
        verdict = check(exercise, names[entry["function"]])
        told, _ = ran(code, exercise)
        assert (told["state"], told["text"]) == (verdict.state, verdict.text)


@pytest.mark.parametrize(
    ("code", "state", "line", "text"),
    [
        (f"{FIRST}    n = len(ids)\n    return n / 0\n", "wrong", 3, "The error is in line 3 of your code."),
        (f"{FIRST}    return [0] if h else one()\n\ndef one():\n    [][0]\n", "wrong", 0, "gives 1 values"),
        (f"{FIRST}    return one()\n\ndef one():\n    [][0]\n", "wrong", 5, "IndexError"),
        ("x = 1\n\nx.y\n", "unreadable", 3, "AttributeError: 'int' object has no attribute 'y'"),
        (f"{FIRST}    return (1\n", "unreadable", 2, "Line 2: SyntaxError: '(' was never closed."),
        ("import json\njson.loads('x')", "unreadable", 2, "JSONDecodeError"),
        ("raise SystemExit", "unreadable", 1, "Line 1: SystemExit."),
        ("x = 1", "unreadable", 0, "defines no function `witten_bell`"),
        ("witten_bell = 1", "unreadable", 0, "A function is asked for"),
        ("x = '\0'", "unreadable", 0, "SyntaxError"),
    ],
)
def test_an_error_names_the_line(code, state, line, text):
    told, _ = ran(code)
    assert (told["state"], told["line"]) == (state, line)
    assert text in told["text"]


def test_prints_are_handed_on_up_to_a_limit():
    assert ran("print('a', 1)\nx = 1")[1] == "a 1\n"
    assert ran(f"{FIRST}    print(h)\n    raise ValueError\n")[1].startswith("1\n0\n1\n")
    _, printed = ran("for i in range(100_000): print(i)")
    assert len(printed) < trial.PRINTED + 20
    assert printed.endswith("… and more\n")


def test_what_takes_too_long_is_said_as_in_a_notebook():
    assert page.too_long(5).startswith("The code had not finished after 5 s: is there a loop")


def test_everything_imports_where_neither_pytorch_nor_numpy_is():
    program = (
        "import sys; sys.modules |= dict.fromkeys(('torch', 'numpy', 'jaxtyping'))\n"
        "from lmbook.exercises import page, libraries, trial\n"
        "assert trial.plain((1, [2.5, 'a'])) == [1, [2.5, 'a']]\n"
        "assert trial.show_call('f', ([1.5],)) == 'f([1.5])'\n"
        "print(libraries.TENSOR)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("()\n", "")
