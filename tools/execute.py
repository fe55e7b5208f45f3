"""Executes chapters side by side into jupyter-cache, and shows their progress.

A chapter's key in the cache is its code alone. The cached outputs have the data of widgets without their
views, which belong to the site, so a changed view executes no chapter.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT, SIGTERM
from tempfile import TemporaryDirectory

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

SECONDS_PER_CELL = 1800  # the longest takes one minute alone, and machines are shared
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
KERNEL = Path(__file__).resolve().parent / "kernel"  # what kernels load: keep_figures.py
FIGURES = "figures"  # in the cache's folder
CLEAR = "\r\x1b[K"  # what stands on the terminal's line
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def client(notebook: NotebookNode, folder: Path, **options: object) -> Iterator[NotebookClient]:
    """Give the client that executes `notebook` in `folder`; its kernel uses IPC instead of ports."""
    with TemporaryDirectory(prefix="kernel-") as sockets:
        yield NotebookClient(
            notebook,
            timeout=SECONDS_PER_CELL,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
            **options,
        )


def environment(figures: Path | None) -> dict[str, str]:
    """Return the variables of a kernel that keeps its figures in this folder.

    A figure's name on the site is a hash of it, so Matplotlib gets one date to write into all of them.
    """
    paths = [str(KERNEL), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "LMBOOK_FIGURES": str(figures or ""),
        "SOURCE_DATE_EPOCH": "0",
    }


def let_interrupt(**_: object) -> None:
    """Undo nbclient's answer to Ctrl+C, which ends one kernel of many and nothing else."""
    for signal in (SIGINT, SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(signal)


def drop_views(notebook: NotebookNode) -> None:
    """Remove the views of the book's own widgets from the saved state: the site has them."""
    saved = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {})
    for model in saved.get("state", {}).values():
        if model["state"].get("_anywidget_id", "").startswith("lmbook."):
            for name in ("_esm", "_css"):
                model["state"].pop(name, None)


@dataclass
class Run:
    """A chapter that is executed.

    Attributes:
        figures: the folder for what draws its figures again, if they are kept.
        cells: how many cells of code it has.
        done: how many of them were executed.
        seconds: how long all of them took.
        error: what went wrong; empty if nothing did.
    """

    path: Path
    notebook: NotebookNode
    figures: Path | None = None
    cells: int = field(init=False)
    done: int = 0
    seconds: float = 0.0
    error: str = ""

    def __post_init__(self) -> None:
        code = (cell for cell in self.notebook.cells if cell.cell_type == "code")
        self.cells = sum(bool(cell.source.strip()) for cell in code)

    def __str__(self) -> str:
        """Return how far it is, or how long it took."""
        if self.seconds:
            end = "failed after" if self.error else "took"
            return f"{self.path.stem}: {self.done} of {self.cells} cells, {end} {self.seconds:.0f} s"
        return f"{self.path.stem} {self.done}/{self.cells}"

    async def execute(self, tell: Callable[[], None]) -> None:
        """Execute the notebook in place, calling `tell` at its start and after each cell."""

        def count(**_: object) -> None:
            self.done += 1
            tell()

        start = time.perf_counter()
        tell()
        try:
            hooks = {"on_notebook_start": let_interrupt, "on_cell_executed": count}
            kernel_options = {"extra_arguments": ["--IPKernelApp.extensions=keep_figures"]}
            with client(self.notebook, self.path.parent, **hooks, **kernel_options) as kernel:
                await kernel.async_execute(env=environment(self.figures))
        except Exception as error:  # of the chapter, whatever it is: the others go on
            self.error = COLOURS.sub("", str(error)) or type(error).__name__
        self.seconds = time.perf_counter() - start


class Display:
    """Shows a line for each finished chapter, and on a terminal one line of progress."""

    def __init__(self, runs: list[Run]):
        self.runs, self.live = runs, sys.stdout.isatty()

    def tell(self) -> None:
        """Write the line over the one before."""
        if self.live:
            ended = sum(bool(run.seconds) for run in self.runs)
            under_way = [str(run) for run in self.runs if run.done and not run.seconds]
            line = " · ".join([f"{ended} of {len(self.runs)} chapters", *under_way])
            print(f"{CLEAR}{line[: os.get_terminal_size().columns - 1]}", end="", flush=True)

    def end(self, run: Run) -> None:
        """Write the line of a chapter that has ended."""
        print(f"{CLEAR if self.live else ''}{run}", flush=True)


async def execute_all(runs: list[Run], keep: Callable[[Run], None]) -> None:
    """Execute all of them, as many at once as there are processors, and `keep` each that ends well."""
    display, free = Display(runs), asyncio.Semaphore(len(os.sched_getaffinity(0)))

    async def execute(run: Run) -> None:
        async with free:
            await run.execute(display.tell)
            display.end(run)
            if not run.error:
                keep(run)

    await asyncio.gather(*map(execute, runs))
    if display.live:
        print(CLEAR, end="")


def keep_in(cache: JupyterCacheAbstract, run: Run) -> None:
    drop_views(run.notebook)
    data = {"execution_seconds": run.seconds}
    bundle = CacheBundleIn(run.notebook, str(run.path), data=data)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def is_kept(cache: JupyterCacheAbstract, notebook: NotebookNode) -> bool:
    """Return True if the outputs of this very code are in the cache."""
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def forget(names: Iterable[str], folder: Path) -> None:
    """Remove the outputs of these chapters from the cache at `folder`."""
    cache = get_cache(folder)
    for record in cache.list_cache_records():
        if Path(record.uri).stem in names:
            cache.remove_cache(record.pk)


def execute_chapters(paths: Iterable[Path], folder: Path) -> None:
    """Execute the chapters whose code is not in the cache at `folder`; exit if one fails."""
    cache = get_cache(folder)
    notebooks = {path: nbformat.read(path, as_version=4) for path in paths}
    waiting = [path for path, notebook in notebooks.items() if not is_kept(cache, notebook)]
    if not waiting:
        print("Every chapter is in the cache.", flush=True)
        return
    print(f"Executing {', '.join(path.stem for path in waiting)}.", flush=True)
    # Later chapters train longer; begun first, they end while short ones fill the other processors.
    figures = folder.resolve() / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    runs = [Run(path, notebooks[path], figures) for path in reversed(waiting)]
    start = time.perf_counter()
    asyncio.run(execute_all(runs, lambda run: keep_in(cache, run)))
    failed = [run for run in runs if run.error]
    for run in failed:
        print(f"{run.path.name}: {run.error}", file=sys.stderr)
    if failed:
        sys.exit("A chapter failed; the site was not built.")
    print(f"Executed in {time.perf_counter() - start:.0f} s.", flush=True)
