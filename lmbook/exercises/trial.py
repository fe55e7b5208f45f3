"""Calls a function that may do anything, and comes back in time with what it returned or what it did instead.

On Linux the calls are made in a copy of the process (a fork): whatever the function does to memory, to its
arguments or to the interpreter, the notebook doesn't notice, and a loop without end is ended. Elsewhere a
thread must do, in which a loop written in Python can be ended too. In the page Python has a worker to itself,
which the page ends.

What the function prints passes through, up to `PRINTED` characters. A function that doesn't end is looked at
twice: a loop is still in the same call, a recursion that branches is in another one.
"""

import contextlib
import copy
import ctypes
import io
import math
import multiprocessing
import os
import pickle
import re
import reprlib
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from lmbook.exercises.libraries import ARRAY, SCALAR, TENSOR, np, torch

MEMORY = 2**30  # bytes that the copy may take more than the notebook has
FORKS = sys.platform.startswith("linux")
LONGEST = 5000  # characters of a value in a call that is shown; what is longer can't be pasted
WIDE = 100  # characters of a call that is shown on one line
PRINTED = 10_000  # characters that a function may print over all cases
LOOKS = (0.4, 0.8)  # shares of the time after which a function that still runs is looked at


class Outcome(NamedTuple):
    """What became of a call: a plain value, or in `problem` why there is none."""

    value: Any = None
    problem: str = ""
    changed: bool = False  # the function wrote into its arguments
    line: int = 0  # of the reader's code, from which an error comes, as of `line_of`


class Other(NamedTuple):
    """Stands for a value that is neither number, text, list nor tensor."""

    kind: str


Calls = Sequence[tuple[Any, ...]]


def try_calls(function: Callable, calls: Calls, seconds: int | float) -> list[Outcome]:
    """Call `function` with each of `calls`, in `seconds` for all of them.

    Returns:
        an outcome for each call up to the first that ended the trial: values as `plain` gives them.
    """
    if FORKS:
        return _in_a_copy(function, calls, seconds)
    if sys.platform == "emscripten":
        return _in_the_page(function, calls)
    return _in_a_thread(function, calls, seconds)


class Passing(io.TextIOBase):
    """A stream that hands on what is written to it, up to `PRINTED` characters."""

    def __init__(self, hand_on: Callable[[str], Any]):
        self._hand_on, self._left = hand_on, PRINTED

    def write(self, text: str) -> int:
        """Hand on as much of `text` as may still be printed."""
        if self._left > 0:
            shown = text[: self._left]
            self._left -= len(shown)
            self._hand_on(shown if self._left > 0 else f"{shown}\n… and more\n")
        return len(text)


def call_once(
    function: Callable,
    args: tuple[Any, ...],
    caught: type[BaseException] = Exception,
    printed: io.TextIOBase | None = None,
) -> Outcome:
    """Call `function` on copies of `args`, and let nothing that is `caught` escape.

    Args:
        function: the book's own, or the reader's.
        args: are copied.
        caught: `BaseException` where the reader's function may raise SystemExit or KeyboardInterrupt itself.
        printed: where its prints go; None: nowhere.
    """
    given = copy.deepcopy(args)
    try:
        with contextlib.redirect_stdout(printed or io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            value = plain(function(*given))
        return Outcome(value=value, changed=repr(plain(given)) != repr(plain(args)))
    except caught as error:
        text, kind = text_of(error), type_name(error)
        if isinstance(error, SystemExit):
            return Outcome(problem="leaves Python (sys.exit) instead of returning")
        if isinstance(error, RecursionError):
            return Outcome(problem="calls itself without end (RecursionError): which call is the last?")
        told = f"raises {kind}: {text[:200]}" if text else f"raises {kind}"
        return Outcome(problem=told, line=line_of(error))


def line_of(error: BaseException) -> int:
    """Return the line of the reader's code that an error comes from, from 1, or 0.

    The reader's code is what runs as `__main__`: cells of a notebook, or what was typed in the page. Of a
    function that calls those of other cells, the line in its own cell is meant.
    """
    file, line = "", 0
    trace: TracebackType | None = BaseException.__traceback__.__get__(error)  # its class may keep it back
    while trace:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__") == "__main__" and file in ("", frame.f_code.co_filename):
            file, line = frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return line


def text_of(error: BaseException) -> str:
    """Return the first line of what an error says, which may be an error again."""
    try:
        text = "".join([str(error)]).strip().partition("\n")[0]
    except BaseException:  # its `__str__` may raise SystemExit
        return ""
    return text.encode("utf-8", "replace").decode()


def plain(value: Any) -> Any:
    """Return numbers, texts, None, and lists of them; tensors and arrays become lists, the rest `Other`.

    What comes out is of exactly these types: it can travel and be compared without calling the reader's code.
    """
    if isinstance(value, TENSOR):
        value = value.detach().to_dense() if value.layout != torch.strided else value.detach()
        value = value.cpu().tolist()
    elif isinstance(value, (ARRAY, SCALAR)):
        value = float(value) if isinstance(value, np.longdouble) else value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Fraction | Decimal):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list | tuple | bytes):
        return [plain(part) for part in value]
    return Other(type_name(value))


def type_name(value: Any) -> str:
    """Return the name of its type, without asking the type: a reader's metaclass may answer with an error."""
    return type.__dict__["__name__"].__get__(type(value))


def show_call(name: str, args: tuple[Any, ...]) -> str:
    """Return `name(args)` so that it can be pasted and run where `torch` is imported."""
    shown = [_shown(value) for value in args]
    call = f"{name}({', '.join(shown)})"
    if len(call) <= WIDE:
        return call
    return f"{name}(\n    {(',' + chr(10) + '    ').join(shown)},\n)"


def _shown(value: Any) -> str:
    if isinstance(value, TENSOR):
        usual = value.dtype in (torch.float32, torch.int64, torch.bool)
        # The fewest digits that give the same number again: rounding could break a tie.
        size = value.numel() + 1
        digits = np.array2string(value.numpy(), separator=", ", threshold=size, floatmode="unique")
        numbers = re.sub(r"\b(inf|nan)\b", r'float("\1")', " ".join(digits.split()))
        text = f"torch.tensor({numbers}{'' if usual else f', dtype={value.dtype}'})"
        return text if len(text) <= LONGEST else f"<a tensor {tuple(value.shape)} of {value.dtype}>"
    if type(value) is tuple:
        return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    if type(value) is list:
        return f"[{', '.join(map(_shown, value))}]"
    if type(value) is dict:
        return "{" + ", ".join(f"{_shown(key)}: {_shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, set):
        return "{" + ", ".join(map(repr, sorted(value))) + "}" if value else "set()"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = LONGEST
    return short.repr(value)


def _in_a_copy(function: Callable, calls: Calls, seconds: int | float) -> list[Outcome]:
    fork = multiprocessing.get_context("fork")
    reader, writer = fork.Pipe(duplex=False)
    copied = fork.Process(target=_serve, args=(function, calls, writer, seconds), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside other threads
        copied.start()
    writer.close()
    outcomes, recursive, deadline = [], "", time.monotonic() + seconds
    try:
        while len(outcomes) < len(calls):
            if not reader.poll(max(deadline - time.monotonic(), 0)):
                outcomes.append(late(seconds, recursive))
                break
            match reader.recv():
                case "printed", str(text):
                    print(text, end="")
                case "recursive", str(recursive):
                    pass
                case outcome:
                    outcomes.append(outcome)
    except (EOFError, OSError, pickle.UnpicklingError):
        # Not join: it waits for ever for a process that has closed its files and goes on.
        while copied.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        outcomes.append(Outcome(problem=f"ends the whole process (exit code {copied.exitcode})"))
    finally:
        copied.kill()
        copied.join()
        reader.close()
    return outcomes


def _serve(function: Callable, calls: Calls, writer: Any, seconds: int | float) -> None:
    torch.set_num_threads(1)  # the other threads of a pool don't survive a fork
    _limit_memory()
    frames: list[list[FrameType]] = []

    def look(_: int, frame: FrameType | None) -> None:
        frames.append(_stack(frame))
        if len(frames) == len(LOOKS):
            writer.send(("recursive", _branching(*frames)))

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOKS[0] * seconds, (LOOKS[1] - LOOKS[0]) * seconds)
    printed = Passing(lambda text: writer.send(("printed", text)))
    for args in calls:
        outcome = call_once(function, args, BaseException, printed)
        try:
            writer.send(outcome)
        except Exception as error:  # a value that can't travel
            writer.send(Outcome(problem=f"returns something that can't be compared: {type(error).__name__}"))
    writer.close()
    os._exit(0)


def _stack(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of the reader's function, the innermost first."""
    found = []
    while frame and frame.f_code is not call_once.__code__:
        found.append(frame)
        frame = frame.f_back
    return found


def _branching(before: list[FrameType], now: list[FrameType]) -> str:
    """Return the name of a function that calls itself, returned meanwhile and was called again; or "".

    A comprehension within the function does the same, but its name would tell the reader nothing.
    """
    codes = [frame.f_code for frame in now if not frame.f_code.co_name.endswith(("comp>", "expr>"))]
    for code in dict.fromkeys(codes):
        innermost = [next((f for f in stack if f.f_code is code), None) for stack in (before, now)]
        if codes.count(code) > 1 and innermost[0] is not innermost[1]:
            return code.co_name
    return ""


def _limit_memory() -> None:
    import resource

    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as statm:
            taken = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))


def _in_a_thread(function: Callable, calls: Calls, seconds: int | float) -> list[Outcome]:
    outcomes: list[Outcome] = []
    ended = threading.Event()
    printed = Passing(sys.stdout.write)

    def work() -> None:
        for args in calls:
            outcome = call_once(function, args, BaseException, printed)
            if ended.is_set():
                return
            outcomes.append(outcome)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    frames = []
    for share, before in zip(LOOKS, (0, *LOOKS), strict=False):
        thread.join((share - before) * seconds)
        frames.append(_stack(sys._current_frames().get(thread.ident)))
    thread.join((1 - LOOKS[-1]) * seconds)
    if not thread.is_alive():
        ended_early = len(outcomes) < len(calls)
        return [*outcomes, Outcome(problem="ends its thread")] if ended_early else outcomes
    ended.set()
    for _ in range(20):  # a function may catch the first few
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        thread.join(0.05)
        if not thread.is_alive():
            break
    return [*outcomes, late(seconds, _branching(*frames))]


def _in_the_page(function: Callable, calls: Calls) -> list[Outcome]:
    printed = Passing(sys.stdout.write)
    return [call_once(function, args, BaseException, printed) for args in calls]


def late(seconds: int | float, recursive: str = "") -> Outcome:
    """Return what became of a call that took too long; `recursive` is a function that calls itself."""
    asked = "is there a loop that never ends, or one with far too many rounds?"
    if recursive:
        asked = (
            f"`{recursive}` calls itself again and again. Are many calls the same? Then keep what was found"
        )
    return Outcome(problem=f"had not finished after {seconds:g} s: {asked}")
