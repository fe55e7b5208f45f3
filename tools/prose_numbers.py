"""Lists every number in the chapters' prose with what shows it: `python tools/prose_numbers.py [CHAPTER …]`.

A number counts as shown

- by an output above it that rounds to it (a number of one or two digits: by one of the twelve cells above,
  unless its paragraph says *above* or is in the summary);
- by a setting: a number in the code of a cell nearby, or the product of two neighbours there;
- by its own paragraph: what one operation makes of other numbers there;
- by the last output: the difference, or the relative change in per cent, of two numbers in one column;
- by a chapter that its paragraph names, if that chapter prints it;
- by a source, if its sentence cites one.

Captions and alternative texts of figures are prose too. A page without cells is shown by any chapter.

Whatever else remains stands in `tests/book/test_prose_numbers.toml`, with the reason. A short number can be
shown by chance, so after a change read the listing too.

Not looked at are whole numbers up to twelve and numbers in words (they count what is in the text), years,
displayed formulas, whole numbers below 100 in other formulas, code, links, and numbers that belong to a name
(chapter 4, GPT-2, 5-gram, line 7).
"""

import io
import itertools
import math
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

CHAPTERS = Path(__file__).resolve().parents[1] / "chapters"
NEAR = 12  # cells: numbers of one or two digits are looked for no farther away
COUNTING = 12  # whole numbers up to here count things
SCALES = {
    "%": 0.01,
    "per cent": 0.01,
    "percent": 0.01,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
}
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")
CITED = "¤"

DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
NUMBER = re.compile(
    rf"(?<![\w.,⁻])(?<![A-Za-z]-)({DIGITS})(?![\w⁰¹²³⁴⁵⁶⁷⁸⁹⁻^]|[.,]\d|-[A-Za-z])"
    rf"(?:\s*({'|'.join(SCALES)})(?!\w))?"
)
POWER = re.compile(rf"(?<![\w.,])({DIGITS})(?:\^\{{?([−-]?[\d.]+)\}}?|([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))")
PRINTED = re.compile(rf"(?<![A-Za-z\d.])({DIGITS})(e[+-]?\d+)?(\s?%)?")
ROUGHLY = re.compile(r"\b(?:about|some|nearly|almost|over|around|than)\s+$", re.IGNORECASE)

OUTSIDE_PROSE = [
    (re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE), ""),
    (re.compile(r"\$\$.*?\$\$(?: *\(\S+\))?", re.DOTALL), "\n\n"),
    (re.compile(r"\{cite(?::\w)?\}`[^`]*`"), CITED),
    (re.compile(r"\{term\}`([^`<]*)(?:<[^`>]*>)?`"), r"\1"),
    (re.compile(r"\{doc\}`[^`]*?0(\d)_[^`]*`"), r"chapter \1"),
    (re.compile(r"\{[\w:]+\}`[^`]*`|`[^`]*`|<[^<>\s]+>"), ""),
    (re.compile(r"\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(?m)^ *(?:> )?\d+\. "), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\b(\d+)/(\d+)/(\d+)\b"), r"\1 % \2 % \3 %"),  # 80/10/10, shares of a hundred
]
NAMES = re.compile(
    r"\b(?:chapters?|sections?|cases?|lines?|numbers?|equations?|appendix|theorem|step|token|word|question)\s+"
    r"[A-Z]?\.?\d[\d.,]*(?:(?: and| to|,) \d[\d.]*)*\b|\bLlama 3\.1\b|\b(?:1[5-9]|20)\d\d\b(?![,.]\d)",
    re.IGNORECASE,
)
END_OF_SENTENCE = re.compile(r"(?<=[.?!])[\"”*)]*\s+(?=[(*“\"$A-Z])")


@dataclass(frozen=True)
class Claim:
    """A number as the prose gives it, with half a unit of its last digit."""

    text: str
    value: float
    half: float

    def reads(self, value: float) -> bool:
        """Say whether `value`, rounded as this claim is, reads the same."""
        return abs(abs(value) - self.value) <= self.half * (1 + 1e-9)


class Power(Claim):
    """A power, such as 10⁷⁴ or 87²⁰: its value is its logarithm, and only the order of magnitude is said."""

    def reads(self, value: float) -> bool:
        """Say whether `value` is of this order of magnitude."""
        return 0 < value < math.inf and abs(math.log10(value) - self.value) <= self.half


@dataclass(frozen=True)
class Found:
    """A claim in a cell, and what shows it: nothing if `shown` is empty."""

    chapter: str
    cell: str
    claim: Claim
    sentence: str
    shown: str


def number(digits: str) -> float:
    return float(digits.replace(",", ""))


def unit(digits: str) -> float:
    return 10.0 ** -len(digits.partition(".")[2])


def claims(text: str, *, all_of_formulas: bool = False) -> Iterator[Claim]:
    """Yield the numbers that cleaned prose claims; if asked, small ones in formulas too."""
    text = NAMES.sub(lambda found: " " * len(found[0]), text)
    for found in POWER.finditer(text):
        exponent = float((found[2] or found[3]).translate(SUPERSCRIPTS))
        yield Power(found[0], exponent * math.log10(number(found[1]) or 1), 0.5)
        if all_of_formulas:
            yield Claim(found[1], number(found[1]), unit(found[1]) / 2)
    text = POWER.sub(lambda found: " " * len(found[0]), text)
    formulas = [found.span() for found in re.finditer(r"\$[^$]+\$", text)]
    for found in NUMBER.finditer(text):
        digits, scale = found[1], SCALES.get(found[2], 1.0)
        whole = "." not in digits and not found[2]
        in_formula = any(a < found.start() < b for a, b in formulas)
        limit = (-1 if all_of_formulas else 99) if in_formula else COUNTING
        if whole and number(digits) <= limit:
            continue
        last = unit(digits) * scale
        if whole and ROUGHLY.search(text[: found.start()]):  # about 1,200: to the hundred
            last = 10.0 ** (len(digits) - len(digits.replace(",", "").rstrip("0")) - digits.count(","))
        yield Claim(found[0], number(digits) * scale, last / 2)


def prose(cell: NotebookNode) -> str:
    """Return the Markdown of a cell, or the caption and the alternative text of its figure."""
    if cell.cell_type == "markdown":
        return cell.source
    about = cell.metadata.get("mystnb", {})
    return "\n\n".join((about.get("figure", {}).get("caption", ""), about.get("image", {}).get("alt", "")))


def paragraphs(markdown: str) -> Iterator[str]:
    """Yield the paragraphs, list entries and table rows of Markdown, cleaned of what isn't prose."""
    for pattern, instead in OUTSIDE_PROSE:
        markdown = pattern.sub(instead, markdown)
    for block in re.split(r"\n\s*\n|\n(?=[-*|>#] ?)", markdown):
        yield " ".join(block.split())


def printed(cell: NotebookNode) -> str:
    """Return the text that a cell put out."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        texts += [output.get("text", ""), output.get("evalue", ""), data.get("text/plain", "")]
    return re.sub(r"<Figure .*>", "", "\n".join(texts))


def grid(text: str) -> list[list[float]]:
    """Return the numbers of each line of an output; one with a per cent sign also as a share."""
    lines = []
    for line in text.splitlines():
        row = []
        for digits, power, percent in PRINTED.findall(line):
            row.append(float(digits.replace(",", "") + power) * (0.01 if percent else 1))
        lines.append(row)
    return [row for row in lines if row]


def settings(code: str) -> list[list[float]]:
    """Return the numbers in each line of code, and the products of neighbours."""
    rows: dict[int, list[float]] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(code.replace("%config", "#")).readline):
            if token.type == tokenize.NUMBER and re.fullmatch(r"[\d_.]+(e-?\d+)?", token.string):
                rows.setdefault(token.start[0], []).append(float(token.string.replace("_", "")))
    except tokenize.TokenError:
        pass
    return [row + [a * b for a, b in itertools.pairwise(row)] for row in rows.values()]


def differences(claim: Claim, a: float, b: float) -> Iterator[float]:
    """Yield the difference of two numbers, and the relative changes for a claim in per cent."""
    yield a - b
    if a and b and re.search("%|per ?cent", claim.text):
        yield from (1 - a / b, 1 - b / a, 1 - a, 1 - b)


def columns(rows: list[list[float]]) -> Iterator[tuple[float, float]]:
    """Yield the pairs of numbers in one column, counted from the left or the right."""
    for column in (*itertools.zip_longest(*rows), *itertools.zip_longest(*(row[::-1] for row in rows))):
        yield from itertools.combinations([x for x in column if x is not None], 2)


def combined(claim: Claim, others: list[Claim]) -> str:
    """Say how one operation makes a claim out of other numbers of its paragraph; nothing if none does."""
    powers = [other for other in others if isinstance(other, Power)]
    if isinstance(claim, Power):
        near = (f"like {other.text}" for other in powers if abs(other.value - claim.value) <= claim.half)
        return "a formula" if not claim.text.startswith("10") else next(near, "")
    if any(claim.reads(10**power.value) for power in powers if abs(power.value) < 99):
        return "a formula"
    values = [other.value for other in others if other not in powers]
    for a in values:
        if 0 < a < 99 and any(map(claim.reads, (1 - a, math.exp(a), math.log(a), math.log2(a)))):
            return f"made of {a:g}"
    for a, b in itertools.permutations(values, 2):
        if any(map(claim.reads, (a * b, a / b if b else b, *differences(claim, a, b)))):
            return f"made of {a:g} and {b:g}"
    return ""


def contains(claim: Claim, rows: list[list[float]]) -> bool:
    return any(claim.reads(value) for row in rows for value in row)


def significant(claim: Claim) -> int:
    return len(re.sub(r"\D", "", claim.text).lstrip("0"))


class Book:
    """The chapters, and what shows a number in each."""

    def __init__(self, folder: Path = CHAPTERS) -> None:
        paths = sorted(folder.glob("*.ipynb"))
        self.cells = {path.stem: nbformat.read(path, as_version=4).cells for path in paths}
        self.pages = sorted(path.stem for path in folder.glob("*.md"))
        for name in self.pages:
            text = (folder / f"{name}.md").read_text(encoding="utf-8")
            self.cells[name] = [nbformat.v4.new_markdown_cell(text, id=name)]
        self.printed = {name: [grid(printed(cell)) for cell in cells] for name, cells in self.cells.items()}
        self.set = {
            name: [settings(cell.source) if cell.cell_type == "code" else [] for cell in cells]
            for name, cells in self.cells.items()
        }

    def numbers(self, name: str) -> Iterator[Found]:
        """Yield each number in a chapter's prose with what shows it."""
        for place, cell in enumerate(self.cells[name]):
            reach = NEAR
            for paragraph in paragraphs(prose(cell)):
                if paragraph.startswith("## "):
                    reach = place if paragraph == "## Summary" else NEAR
                for sentence in END_OF_SENTENCE.split(paragraph):
                    for claim in claims(sentence):
                        others = [
                            other for other in claims(paragraph, all_of_formulas=True) if other != claim
                        ]
                        shown = (
                            self.by_output(name, place, place if " above" in paragraph else reach, claim)
                            or self.by_setting(name, place, reach, claim)
                            or combined(claim, others)
                            or self.by_difference(name, place, claim)
                            or self.by_chapter(name, paragraph, claim)
                            or ("cited" if CITED in sentence else "")
                        )
                        yield Found(name, cell.id, claim, sentence, shown)

    def by_output(self, name: str, place: int, reach: int, claim: Claim) -> str:
        """Name the nearest cell above that prints a claim; nothing if none does."""
        for i in reversed(range(place + 1)):  # a figure may print its own numbers
            if contains(claim, self.printed[name][i]) and (significant(claim) > 2 or place - i <= reach):
                return f"printed by {self.cells[name][i].id}"
        return ""

    def by_setting(self, name: str, place: int, reach: int, claim: Claim) -> str:
        """Name a cell nearby whose code has a claim; nothing if none has."""
        for i in sorted(range(len(self.cells[name])), key=lambda i: abs(i - place)):
            if contains(claim, self.set[name][i]) and (significant(claim) > 2 or abs(place - i) <= reach):
                return f"set by {self.cells[name][i].id}"
        return ""

    def by_difference(self, name: str, place: int, claim: Claim) -> str:
        """Name the last output, if two of its numbers give a claim; nothing if they don't."""
        last = next((i for i in reversed(range(place)) if self.printed[name][i]), 0)
        for a, b in columns(self.printed[name][last]):
            if significant(claim) > 1 and any(map(claim.reads, differences(claim, a, b))):
                return f"made of {a:g} and {b:g} in {self.cells[name][last].id}"
        return ""

    def by_chapter(self, name: str, paragraph: str, claim: Claim) -> str:
        """Name a chapter that the paragraph names and that prints a claim; nothing if there is none."""
        named = {f"{int(number):02}" for number in re.findall(r"[Cc]hapter (\d+)", paragraph)}
        for other in self.cells:
            asked = other[:2] in named or name in self.pages
            if asked and any(contains(claim, rows) for rows in self.printed[other]):
                return f"printed in {other}"
        return ""


def main(names: list[str]) -> None:
    book = Book()
    for name in names or book.cells:
        for found in book.numbers(name):
            shown = found.shown or f"NOTHING: {found.sentence}"
            print(f"{name}  {found.cell:24} {found.claim.text:>14}  {shown}")


if __name__ == "__main__":
    main(sys.argv[1:])
