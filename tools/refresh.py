"""Executes chapters in place and stores them in one normal form: `make refresh` or `make refresh CHAPTERS=…`.

The second run over unchanged chapters writes the same bytes: no timings, widget state or dates, one kernel
name. Ids are kept as the author wrote them.
"""

import re
import sys
from pathlib import Path

import nbformat
from execute import client
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = ("tags", "mystnb")
SVG_DATE = re.compile(r"\s*<dc:date>.*?</dc:date>", re.DOTALL)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def execute(path: Path) -> NotebookNode:
    """Return the notebook at `path`, freshly executed from top to bottom in its own folder."""
    notebook = nbformat.read(path, as_version=4)
    with client(notebook, path.parent, store_widget_state=False) as kernel:
        kernel.execute()
    return notebook


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Rewrite `notebook` in place into the stored form and return it."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: cell.metadata[k] for k in CELL_METADATA if k in cell.metadata})
        if cell.cell_type == "code":
            count += bool(cell.source.strip())
            cell.execution_count = count if cell.source.strip() else None
            cell.outputs = [normal_output(output, count) for output in merged(cell.outputs)]
    return notebook


def merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of the same stream: the kernel cuts them at random places."""
    whole: list[NotebookNode] = []
    for output in outputs:
        before = whole[-1] if whole else None
        if output.output_type == "stream" and before and before.get("name") == output.name:
            before.text += output.text
        else:
            whole.append(output)
    return whole


def normal_output(output: NotebookNode, count: int) -> NotebookNode:
    """Return `output` without what changes from run to run."""
    if "execution_count" in output:
        output.execution_count = count
    if "metadata" in output:
        output.metadata = NotebookNode()
    data = output.get("data", {})
    data.pop(WIDGET_VIEW, None)  # a view of a model whose kernel has ended
    if "image/svg+xml" in data:
        data["image/svg+xml"] = SVG_DATE.sub("", data["image/svg+xml"])
    return output


def main(names: list[str]) -> None:
    paths = [Path(name).resolve() for name in names] or sorted((ROOT / "chapters").glob("*.ipynb"))
    for path in paths:
        print(f"Executing {path.name}", end=" … ", flush=True)
        try:
            text = nbformat.writes(normalise(execute(path)), version=4) + "\n"
        except CellExecutionError as error:
            sys.exit(f"failed; {path.name} is left as it was.\n{error}")
        changed = text != path.read_text(encoding="utf-8")
        if changed:
            path.write_text(text, encoding="utf-8")
        print("updated." if changed else "unchanged.", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
