"""How long the chapters take, from their own words; plans for a course of so many weeks, and for marks."""

import json
import re
from collections import Counter
from functools import cache
from itertools import accumulate, pairwise

from book import ROOT
from sheets import sheets

NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10, "twenty": 20, "thirty": 30,
    "forty": 40, "fifty": 50, "a": 1, "an": 1,
}  # fmt: skip
SPAN = re.compile(
    r"(?P<quarters>three quarters of an hour)|(?P<half>half an hour)"
    r"|(?:(?P<least>\w+) to )?(?P<count>\w+) (?P<unit>hour|minute)s?(?P<more> and a half)?",
    re.IGNORECASE,
)

# Points for each kind of exercise, and what for: the solutions are on the site, so not for answers.
POINTS = {
    "number": (2, "the way to the number, step by step"),
    "choice": (2, "why the choice is right and one other is wrong"),
    "prediction": (2, "a reason written down before the run, and what was learned if it came otherwise"),
    "code": (5, "a function that `check` accepts, and answers to questions about its lines"),
    "quiz": (1, "the first try, in class"),
}


def minutes(words: str) -> float:
    """Return the first span of time in `words`, in minutes; of a range its upper end.

    >>> minutes("About an hour and a half to read"), minutes("two to three minutes to run")
    (90.0, 3)
    >>> minutes("Three quarters of an hour to read"), minutes("50 minutes to read")
    (45.0, 50)
    """
    for found in SPAN.finditer(words):
        if found["quarters"] or found["half"]:
            return 45.0 if found["quarters"] else 30.0
        count = found["count"].lower()
        if count.isdigit() or count in NUMBERS:
            value = int(count) if count.isdigit() else NUMBERS[count]
            return (value + (0.5 if found["more"] else 0)) * (60 if found["unit"].lower() == "hour" else 1)
    raise ValueError(f"no span of time such as “about fifty minutes” in {words!r}")


@cache
def reading() -> dict[str, float]:
    """Return the minutes to read each chapter that has exercises: the first time of its line **Time.**"""
    found = {}
    for name in sheets():
        path = ROOT / "chapters" / f"{name}.ipynb"
        title = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        found[name] = minutes(title.partition("**Time.**")[2])
    return found


def total(page: str) -> float:
    """Return the minutes to read a chapter and to do all of its exercises."""
    return reading()[page] + sheets()[page].minutes


def split(costs: list[float], groups: int) -> list[int]:
    """Return where to cut `costs` into consecutive groups so that the dearest group is as cheap as can be.

    >>> split([3, 1, 1, 4], 2)
    [2]
    """
    if not 1 <= groups <= len(costs):
        raise ValueError(f"{len(costs)} costs make 1 to {len(costs)} groups, not {groups}")
    sums = [0, *accumulate(costs)]
    best = [{i: (sums[i], []) for i in range(1, len(sums))}]  # by the last group's end: the dearest, the cuts
    for _ in range(groups - 1):
        ends = range(len(best) + 1, len(sums))
        best.append(
            {
                end: min(
                    (max(dearest, sums[end] - sums[cut]), [*cuts, cut])
                    for cut, (dearest, cuts) in best[-1].items()
                    if cut < end
                )
                for end in ends
            }
        )
    return best[-1][len(costs)][1]


def marks(page: str | None = None) -> list[tuple[str, int, int]]:
    """Return each kind of exercise with how many there are and what they give together, in points.

    Args:
        page: of a chapter; None: of the whole book.
    """
    chosen = [sheet for name, sheet in sheets().items() if page in (None, name)]
    counts = Counter(item["kind"] for sheet in chosen for item in sheet.exercises)
    counts["quiz"] = sum(len(sheet.quiz) for sheet in chosen)
    return [(kind, counts[kind], counts[kind] * points) for kind, (points, _) in POINTS.items()]


def weeks(number: int) -> list[list[str]]:
    """Return the chapters of each week of a course, whose longest week is as short as can be."""
    pages = list(reading())
    cuts = [0, *split([total(page) for page in pages], number), len(pages)]
    return [pages[start:end] for start, end in pairwise(cuts)]
