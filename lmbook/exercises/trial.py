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
import reprlib
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

MEMORY = 2**30  # bytes that the copy may take more than the notebook has
FORKS = sys.platform.startswith("linux")
PLAIN = (bool, int, float, str, type(None))


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


def call_once(function: Callable, args: tuple[Any, ...]) -> Outcome:
    """Call `function` on copies of `args`, silently, and let nothing escape."""
    given = copy.deepcopy(args)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            value = plain(function(*given))
        return Outcome(value=value, changed=plain(given) != plain(args))
    except BaseException as error:
        # A SystemExit or a KeyboardInterrupt of the reader's own must not end the notebook either.
        text = str(error).strip().partition("\n")[0]
        kind = type(error).__name__
        if isinstance(error, SystemExit):
            return Outcome(problem="leaves Python (sys.exit) instead of returning")
        if isinstance(error, RecursionError):
            return Outcome(problem="calls itself without end (RecursionError): which call is the last?")
        return Outcome(problem=f"raises {kind}: {text[:200]}" if text else f"raises {kind}")


def plain(value: Any) -> Any:
    """Return numbers, texts, None, and lists of them; tensors and arrays become lists, the rest `Other`."""
    if isinstance(value, Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return Other(type(value).__name__)


def show_call(name: str, args: tuple[Any, ...]) -> str:
    """Return `name(args)` as one would type it, shortened."""
    short = reprlib.Repr()
    short.maxlist = short.maxtuple = short.maxstring = short.maxother = 40
    return f"{name}({', '.join(short.repr(plain(arg)) for arg in args)})"


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
    except EOFError:
        copied.join()
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
        outcome = call_once(function, args)
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
            outcome = call_once(function, args)
            if ended.is_set():
                return
            outcomes.append(outcome)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not thread.is_alive():
        return outcomes
    ended.set()
    for _ in range(20):  # a function may catch the first few
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        thread.join(0.05)
        if not thread.is_alive():
            break
    return [*outcomes, _late(seconds)]


def _late(seconds: int | float) -> Outcome:
    return Outcome(problem=f"had not finished after {seconds:g} s: is there a loop that never ends?")
