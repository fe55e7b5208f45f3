"""WordVectors: its JavaScript against Python, and what it refuses."""

import math

import pytest
import torch
from view_scope import run_js

from lmbook.widgets import WordVectors

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]


@pytest.fixture
def tables():
    return torch.randn(3, 11, 7, generator=torch.Generator().manual_seed(0)) + 2


@pytest.fixture
def widget(tables):
    return WordVectors(WORDS, tables, steps=[0, 5, 30], word="four")


def test_the_page_finds_the_neighbours_that_python_finds(widget, tables, tmp_path):
    script = """const space = readSpace(model);
    print(space.steps.map((_, c) => space.words.map((_, word) => space.nearest(c, word))));"""
    centred = tables.half().double()
    centred = centred - centred.mean(dim=1, keepdim=True)
    for c, moment in enumerate(run_js(tmp_path, widget, script)):
        alike = torch.nn.functional.cosine_similarity(centred[c][:, None], centred[c][None], dim=-1)
        for word, found in enumerate(moment):
            best = alike[word].argsort(descending=True)[1:9]
            assert [one["other"] for one in found] == best.tolist()
            assert [one["cosine"] for one in found] == pytest.approx(alike[word, best].tolist(), abs=1e-9)
            named = widget.nearest(c, word)
            assert [name for name, _ in named] == [WORDS[i] for i in best]
            assert [cosine for _, cosine in named] == pytest.approx(alike[word, best].tolist(), abs=1e-9)


def test_dots_lie_where_the_vectors_point(widget, tables, tmp_path):
    script = """const space = readSpace(model);
    print(space.steps.map((_, c) => Array.from({ length: space.directions }, (_, k) =>
      space.words.map((_, word) => space.place(c, k, word)))));"""
    got = torch.tensor(run_js(tmp_path, widget, script)).double()
    centred = tables.half().double()
    centred = centred - centred.mean(dim=1, keepdim=True)
    spread = torch.linalg.svdvals(centred[-1])  # of the last moment, the largest first
    assert got.shape == (3, 6, 11)
    assert got.abs().max() == pytest.approx(1)
    lengths = got[-1].norm(dim=1)
    torch.testing.assert_close(lengths / lengths[0], spread[:6] / spread[0], atol=1e-5, rtol=0)


def test_plain_text(widget):
    lines = repr(widget).split("\n")
    assert lines[0] == "WordVectors: 11 words of 7 numbers, at 3 moments from step 0 to step 30"
    name, cosine = widget.nearest(2, 3, 1)[0]
    assert lines[2].startswith(f"nearest to four after 30 steps: {name} {cosine:.2f}, ")


@pytest.mark.usefixtures("as_readers_run_it")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": WORDS[:5]}, "a row for each of 2 words or more, got 11 for 5"),
        ({"steps": [0, 5]}, r"steps must be 3 rising numbers, got \[0, 5\]"),
        ({"steps": [0, 5, 5]}, r"steps must be 3 rising numbers, got \[0, 5, 5\]"),
        ({"word": "twelve"}, "word must be one of the 11 words, got 'twelve'"),
        ({"moment": 3}, "moment must be at most 2, got 3"),
        (
            {"tables": torch.full((3, 11, 7), math.nan)},
            "float16 holds .* the largest is nan",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tables, change, message):
    arguments = {"words": WORDS, "tables": tables, "steps": [0, 5, 30]} | change
    with pytest.raises(ValueError, match=message):
        WordVectors(**arguments)
