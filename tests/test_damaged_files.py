"""Every reader refuses a damaged file by name, or what it returns works.

What is damaged how, and what counts as working: see `damaged_files` in tests/support.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import damaged_files
import pytest

ROOT = Path(__file__).parents[1]
# A few damages change nothing that matters; most must be seen.
LEAST_REFUSED = 0.4


def check(result, count):
    wrong = {what: n for what, n in result["seen"].items() if what not in damaged_files.GOOD}
    assert not wrong, wrong
    assert sum(result["seen"].values()) == count
    assert result["seen"]["refused"] >= LEAST_REFUSED * count
    assert result["seen"]["works"] > 0


@pytest.mark.parametrize(
    ("kind", "count"), [("tokenizer", 400), ("checkpoint", 80), ("gguf", 50), ("run", 25)]
)
def test_some_damaged_files(as_readers_run_it, kind, count, tmp_path):
    check(damaged_files.load_damaged(kind, count, 7, tmp_path), count)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"), [("tokenizer", 20_000), ("checkpoint", 6_000), ("gguf", 6_000), ("run", 2_000)]
)
def test_thousands_of_damaged_files(kind, count, tmp_path):
    """In a process of its own, whose memory is bounded, and which may crash or hang."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    call = [sys.executable, damaged_files.__file__, kind, str(count), "1", str(tmp_path)]
    done = subprocess.run(
        call, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, done.stderr[-2000:]
    check(json.loads(done.stdout), count)


def test_what_is_treated_wrongly_is_told_and_kept(as_readers_run_it, tmp_path, monkeypatch):
    """A reader that raises something else, hangs, takes memory or returns what doesn't work is seen."""

    def endless():
        while True:
            pass

    cases = iter(
        [
            (lambda: {}["colour"], "load: KeyError"),
            (lambda: int("x"), "load: ValueError without the file's name"),
            (endless, "load: TooSlow"),
            (lambda: bytearray(2 * damaged_files.BYTES), "load: MemoryError"),
            (lambda: "a thing", "use: it is broken"),
        ]
    )
    expected = []

    def case(rng, folder):
        (folder / "file").write_bytes(b"x")
        load, said = next(cases)
        expected.append(said)
        return "file", load, lambda thing: "it is broken"

    monkeypatch.setattr(damaged_files, "SECONDS", 0.2)
    monkeypatch.setitem(damaged_files.DAMAGES, "broken", case)
    seen = damaged_files.load_damaged("broken", 5, 1, tmp_path)["seen"]
    assert all(any(found.startswith(said) for found in seen) for said in expected)
    assert len(list(tmp_path.glob("wrong-*"))) == 5
    with pytest.raises(AssertionError):
        check({"seen": seen}, 5)
