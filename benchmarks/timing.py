"""Side-by-side timing: on a shared machine a ratio means something only if both sides have the same load."""

import gc
import time
from collections.abc import Callable, Mapping


def interleaved(tasks: Mapping[str, Callable[[], object]], repetitions: int = 7) -> dict[str, float]:
    """Minimum seconds of each task, run in turn (A B C, A B C, …) after one untimed round.

    The minimum, because noise only adds time; in turn, so that a slow minute affects all tasks.
    The garbage collector runs between measurements, never inside one.

    Raises:
        ValueError: no task, or fewer than one repetition.
    """
    if not tasks or repetitions < 1:
        raise ValueError(f"need at least 1 task and 1 repetition, got {len(tasks)} and {repetitions}")
    best = dict.fromkeys(tasks, float("inf"))
    for repetition in range(repetitions + 1):
        for name, task in tasks.items():
            gc.collect()
            gc.disable()
            try:
                start = time.perf_counter()
                task()
                seconds = time.perf_counter() - start
            finally:
                gc.enable()
            if repetition > 0:
                best[name] = min(best[name], seconds)
    return best
