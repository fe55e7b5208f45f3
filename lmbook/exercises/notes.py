"""Texts for readers that a notebook shows without quotes, in lines of 76 characters."""

import re
import textwrap

WIDTH = 76


class Note(str):
    """A text whose repr is itself, in lines of 76 characters: a notebook shows it without quotes."""

    def __repr__(self) -> str:
        return wrapped(str(self))


def wrapped(text: str) -> str:
    """Return small Markdown as plain text: prose in lines of 76 characters, fenced code as it is."""
    lines: list[str] = []
    for i, part in enumerate(text.split("```")):
        if i % 2:
            lines.append(part.partition("\n")[2].rstrip("\n"))
            continue
        for paragraph in filter(None, map(str.strip, re.split(r"\n\s*\n|\n(?=- )", part))):
            lines.append(textwrap.fill(" ".join(paragraph.split()), WIDTH, break_long_words=False))
    return "\n\n".join(lines).replace("\n\n- ", "\n- ")
