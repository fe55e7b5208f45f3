"""The rubrics of the last chapter's projects give full marks to what deserves them, and to nothing else."""

from collections import Counter
from functools import cache
from pathlib import Path

import nbformat
import pytest
import torch

from lmbook import NGramLM
from lmbook.filters import min_p, top_p
from lmbook.toy import ToyLanguage
from lmbook.training.recipes import load_trained

CHAPTER = Path(__file__).parents[2] / "chapters" / "11_next.ipynb"
CELLS = ("project-filter", "project-filter-rubric", "project-counts-texts", "project-counts")


@cache
def rubrics():
    """Run the cells of the rubrics, and return their names."""
    sources = {cell.id: cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells}
    setup = "\n".join(line for line in sources["setup"].splitlines() if not line.startswith("%"))
    names = {"language": ToyLanguage(), "causal": load_trained("toy-causal")[0]}
    for source in (setup, *(sources[name] for name in CELLS)):
        exec(source, names)
    return names


def shifted(logits):
    """Forget to look at each row alone."""
    return logits.masked_fill(logits < logits.amax() - 3, -torch.inf)


@pytest.mark.parametrize(
    ("keep", "points"),
    [
        (lambda logits: min_p(logits, 0.1), [True] * 5),
        (lambda logits: top_p(logits, 0.8), [True] + [False] * 4),
        (lambda logits: logits, [True, False, True, False, True]),
        (shifted, [False]),
    ],
)
def test_marks_of_filters(keep, points):
    assert rubrics()["judge_filter"](keep) == points


def discounted(texts, discount=0.75):
    """Absolute discounting of each order, mixed with the one below."""
    size, orders = rubrics()["language"].vocab_size, [{}, {}, {}]
    for text in texts:
        for n, after in enumerate(orders):
            for start in range(len(text) - n):
                *history, word = text[start : start + n + 1]
                after.setdefault(tuple(history), Counter())[word] += 1

    def row(pair):
        probs = [1 / size] * size
        for n, after in enumerate(orders):
            counts = after.get(pair[2 - n :], Counter())
            if total := counts.total():
                rest = discount * len(counts) / total
                probs = [max(counts[w] - discount, 0) / total + rest * p for w, p in enumerate(probs)]
        return probs

    return row


def kneser_ney(texts, scale=1.0, **options):
    model = NGramLM(3, rubrics()["language"].vocab_size, **options).fit(torch.tensor(texts))
    return lambda pair: (scale * model(torch.tensor([pair]))[0, -1].exp()).tolist()


@pytest.mark.parametrize(
    ("estimate", "points"),
    [
        (discounted, [True, True, True, False]),
        (kneser_ney, [True, True, True, False]),
        (lambda texts: kneser_ney(texts, discount=0.8), [True] * 4),
        (lambda texts: kneser_ney(texts, scale=1.01), [False]),
        (lambda texts: lambda pair: [float("nan")] * rubrics()["language"].vocab_size, [False]),
        (
            lambda texts: lambda pair: [1.0] + [0.0] * (rubrics()["language"].vocab_size - 1),
            [True, False, False, False],
        ),
    ],
)
def test_marks_of_counts(estimate, points):
    assert rubrics()["judge_counts"](estimate) == points
