"""The book in one picture: what is done with a text, step by step, and the loss of each model.

Left, or above on a phone, is a column of steps; right, or below, a ladder with each model at the height of
its cross-entropy. Every part is a link to a notebook in the same folder, as Jupyter needs it; the site's
build turns it into a link to a page. Where there is no such folder, as in Colab, the environment variable
`LMBOOK_SITE` names the folder of the pages, "https://…/chapters/".
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

STEP = 66  # pixels from a step to the next; the ladder is as high as all steps
AXIS, INDENT = 10, 37  # x of the ladder, and of the beginning of its lines
ROW = 27  # least distance between two lines of the ladder
STYLE = """
.lm-map { font: 13px/1.35 system-ui, -apple-system, "Segoe UI", sans-serif; }
.lm-map .columns { display: flex; flex-wrap: wrap; gap: 1.5em 2em; }
.lm-map .columns > div { flex: 1 1 300px; min-width: 0; max-width: 400px; position: relative; }
.lm-map b { font-weight: 650; }
.lm-map a { display: block; border-radius: 6px; color: inherit; text-decoration: none; }
.lm-map a b { color: var(--lm-accent, #0b63a5); text-decoration: underline; }
.lm-map i { float: right; padding-left: 0.8em; font-style: normal; }
.lm-map i, .lm-map small { color: var(--lm-soft, inherit); font-size: 11.5px; }
.lm-map .steps a { margin-top: 10px; padding: 6px 10px; border: 1px solid var(--lm-line, #888); }
.lm-map .steps a + a { margin-top: 17px; position: relative; }
.lm-map .steps a + a::before { content: "↓"; position: absolute; left: 50%; top: -18px; }
.lm-map .ladder a { position: absolute; left: 37px; right: 0; padding: 4px 5px; font-size: 12.5px; }
.lm-map .ladder a { display: flex; gap: 0.5em; white-space: nowrap; overflow: hidden; }
.lm-map .ladder i { order: 1; margin-left: auto; padding: 0; }
.lm-map a:hover, .lm-map a:focus-visible { outline: 2.5px solid var(--lm-accent-2, #b3490a); }
.lm-map svg { position: absolute; left: 0; top: 0; }
.lm-map path { fill: none; stroke: var(--lm-soft, #777); stroke-width: 1.2; }
.lm-map circle { fill: var(--lm-accent-2, #b3490a); }
.lm-map figcaption { margin-top: 1em; }
"""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A part of the picture.

    Attributes:
        name: a few words.
        link: "chapter#section", such as "05_causal#growing".
        note: a second line.
        nats: the height on the ladder; None for a step.
    """

    name: str
    link: str
    note: str = ""
    nats: float | None = None

    @property
    def target(self) -> str:
        """The address: a notebook in the same folder, or a page of the site that `LMBOOK_SITE` names."""
        chapter, hash_sign, section = self.link.partition("#")
        site = os.environ.get("LMBOOK_SITE", "")
        return f"{site}{chapter}.{'html' if site else 'ipynb'}{hash_sign}{section}"

    @property
    def chapter(self) -> int:
        """The number of the chapter."""
        return int(self.link[:2])

    @property
    def spoken(self) -> str:
        """All of it in a sentence, for screen readers."""
        height = "" if self.nats is None else f": {self.nats:.2f} nats per word"
        note = f", {self.note}" if self.note else ""
        return f"{self.name}{height}{note}. Chapter {self.chapter}"


class BookMap:
    """Steps and a ladder of models as one picture whose parts are links; `print` gives it as text.

    Args:
        steps: from the text to the result.
        ladder: models with `nats`, in any order.
        caption: a sentence below the picture.

    Raises:
        ValueError: no steps, or a rung without a finite, positive height.
    """

    def __init__(self, steps: Iterable[Stop], ladder: Iterable[Stop], *, caption: str = ""):
        self.steps, self.caption = list(steps), caption
        ladder = list(ladder)
        heights = [stop.nats for stop in ladder]
        if not self.steps or not ladder:
            raise ValueError(f"a map needs steps and a ladder, got {len(self.steps)} and {len(ladder)}")
        if any(nats is None or not 0 < nats < 100 for nats in heights):
            raise ValueError(f"each rung needs nats between 0 and 100, got {heights}")
        self.ladder = sorted(ladder, key=lambda stop: -stop.nats)

    def __repr__(self) -> str:
        """Return the parts in their order, one a line."""
        return "\n".join(["BookMap", *(stop.spoken for stop in [*self.steps, *self.ladder])])

    def _repr_html_(self) -> str:
        caption = f"<figcaption>{escape(self.caption)}</figcaption>" if self.caption else ""
        columns = f'<div class="columns">{self._steps()}\n{self._ladder()}</div>'
        return f'<figure class="lm-map"><style>{STYLE}</style>\n{columns}{caption}</figure>'

    def _steps(self) -> str:
        links = [_link(stop, f"<br><small>{escape(stop.note)}</small>") for stop in self.steps]
        return "\n".join(['<div class="steps"><b>What is done with a text</b>', *links, "</div>"])

    def _ladder(self) -> str:
        """The models, each at its height; lines that are too close are moved apart."""
        top, bottom = 44, max(len(self.steps) * STEP, 44 + ROW * len(self.ladder))
        high, low = self.ladder[0].nats, self.ladder[-1].nats
        scale = (bottom - top) / ((high - low) or 1)
        places = [top + (high - stop.nats) * scale for stop in self.ladder]
        rows = spread(places, ROW, bottom)
        lines = [f'<path d="M{AXIS} {top - 10}V{bottom + 10}"/>']
        links = []
        for stop, place, row in zip(self.ladder, places, rows, strict=True):
            lines.append(f'<path d="M{AXIS} {place:.1f}h8L{INDENT - 10} {row:.1f}h7"/>')
            lines.append(f'<circle cx="{AXIS}" cy="{place:.1f}" r="4"/>')
            links.append(_link(stop, before=f"<span>{stop.nats:.2f}</span>", top=row - 12))
        height = bottom + 14
        svg = f'<svg width="{INDENT}" height="{height}" aria-hidden="true">{"".join(lines)}</svg>'
        head = f'<div class="ladder" style="height:{height}px"><b>How far each model comes, nats per word</b>'
        return "\n".join([head, svg, *links, "</div>"])


def spread(places: list[float], gap: int, bottom: int) -> list[float]:
    """Move ascending `places` as little as needed to be at least `gap` apart, none beyond `bottom`.

    >>> spread([0.0, 1.0, 50.0, 52.0], 10, 55)
    [0.0, 10.0, 45.0, 55.0]
    """
    rows: list[float] = []
    for place in places:
        rows.append(max(place, rows[-1] + gap) if rows else place)
    limit = float(bottom)
    for i in reversed(range(len(rows))):
        rows[i] = min(rows[i], limit)
        limit = rows[i] - gap
    return rows


def _link(stop: Stop, after: str = "", *, before: str = "", top: float | None = None) -> str:
    place = "" if top is None else f' style="top:{top:.1f}px"'
    chapter = f"<i>chapter {stop.chapter}</i>"
    return f'<a href="{escape(stop.target)}"{place}>{chapter}{before}<b>{escape(stop.name)}</b>{after}</a>'
