"""Widgets that run a trained model: their Python, and their JavaScript against it."""

import math

import pytest
import torch
from lm_parity import sharpened
from view_scope import run_js

from lmbook.evaluation import cross_entropy
from lmbook.ngram import NGramLM
from lmbook.toy import ToyLanguage
from lmbook.transformer import CausalLM, MaskedLM
from lmbook.widgets import AttentionExplorer, MaskedExplorer, ReplayRecorder, TrainingReplay
from lmbook.widgets.attention import subject_states
from lmbook.widgets.packing import rounded

SENTENCES = ["the gulls that follow the crab sleep.", "every horse near the barn rests. it sees the hen."]
COIN = {  # a language small enough to know by heart: 2 words and a full stop, which never follows "b"
    "start": {"a": (0.75, "start"), "b": (0.125, "after b"), ".": (0.125, "start")},
    "after b": {"a": (0.5, "start"), "b": (0.5, "after b")},
}


@pytest.fixture(scope="module")
def language():
    return ToyLanguage()


@pytest.fixture(scope="module")
def causal(language):
    torch.manual_seed(0)
    return sharpened(CausalLM(language.vocab_size, 12, 3, 2, context_length=29))


@pytest.fixture(scope="module")
def masked(language):
    torch.manual_seed(1)
    return sharpened(MaskedLM(language.vocab_size, 12, 3, 2, context_length=29))


@pytest.fixture(scope="module")
def held_out(language):
    return language.sample(5, 23, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def ids(language):
    return language.sample(3, 211, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def recorder(language, causal, held_out):
    """Three checkpoints: a unigram, a trigram, a transformer; all are language models."""
    recorder = ReplayRecorder(language, SENTENCES, held_out)
    for step, model in ((0, NGramLM(1, 87).fit(held_out)), (7, NGramLM(3, 87).fit(held_out)), (30, causal)):
        recorder(step, model)
    return recorder


class TestTrainingReplay:
    def test_page_reads_what_was_recorded(self, recorder, language, causal, tmp_path):
        script = """const r = readRecording(model);
        print(r.sentences.map((ids, s) => ids.slice(1).map((word, i) => {
          const row = r.row(s, i + 1);
          const checkpoints = r.steps.map((_, c) => [r.dist(c, row), r.surprise(c, row)]);
          return [checkpoints, r.exactDist(row), r.exactSurprise(row, word), wordsAt(r, row, word)];
        })));"""
        got = run_js(tmp_path, TrainingReplay(recorder), script)
        assert [len(rows) for rows in got] == [7, 11]
        for ids, rows in zip(recorder.ids, got, strict=True):
            exact = language(torch.tensor([ids]))[0].exp()
            last = causal(torch.tensor([ids]))[0].double().softmax(-1).detach()
            for t, (checkpoints, dist, surprise, words) in enumerate(rows):
                word = ids[t + 1]
                torch.testing.assert_close(torch.tensor(dist).double(), exact[t], atol=1e-6, rtol=0)
                assert surprise == pytest.approx(-math.log(exact[t, word]), abs=1e-6)
                # stored in 65,535ths
                torch.testing.assert_close(
                    torch.tensor(checkpoints[2][0]).double(), last[t], atol=8e-6, rtol=0
                )
                assert checkpoints[2][1] == pytest.approx(-math.log(last[t, word]), abs=1e-5)
                self.check_words(words, [dist, *(c[0] for c in checkpoints)], word)

    @staticmethod
    def check_words(words, dists, word):
        """7 words, the true one among them, none outside likelier than those inside; exact ones first."""
        height = torch.tensor(dists).amax(0)
        others = [w for w in range(87) if w not in words]
        assert len(set(words)) == 7
        assert word in words
        assert height[[w for w in words if w != word]].min() >= height[others].max()
        assert [dists[0][w] for w in words] == sorted((dists[0][w] for w in words), reverse=True)

    def test_recorder_knows_losses_and_floor(self, recorder, language, causal, held_out):
        assert recorder.steps == [0, 7, 30]
        assert recorder.floor == cross_entropy(language, held_out)
        assert recorder.losses[2] == cross_entropy(causal, held_out)
        recorder(31, causal, loss=1.25)
        assert recorder.losses[3] == 1.25
        words = torch.tensor([w for ids in recorder.ids for w in ids[1:]])
        own = torch.cat([causal(torch.tensor([i]))[0, :-1].double().log_softmax(-1) for i in recorder.ids])
        expected = -own[torch.arange(18), words].detach()
        torch.testing.assert_close(torch.from_numpy(recorder.surprises())[3], expected)

    def test_recorder_leaves_the_model_as_it_was(self, language, held_out):
        model = CausalLM(87, 12, 3, 1, context_length=29, dropout=0.5)
        recorder = ReplayRecorder(language, SENTENCES, held_out)
        recorder(0, model)
        recorder(1, model)
        assert model.training
        assert recorder.losses[0] == recorder.losses[1]  # without dropout

    @pytest.mark.usefixtures("as_readers_run_it")
    @pytest.mark.parametrize(
        ("step", "message"),
        [
            (math.nan, "step must be at least 0 and finite, got nan"),
            (-1, "step must be at least 0 and finite, got -1"),
            (29, "steps must rise: got 29 after 30"),
        ],
    )
    def test_recorder_refuses_steps_that_do_not_rise(self, recorder, causal, step, message):
        with pytest.raises(ValueError, match=message):
            recorder(step, causal)
        assert recorder.steps == [0, 7, 30]

    def test_recorder_refuses_a_model_that_gives_nan(self, recorder, language):
        with pytest.raises(ValueError, match="the model returned NaN logits"):
            recorder(31, lambda ids: torch.full((*ids.shape, 87), math.nan), loss=2.0)
        assert len(recorder.steps) == len(recorder.losses) == len(recorder.log_probs) == 3

    def test_plain_text(self, recorder):
        lines = repr(TrainingReplay(recorder, sentence=1, place=4)).split("\n")
        assert lines[0].startswith("TrainingReplay: 3 checkpoints from step 0 to step 30; exact floor ")
        assert lines[1:3] == [text.replace(".", " .") for text in SENTENCES]
        assert lines[3] == "after 'every horse near the' exactly: barn 0.667, gate 0.333"

    @pytest.mark.usefixtures("as_readers_run_it")
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"sentence": 2}, "sentence must be from 0 to 1, got 2"),
            ({"place": 0}, "place must be from 1 to 7, got 0"),
            ({"place": 8}, "place must be from 1 to 7, got 8"),
            ({"checkpoint": 3}, "checkpoint must be from 0 to 2, got 3"),
            ({"sentence": math.nan}, "sentence must be from 0 to 1, got nan"),
            ({"place": math.nan}, "place must be from 1 to 7, got nan"),
            ({"checkpoint": math.nan}, "checkpoint must be from 0 to 2, got nan"),
            ({"levels": {"bigram": math.nan}}, "the loss of bigram must be finite, got nan"),
        ],
    )
    def test_wrong_arguments_are_named(self, recorder, change, message):
        with pytest.raises(ValueError, match=message):
            TrainingReplay(recorder, **change)

    def test_wrong_recordings_are_named(self, recorder, language, causal, held_out):
        with pytest.raises(ValueError, match="steps must rise: got 30 after 30"):
            recorder(30, causal)
        with pytest.raises(ValueError, match="has 0 checkpoints, a replay needs at least 2"):
            TrainingReplay(ReplayRecorder(language, SENTENCES, held_out))
        for step in range(31, 31 + 45):
            recorder(step, causal, loss=2.0)
        with pytest.raises(
            ValueError, match=r"48 checkpoints would take 150,336 bytes, the limit is 150,000"
        ):
            TrainingReplay(recorder)
        recorder.floor = math.inf
        with pytest.raises(ValueError, match="the loss of the exact language must be finite, got inf"):
            TrainingReplay(recorder)
        with pytest.raises(ValueError, match="'cat'"):
            ReplayRecorder(language, ["the cat"], held_out)
        with pytest.raises(ValueError, match="from 2 to 24 words, 'the' has 1"):
            ReplayRecorder(language, ["the"], held_out)
        with pytest.raises(ValueError, match="at least one text"):
            ReplayRecorder(language, [], held_out)


class TestAttentionExplorer:
    def test_heads_and_predictions(self, language, causal, tmp_path):
        widget = AttentionExplorer(causal, language)
        data = [language.encode(text) for text in SENTENCES]
        script = """const [net, language] = loadModels(model.get('headers'), model.get('weights'));
        print(saved.data.map((ids) => ({
          ...look(net, ids),
          exact: ids.map((_, t) => language.dist(ids.slice(0, t + 1))),
        })));"""
        twin = rounded(causal)
        for ids, got in zip(data, run_js(tmp_path, widget, script, data), strict=True):
            one = torch.tensor([ids])
            expected = torch.stack([w[0] for w in twin.attention_weights(one)]).detach()  # (L, H, T, T)
            weights = torch.tensor(got["attention"]).reshape(expected.shape)
            torch.testing.assert_close(weights, expected, atol=1e-4, rtol=0)
            assert expected[:, :, 1:].amax() > 0.9  # heads with opinions
            mine = torch.tensor(got["dists"])
            torch.testing.assert_close(mine, twin(one)[0].softmax(-1).detach(), atol=1e-4, rtol=0)
            exact = torch.tensor(got["exact"], dtype=torch.float64)
            torch.testing.assert_close(exact, language(one)[0].exp(), atol=1e-6, rtol=0)

    def test_subject(self, language, causal, tmp_path):
        texts = {
            "the gulls that follow the crab sleep.": [-1, *[1] * 7],
            "every hungry horse near the barn rests. it sees the hen. a gull": [-1, -1, *[2] * 12, 14],
        }
        data = [language.encode(text) for text in texts]
        script = """const [, { automaton }] = loadModels(model.get('headers'), model.get('weights'));
        print(saved.data.map((ids) => ids.map((_, t) =>
          subjectPlace(automaton, model.get('subject_states'), ids, t))));"""
        got = run_js(tmp_path, AttentionExplorer(causal, language), script, data)
        assert got == list(texts.values())

    def test_a_grammar_without_subjects_has_none(self):
        assert subject_states(ToyLanguage(grammar=COIN)) == []

    def test_rounding_is_told(self, language, causal, tmp_path):
        script = """print([{ largest: 0.00037, nats: 2e-9 }, { largest: 0, nats: 0 }].map(roundingNote));"""
        widget = AttentionExplorer(causal, language)
        some, none = run_js(tmp_path, widget, script)
        assert "by more than 0.0004;" in some
        assert "less than 10⁻⁷ nats" in some
        assert none == "Its weights are stored in 16 bits and run here as they are."
        assert 0 < widget.headers[0]["rounding"]["largest"] < 0.01
        twin = AttentionExplorer(rounded(causal), language)
        assert twin.headers[0]["rounding"] == {"largest": 0, "nats": 0}

    def test_plain_text(self, language, causal):
        assert repr(AttentionExplorer(causal, language, place=3, presets=["the gull dives."])) == (
            "AttentionExplorer: 2 layers of 3 heads on 'the gulls that follow the crab sleep.'\n"
            "looking from 'the gulls that follow'; then exactly: the 0.500, a 0.160, some 0.140"
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"sentence": "the cat"}, "a sentence has words .* 'cat'"),
            ({"sentence": ""}, "from 1 to 24 words, '' has 0"),
            ({"sentence": "the gull " * 13}, "has 26"),
            ({"presets": ["the cat"]}, "'cat'"),
            ({"place": 8}, "place must be at most 7, got 8"),
            ({"layer": 2, "head": 0}, "layer must be at most 1, got 2"),
            ({"layer": 0, "head": -1}, "head must be at least 0, got -1"),
            ({"head": 1}, "layer and head go together"),
        ],
    )
    def test_wrong_arguments_are_named(self, language, causal, change, message):
        with pytest.raises(ValueError, match=message):
            AttentionExplorer(causal, language, **change)


class TestMaskedExplorer:
    def gaps(self, language):
        """Sentences of the language and noise, with none, some and all of their words hidden."""
        generator = torch.Generator().manual_seed(11)
        rows = language.sample(29, 13, generator=generator).tolist()
        rows += torch.randint(language.vocab_size, (7, 13), generator=generator).tolist()
        cases = [(rows[0], []), (rows[1], list(range(13))), (rows[2][:1], [0])]
        for i, row in enumerate(rows):
            hidden = (torch.rand(13, generator=generator) < (i % 5 + 1) / 7).nonzero()[:, 0].tolist()
            cases.append((row, hidden or [i % 13]))
        return cases

    def check_posterior(self, language, cases, got):
        impossible = 0
        for (row, hidden), answers in zip(cases, got, strict=True):
            mask = torch.tensor([[t in hidden for t in range(len(row))]])
            expected = language.masked_posterior(torch.tensor([row]), mask)[0]
            assert [t for t, answer in enumerate(answers) if answer is not None] == hidden
            for t in hidden:
                mine = torch.tensor(answers[t], dtype=torch.float64)
                torch.testing.assert_close(mine, expected[t], atol=1e-12, rtol=1e-9)
                impossible += bool((expected[t] == 1 / language.vocab_size).all())
        return impossible

    POSTERIOR = """const { exact } = readModels(model, 2);
    print(saved.data.map(([ids, hidden]) => maskedPosterior(exact, ids, hidden)));"""

    def test_posterior(self, language, masked, ids, tmp_path):
        cases = self.gaps(language)
        got = run_js(tmp_path, MaskedExplorer(masked, language, ids), self.POSTERIOR, cases)
        assert self.check_posterior(language, cases, got) > 3

    def test_posterior_by_hand(self, tmp_path):
        """Between "b" and "." only "a" can stand: "." never follows "b"; at the end b is 1/8."""
        coin = ToyLanguage(grammar=COIN)
        model = MaskedLM(3, 12, 3, 1, context_length=29)
        ids = coin.sample(1, 53, generator=torch.Generator().manual_seed(1))
        widget = MaskedExplorer(model, coin, ids, sentence="b a .", hidden=[1])
        (one, two) = run_js(tmp_path, widget, self.POSTERIOR, [([1, 0, 2], [1]), ([0, 1], [1])])
        assert one[1] == [1, 0, 0]
        assert two[1] == pytest.approx([0.75, 0.125, 0.125])

    @pytest.mark.parametrize("order", [1, 2, 3, 5])
    def test_three_answers_and_their_surprise(self, language, masked, ids, tmp_path, order):
        cases = [case for case in self.gaps(language) if case[1]]
        widget = MaskedExplorer(masked, language, ids, order=order)
        script = """const order = model.get('order');
        const models = readModels(model, order);
        const net = loadModel(model.get('header'), model.get('weights'));
        print(saved.data.map(([ids, hidden]) => answerAll(models, net, ids, hidden, order)
          .map((one) => ({ ...one, surprises: one.surprises.map(String) }))));"""
        twin = rounded(masked)
        for (row, hidden), answers in zip(cases, run_js(tmp_path, widget, script, cases), strict=True):
            mask = torch.tensor([[t in hidden for t in range(len(row))]])
            one = torch.tensor([row])
            mine = twin(one.masked_fill(mask, twin.mask_token_id))[0].softmax(-1).detach().double()
            assert [answer["place"] for answer in answers] == hidden
            for answer in answers:
                place = answer["place"]
                model, exact, ngram = torch.tensor(answer["dists"], dtype=torch.float64)
                torch.testing.assert_close(model, mine[place], atol=1e-4, rtol=0)
                expected = widget.ngram_log_probs(row, hidden, place).exp()
                torch.testing.assert_close(ngram, expected, atol=1e-10, rtol=1e-8)
                for dist, shown in zip((model, exact, ngram), answer["surprises"], strict=True):
                    surprise = float(shown.replace("Infinity", "inf"))
                    assert surprise == pytest.approx(-float(dist[row[place]].log()))

    def test_ngram_reads_the_visible_words_just_before(self, language, masked, ids):
        widget = MaskedExplorer(masked, language, ids, order=3)
        fitted = NGramLM(3, 87).fit(ids)
        row = language.encode("the gulls that follow the crab")
        stop = language.vocab.index(".")
        for hidden, place, context in (
            ([2], 2, [stop, *row[:2]]),
            ([0, 2], 2, row[1:2]),
            ([1, 2, 4], 4, row[3:4]),
            ([0], 0, [stop]),
        ):
            expected = fitted(torch.tensor([context]))[0, -1]
            assert torch.equal(widget.ngram_log_probs(row, hidden, place), expected)
        assert torch.equal(widget.ngram_log_probs(row, [1, 2], 2), fitted.unigram_log_probs)

    def test_chance(self, language, masked, ids, tmp_path):
        script = """const models = readModels(model, 2);
        const random = seededRandom(5);
        print([Array.from({ length: 400 }, () => drawSentence(models, random)),
               Array.from({ length: 400 }, () => shuffled(5, random))]);"""
        sentences, orders = run_js(tmp_path, MaskedExplorer(masked, language, ids), script)
        stop = language.vocab.index(".")
        for row in sentences:
            assert torch.isfinite(language.log_prob(torch.tensor([row]))).all()
            assert stop not in row[:-1]
            assert row[-1] == stop or len(row) == 24
        share = sum(row[0] == language.vocab.index("the") for row in sentences) / 400
        assert share == pytest.approx(0.5, abs=0.1)  # four standard errors
        assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
        for place in range(5):
            assert sum(order[place] == 0 for order in orders) / 400 == pytest.approx(0.2, abs=0.08)

    def test_plain_text(self, language, masked, ids):
        widget = MaskedExplorer(masked, language, ids, sentence="the gulls that follow the crab sleep.")
        widget.set_state({"hidden": [1]})
        lines = repr(widget).split("\n")
        assert lines[0] == "MaskedExplorer: the […] that follow the crab sleep ."
        assert lines[1] == "word 2, exact posterior: gulls 0.333, seals 0.267, whales 0.200"
        assert lines[2].startswith("word 2, 3-gram: ")
        assert len(lines) == 3
        widget.set_state({"hidden": []})
        assert repr(widget) == "MaskedExplorer: the gulls that follow the crab sleep ."

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"sentence": "the cat"}, "sentence has words .* 'cat'"),
            ({"hidden": [8]}, "hidden must be places from 0 to 7, got 8"),
            ({"hidden": [-1]}, "got -1"),
            ({"order": 0}, "order must be from 1 to 6, got 0"),
            ({"order": 7}, "order must be from 1 to 6, got 7"),
            ({"seed": -1}, "seed must be at least 0"),
            ({"seed": 2**32}, "got 4294967296"),
        ],
    )
    def test_wrong_arguments_are_named(self, language, masked, ids, change, message):
        with pytest.raises(ValueError, match=message):
            MaskedExplorer(masked, language, ids, **change)

    def test_other_vocabularies_are_refused(self, language, ids):
        with pytest.raises(ValueError, match="the tokenizer has 87 tokens, the model 'model' 7"):
            MaskedExplorer(MaskedLM(7, 12, 3, 1, context_length=29), language, ids)


def test_models_of_the_wrong_kind_are_refused(language, causal, masked, ids, recorder):
    with pytest.raises(TypeError, match="AttentionExplorer runs a CausalLM, got MaskedLM"):
        AttentionExplorer(masked, language)
    with pytest.raises(TypeError, match="MaskedExplorer runs a MaskedLM, got CausalLM"):
        MaskedExplorer(causal, language, ids)
    with pytest.raises(TypeError, match="a training replay"):
        recorder(99, masked)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        TrainingReplay(recorder, colour="red")
