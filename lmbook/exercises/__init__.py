"""Exercises that answer: right, or what is wrong with this answer, in a notebook as on the published page.

Each chapter's exercises and quiz are one TOML file of this folder; `specification` reads them, `judging`
judges numbers and choices (as `lmbook/widgets/core/judging.js` does on the page), `reading` reads numbers,
`functions` tries a reader's function on cases, and `trial` sees to it that no function can harm the notebook.
`results` carries what was done to the page and back, as a file.

    check("probability-1", 4)          # a number; a choice is a letter, a function is given as it is
    hint("probability-1")              # the first hint, hint("probability-1", 2) the second
    solution("probability-1")          # only when you ask for it
    save_results("results.json")       # for the review page; load_results reads such a file
"""

from lmbook.exercises.checking import Note, Verdict, check, exercise, hint, solution
from lmbook.exercises.results import load_results, save_results
from lmbook.exercises.specification import chapters, load

__all__ = [
    "Note",
    "Verdict",
    "chapters",
    "check",
    "exercise",
    "hint",
    "load",
    "load_results",
    "save_results",
    "solution",
]
