"""What was done at the exercises: kept while Python runs, and in a file that the published page reads too.

The file is JSON, {"version": 1, "done": {id: {"state", "answer", "print", "at"}}}; the page also keeps in it
what its reviews found (`passed`), the place in the book and the order of choices. Of two entries of one
question the later one counts, but an exercise that was solved stays solved. `site/static/progress.js` reads
and joins files in the same way.
"""

import inspect
import json
import os
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from lmbook.exercises.notes import Note
from lmbook.exercises.specification import Exercise, chapters, load

VERSION = 1
STATES = ("right", "wrong", "seen")
SOLVED = ("right", "seen")
LONGEST = 5000  # characters of an answer, which may be code
LARGEST = 10_000_000  # bytes of a file
LATEST = 8.64e15  # milliseconds since 1970: the last date that JavaScript has

Entry = dict[str, Any]
_done: dict[str, Entry] = {}


def record(item: Exercise, state: str, answer: str) -> None:
    """Keep that `item` was answered: `state` as of a verdict; an unreadable answer isn't kept.

    A quiz keeps how its first try went, as on the page; an exercise that was solved stays solved.
    """
    if state not in STATES:
        return
    told = item.page()["print"]
    before = _done.get(item.id, {})
    if before.get("print") != told:
        before = {}
    stays = before and ("-quiz-" in item.id or (before["state"] in SOLVED and state == "wrong"))
    entry = {"state": before["state"] if stays else state, "answer": answer[:LONGEST], "print": told}
    _done[item.id] = {**before, **entry, "at": round(time.time() * 1000)}


def source_of(function: Any) -> str:
    """Return the code that a reader has written for a function, or "" where there is none to be read."""
    if type(function) is not FunctionType:  # what else can be called may do anything when it is asked
        return ""
    try:
        source = textwrap.dedent(inspect.getsource(function.__code__)).strip()
    except (OSError, TypeError, IndexError, SyntaxError):
        return ""
    return source if len(source) <= LONGEST else ""


def save_results(path: str | os.PathLike[str]) -> Note:
    """Write what was done at the exercises to a file, which “Open a file” on the review page reads.

    What is in the file already stays: of two answers to one question the later is kept, and what was solved
    stays solved.

    Args:
        path: of the file, such as "results.json".

    Raises:
        ValueError: there is a file of something else; it stays as it is.
        OSError: the file couldn't be written; what was there is still there.
    """
    path = Path(path)
    whole = _read(path) if path.exists() else {"version": VERSION, "done": {}}
    whole["done"] |= joined(sound(whole["done"]), _done)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(f"{path} couldn't be written: {error}") from None
    count = len(sound(whole["done"]))
    return Note(f"{path} holds {_answers(count)}. “Open a file” on the review page of the book reads it.")


def load_results(path: str | os.PathLike[str]) -> Note:
    """Read a file of `save_results` or of the page; what was done here stays.

    Of two answers to one question the later is kept, and what was solved stays solved.

    Args:
        path: of the file.

    Returns:
        how many answers it holds, and what is done now, chapter by chapter.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no results, or those of a newer edition; nothing was changed.
    """
    path = Path(path)
    found = _read(path)["done"]
    fine = sound(found)
    _done.update(joined(_done, fine))
    bad = len(found) - len(fine)
    left_out = (
        f" {_answers(bad)} could not be read and {'was' if bad == 1 else 'were'} left out." if bad else ""
    )
    table = "\n".join(_counts(chapter) for chapter in chapters())
    return Note(f"Read {_answers(len(fine))} from {path}.{left_out}\n\n```\n{table}\n```")


def joined(mine: Mapping[str, Entry], others: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of both, and of two of one question the one that counts."""
    return {**mine, **{name: _better(mine.get(name), entry, name) for name, entry in others.items()}}


def _better(mine: Entry | None, other: Entry, name: str) -> Entry:
    if mine is None:
        return other
    same = mine.get("print") == other.get("print") and "-quiz-" not in name
    if same and (mine["state"] in SOLVED) != (other["state"] in SOLVED):
        return mine if mine["state"] in SOLVED else other
    return mine if mine["at"] >= other["at"] else other


def sound(done: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the entries that are well formed, without what reviews found where that isn't."""
    fine = {name: entry for name, entry in done.items() if _is_sound(name, entry)}
    return {
        name: {k: v for k, v in entry.items() if k != "passed" or type(v) is int}
        for name, entry in fine.items()
    }


def _is_sound(name: str, entry: Any) -> bool:
    if not name[:1].isalpha() or not isinstance(entry, dict):
        return False
    answer, at = entry.get("answer"), entry.get("at")
    return (
        entry.get("state") in STATES
        and isinstance(answer, str)
        and len(answer) <= LONGEST
        and isinstance(entry.get("print", ""), str)
        and type(at) in (int, float)
        and 0 < at <= LATEST
    )


def _read(path: Path) -> dict[str, Any]:
    """Return the whole of a file of results; `done` may hold entries that aren't well formed."""
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path} has {size:,} bytes, and results have at most {LARGEST:,}")
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one
        raise ValueError(f"{path} is damaged, or no file of results: {error}") from None
    version = whole.get("version") if isinstance(whole, dict) else None
    if isinstance(version, int) and version > VERSION:
        told = f"a newer edition of the book wrote {path} (version {version})"
        raise ValueError(f"{told}, and this one reads version {VERSION}: update lmbook")
    if version != VERSION or not isinstance(whole.get("done"), dict):
        raise ValueError(f"{path} holds no results of the book’s exercises")
    return whole


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def _counts(chapter: str) -> str:
    sheet = load(chapter)
    solved, tried = (
        [item for item in items if _done.get(item.id, {}).get("print") == item.page()["print"]]
        for items in (sheet.exercises, sheet.quiz)
    )
    solved = [item for item in solved if _done[item.id]["state"] in SOLVED]
    exercises = f"{len(solved):2} of {len(sheet.exercises)} exercises" if sheet.exercises else ""
    return f"{chapter:<12} {exercises:<18} quiz {len(tried)} of {len(sheet.quiz)}"
