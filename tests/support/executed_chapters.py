"""nbval's comparison, with the outputs of the execution that the site shows: no chapter is executed twice.

    pytest -p executed_chapters --nbval-sanitize-with tests/nbval.cfg chapters

`make book` has executed every chapter and keeps what came out in its cache. nbval asks a kernel for each
cell; here it asks `Recording`, which answers with the messages that the kernel sent then.
"""

from collections import deque
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache
from nbformat import NotebookNode
from nbval.plugin import IPyNbFile

CACHE = Path(__file__).resolve().parents[2] / "_build" / ".jupyter_cache"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take each notebook, unless nbval was asked to execute it."""
    if file_path.suffix == ".ipynb" and not parent.config.option.nbval:
        return ExecutedNotebook.from_parent(parent, path=file_path)
    return None


class ExecutedNotebook(IPyNbFile):
    """A notebook whose cells are compared with their outputs in the cache."""

    def setup(self) -> None:
        cache = get_cache(CACHE)
        try:
            record = cache.match_cache_notebook(nbformat.read(self.path, as_version=4))
        except KeyError:
            raise RuntimeError(f"{self.path.name} isn't in the cache as it stands: make book") from None
        self.kernel = Recording(cache.get_cache_bundle(record.pk).nb)
        self.setup_sanitize_files()


class Recording:
    """The part of a kernel that nbval talks to; each cell is answered with its recorded messages."""

    def __init__(self, notebook: NotebookNode):
        self._cells = deque(cell for cell in notebook.cells if cell.cell_type == "code")
        self._messages: deque[dict] = deque()

    def execute_cell_input(self, source: str, allow_stdin: bool | None = None) -> str:
        """Put the messages of the next cell with this source into the queue; return their id."""
        while (cell := self._cells.popleft()).source != source:
            pass  # cells that were deselected
        idle = {"output_type": "status", "execution_state": "idle"}
        for output in [*cell.outputs, idle]:
            kind, content = output["output_type"], {k: v for k, v in output.items() if k != "output_type"}
            self._messages.append(
                {"msg_type": kind, "content": content, "parent_header": {"msg_id": cell.id}}
            )
        return cell.id

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        """The next message."""
        return self._messages.popleft()

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """The cell has been executed long ago."""

    def await_idle(self, msg_id: str, timeout: float | None = None) -> None:
        """As `await_reply`."""

    def is_alive(self) -> bool:
        """Always."""
        return True

    def stop(self) -> None:
        """There is nothing to stop."""
