"""Side-by-side timing: ratios on a shared machine mean something only if both sides meet the same weather."""

import gc
import time
from collections.abc import Callable, Mapping


def interleaved(tasks: Mapping[str, Callable[[], object]], repetitions: int = 7) -> dict[str, float]:
    """Minimum seconds of each task, the tasks taking turns: A B C, A B C, …, after one untimed round.

    The minimum, because noise only ever adds time; the turns, so that a slow minute hits every task alike.
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
