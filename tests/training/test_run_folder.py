"""What surrounds a run: the log in its folder, and the processes that the environment tells of."""

import json

import pytest

from lmbook.training.folder import LOG, RunFolder
from lmbook.training.processes import Processes


def test_damaged_lines_are_left_out_of_a_log_that_goes_on(tmp_path):
    kept = [b'{"event": "begin", "step": 0}', b'{"event": "step", "step": 3}']
    damaged = [b"\xff\xfe\x00", b'{"step": null}', b'{"step": "1"}', b"7", b"[" * 100_000, b'{"step": 2, "lo']
    later = b'{"event": "step", "step": 4}'
    (tmp_path / LOG).write_bytes(b"\n".join([kept[0], *damaged[:3], kept[1], later, *damaged[3:]]))
    folder = RunFolder(tmp_path)
    folder.begin_log(3)
    folder.log("step", step=4)
    folder.close()
    lines = (tmp_path / LOG).read_bytes().splitlines()
    assert lines[:2] == kept
    assert [json.loads(line) for line in lines[2:]] == [{"event": "step", "step": 4}]


@pytest.mark.parametrize(
    ("name", "value", "limits"),
    [
        ("RANK", "x", "from 0 to 1"),
        ("RANK", "2", "from 0 to 1"),
        ("RANK", "-1", "from 0 to 1"),
        ("LOCAL_RANK", "one", "from 0 to 1"),
        ("WORLD_SIZE", "0", "from 1"),
        ("WORLD_SIZE", "", "from 1"),
    ],
)
def test_an_environment_that_no_run_can_have_is_refused(name, value, limits, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name} must be a whole number {limits}, got '{value}'"):
        Processes.from_environment()
