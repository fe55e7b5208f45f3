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
LISTED = 46  # characters of code in a line as wide as the column
LINE_HEIGHT = 0.17  # inches
TRIES = 4
BESIDE = 0.08  # inches between a line and its name
# What some figures need: page/figure -> options of `narrow`.
OPTIONS: dict[str, dict] = {
    "02_tokens/fig-cuts": {"height": 3.0, "over": True},
    "02_tokens/fig-perplexity": {"above": 1, "height": 4.4},
    "02_tokens/fig-scripts": {"above": 2},
    "03_learning/fig-by-heart-in-time": {"columns": 2, "height": 4.6},
    "03_learning/fig-three-lines": {"shorter": {"window": "win."}},
    "04_attention/fig-influence": {"height": 4.6},
    "05_causal/fig-order": {"above": 1, "height": 5.0},
    "05_causal/fig-samples": {"listed": True},
    "06_masked/fig-recipe": {"size": SMALLEST},
    "06_masked/fig-variants": {"above": 1, "height": 3.6},
    "07_decoding/fig-beam-tree": {"height": 4.4, "broken": True},
    "07_decoding/fig-mode": {"height": 3.6, "broken": True},
    "11_next/fig-budget": {"above": 1, "height": 5.2, "shorter": {", mean": "\nmean"}},
    "11_next/fig-published": {"shorter": {"this page, width 8 to 128": "this page"}, "height": 4.6},
    "11_next/fig-stop-and-go": {"above": 1, "height": 4.2},
    "11_next/fig-trade": {"above": 1, "height": 5.0},
    "09_real_model/fig-next": {"columns": 2, "height": 5.6},
    "09_real_model/fig-nucleus-size": {"above": 1, "height": 4.6},
    "09_real_model/fig-unread": {"above": 1, "height": 4.0},
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


def enlarge(figure, columns: int = 1) -> None:
    """Give small letters the smallest size that can be read, and break long titles."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST))
    for ax in figure.axes:
        for title in (ax._left_title, ax.title, ax._right_title):
            if len(title.get_text()) > LINE // columns and "\n" not in title.get_text():
                title.set_text(fill(title.get_text(), LINE // columns))
            title.set_fontsize(min(title.get_fontsize(), 10))


def keep_inside(figure) -> None:
    """Move words that stand beside what they name back between the edges of their panel."""
    from matplotlib.transforms import ScaledTranslation  # not needed while all figures are drawn

    figure.draw_without_rendering()
    for ax in figure.axes:
        left, right = ax.get_window_extent().intervalx
        for text in ax.texts:
            box = text.get_window_extent()
            shift = min(right - box.x1, 0) or max(left - box.x0, 0)
            if shift > 0 and text.get_ha() == "right":  # to the other side of what it names
                text.set_ha("left")
                shift = BESIDE * figure.dpi
            elif not left <= (box.x0 + box.x1) / 2 + shift <= right or box.width > right - left:
                continue
            inches = ScaledTranslation(shift / figure.dpi, 0, figure.dpi_scale_trans)
            text.set_transform(text.get_transform() + inches)


def set_legend(figure, above: int) -> None:
    """Put a legend of many columns above its panel in two, or every one in so many."""
    for ax in figure.axes:
        legend = ax.get_legend()
        if legend and (above or legend._ncols > 2):
            names = [text.get_text() for text in legend.get_texts()]
            place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": above or 2, "fontsize": SMALLEST}
            ax.legend(legend.legend_handles, names, borderaxespad=0.2, **place)


def shorten(figure, words: dict[str, str]) -> None:
    """Replace words in the panels and under the ticks."""
    for ax in figure.axes:
        names = [text.get_text() for text in ax.get_xticklabels()]
        short = [replaced(name, words) for name in names]
        if short != names:
            ax.set_xticks(ax.get_xticks(), short)
        for text in ax.texts:
            text.set_text(replaced(text.get_text(), words))


def replaced(text: str, words: dict[str, str]) -> str:
    for word, short in words.items():
        text = text.replace(word, short)
    return text


def make_room(ax) -> None:
    """Make rows of boxes lower, and put the name of each, which stands at its left, over it."""
    for box in ax.patches:
        box.set_height(0.46)
    for text in ax.texts:
        _, y = text.get_position()
        named = text.get_ha() == "right"
        text.set_y(y + 0.37 if named else y - 0.13)
        if named:
            text.set(x=0, ha="left")
    ax.set_xlim(0, None)


def list_words(figure) -> None:
    """Set each text under its name, at the left, not beside it, in lines as long as the column is wide."""
    for ax in figure.axes:
        line = 0.0
        names = [text for text in ax.texts if text.get_position()[0] == 0]
        groups = {name: [] for name in names}
        for text in list(ax.texts):
            if text in groups:
                own = groups[text]
            else:
                own.append(text)
        for name, (first, *others) in groups.items():
            words = fill(" ".join(text.get_text() for text in (first, *others)), LISTED)
            name.set(position=(0, line), fontsize=SMALLEST)
            first.set(text=words, position=(0, line + 1.1), fontsize=SMALLEST)
            for other in others:
                other.remove()
            line += words.count("\n") + 2.9
        ax.set(xlim=(0, 1), ylim=(line, -0.5))
        figure.set_figheight(LINE_HEIGHT * line)


def change_words(figure, broken: bool, over: bool, size: float) -> None:
    """Break words into a line each, put the names of rows over them, or give them all a size."""
    for ax in figure.axes:
        for text in ax.texts if size else ():
            text.set_fontsize(size)
        for text in ax.texts if broken else ():
            text.set_text(text.get_text().replace(" ", "\n"))
        if over:
            make_room(ax)


def narrow(
    kept: Path,
    *,
    columns: int = 1,
    height: float = 0.0,
    above: int = 0,
    broken: bool = False,
    over: bool = False,
    size: float = 0.0,
    listed: bool = False,
    shorter: dict[str, str] | None = None,
) -> str:
    """Return the SVG of a kept figure, as wide as a phone's column, its panels in so many columns.

    Args:
        kept: the file that keep_figures.py has written.
        columns: how many panels stand side by side.
        height: in inches; if it isn't given, that of the wide figure for each row of panels.
        above: in how many columns legends stand above their panels.
        broken: whether each word in a panel gets a line of its own.
        over: whether the names of rows stand over them, not at their left.
        listed: whether texts stand under their names, in lines as long as the column is wide.
        size: of all words in the panels, in points.
        shorter: words in the panels and under the ticks, with what stands for them.
    """
    import matplotlib as mpl

    with mpl.rc_context(fname=STYLE):
        mpl.use("agg")
        figure = pickle.loads(kept.read_bytes())
        if panels(figure):
            stack(figure, columns)
        change_words(figure, broken, over, size)
        shorten(figure, shorter or {})
        if listed:
            list_words(figure)
        set_legend(figure, above)
        enlarge(figure, columns)
        if height:
            figure.set_figheight(height)
        return fitting(figure)


def fitting(figure) -> str:
    """Draw the figure so that all that it shows, cut tightly, is as wide as the column."""
    width = WIDTH
    for _ in range(TRIES):
        figure.set_figwidth(width)
        figure.draw_without_rendering()
        excess = figure.get_tightbbox().width + 0.2 - WIDTH  # with the margins of savefig
        if abs(excess) < 0.03:
            break
        width -= excess
    keep_inside(figure)
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    return file.getvalue()
