"""The playground's parts against lmbook, and what its Python side packs and refuses."""

import json
from functools import partial

import lm_parity as parity
import numpy as np
import pytest
import torch

from lmbook import CausalLM, MaskedLM, NGramLM, ToyLanguage, filters
from lmbook.tokenizer import PIECES, BPETokenizer, CharTokenizer
from lmbook.training.recipes import load_trained
from lmbook.widgets import Playground, PlaygroundModel

LANGUAGE = ToyLanguage()
CHARACTERS = CharTokenizer("abcdefghijklm")
TEXT = "the cat sat on the mat. a dog sat on the cat, and the mat sat still. " * 7


def small(vocab_size: int = 13, context_length: int = 17) -> CausalLM:
    torch.manual_seed(5)
    return parity.sharpened(CausalLM(vocab_size, 16, 2, 1, context_length=context_length), 2.0)


class TestSettings:
    def test_the_filters_act_one_after_the_other(self, run):
        logits = np.random.default_rng(3).normal(0, 2, 37)
        penalties = {"repetition": 1.5, "frequency": 0.4, "presence": 0.7, "noRepeat": 2}
        cuts = {"temperature": 1.6, "k": 20, "p": 0.8, "minP": 0.03, "typical": 0.9, "sigma": 1.5}
        cases = [
            {"temperature": 0.7},
            {"temperature": 0},
            {"k": 5},
            {"p": 0.6},
            {"minP": 0.2},
            {"typical": 0.5},
            {"sigma": 0.8},
            *({key: value} for key, value in penalties.items()),
            cuts,
            cuts | penalties,
            cuts | penalties | {"scope": "written"},
            cuts | {"order": "p.temperature.minP"},
            cuts | penalties | {"order": "sigma.k.temperature.frequency.p.repetition", "scope": "written"},
        ]
        ids, prompt = [3, 1, 4, 1, 5, 9, 3, 1], 4
        got = run(
            """const logits = fromBase64(data.logits, Float64Array);
            return data.cases.map(({ order = '', ...more }) => {
              const settings = { ...lib.plainSettings(), ...more, order: lib.orderFrom(order) };
              const text = { ids: data.ids, promptLength: data.prompt };
              return [settings.order, toBase64(lib.shapeLogits(logits, settings, text))];
            });""",
            {"logits": parity.encoded(logits), "cases": cases, "ids": ids, "prompt": prompt},
        )
        for case, (order, text) in zip(cases, got, strict=True):
            ignored = prompt if case.get("scope") == "written" else 0
            steps = {
                "repetition": partial(filters.repetition_penalty, prompt_ignore_length=ignored),
                "frequency": partial(filters.frequency_penalty, prompt_ignore_length=ignored),
                "presence": partial(filters.presence_penalty, prompt_ignore_length=ignored),
                "noRepeat": partial(filters.no_repeat_ngram, prompt_ignore_length=ignored),
                **{"temperature": filters.temperature, "k": filters.top_k, "p": filters.top_p},
                **{"minP": filters.min_p, "typical": filters.typical, "sigma": filters.top_n_sigma},
            }
            assert set(order) == set(steps)
            want = torch.from_numpy(logits)
            for key in order:
                if key in case:
                    more = (torch.tensor(ids),) if key in penalties else ()
                    want = steps[key](want, *more, case[key])
            np.testing.assert_allclose(parity.decoded(text, "<f8"), want.numpy(), rtol=0, atol=1e-6)


class TestOwnText:
    LEARN = """const steps = lib.learnText(data.text, data.options);
      const shares = [];
      for (;;) {
        const { value, done } = steps.next();
        if (!done) shares.push(value);
        if (done) {
          const { model, ...about } = value;
          const prompt = data.prompt ?? [];
          return { about, shares, tokens: model.tokenizer.tokens, dist: [...model.dist(prompt)],
            counts: model.counts.levels.length };
        }
      }"""

    @pytest.mark.parametrize(("unit", "order"), [("word", 3), ("char", 5), ("word", 1)])
    def test_counts_as_python_does(self, run, unit, order):
        tokens = PIECES.findall(TEXT) if unit == "word" else list(TEXT)
        options = {"unit": unit, "order": order, "name": "own"}
        got = run(self.LEARN, {"text": TEXT, "options": options, "prompt": [3, 1, 2]})
        index = {token: i for i, token in enumerate(got["tokens"])}
        assert set(got["tokens"]) == {*tokens} | ({"<unk>"} if unit == "word" else set())
        ids = torch.tensor([index[token] for token in tokens])
        want = NGramLM(order, len(index)).fit(ids)(torch.tensor([[3, 1, 2]]))[0, -1].softmax(-1)
        np.testing.assert_allclose(got["dist"], want.numpy(), rtol=0, atol=1e-6)
        assert (got["about"]["numTokens"], got["about"]["numTypes"]) == (len(tokens), len(set(tokens)))
        assert (got["about"]["unread"], got["about"]["isCut"]) == (0, False)
        assert got["shares"] == sorted(got["shares"])
        assert 0 <= got["shares"][0] <= got["shares"][-1] <= 1

    def test_a_chunk_ends_where_a_word_does(self, run):
        text = " ".join(f"word{i} {'x' * (i % 23)}\n  {i}," for i in range(9000))
        got = run(
            """const steps = lib.learnText(data, { unit: 'word', order: 1, name: 'own' });
            let step;
            do step = steps.next(); while (!step.done);
            return [step.value.numTokens, step.value.numTypes];""",
            text,
        )
        pieces = PIECES.findall(text)
        assert got == [len(pieces), len(set(pieces))]


class TestPython:
    def test_one_model(self):
        widget = Playground(small(), CHARACTERS, prompt="abc")
        assert [header["name"] for header in widget.headers] == ["model"]
        assert widget.about == [{"name": "model", "prompts": ["abc"], "note": ""}]
        assert 0 < widget.headers[0]["rounding"]["nats"] < 1e-3
        assert "after “abc”: '" in repr(widget)
        json.dumps(widget.headers)

    def test_says_what_the_model_says(self):
        model = small()
        probs = model(torch.tensor([[0, 1]]))[0, -1].detach().softmax(-1)
        best = int(probs.argmax())
        text = repr(Playground(model, CHARACTERS, prompt="ab"))
        assert f"{CHARACTERS.decode([best])!r} {float(probs[best]):.2f}" in text

    def test_several_models(self):
        ids = torch.arange(260) % 13
        ngram = NGramLM(3, 13).fit(ids)
        entries = [
            PlaygroundModel(name="a", model=small(), tokenizer=CHARACTERS, prompts=["ab"]),
            PlaygroundModel(name="b", model=ngram, tokenizer=CHARACTERS, ids=ids),
            PlaygroundModel(name="c", model=LANGUAGE, tokenizer=LANGUAGE, prompts=["the gull"]),
        ]
        widget = Playground(entries, own_text=False, smollm2=False)
        assert [header["kind"] for header in widget.headers] == ["transformer", "ngram", "automaton"]
        assert "b: no prompt yet" in repr(widget)
        assert (widget.own_text, widget.smollm2) == (False, False)
        (judge,) = widget.judges
        assert (judge["kind"], judge["vocab_size"]) == ("automaton", LANGUAGE.vocab_size)
        assert not Playground(small(), CHARACTERS, prompt="abc").judges
        assert Playground(entries).smollm2

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: Playground(small()), TypeError, "needs the model's tokenizer, got None"),
            (lambda: Playground(MaskedLM(13, 16, 2, 1), CHARACTERS), TypeError, "see MaskedExplorer"),
            (lambda: Playground(torch.nn.Linear(2, 2), CHARACTERS), TypeError, "got Linear"),
            (lambda: Playground([]), ValueError, "at least one model"),
            (lambda: Playground([small()]), TypeError, "holds PlaygroundModel, got CausalLM"),
            (
                lambda: Playground(small(), CHARACTERS, prompt="a" * 18),
                ValueError,
                "18 tokens, .* at most 17",
            ),
            (lambda: Playground(small(), CHARACTERS, prompt="a" * 2001), ValueError, "2001 .*limit is 2000"),
            (lambda: Playground(small(), CHARACTERS, prompt="xyz"), ValueError, "'x'"),
            (
                lambda: Playground(small(11), CHARACTERS),
                ValueError,
                "tokenizer has 13 tokens, the model 'm.* 11",
            ),
            (
                lambda: Playground(CausalLM(512, 256, 4, 2), BPETokenizer([(97, 98)])),
                ValueError,
                r"would take [\d,]+ bytes, the limit of a widget is 1,000,000",
            ),
        ],
    )
    def test_what_it_refuses(self, make, error, message):
        with pytest.raises(error, match=message):
            make()


class TestBooksModels:
    def test_ngram(self, run):
        ids = LANGUAGE.sample(1, 20_000, generator=torch.Generator().manual_seed(2))[0]
        model = NGramLM(5, LANGUAGE.vocab_size).fit(ids)
        assert parity.ngrams_apart(run, model, LANGUAGE, ids) < 1e-6

    @pytest.mark.parametrize("name", ["toy-causal", "shakespeare"])
    def test_greedy_and_beam(self, run, name):
        model, _ = load_trained(name)
        rows = [row[:11] for row in parity.prompts(model)[90:120:10]]
        assert parity.check_searches(run, model, rows, 8) == 3 * 18
