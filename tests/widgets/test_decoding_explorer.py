"""The decoding explorer: its Python, and its JavaScript against the filters of lmbook."""

import json
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lm_parity import sharpened
from view_scope import run_js

from lmbook import CausalLM, MaskedLM, ToyLanguage, filters
from lmbook.widgets import DecodingExplorer
from lmbook.widgets.decoding_explorer import DIALS, apply_filter
from lmbook.widgets.packing import rounded

LANGUAGE = ToyLanguage()
PROMPT = "the gull that the gull sees"
LOOK = """
const [net, { automaton }] = loadModels(model.get('headers'), model.get('weights'));
const numbers = (rows) => rows.map((row) => Array.from(row, (x) => (x === -Infinity ? '-inf' : x)));
"""


@pytest.fixture(scope="module")
def causal():
    torch.manual_seed(3)
    return sharpened(CausalLM(LANGUAGE.vocab_size, 12, 3, 2, context_length=29))


@pytest.fixture(scope="module")
def explorer(causal):
    return DecodingExplorer(causal, LANGUAGE, prompt=PROMPT)


def chains(count: int = 120) -> list[list[dict]]:
    """Filters in random orders with random values, each switched on in two chains of three."""
    draws = torch.Generator().manual_seed(2)
    found = []
    for _ in range(count):
        chain = []
        for i in torch.randperm(len(DIALS), generator=draws).tolist():
            key, dial = list(DIALS.items())[i]
            steps = int((min(dial.high, 87) - dial.low) / dial.step)
            value = dial.low + dial.step * int(torch.randint(steps + 1, (), generator=draws))
            on = bool(torch.rand((), generator=draws) < 2 / 3)
            chain.append({"key": key, "on": on, "value": round(value, dial.digits)})
        found.append(chain)
    return found


def by_lmbook(logits: torch.Tensor, ids: list[int], chain: list[dict]) -> list[torch.Tensor]:
    """The same by `filters.compose`, stage by stage."""
    stages = [logits]
    for step in chain:
        if step["on"]:
            stages.append(apply_filter(stages[-1], torch.tensor(ids), step["key"], step["value"]))
    return stages


class TestThePage:
    def test_filters_in_any_order_are_those_of_lmbook(self, explorer, tmp_path):
        """120 chains, stage by stage, on logits that Python gives: the same words, equal to 1e-6."""
        draws = torch.Generator().manual_seed(4)
        logits = 3 * torch.randn(87, generator=draws, dtype=torch.float64)
        ids, data = [5, 17, 17, 5, 17, 3, 5, 17], chains()
        got = run_js(
            tmp_path,
            explorer,
            "print(saved.data.chains.map((chain) => stagesOf(saved.data.logits, saved.data.ids, chain)"
            ".map(({ key, logits }) => [key, Array.from(logits, (x) => (x === -Infinity ? null : x))])));",
            {"logits": logits.tolist(), "ids": ids, "chains": data},
        )
        for chain, stages in zip(data, got, strict=True):
            assert [key for key, _ in stages] == ["", *(step["key"] for step in chain if step["on"])]
            for (_, found), expected in zip(stages, by_lmbook(logits, ids, chain), strict=True):
                found = torch.tensor([-math.inf if x is None else x for x in found], dtype=torch.float64)
                torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)

    def test_order_matters_on_this_page_as_in_python(self, causal, explorer, tmp_path):
        orders = [("temperature", "top_p"), ("top_p", "temperature")]
        values = {"temperature": 2.0, "top_p": 0.9}
        data = [[{"key": key, "on": True, "value": values[key]} for key in order] for order in orders]
        got = run_js(
            tmp_path,
            explorer,
            LOOK + "const { logits } = net.session(saved.data.ids);"
            "const count = (stage) => summary(softmax(stage.logits), []).count;"
            "print(saved.data.chains.map((chain) => count(stagesOf(logits, saved.data.ids, chain).at(-1))));",
            {"ids": LANGUAGE.encode(PROMPT), "chains": data},
        )
        assert got[0] > got[1]
        expected = [
            DecodingExplorer(causal, LANGUAGE, prompt=PROMPT, filters=list(values.items())),
            DecodingExplorer(causal, LANGUAGE, prompt=PROMPT, filters=list(values.items())[::-1]),
        ]
        assert got == [int(widget.logits()[-1].isfinite().sum()) for widget in expected]

    def test_what_is_told_of_a_distribution(self, explorer, tmp_path):
        probs = [0.5, 0.25, 0.125, 0.125, 0]
        count, impossible, entropy = run_js(
            tmp_path,
            explorer,
            "const s = summary(Float64Array.from(saved.data), [true, false, true, false, true]);"
            "print([s.count, s.impossible, s.entropy]);",
            probs,
        )
        assert (count, impossible) == (4, 0.375)
        assert entropy == pytest.approx(1.75 * math.log(2), abs=1e-12)

    def test_the_exact_language_says_what_is_possible(self, explorer, tmp_path):
        ids = LANGUAGE.encode(PROMPT)
        got = run_js(tmp_path, explorer, LOOK + "print(automaton.dist(saved.data));", ids)
        torch.testing.assert_close(
            torch.tensor(got, dtype=torch.float64),
            LANGUAGE(torch.tensor([ids]))[0, -1].exp(),
            atol=1e-12,
            rtol=0,
        )

    def test_draws_follow_the_distribution_and_the_seed(self, explorer, tmp_path):
        probs = [0.5, 0, 0.3, 0.15, 0.05]
        many, again, other, none, few = run_js(
            tmp_path,
            explorer,
            "const p = Float64Array.from(saved.data);"
            "print([[10000, 1], [10000, 1], [10000, 2], [0, 1], [9, 1]].map(([n, seed]) => {"
            "  const { counts, last } = drawWords(p, n, seed); return [[...counts], last]; }));",
            probs,
        )
        assert many == again != other
        assert none == [[0] * 5, []]
        for counts, last in (many, other):
            assert sum(counts) == 10_000
            assert counts[1] == 0
            assert len(last) == 12
            expected = [10_000 * p for p in probs]
            chi = sum((n - e) ** 2 / e for n, e in zip(counts, expected, strict=True) if e)
            assert chi < 16.3  # 3 degrees of freedom: 1 in 1,000
        assert sum(few[0]) == len(few[1]) == 9
        assert [few[1].count(w) for w in range(5)] == few[0]


class TestPython:
    def test_stages_are_those_of_the_page_model(self, causal, explorer):
        ids = torch.tensor([LANGUAGE.encode(PROMPT)])
        model, hot, cut = explorer.logits()
        torch.testing.assert_close(model, rounded(causal).double()(ids)[0, -1].detach(), atol=1e-12, rtol=0)
        assert hot.equal(filters.temperature(model, 2.0))
        assert cut.equal(filters.top_p(hot, 0.9))

    def test_plain_text(self, explorer):
        text = repr(explorer)
        lines = text.split("\n")
        assert lines[0] == f"DecodingExplorer: the next word after {PROMPT!r}"
        assert [line.split(":")[0] for line in lines[1:]] == [
            "the model",
            "then Temperature 2.00",
            "then Top-p (nucleus) 0.90",
        ]
        for line, logits in zip(lines[1:], explorer.logits(), strict=True):
            probs = logits.softmax(-1)
            best = int(probs.argmax())
            assert f": {int((probs > 0).sum())} words, {LANGUAGE.vocab[best]} {probs[best]:.2f}" in line
        assert "0x" not in text

    def test_all_filters_are_there_once_and_the_wanted_come_first(self, causal):
        widget = DecodingExplorer(causal, LANGUAGE, filters=[("min_p", 0.2), ("top_k", 87)])
        assert [step["key"] for step in widget.chain[:2]] == ["min_p", "top_k"]
        assert [step["on"] for step in widget.chain] == [True] * 2 + [False] * 7
        assert {step["key"] for step in widget.chain} == set(DIALS) == {dial["key"] for dial in widget.dials}
        tops = {dial["key"]: dial["to"] for dial in widget.dials}
        assert tops["top_k"] == 87
        json.dumps([widget.chain, widget.dials])  # no infinity travels

    def test_a_small_vocabulary_has_small_sliders(self):
        coin = ToyLanguage(grammar={"start": {"a": (0.75, "start"), "b": (0.25, "start")}})
        torch.manual_seed(0)
        model = CausalLM(2, 8, 1, 1, context_length=9)
        widget = DecodingExplorer(model, coin, prompt="a b", presets=())
        assert next(step["value"] for step in widget.chain if step["key"] == "top_k") == 2

    @given(st.sampled_from(sorted(DIALS)), st.floats(0, 1))
    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_every_slider_stays_where_the_filter_accepts_it(self, key, where):
        dial = DIALS[key]
        top = min(dial.high, 87)
        value = round(dial.low + dial.step * int(where * (top - dial.low) / dial.step), dial.digits)
        assert dial.low <= dial.at <= top
        left = apply_filter(torch.linspace(-3, 4, 87), torch.tensor([3, 9, 3]), key, value)
        assert left.isfinite().any()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"prompt": "the cat"}, "a prompt has words outside the language's vocabulary of 87: 'cat'"),
            ({"prompt": ""}, "a prompt must have from 1 to 24 words, '' has 0"),
            ({"presets": ["the", "the " * 25]}, "from 1 to 24 words"),
            ({"presets": "the seals"}, "presets must be a list of prompts, got 'the seals'"),
            ({"filters": [("topk", 3)]}, "a filter must be one of temperature, top_k, .*, got 'topk'"),
            ({"filters": [("top_p", 0.0)]}, "top_p must be from 0.01 to 1 on the page, got 0.0"),
            ({"filters": [("top_k", 88)]}, "top_k must be from 1 to 87 on the page, got 88"),
            ({"filters": [("top_k", 8), ("top_k", 9)]}, "a filter stands once in the order"),
            ({"draws": -1}, "draws must be at least 0, got -1"),
            ({"draws": 10_001}, "got 10001"),
            ({"seed": 2**32}, "seed must be at most 4,294,967,295, got 4294967296"),
        ],
    )
    def test_wrong_arguments_are_named(self, causal, change, message):
        with pytest.raises(ValueError, match=message):
            DecodingExplorer(causal, LANGUAGE, **change)

    def test_models_of_the_wrong_kind_are_refused(self):
        with pytest.raises(TypeError, match="DecodingExplorer runs a CausalLM, got MaskedLM"):
            DecodingExplorer(MaskedLM(87, 12, 3, 1), LANGUAGE)
