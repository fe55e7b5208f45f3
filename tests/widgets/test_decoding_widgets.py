"""Beam tree and prompt explorer: their Python, and their JavaScript against it."""

import math

import numpy as np
import pytest
import torch
from view_scope import run_js

from lmbook import ToyLanguage, beam_search, filters, greedy_decode
from lmbook.widgets import BeamTree, PromptExplorer
from lmbook.widgets.prompt_explorer import NUCLEI, TEMPERATURES

LANGUAGE = ToyLanguage()
OTHER = {"0": (0.34, "…"), "1": (0.33, "…"), "2": (0.33, "…")}
TRAP = ToyLanguage(
    grammar={
        "start": {">": (1.0, "nothing")},
        "nothing": {"0": (0.52, "0"), "1": (0.48, "1")},
        "0": OTHER | {"0": (0.34, "00")},
        "1": {"0": (0.5, "…"), "1": (0.5, "…")},
        "00": {"0": (1.0, "…")},
        "…": OTHER,
    }
)


class TestBeamTree:
    @pytest.mark.parametrize(("language", "prompt", "length"), [(TRAP, ">", 3), (LANGUAGE, "the gull", 4)])
    def test_the_page_grows_what_python_finds(self, tmp_path, language, prompt, length):
        widget = BeamTree({"it": (language, prompt)}, length=length)
        got = run_js(
            tmp_path,
            widget,
            """const [net] = loadModels(model.get('headers'), model.get('tables'));
            const [start, n] = [model.get('starts')[0], model.get('length')];
            const trees = [1, 2, 3, 5].map((width) => growTree(net, start, width, n));
            print([...trees, greedyPath(net, start, n)]);
            """,
        )
        ids = torch.tensor([language.encode(prompt)])
        for width, tree in zip((1, 2, 3, 5), got, strict=False):
            text, score = beam_search(language, ids, width, length)
            assert tree["found"]["ids"] == text[0].tolist()
            assert tree["found"]["logProb"] == pytest.approx(score.item(), abs=1e-9)
            assert [len(step["kept"]) for step in tree["steps"]][-1] <= width
            for step in tree["steps"]:
                for one in step["kept"] + step["dropped"]:
                    exact = language.log_prob(torch.tensor([one["ids"]])) - language.log_prob(ids)
                    assert one["logProb"] == pytest.approx(exact.item(), abs=1e-9)
        assert got[-1]["ids"] == greedy_decode(language, ids, length)[0].tolist()

    def test_tells_the_trap(self):
        text = repr(BeamTree({"a trap": (TRAP, ">")}, length=3, num_beams=2))
        assert text.splitlines() == [
            "BeamTree: 3 words, 2 beams",
            "a trap, after '>':",
            "  greedy 0.1768  0 0 0",
            "  beam   0.0816  1 0 0",
            "  best   0.1768  0 0 0",
        ]

    def test_opens_where_all_three_differ(self):
        """After "the seals": greedy 0.0179, two beams 0.0209, the best text 0.0500."""
        searches = {"a trap": (TRAP, ">"), "seals": (LANGUAGE, "the seals"), "gulls": (LANGUAGE, "the gulls")}
        assert BeamTree(searches, length=3).search == 1
        assert BeamTree(searches, length=3, num_beams=1).search == 0

    @pytest.mark.usefixtures("as_readers_run_it")
    @pytest.mark.parametrize(
        ("searches", "options", "error", "message"),
        [
            ({}, {}, ValueError, "at least one search, got none"),
            ({"x": (TRAP, "")}, {}, ValueError, "at least one word, got ''"),
            ({"x": (TRAP, "> 0 2 0 >")}, {}, ValueError, "'x' can't produce its prompt '> 0 2 0 >'"),
            ({"x": (TRAP, "> 5")}, {}, ValueError, "5"),
            ({"x": (lambda ids: ids, ">")}, {}, TypeError, "ToyLanguage"),
            ({"x": (TRAP, ">")}, {"length": 9}, ValueError, "length must be from 1 to 8, got 9"),
            ({"x": (TRAP, ">")}, {"num_beams": 0}, ValueError, "num_beams must be from 1 to 8, got 0"),
            ({"x": (TRAP, ">")}, {"length": math.nan}, ValueError, "length must be from 1 to 8, got nan"),
            (
                {"x": (TRAP, ">")},
                {"num_beams": math.nan},
                ValueError,
                "num_beams must be from 1 to 8, got nan",
            ),
        ],
    )
    def test_what_it_refuses(self, searches, options, error, message):
        with pytest.raises(error, match=message):
            BeamTree(searches, **options)


class TestPromptExplorer:
    def logits(self):
        return 3 * torch.randn(2, 87, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def test_every_position_of_the_sliders_is_exact(self, tmp_path):
        logits = self.logits()
        widget = PromptExplorer(["one", "two"], logits, LANGUAGE, top=23)
        got = run_js(
            tmp_path,
            widget,
            """print([0, 1].map((i) => model.get('temperatures').map((_, t) =>
              model.get('nuclei').map((_, m) => readPrompt(model.get, i).at(t, m)))));""",
        )
        for i, row in enumerate(logits):
            order = row.argsort(descending=True, stable=True)
            for t, tau in enumerate(TEMPERATURES):
                warm = filters.temperature(row, tau)
                entropy = torch.special.entr(warm.softmax(-1)).sum().item()
                for m in range(0, len(NUCLEI), 3):
                    here, p = got[i][t][m], NUCLEI[m]
                    after = filters.top_p(warm, p)
                    want = after.softmax(-1)[order]
                    want = torch.cat((want[:23], want[23:].sum()[None])).numpy()
                    np.testing.assert_allclose(here["after"], want, atol=2e-6)
                    assert here["size"] == int(after.isfinite().sum())
                    assert here["entropy"] == pytest.approx(entropy, abs=1e-9)
                    before = row.softmax(-1)[order]
                    np.testing.assert_allclose(here["before"][:23], before[:23], atol=2e-6)

    def test_of_equals_the_first_alone_is_left_at_temperature_0(self, tmp_path):
        logits = torch.zeros(1, 87, dtype=torch.float64)
        logits[0, [5, 7]] = 2.0
        widget = PromptExplorer(["one"], logits, LANGUAGE, top=23, temperature=0.0, p=1.0)
        got = run_js(tmp_path, widget, "print(readPrompt(model.get, 0).at(0, 19));")
        assert (got["after"], got["size"], got["entropy"]) == ([1.0] + [0.0] * 23, 1, 0.0)
        assert repr(widget).splitlines()[1] == f"'one': {LANGUAGE.vocab[5]!r} 1.00"

    def test_tells_the_best(self):
        widget = PromptExplorer(["one", "two"], self.logits(), LANGUAGE, temperature=0.0, p=0.5)
        best = [LANGUAGE.vocab[i] for i in self.logits().argmax(-1)]
        lines = repr(widget).splitlines()
        assert lines[0] == "PromptExplorer at T = 0.0, p = 0.5"
        assert lines[1:] == [f"'one': {best[0]!r} 1.00", f"'two': {best[1]!r} 1.00"]
        other = PromptExplorer(["one", "two"], self.logits(), LANGUAGE, temperature=1.5, p=0.5)
        probs = filters.top_p(filters.temperature(self.logits()[1], 1.5), 0.5).softmax(-1).topk(3)
        told = [f"{LANGUAGE.vocab[i]!r} {q:.2f}" for q, i in zip(*probs, strict=True) if q > 0]
        assert repr(other).splitlines()[2] == f"'two': {', '.join(told)}"

    @pytest.mark.parametrize(
        ("prompts", "options", "message"),
        [
            ([], {}, "from 1 to 12 different texts"),
            (["a", "a"], {}, "different texts"),
            (["a"], {}, r"logits must be \(1, V\), got \(2, 87\)"),
            (["a", "b"], {"top": 9}, "top must be from 10 to 1000, got 9"),
            (["a", "b"], {"temperature": 2.5}, "temperature must be from 0.0 to 2.0 .* got 2.5"),
            (["a", "b"], {"p": 0.0}, "p must be from 0.05 to 1.0 .* got 0.0"),
            (["a", "b"], {"live": True}, "live needs SmolLM2's logits, V = 49152, got 87"),
        ],
    )
    def test_what_it_refuses(self, prompts, options, message):
        with pytest.raises(ValueError, match=message):
            PromptExplorer(prompts, self.logits(), LANGUAGE, **options)

    def test_refuses_nan(self):
        logits = self.logits()
        logits[1, 3] = float("nan")
        with pytest.raises(ValueError, match="logits must be finite"):
            PromptExplorer(["a", "b"], logits, LANGUAGE)
