"""Draws a chapter's figure again for a phone: panels stack, and letters keep a size that can be read.

The kernels that execute the chapters keep every figure (tools/kernel/keep_figures.py). Here it gets the width
of a phone's column, so that the page shows it as it is drawn: nothing is scaled, nothing scrolls sideways.
"""

import io
import pickle
from pathlib import Path
from textwrap import fill

from book import ROOT

STYLE = ROOT / "lmbook" / "book.mplstyle"
WIDTH = 3.68  # inches, at 96 pixels: the column of a phone that is 390 pixels wide
SMALLEST = 8.5  # points: 11 pixels and a bit
LINE = 38  # characters of a title
TRIES = 4
# What some figures need: page/figure -> options of `narrow`.
OPTIONS: dict[str, dict] = {
    "07_decoding/fig-beam-tree": {"height": 4.4, "broken": True},
    "07_decoding/fig-mode": {"height": 3.4},
    "10_bugs/fig-influence": {"columns": 2, "height": 2.2},
    "index/fig-pipeline": {"columns": 2, "height": 6.2},
    "playground/fig-playground-dials": {"columns": 2, "height": 5.2},
}


def panels(figure) -> list:
    """Return the axes that stand in a grid, in reading order."""
    placed = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
    return sorted(
        placed, key=lambda ax: (ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start)
    )


def stack(figure, columns: int) -> None:
    """Put the panels into so many columns, each panel as high as it was."""
    axes = panels(figure)
    before = axes[0].get_subplotspec().get_gridspec()
    rows = -(-len(axes) // columns)
    grid = figure.add_gridspec(rows, columns)
    for i, ax in enumerate(axes):
        ax.set_subplotspec(grid[i // columns, i % columns])
        ax.tick_params(labelleft=ax.yaxis.get_visible() and bool(len(ax.get_yticks())))
        if not ax.get_ylabel() and i % columns == 0 and ax.get_shared_y_axes().joined(ax, axes[0]):
            ax.set_ylabel(axes[0].get_ylabel())
    figure.set_figheight(figure.get_figheight() / before.nrows * rows)


def enlarge(figure) -> None:
    """Give small letters the smallest size that can be read, and break long titles."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST))
    for ax in figure.axes:
        for title in (ax._left_title, ax.title, ax._right_title):
            if len(title.get_text()) > LINE and "\n" not in title.get_text():
                title.set_text(fill(title.get_text(), LINE))
            title.set_fontsize(min(title.get_fontsize(), 10))


def keep_inside(figure) -> None:
    """Move words that stand beside what they name back between the edges of their panel."""
    from matplotlib.transforms import Affine2D  # not needed while all figures are drawn

    figure.canvas.draw()
    for ax in figure.axes:
        left, right = ax.get_window_extent().intervalx
        for text in ax.texts:
            box = text.get_window_extent()
            shift = min(right - box.x1, 0) or max(left - box.x0, 0)
            if shift and left <= (box.x0 + box.x1) / 2 + shift <= right and box.width < right - left:
                text.set_transform(text.get_transform() + Affine2D().translate(shift, 0))


def narrow(kept: Path, columns: int = 1, height: float = 0.0, broken: bool = False) -> str:
    """Return the SVG of a kept figure, as wide as a phone's column, its panels in so many columns.

    Its `height` in inches is, if it isn't given, that of the wide figure, for each row of panels. Words in a
    panel can be `broken`, each into a line of its own.
    """
    import matplotlib as mpl

    with mpl.rc_context(fname=STYLE):
        mpl.use("agg")
        figure = pickle.loads(kept.read_bytes())
        if panels(figure):
            stack(figure, columns)
        enlarge(figure)
        for text in (text for ax in figure.axes if broken for text in ax.texts):
            text.set_text(text.get_text().replace(" ", "\n"))
        if height:
            figure.set_figheight(height)
        return fitting(figure)


def fitting(figure) -> str:
    """Draw the figure so that all that it shows, cut tightly, is as wide as the column."""
    width = WIDTH
    for _ in range(TRIES):
        figure.set_figwidth(width)
        figure.canvas.draw()
        excess = figure.get_tightbbox().width + 0.2 - WIDTH  # with the margins of savefig
        if abs(excess) < 0.03:
            break
        width -= excess
    keep_inside(figure)
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    return file.getvalue()
