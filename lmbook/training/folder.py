"""The folder of a run: held by one run at a time, tried before training, with a log that a program can read.

`checkpoint.safetensors` is the last good state, `log.jsonl` tells what has happened, one JSON object a line,
`tokens/` keeps the corpus as ids, and `lock` is held by the process that trains.
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from lmbook.training.checkpoint import NAME

LOG = "log.jsonl"
LOCK = "lock"


class RunFolder:
    """A folder that this process holds until it closes it or dies."""

    def __init__(self, path: Path):
        """Make the folder and take its lock.

        Raises:
            OSError: nothing can be written there.
            ValueError: another process holds it.
        """
        self.path, self.checkpoint = path, path / NAME
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
            self._lock: IO[str] | None = (path / LOCK).open("a+", encoding="utf-8")
        except OSError as error:
            raise OSError(f"--out {str(path)!r} can't be written to: {error.strerror}") from None
        if not take(self._lock):
            self._lock.seek(0)
            holder = self._lock.read().strip()
            self._lock.close()
            raise ValueError(f"--out {str(path)!r} is held by another run{holder and f', process {holder}'}")
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        for left_over in path.glob(f"{NAME}.*.partial"):  # by a process that was killed: the lock was free
            left_over.unlink()

    def check_space(self, num_bytes: int) -> None:
        """OSError unless `num_bytes` are free."""
        free = shutil.disk_usage(self.path).free
        if free < num_bytes:
            raise OSError(
                f"--out {str(self.path)!r} has {free / 1e6:,.0f} MB free, "
                f"and tokens and checkpoints take up to {num_bytes / 1e6:,.0f} MB"
            )

    def begin_log(self, step: int) -> None:
        """Begin the log, or go on with it: what was told of steps after `step` will be told again."""
        log = self.path / LOG
        lines = []
        if step and log.exists():
            for line in log.read_bytes().splitlines():
                # The last may be torn, and any damaged: such a line is left out.
                with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):
                    if json.loads(line.decode("utf-8")).get("step", 0) <= step:
                        lines.append(line + b"\n")
        log.write_bytes(b"".join(lines))

    def log(self, event: str, **what) -> None:
        """Append one line."""
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **what}) + "\n")

    def close(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def take(file: IO[str]) -> bool:
    """Lock a file for this process, until it closes it or dies; False if another has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            file.seek(2**30)  # beyond what is read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True
