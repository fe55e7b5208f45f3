"""Calls a function that may do anything, and comes back in time with what it returned or what it did instead.

On Linux the calls are made in a copy of the process (a fork): whatever the function does to memory, to its
arguments or to the interpreter, the notebook doesn't notice, and a loop without end is ended. Elsewhere a
thread must do, in which a loop written in Python can be ended too.
"""

import contextlib
import copy
import ctypes
import io
import multiprocessing
import os
import pickle
import reprlib
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

MEMORY = 2**30  # bytes that the copy may take more than the notebook has
FORKS = sys.platform.startswith("linux")
LONGEST = 400  # characters of a value in a call that is shown


class Outcome(NamedTuple):
    """What became of a call: a plain value, or in `problem` why there is none."""

    value: Any = None
    problem: str = ""
    changed: bool = False  # the function wrote into its arguments


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
    return _in_a_thread(function, calls, seconds)


def call_once(function: Callable, args: tuple[Any, ...], caught: type[BaseException] = Exception) -> Outcome:
    """Call `function` on copies of `args`, silently, and let nothing that is `caught` escape.

    Args:
        function: the book's own, or the reader's.
        args: are copied.
        caught: `BaseException` where the reader's function may raise SystemExit or KeyboardInterrupt itself.
    """
    given = copy.deepcopy(args)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            value = plain(function(*given))
        return Outcome(value=value, changed=repr(plain(given)) != repr(plain(args)))
    except caught as error:
        text, kind = _text_of(error), type(error).__name__
        if isinstance(error, SystemExit):
            return Outcome(problem="leaves Python (sys.exit) instead of returning")
        if isinstance(error, RecursionError):
            return Outcome(problem="calls itself without end (RecursionError): which call is the last?")
        return Outcome(problem=f"raises {kind}: {text[:200]}" if text else f"raises {kind}")


def _text_of(error: BaseException) -> str:
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
    if isinstance(value, Tensor):
        value = value.detach().to_dense() if value.layout != torch.strided else value.detach()
        value = value.cpu().tolist()
    elif isinstance(value, np.ndarray | np.generic):
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
    return Other(type(value).__name__)


def show_call(name: str, args: tuple[Any, ...]) -> str:
    """Return `name(args)` as one would type it; what is long is shortened, a large tensor is described."""
    return f"{name}({', '.join(map(_shown, args))})"


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        special = value.dtype in (torch.float32, torch.int64, torch.bool)
        # numpy writes the fewest digits that give the same number again.
        shown = np.array2string(value.numpy(), separator=", ", threshold=value.numel() + 1)
        text = f"torch.tensor({' '.join(shown.split())}{'' if special else f', dtype={value.dtype}'})"
        return text if len(text) <= LONGEST else f"<a tensor {tuple(value.shape)} of {value.dtype}>"
    if isinstance(value, set):
        return "{" + ", ".join(map(repr, sorted(value))) + "}" if value else "set()"
    short = reprlib.Repr()
    short.maxlist = short.maxtuple = short.maxstring = short.maxother = LONGEST
    return short.repr(value)


def _in_a_copy(function: Callable, calls: Calls, seconds: int | float) -> list[Outcome]:
    fork = multiprocessing.get_context("fork")
    reader, writer = fork.Pipe(duplex=False)
    copied = fork.Process(target=_serve, args=(function, calls, writer), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside other threads
        copied.start()
    writer.close()
    outcomes, deadline = [], time.monotonic() + seconds
    try:
        while len(outcomes) < len(calls):
            if not reader.poll(max(deadline - time.monotonic(), 0)):
                outcomes.append(_late(seconds))
                break
            outcomes.append(reader.recv())
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


def _serve(function: Callable, calls: Calls, writer: Any) -> None:
    torch.set_num_threads(1)  # the other threads of a pool don't survive a fork
    _limit_memory()
    for args in calls:
        outcome = call_once(function, args, BaseException)
        try:
            writer.send(outcome)
        except Exception as error:  # a value that can't travel
            writer.send(Outcome(problem=f"returns something that can't be compared: {type(error).__name__}"))
    writer.close()
    os._exit(0)


def _limit_memory() -> None:
    import resource

    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as statm:
            taken = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))


def _in_a_thread(function: Callable, calls: Calls, seconds: int | float) -> list[Outcome]:
    outcomes: list[Outcome] = []
    ended = threading.Event()

    def work() -> None:
        for args in calls:
            outcome = call_once(function, args, BaseException)
            if ended.is_set():
                return
            outcomes.append(outcome)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not thread.is_alive():
        ended_early = len(outcomes) < len(calls)
        return [*outcomes, Outcome(problem="ends its thread")] if ended_early else outcomes
    ended.set()
    for _ in range(20):  # a function may catch the first few
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        thread.join(0.05)
        if not thread.is_alive():
            break
    return [*outcomes, _late(seconds)]


def _late(seconds: int | float) -> Outcome:
    asked = "is there a loop that never ends, or is the same work done again and again?"
    return Outcome(problem=f"had not finished after {seconds:g} s: {asked}")
