"""The book in one picture: what is done with a text, step by step, and how far each model comes.

Left, or on a phone above, a column of steps; right, or below, a ladder on which each model stands at the
height of its cross-entropy. Every part is a link. The picture is drawn twice, for wide and narrow screens,
and the screen's width decides which one is shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

WIDTH = 344  # of a column, in the units of the drawing
STEP, GAP = 50, 16  # height of a step, and of the arrow between two
AXIS, INDENT = 10, 48  # of the ladder: where it stands, and where its lines begin
ROW = 27  # least distance between two lines of the ladder
STYLE = """
.lm-map svg { width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.lm-map text { fill: currentColor; }
.lm-map text.note { fill: var(--lm-soft, currentColor); font-size: 11.5px; }
.lm-map text.end { text-anchor: end; }
.lm-map text.head, .lm-map a text.name { font-weight: 650; }
.lm-map a text.name { fill: var(--lm-accent, #0b63a5); text-decoration: underline; }
.lm-map rect { fill: transparent; stroke: none; }
.lm-map .box rect { stroke: var(--lm-line, #888); }
.lm-map path { fill: none; stroke: var(--lm-soft, #777); stroke-width: 1.2; }
.lm-map circle { fill: var(--lm-accent-2, #b3490a); }
.lm-map a:hover rect, .lm-map a:focus-visible rect { stroke: var(--lm-accent-2, #b3490a); stroke-width: 2.5; }
.lm-map a:focus { outline: none; }
.lm-map .narrow { display: none; max-width: 400px; }
@media (max-width: 600px) { .lm-map .narrow { display: block; } .lm-map .wide { display: none; } }
"""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A part of the picture.

    Attributes:
        name: a few words.
        link: "chapter#section", such as "03_causal#growing".
        note: one line more.
        nats: the height on the ladder; None for a step.
    """

    name: str
    link: str
    note: str = ""
    nats: float | None = None

    @property
    def target(self) -> str:
        """The address on the site, relative to a chapter."""
        chapter, _, section = self.link.partition("#")
        return f"{chapter}.html#{section}" if section else f"{chapter}.html"

    @property
    def chapter(self) -> int:
        """The number of the chapter."""
        return int(self.link[:2])

    @property
    def spoken(self) -> str:
        """All of it in a sentence, for those who hear it."""
        height = "" if self.nats is None else f": {self.nats:.2f} nats per word"
        note = f", {self.note}" if self.note else ""
        return f"{self.name}{height}{note}. Chapter {self.chapter}"


class BookMap:
    """Steps and a ladder of models as one drawing whose parts are links; `print` gives it as text.

    Args:
        steps: from the text to what is made of it.
        ladder: models with `nats`, in any order.
        caption: a sentence below the drawing.

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
        height = len(self.steps) * (STEP + GAP) + 30
        steps, ladder = self._steps(), self._ladder(height)
        wide = _drawing("wide", 2 * WIDTH + 40, height, [(0, 0, steps), (WIDTH + 40, 0, ladder)])
        narrow = _drawing("narrow", WIDTH, 2 * height + 20, [(0, 0, steps), (0, height + 20, ladder)])
        caption = f"<figcaption>{escape(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure class="lm-map"><style>{STYLE}</style>\n{wide}\n{narrow}\n{caption}</figure>'

    def _steps(self) -> str:
        parts = [_text(2, 16, "What is done with a text", "head")]
        for number, stop in enumerate(self.steps):
            top = 30 + number * (STEP + GAP)
            lines = _text(12, top + 20, stop.name, "name") + _text(12, top + 38, stop.note, "note")
            lines += _text(WIDTH - 12, top + 20, f"chapter {stop.chapter}", "note end")
            parts.append(_link(stop, f'<g class="box"><rect {_box(1, top, WIDTH - 2, STEP)}/></g>{lines}'))
            if number:
                parts.append(_arrow(WIDTH // 2, top - GAP + 1, top - 2))
        return "".join(parts)

    def _ladder(self, height: int) -> str:
        """The models, each at its height; lines too close to one another are moved apart."""
        top, bottom = 52, height - 24
        high, low = self.ladder[0].nats, self.ladder[-1].nats
        scale = (bottom - top) / ((high - low) or 1)
        places = [top + (high - stop.nats) * scale for stop in self.ladder]
        rows = spread(places, ROW, bottom)
        parts = [
            _text(2, 16, "How far each model comes, nats per word", "head"),
            f'<path d="M{AXIS} {top - 10}V{bottom + 10}"/>',
        ]
        for stop, place, row in zip(self.ladder, places, rows, strict=True):
            leader = f'<path d="M{AXIS} {place:.1f}h8L{INDENT - 16} {row:.1f}h8"/>'
            mark = leader + f'<circle cx="{AXIS}" cy="{place:.1f}" r="4"/>'
            number = _text(INDENT, row + 4, f"{stop.nats:.2f}", "height")
            box = f"<rect {_box(INDENT - 6, row - 12, WIDTH - INDENT + 4, 24)}/>"
            name = _text(INDENT + 34, row + 4, stop.name, "name")
            chapter = _text(WIDTH - 12, row + 4, f"chapter {stop.chapter}", "note end")
            parts.append(mark + _link(stop, box + number + name + chapter))
        return "".join(parts)


def spread(places: list[float], gap: int, bottom: int) -> list[float]:
    """Return `places`, which ascend, at least `gap` apart and none below `bottom`, moved as little as needed.

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


def _drawing(kind: str, width: int, height: int, columns: list[tuple[int, int, str]]) -> str:
    shown = "".join(f'<g transform="translate({x} {y})">{part}</g>' for x, y, part in columns)
    about = "The book in one picture: steps and a ladder of models, each a link to its section"
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="group" aria-label="{about}">{shown}</svg>'
    )


def _link(stop: Stop, inside: str) -> str:
    return f'<a href="{escape(stop.target)}" aria-label="{escape(stop.spoken)}">{inside}</a>'


def _text(x: int, y: float | int, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:.1f}">{escape(words)}</text>'


def _box(x: int, y: float | int, width: int, height: int) -> str:
    return f'x="{x:g}" y="{y:.1f}" width="{width:g}" height="{height:g}" rx="6"'


def _arrow(x: int, start: int, end: int) -> str:
    return f'<path d="M{x:g} {start:g}V{end:g}m-4 -5l4 5l4 -5"/>'
