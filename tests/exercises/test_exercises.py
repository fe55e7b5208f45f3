"""Exercises: every solution is run, every known mistake is made, and the page judges as Python does.

The oracle for a number is the solution's own code; for a function, the reference on the cases.
"""

import contextlib
import functools
import io
import itertools
import json
import math
import random
import re
import sys
import time
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from javascript import run_module

import lmbook.widgets
from lmbook.exercises import Verdict, chapters, check, checking, exercise, hint, load, solution, trial
from lmbook.exercises.functions import difference, reference
from lmbook.exercises.judging import judge
from lmbook.exercises.reading import SENTENCES, read_number, spellings
from lmbook.exercises.specification import KINDS, LETTERS, Exercise, half_unit, read_exercise
from lmbook.widgets import Exercises

ITEMS = [item for chapter in chapters() for item in (*load(chapter).exercises, *load(chapter).quiz)]
EXERCISES = [item for chapter in chapters() for item in load(chapter).exercises]
NUMBERS = [item for item in ITEMS if item.answer is not None and item.kind == "number"]
CODE = [item for item in ITEMS if item.kind == "code"]
ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads(Path(__file__).with_name("answers.json").read_text("utf-8"))  # read by tests/js too
each = lambda items: pytest.mark.parametrize("item", items, ids=lambda item: item.id)  # noqa: E731


@cache
def started(chapter: str) -> dict:
    """The names that the notebook of a chapter has when its exercises begin."""
    names: dict = {}
    exec(load(chapter).setup, names)
    return names


def run(item: Exercise) -> tuple[dict, str]:
    """Run the solution of an exercise as the reader would; return its names and what it printed."""
    names = dict(started(item.id.split("-")[0]))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(item.code, names)
    return names, printed.getvalue().strip("\n")


def as_typed(value: float, item: Exercise) -> str:
    """What a reader types who has found `value` and knows how many digits are asked for."""
    return f"{value:.{item.digits or 12}g}"


class TestContent:
    @pytest.mark.parametrize("chapter", chapters())
    def test_each_chapter_has_its_quiz(self, chapter):
        assert 5 <= len(load(chapter).quiz) <= 8

    @pytest.mark.parametrize("chapter", sorted({*chapters()} - {"bugs", "next"}))  # these have few or none
    def test_each_chapter_has_its_share(self, chapter):
        sheet = load(chapter)
        assert len(sheet.exercises) >= 8
        assert {item.kind for item in sheet.exercises} == set(KINDS)
        minutes = [item.minutes for item in sheet.exercises]
        assert min(minutes) <= 2
        assert max(minutes) >= 20

    @each(EXERCISES)
    def test_has_hints_a_solution_and_known_mistakes(self, item):
        assert item.hints
        assert item.solution
        wrong = {
            "number": item.mistakes,
            "code": item.mistakes,
            "choice": [c for c in item.choices if not c.right],
            "prediction": item.bands[1:] or [c for c in item.choices if not c.right],
        }[item.kind]
        assert len(wrong) >= 2
        assert item.kind not in ("code", "prediction") or item.code

    @each([item for item in ITEMS if item.widget])
    def test_the_widget_that_is_asked_about_is_in_the_chapter(self, item):
        page = load(item.id.partition("-")[0]).page
        cells = json.loads((ROOT / "chapters" / f"{page}.ipynb").read_text("utf-8"))["cells"]
        assert item.widget in {cell["id"] for cell in cells if cell["cell_type"] == "code"}
        assert item.page()["widget"] == item.widget

    @each(ITEMS)
    def test_every_choice_has_its_reason(self, item):
        assert all(len(choice.reason) > 20 for choice in item.choices)
        assert len({choice.text for choice in item.choices}) == len(item.choices)

    @each([item for item in ITEMS if item.code and item.kind != "code"])
    def test_the_solution_gives_the_answer(self, item):
        names, printed = run(item)
        if item.choices:
            right = next(i for i, choice in enumerate(item.choices) if choice.right)
            assert names["answer"] == LETTERS[right]
        else:
            slack = 0.02 * item.page()["tolerance"] if item.kind == "number" else 1e-3 * abs(item.answer)
            assert float(names["answer"]) == pytest.approx(item.answer, abs=max(slack, 1e-9))
            assert check(item.id, names["answer"]).state in ("right", "noted")
        if item.kind == "prediction":
            assert printed == item.output

    @each([item for item in NUMBERS if not item.id.count("quiz")])
    def test_an_answer_is_computed_not_typed(self, item):
        assert "answer" in run(item)[0]

    @each(CODE)
    def test_the_reference_is_right(self, item):
        names, _ = run(item)
        verdict = check(item.id, names[item.function])
        assert verdict, verdict
        assert item.function in item.stub

    @each(CODE)
    def test_a_stub_says_nothing_yet(self, item):
        names: dict = {}
        exec(item.stub, names)
        assert check(item.id, names[item.function]).text == "The function returns nothing yet (None)."


def place_of_right(item: Exercise) -> int:
    return next(i for i, choice in enumerate(item.choices) if choice.right)


class TestChoices:
    """Nothing about how a choice looks says that it is the right one."""

    ASKED = tuple(item for item in ITEMS if item.choices)

    def test_the_right_one_is_about_as_often_the_longest_or_shortest_as_others(self):
        by_chance = sum(1 / len(item.choices) for item in self.ASKED)
        ranks = []
        for item in self.ASKED:
            lengths = [len(choice.text) for choice in item.choices]
            right = lengths.pop(place_of_right(item))
            ranks.append("longest" if right > max(lengths) else "shortest" if right < min(lengths) else "")
        assert 0.5 * by_chance < ranks.count("longest") < 1.2 * by_chance, ranks.count("longest")
        assert 0.5 * by_chance < ranks.count("shortest") < 1.5 * by_chance, ranks.count("shortest")

    @each(ASKED)
    def test_the_right_one_does_not_stand_out_by_its_length(self, item):
        lengths = [len(choice.text) for choice in item.choices]
        right = lengths.pop(place_of_right(item))
        assert right <= 1.25 * max(lengths) + 5

    def test_the_right_ones_are_spread_over_the_places(self):
        for place in range(max(len(item.choices) for item in self.ASKED)):
            by_chance = sum(1 / len(item.choices) for item in self.ASKED if len(item.choices) > place)
            found = sum(place_of_right(item) == place for item in self.ASKED)
            assert abs(found - by_chance) <= max(2, 0.2 * by_chance), LETTERS[place]

    def test_a_question_is_the_same_in_another_order_and_another_with_another_choice(self):
        def choice(text: str, *, right: bool) -> dict:
            return {"text": text, "reason": "why", "right": right}

        yes, no, never = choice("yes", right=True), choice("no", right=False), choice("never", right=False)
        first, again, changed, turned = (
            make(kind="choice", choice=choices)["print"]
            for choices in (
                [yes, no],
                [no, yes],
                [yes, never],
                [{**yes, "right": False}, {**no, "right": True}],
            )
        )
        assert first == again
        assert len({first, changed, turned}) == 3


def test_the_reference_of_two_sweeps_equals_an_enumeration():
    """masked-11: all fillings of the gaps, each with its probability."""
    for (first, step, words, place), found in zip(*reference(exercise("masked-11")), strict=True):
        weights = [0.0] * len(first)
        for filled in itertools.product(*(range(len(first)) if w is None else [w] for w in words)):
            joint = first[filled[0]] * math.prod(step[u][w] for u, w in itertools.pairwise(filled))
            weights[filled[place]] += joint
        assert found.value == pytest.approx([w / sum(weights) for w in weights], abs=1e-12)


NOTHING_CHOSEN = {
    # how the mean is written: (loss of each token, mask) -> loss, whether a weight gets NaN
    "picked, mean": (lambda losses, mask: losses[mask].mean(), False),
    "picked, sum by count": (lambda losses, mask: losses[mask].sum() / mask.sum(), False),
    "replaced by 0, sum by count": (lambda losses, mask: losses.where(mask, 0).sum() / mask.sum(), False),
    "multiplied, sum by count": (lambda losses, mask: (losses * mask).sum() / mask.sum(), True),
}


@pytest.mark.parametrize(("mean", "spoils"), NOTHING_CHOSEN.values(), ids=NOTHING_CHOSEN)
def test_a_mean_over_nothing_is_as_the_quiz_says(mean, spoils):
    """masked-quiz-5: the loss is always NaN; the weights are lost where losses are multiplied by the mask."""
    layer, mask = torch.nn.Linear(3, 5), torch.zeros(6, dtype=torch.bool)
    losses = torch.nn.functional.cross_entropy(layer(torch.ones(6, 3)), torch.arange(6) % 5, reduction="none")
    loss = mean(losses, mask)
    loss.backward()
    assert loss.isnan()
    expected = torch.full_like(layer.weight, math.nan if spoils else 0)
    torch.testing.assert_close(layer.weight.grad, expected, equal_nan=True, rtol=0, atol=0)
    reason = next(choice.reason for choice in exercise("masked-quiz-5").choices if choice.right)
    assert f"{0.85**6:.0%}".replace("%", " %") in reason


class TestMistakes:
    @each(NUMBERS)
    def test_a_known_number_is_answered_with_its_reason(self, item):
        for mistake in item.mistakes:
            value = eval(mistake.code, dict(started(item.id.split("-")[0])))
            assert value == pytest.approx(mistake.answer, rel=1e-6, abs=1e-9), mistake.code
            typed = as_typed(mistake.answer, item)
            if float(typed) in item.page().get("rounded", ()):  # it is the right one to fewer digits
                typed = repr(mistake.answer)
            verdict = check(item.id, typed)
            assert (verdict.state, verdict.text) == ("wrong", mistake.reason)

    @each([item for item in NUMBERS if item.unit.startswith(("nats", "bits per"))])
    def test_nats_for_bits_and_bits_for_nats(self, item):
        factor = math.log(2) if item.unit.startswith("bits") else 1 / math.log(2)
        verdict = check(item.id, as_typed(item.answer * factor, item))
        assert not verdict
        assert ("in nats" if item.unit.startswith("bits") else "in bits") in verdict.text

    @each(CODE)
    def test_a_known_wrong_function_is_answered_with_its_reason(self, item):
        _, expected = reference(item)
        assert not any(outcome.problem for outcome in expected)
        for mistake in item.mistakes:
            names: dict = {}
            exec(mistake.code, names)
            verdict = check(item.id, names[item.function])
            assert (verdict.state, verdict.text) == ("wrong", mistake.reason)

    @each([item for item in ITEMS if item.choices])
    def test_each_choice_is_answered_with_its_reason(self, item):
        for letter, choice in zip(LETTERS, item.choices, strict=False):
            judged = judge(item.page(), letter)
            assert judged.state == ("right" if choice.right else "wrong")
            assert judged.text.endswith(choice.reason)

    @each([item for item in ITEMS if item.bands])
    def test_each_band_can_be_reached_and_the_answer_has_its_own(self, item):
        ends = [band.upto for band in item.bands]
        assert ends == sorted(ends)
        assert ends[-1] == math.inf
        for low, band in zip([-math.inf, *ends], item.bands, strict=False):
            guess = band.upto if math.isfinite(band.upto) else math.nextafter(low, math.inf)
            assert judge(item.page(), repr(float(guess))).text.endswith(band.text)


AWKWARD = [
    *(
        "",
        " ",
        "four",
        "nan",
        "-inf",
        "∞",
        "1,5",
        "1,234.5",
        "1/0",
        "0/0",
        "1e999",
        "2..3",
        "--1",
        "1/2/3",
        "½",
    ),
    *(
        "7 apples",
        "4 bits",
        "4 bit",
        "12 %",
        "−3",
        "+3",
        ".5",
        "5.",
        "1e-3",
        "1 / 4",
        "a",
        "B",
        "(c)",
        "h",
        "ab",
    ),
    *(
        "219,136",
        "1,234,567",
        "12,34",
        "0,375",
        "0.99^100",
        "0.85 ** 20",
        "2^3^2",
        "-2^2",
        "(-8)^(1/3)",
        "0^-1",
    ),
    *(
        "ln(87)",
        "log 87",
        "log2(20)/4.2",
        "log(0)",
        "sqrt(-1)",
        "exp(1000)",
        "1e308*10",
        "1e-320",
        "1/1e-320",
    ),
    *("(1+2)*3", "((4", "4)", "1/(1-1)", "4 +", "4 - apples", "2·2", "8/2", "4/bits", "(" * 100, "9" * 81),
    *("5 tokens", "149 tokens/s", "1 token per second", "2 bits / byte", "4 x", "3 times", "360 megabytes"),
    *(
        "50 per cent",
        "0.5",
        "1/2",
        "1",
        "5",
        "-3 %",
        "101",
        "0",
        "1 %",
        "4\u00a0bits",
        "\ufeff4",
        "\x1c4",
        "\x854",
    ),
    *(
        "ſqrt(4)",
        "K",
        "İ",
        "🙂",
        "👍" * 41,
        "4 ²",
        "٤",
        "log(1)",
        "ln",
        "e",
        "NaN",
        "-NAN",
        "Infinity",
        "nan bits",
    ),
    *("<b>4</b>", "4 {given}", "$& 4", "0x10", "1_000", "4\n", "١٢", "answer", "()", "4 nats per token"),
]


def guesses() -> list[tuple[str, str]]:
    """Answers to all that the page can judge: right, wrong in known ways, near, far, and nonsense."""
    draw = random.Random(0)
    found = []
    for item in ITEMS:
        if item.kind == "code":
            continue
        texts = [*AWKWARD, *LETTERS]
        if item.answer is not None:
            known = [m["answer"] for m in item.page().get("mistakes", [])]
            for value in [item.answer, *known, *(draw.gauss(item.answer, 1) for _ in range(5))]:
                texts += [f"{value:.{digits}g}" for digits in (1, 2, 3, 4, 12)]
                texts += [f"{value:.3g} {item.unit}", f"{100 * value:.3g}%", repr(value * (1 + 1e-3))]
        found += [(item.id, text) for text in texts]
    return found


def test_the_page_judges_as_python_does(tmp_path):
    asked = guesses()
    pages = {item.id: item.page() for item in ITEMS}
    module = Path(lmbook.widgets.__file__).parent / "core" / "judging.js"
    script = """
    const [asked, pages, sentences] = saved;
    const all = asked.map(([id, text]) => judge(pages[id], text, sentences));
    print(all.map(({ state, text }) => [state, text]));
    """
    got = run_module(tmp_path, module.read_text("utf-8"), script, [asked, pages, SENTENCES])
    want = [list(judge(pages[name], text)) for name, text in asked]
    assert len(got) > 1000
    apart = [(a, g, w) for a, g, w in zip(asked, got, want, strict=True) if g != w]
    assert not apart, apart[:3]
    assert {state for state, _ in got} == {"right", "wrong", "unreadable"}


class TestNumbers:
    @pytest.mark.parametrize(("given", "unit", "answer", "value"), TABLE["read"])
    def test_what_people_write_is_read(self, given, unit, answer, value):
        read = read_number(given, unit, grouped=abs(answer) >= 1000)
        assert read == (pytest.approx(value, rel=1e-12), "")

    @pytest.mark.parametrize(("given", "unit", "answer", "sentence"), TABLE["refused"])
    def test_what_may_mean_something_else_is_refused(self, given, unit, answer, sentence):
        value, problem = read_number(given, unit, grouped=abs(answer) >= 1000)
        assert math.isnan(value)
        assert problem.startswith(SENTENCES[sentence].split("{")[0])
        assert re.sub(r".*”", "", SENTENCES[sentence]) in problem

    @pytest.mark.parametrize(("given", "unit", "state"), TABLE["predicted"])
    def test_a_prediction_in_per_cent_or_as_a_share(self, given, unit, state):
        bands = [{"upto": 200, "text": "so"}]
        assert judge(make(answer=100, unit=unit, kind="prediction", band=bands), given).state == state

    @pytest.mark.parametrize(("unit", "found"), TABLE["units"].items())
    def test_a_unit_has_several_spellings(self, unit, found):
        assert list(spellings(unit)) == sorted(found)

    @pytest.mark.parametrize(
        ("text", "unit", "value"),
        [
            ("4", "", 4),
            (" −0.5 ", "", -0.5),
            ("1/3", "", 1 / 3),
            ("2.5e-3", "", 0.0025),
            ("12 %", "", 0.12),
            ("12 %", "%", 12),
            ("1.03 bits", "bits per byte", 1.03),
            ("1 bit", "bits per byte", 1),
            ("1.03 bits per byte", "bits per byte", 1.03),
            (".5", "", 0.5),
            ("0.99^100", "", 0.99**100),
            ("2^3**2", "", 512),
            ("-2^2", "", -4),
            ("ln(87)", "", math.log(87)),
            ("log 87 / 2", "", math.log(87) / 2),
            ("log2(20)/4.2 bits/byte", "bits per byte", math.log2(20) / 4.2),
            ("(1 + 2) · 3", "", 9),
            ("4.5 bits", "bits", 4.5),
            ("1 token", "tokens", 1),
            ("149 tokens/s", "tokens per second", 149),
            ("67 x", "times", 67),
            ("377 megabytes", "MB", 377),
            ("12 per cent", "share", 0.12),
        ],
    )
    def test_what_can_be_read(self, text, unit, value):
        assert read_number(text, unit) == (pytest.approx(value, rel=1e-12), "")

    def test_thousands_may_be_grouped_where_the_answer_has_some(self):
        assert judge(make(answer=219136), "219,136").state == "right"
        assert judge(make(answer=219136), "21,9136").state == "unreadable"
        assert judge(make(answer=4), "4,000").state == "unreadable"

    def test_the_right_number_to_fewer_digits_is_no_known_mistake(self):
        page = exercise("probability-3").page()
        assert judge(page, "0.37").text == SENTENCES["close"].format(digits=3)
        assert judge(page, "0.3697").text.startswith("Off by one")

    @pytest.mark.parametrize("item", [item for item in ITEMS if item.bands], ids=lambda item: item.id)
    def test_no_prediction_is_noted_that_may_be_meant_otherwise(self, item):
        states = {text: judge(item.page(), text).state for text in ("1/2", "1", "5", "-0.1", "101", "50 %")}
        doubtful = {
            "%": {"1/2", "1", "-0.1", "101"},
            "probability": {"5", "-0.1", "101"},
            "share": {"5", "-0.1", "101"},
        }.get(item.unit, {"50 %"} if item.unit else set())
        assert {text for text, state in states.items() if state == "unreadable"} == doubtful

    def test_the_unit_is_asked_for_in_words(self):
        assert "asked for as a share of one; “bits”" in read_number("4 bits", "share")[1]
        assert "asked for in bytes; “bits”" in read_number("4 bits", "bytes")[1]

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("four", "can’t be read"),
            ("1,500", "comma"),
            ("nan", "logarithm of zero"),
            ("inf", "overflow"),
            ("1/0", "divides by zero"),
            ("2 nats", "asked for in bits"),
            ("2***3", "can’t be read"),
            ("log(0)", "logarithm of zero"),
            ("0^-1", "overflow"),
            ("219,136", "comma"),
        ],
    )
    def test_what_can_not(self, text, part):
        value, problem = read_number(text, "bits")
        assert math.isnan(value)
        assert part in problem

    def test_significant_digits(self):
        item = make(answer=1.0292, digits=3)
        states = {text: judge(item, text).state for text in ("1.03", "1.029", "1.0299", "1.02", "1.04", "1")}
        assert [text for text, state in states.items() if state == "right"] == ["1.03", "1.029", "1.0299"]
        assert judge(item, "1.02").text == SENTENCES["close"].format(digits=3)
        assert judge(item, "2").text == "2 is too large."
        assert judge(item, "-7").text == "-7 is too small."
        assert half_unit(54.3, 3) == pytest.approx(0.05, rel=1e-5)
        assert half_unit(0.00123, 2) == pytest.approx(0.00005, rel=1e-5)

    def test_an_exact_number_is_exact(self):
        item = make(answer=11)
        assert [judge(item, text).state for text in ("11", "11.0", "22/2", "11.001")] == ["right"] * 3 + [
            "wrong"
        ]

    def test_per_cent_of_a_probability(self):
        item = make(answer=0.375, digits=3, unit="probability")
        assert judge(item, "37.5 %").state == "right"
        assert "per cent" in judge(item, "37.5").text
        assert "sign" in judge(item, "-0.375").text


def make(**fields: object) -> dict:
    entry = {"id": "made-1", "title": "t", "kind": "number", "text": "?", **fields}
    return read_exercise(entry).page()


def forever(*_):
    while True:
        pass


def stubborn(*_):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


def hungry(*_):
    kept = []
    while True:
        kept.append(bytearray(2**26))


def bottomless(*args):
    return bottomless(*args)


class TestCheck:
    CODE = "probability-5"

    @pytest.fixture(autouse=True)
    def unpredicted(self, monkeypatch):
        monkeypatch.setattr(checking, "_predictions", {})

    @pytest.mark.parametrize(
        ("function", "part"),
        [
            (lambda logits, ids: 1 / 0, "raises ZeroDivisionError"),
            (lambda logits, ids: math.nan, "gives NaN"),
            (lambda logits, ids: "seven", "gives a string where a number is asked for"),
            (lambda logits, ids: None, "returns nothing yet"),
            (lambda logits, ids: [1.0, 2.0], "gives a list or tensor of 2 where a number"),
            (lambda logits, ids: {}, "gives a dict where a number"),
            (lambda logits: 1.0, "raises TypeError"),
            (lambda logits, ids: sys.exit(3), "leaves Python"),
            (lambda logits, ids: undefined, "raises NameError"),  # noqa: F821
            (lambda logits, ids: 3.0, "gives 3, it should be"),
            (bottomless, "calls itself without end"),
            (7, "A function is asked for, and this is an int"),
            (None, "A function is asked for"),
        ],
    )
    def test_a_function_that_goes_wrong_gets_a_sentence(self, function, part, capfd):
        verdict = check(self.CODE, function)
        assert verdict.state in ("wrong", "unreadable")
        assert part in verdict.text
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("forks", [True, False])
    def test_an_error_names_the_line_of_the_readers_cell(self, forks, monkeypatch):
        cells = ("def half(n):\n\n\n    return n / 0\n", "\ndef f(logits, ids):\n    return half(1)\n")
        names: dict = {"__name__": "__main__"}
        for number, cell in enumerate(cells):
            exec(compile(cell, f"cell {number}", "exec"), names)
        monkeypatch.setattr(trial, "FORKS", forks and trial.FORKS)
        told = repr(check(self.CODE, names["f"])).splitlines()
        assert "ZeroDivisionError" in told[0]
        assert told[-1] == "The error is in line 3 of your code."
        names["f"] = functools.lru_cache(
            lambda logits, ids: names["half"](1)
        )  # lines of other modules are none
        assert "The error is in line 4 of your code." in check(self.CODE, names["f"]).text
        assert "The error is in line" not in check(self.CODE, lambda logits, ids: 1 / 0).text

    @pytest.mark.parametrize("function", [forever, time.sleep, stubborn])
    def test_a_function_that_never_ends_is_ended(self, function):
        slow = (lambda *_: time.sleep(3600)) if function is time.sleep else function
        verdict = check(self.CODE, slow, seconds=0.3)
        assert "had not finished after 0.3 s" in verdict.text

    @pytest.mark.skipif(not trial.FORKS, reason="a thread can't be kept from taking memory")
    def test_a_function_that_takes_all_memory_is_stopped(self, monkeypatch):
        monkeypatch.setattr(trial, "MEMORY", 2**28)
        assert "MemoryError" in check(self.CODE, hungry, seconds=10).text

    @pytest.mark.skipif(not trial.FORKS, reason="a thread can end its process")
    def test_a_function_that_ends_the_process_ends_a_copy(self):
        import os

        assert "exit code 9" in check(self.CODE, lambda *_: os._exit(9)).text

    def test_a_function_that_writes_into_its_arguments_is_told_so(self):
        def careless(logits, ids):
            logits -= logits.logsumexp(-1, keepdim=True)
            return logits[:-1].gather(1, ids[1:, None]).mean().neg().exp().item()

        calls, _ = reference(exercise(self.CODE))
        before = calls[0][0].clone()
        assert "writes into what it is given" in check(self.CODE, careless).text
        assert torch.equal(calls[0][0], before)

    @pytest.mark.parametrize("forks", [True, False])
    def test_what_a_function_prints_is_seen(self, forks, capsys, monkeypatch):
        def loud(logits, ids):
            print("length", len(ids))
            return logits.log_softmax(-1)[:-1].gather(1, ids[1:, None]).mean().neg().exp()

        monkeypatch.setattr(trial, "FORKS", forks and trial.FORKS)
        assert check(self.CODE, loud)
        calls, _ = reference(exercise(self.CODE))
        expected = "".join(f"length {len(ids)}\n" for _, ids in calls)
        assert capsys.readouterr() == (expected, "")

    @pytest.mark.parametrize("forks", [True, False])
    def test_prints_without_end_are_cut_and_seen_before_the_end(self, forks, capsys, monkeypatch):
        def endless(*_):
            while True:
                print("again")

        monkeypatch.setattr(trial, "FORKS", forks and trial.FORKS)
        monkeypatch.setattr(trial, "PRINTED", 100)
        assert "had not finished" in check(self.CODE, endless, seconds=1).text
        printed = capsys.readouterr().out
        assert printed.startswith("again\nagain\n")
        assert printed.endswith("… and more\n")
        assert len(printed) < 120

    @pytest.mark.parametrize("forks", [True, False])
    def test_a_recursion_that_branches_is_told_from_a_loop(self, forks, monkeypatch):
        def cuts(word, tokens):
            return sum(cuts(word[n:], tokens) for n in range(1, len(word) + 1)) if word else 1

        def branching(*_):
            return cuts("a" * 40, ())

        def loop_inside(depth):
            return loop_inside(depth - 1) if depth else forever()

        monkeypatch.setattr(trial, "FORKS", forks and trial.FORKS)
        assert "`cuts` calls itself again and again" in check(self.CODE, branching, seconds=1).text
        for function in (forever, lambda *_: loop_inside(5)):
            assert "is there a loop that never ends" in check(self.CODE, function, seconds=1).text

    @pytest.mark.parametrize("answer", [4, 4.0, "4", torch.tensor(4.0), torch.tensor([[4]])])
    def test_a_number_in_any_form(self, answer):
        assert check("probability-1", answer)

    @pytest.mark.parametrize("answer", [True, [4], None, {}, check, torch.zeros(2), 1j])
    def test_what_is_no_number(self, answer):
        verdict = check("probability-1", answer)
        assert verdict.state == "unreadable"
        assert "A number is asked for" in verdict.text

    def test_a_prediction_is_noted_before_it_is_judged(self):
        before = check("probability-4")
        assert before.text == "Predict first: check('probability-4', your_answer)."
        assert "can’t be read" in check("probability-4", "high").text
        noted = check("probability-4", 40)
        assert noted.state == "noted"
        assert "NGramLM(2, language" in noted.text
        assert "87" not in noted.text
        seen = check("probability-4")
        assert seen.state == "seen"
        assert "You said 40; it is 87." in seen.text

    def test_what_it_says_is_wrapped_and_code_is_not(self):
        verdict = check("probability-4", 40)
        assert max(map(len, repr(verdict).splitlines())) <= 90
        assert '\nprint(f"perplexity' in repr(verdict)
        assert repr(Verdict("a-1", "right", "Right.")) == "✓ a-1: Right."
        assert repr(solution("probability-1")).startswith("4\n\nTake logarithms")
        assert "def perplexity_of(logits, ids):\n    log_probs" in repr(solution("probability-5"))
        assert repr(hint("probability-1", 2)).startswith("Perplexity is the base")

    @pytest.mark.parametrize(
        ("call", "part"),
        [
            (lambda: check("probability-0", 1), "nearest are probability-"),
            (lambda: check("nothing", 1), "no exercise 'nothing'"),
            (lambda: check("probability-1", 4, seconds=0), r"must be above 0.*got 0"),
            (lambda: check("probability-1", 4, seconds=3601), "at most 3600, got 3601"),
            (lambda: hint("probability-1", 0), "hints 1 to 2, got 0"),
            (lambda: hint("probability-1", 9), "hints 1 to 2, got 9"),
            (lambda: hint("bugs-quiz-1"), "bugs-quiz-1 has no hints"),
            (lambda: check("probability-1", 4, seconds=math.nan), "got nan"),
            (lambda: load("poetry"), "no exercises for a chapter 'poetry'"),
            (lambda: Exercises("poetry"), "no exercises for a chapter 'poetry'"),
            (lambda: make(kind="essay"), "kind must be one of"),
            (lambda: make(), "needs an answer"),
            (lambda: make(kind="choice"), "two to eight"),
            (lambda: make(answer=1, colour="red"), "unknown keys"),
        ],
    )
    def test_wrong_calls_are_told(self, call, part):
        with pytest.raises(ValueError, match=part):
            call()


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name):
        raise SystemExit(name)

    def __eq__(self, other):
        raise ValueError

    def __float__(self):
        raise ValueError

    def __repr__(self):
        raise ValueError

    __hash__ = None


class Unsayable(Exception):
    def __str__(self):
        raise ValueError


class Leaving(Exception):
    def __str__(self):
        raise SystemExit


class Whole(int):
    def __repr__(self):
        raise ValueError

    __str__ = __repr__


class Nameless(type):
    @property
    def __name__(cls):
        raise SystemExit


class WithoutName(metaclass=Nameless):
    pass


class Countless(list):
    def __len__(self):
        raise SystemExit


HOLDING_FOUR = {
    "with a gradient": lambda: torch.tensor(4.0, requires_grad=True),
    "a parameter": lambda: torch.nn.Parameter(torch.tensor([4.0])),
    "bfloat16": lambda: torch.tensor([4.0], dtype=torch.bfloat16),
    "float8": lambda: torch.tensor(4.0).to(torch.float8_e5m2),
    "lazily negated": lambda: torch.tensor(0 - 4j).conj().imag,
    "sparse": lambda: torch.tensor([4.0]).to_sparse(),
    "float16": lambda: np.float16(4),
    "longdouble": lambda: np.longdouble(4),
    "an array": lambda: np.array([[4]]),
    "an array of objects": lambda: np.array([4], dtype=object),
    "Fraction": lambda: Fraction(8, 2),
    "Decimal": lambda: Decimal("4.0"),
    "a whole number of its own": lambda: Whole(4),
}
ODD_ANSWERS = {
    "5001 digits": lambda: 10**5000,
    "5001 digits below 0": lambda: -(10**5000),
    "Decimal beyond floats": lambda: Decimal("1e999999"),
    "signalling NaN": lambda: Decimal("sNaN"),
    "NaN": lambda: math.nan,
    "NaN in a tensor": lambda: torch.tensor(math.nan),
    "Fraction beyond floats": lambda: Fraction(10**400, 3),
    "wrong, with a gradient": lambda: torch.tensor(5.0, requires_grad=True),
    "on meta": lambda: torch.tensor(4.0, device="meta"),
    "several": lambda: torch.zeros(3, 5, dtype=torch.bfloat16, requires_grad=True),
    "sparse": lambda: torch.tensor([5.0]).to_sparse(),
    "complex": lambda: torch.tensor(4 + 0j),
    "an array of nothing": lambda: np.array([None]),
    "hostile": Hostile,
    "of a type without a name": WithoutName,
    "a list that can't be counted": lambda: Countless([1]),
    "a generator": lambda: (x for x in ()),
    "half a character": lambda: "\ud800",
    "very long": lambda: "9" * 10**5,
    "deep": lambda: "(" * 10**5,
}
ODD_RESULTS = {
    "401 digits": lambda: 10**400,
    "401 digits below 0": lambda: -(10**400),
    "5001 digits": lambda: 10**5000,
    "complex": lambda: 4j,
    "complex tensor": lambda: torch.tensor([4j]),
    "on meta": lambda: torch.tensor(4.0, device="meta"),
    "NaN": lambda: math.nan,
    "signalling NaN": lambda: Decimal("sNaN"),
    "hostile": Hostile,
    "of a type without a name": WithoutName,
    "a list that can't be counted": lambda: Countless([1]),
    "a list of hostile": lambda: [Hostile()],
    "a class without a name": lambda: type("", (), {})(),
    "half a character": lambda: "\ud800",
    "a function": lambda: forever,
}


def nested():
    rows = []
    rows.append(rows)
    return rows


def raising(error):
    def function(*_):
        raise error

    return function


def first_of(kind: str) -> str:
    return next(item.id for item in ITEMS if item.kind == kind)


named = lambda cases: pytest.mark.parametrize("make_it", cases.values(), ids=cases)  # noqa: E731


class TestWhateverIsGiven:
    @pytest.fixture(autouse=True)
    def unpredicted(self, monkeypatch):
        monkeypatch.setattr(checking, "_predictions", {})

    @named(HOLDING_FOUR)
    def test_the_right_number_is_understood_in_whatever_holds_it(self, make_it):
        assert check("probability-1", make_it())

    def test_a_fraction_is_the_number_that_it_stands_for(self):
        assert check("probability-2", Fraction(20, 29))
        assert check("probability-1", Fraction(5)).text == "5 is too large."

    def test_an_integer_beyond_every_float_is_called_infinite(self):
        assert check("probability-1", -(10**400)).text.startswith("“-inf” is not a number")

    @named(ODD_ANSWERS)
    @pytest.mark.parametrize("kind", ["number", "choice", "prediction", "code"])
    def test_an_odd_answer_is_judged(self, make_it, kind):
        verdict = check(first_of(kind), make_it())
        assert verdict.state in ("wrong", "unreadable", "noted")
        assert len(verdict.text.split()) > 2
        repr(verdict).encode()

    @named({**ODD_RESULTS, "a list in itself": nested})
    # asked for are a number, a list and a text
    @pytest.mark.parametrize("id", ["probability-5", "probability-10", "real_model-9"])
    def test_an_odd_result_is_judged(self, make_it, id):
        verdict = check(id, lambda *_: make_it())
        assert verdict.state == "wrong"
        assert len(verdict.text.split()) > 2
        repr(verdict).encode()

    @pytest.mark.parametrize(
        ("error", "part"),
        [
            (Unsayable(), "raises Unsayable"),
            (Leaving(), "raises Leaving"),
            (KeyboardInterrupt(), "raises KeyboardInterrupt"),
            (GeneratorExit(), "raises GeneratorExit"),
            (BaseExceptionGroup("two", [SystemExit()]), "raises BaseExceptionGroup"),
            (ValueError("\ud800"), "raises ValueError"),
        ],
    )
    def test_whatever_a_function_raises_is_told(self, error, part):
        verdict = check("probability-5", raising(error))
        assert part in verdict.text
        verdict.text.encode()

    def test_the_readers_own_interruption_is_not_kept_from_him(self, monkeypatch):
        monkeypatch.setattr(checking, "_written", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            check("probability-1", 4)

    def test_an_interruption_is_not_taken_for_the_reference(self):
        with pytest.raises(KeyboardInterrupt):
            trial.call_once(raising(KeyboardInterrupt()), ())

    @pytest.mark.skipif(not trial.FORKS, reason="a thread has no files of its own")
    def test_a_function_that_closes_its_files_and_goes_on_is_ended(self):
        import os

        def mute(*_):
            os.closerange(3, 256)
            forever()

        assert "ends the whole process" in check("probability-5", mute, seconds=1).text


@each(CODE)
def test_a_failing_call_can_be_pasted(item):
    names = {"torch": torch, item.function: lambda *args: args}
    for args in reference(item)[0]:
        again = eval(trial.show_call(item.function, args), dict(names))
        assert repr(trial.plain(again)) == repr(trial.plain(args))
        assert same_types(again, args)


def same_types(one: object, other: object) -> bool:
    if isinstance(other, torch.Tensor):
        return isinstance(one, torch.Tensor) and (one.dtype, one.shape) == (other.dtype, other.shape)
    if isinstance(other, list | tuple):
        return type(one) is type(other) and all(map(same_types, one, other))
    return type(one) is type(other)


def test_a_failing_call_is_shown_in_lines_as_it_is_typed():
    verdict = check("tokens-9", lambda *_: -1)
    call = repr(verdict).partition("\n\n")[2]
    args = reference(exercise("tokens-9"))[0][0]
    assert eval(call, {"number_of_cuts": lambda *args: args}) == args
    assert "This call gives -1, it should be " in repr(verdict)


def test_odd_values_in_a_call():
    assert trial.show_call("f", (torch.zeros(100, 70),)) == "f(<a tensor (100, 70) of torch.float32>)"
    assert trial.show_call("f", ((1, [2]), set(), (3,))) == "f((1, [2]), set(), (3,))"
    special = [torch.tensor([-math.inf, 1]), {"a": math.inf}, [float("nan")], "two  spaces"]
    again = eval(trial.show_call("f", (special,)), {"f": lambda arg: arg, "torch": torch})
    assert repr(again) == repr(special)


class TestTrial:
    """The thread that must do where processes can't be forked."""

    @pytest.fixture(autouse=True)
    def threads(self, monkeypatch):
        monkeypatch.setattr(trial, "FORKS", False)

    def test_right_and_wrong(self):
        names, _ = run(exercise("probability-5"))
        assert check("probability-5", names["perplexity_of"])
        assert "ZeroDivisionError" in check("probability-5", lambda logits, ids: 1 / 0).text

    def test_an_error_that_leaves_python_when_it_is_read_is_not_right(self):
        assert "raises Leaving" in check("probability-5", raising(Leaving())).text

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_function_that_ends_its_thread_is_not_right(self, monkeypatch):
        monkeypatch.setattr(trial, "call_once", raising(SystemExit()))
        assert trial.try_calls(len, [("",)], 1) == [trial.Outcome(problem="ends its thread")]

    @pytest.mark.parametrize("function", [forever])
    def test_ends_a_loop(self, function):
        assert "had not finished" in check("probability-5", function, seconds=0.2).text


@pytest.mark.parametrize(
    ("got", "want", "part"),
    [
        (1.00001, 1.0, ""),
        (1.001, 1.0, "gives 1.001, it should be 1"),
        (-math.inf, -math.inf, ""),
        (0.0, -math.inf, "it should be -inf"),
        ([1, 2], [1, 2], ""),
        ([1, 3], [1, 2], "gives 3 at [1], it should be 2"),
        ([[1], [2, 3]], [[1], [2, 4]], "gives 3 at [1][1], it should be 4"),
        ([1], [1, 2], "gives 1 values, there should be 2"),
        (1, [1, 2], "where a list or tensor of 2"),
        ([1, None], [1, 2], "returns None"),
        ("a", "b", "gives 'a', it should be 'b'"),
        (True, 1, ""),
    ],
)
def test_differences(got, want, part):
    assert part in difference(got, want)
    assert bool(difference(got, want)) == bool(part)


@pytest.mark.parametrize("chapter", chapters())
def test_the_widget_carries_the_questions_and_no_case(chapter):
    widget = Exercises(chapter)
    text = json.dumps(widget.sheet)
    assert all(item.cases not in text for item in CODE)
    assert all(item.id in repr(widget) for item in (*load(chapter).exercises, *load(chapter).quiz))
    assert repr(widget) == repr(Exercises(chapter))


@pytest.mark.parametrize("number", [0, 99, 1.0, "1", None, math.nan, [1]])
def test_a_number_that_no_hint_has(as_readers_run_it, number):
    with pytest.raises(ValueError, match=r"probability-1 has hints 1 to \d, got"):
        hint("probability-1", number)
