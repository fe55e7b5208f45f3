"""The list of changes that tools/mutate.py and tools/mutate_javascript.py leave out."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "tests" / "equivalent_mutants.txt"
ENTRIES = [line for line in LIST.read_text(encoding="utf-8").splitlines()[1:] if line]


@pytest.mark.parametrize("entry", ENTRIES)
def test_listed_changes_are_of_lines_that_exist(entry):
    module, _, rest = entry.partition(" | ")
    code = (ROOT / "lmbook" / module).read_text(encoding="utf-8").splitlines()
    line = max((c.strip() for c in code if rest.startswith(f"{c.strip()} | ")), key=len, default="")
    assert line, f"{module} has no such line any more"
    change, _, reason = rest[len(line) + 3 :].rpartition(" | ")
    before, _, after = change.partition("  →  ")
    assert reason
    assert before != after


def test_nothing_is_listed_twice():
    assert len(ENTRIES) == len(set(ENTRIES)) > 0
