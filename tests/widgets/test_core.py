"""The JavaScript core against PyTorch and lmbook; tests/browser asks the same in Chromium."""

import json
import re
from types import SimpleNamespace

import lm_parity as parity
import numpy as np
import pytest
import torch
from lm_parity import error_of

from lmbook import CausalLM, MaskedLM, NGramLM, ToyLanguage, beam_search
from lmbook.evaluation import cross_entropy
from lmbook.tokenizer import CharTokenizer
from lmbook.training.recipes import load_trained
from lmbook.widgets.base import split_words
from lmbook.widgets.packing import (
    SIZE_LIMIT,
    check_size,
    pack_language,
    pack_model,
    pack_models,
    pack_tokenizer,
    rounded,
    rounding,
)

LANGUAGE = ToyLanguage()
STOP = LANGUAGE.vocab.index(".")
MODELS = parity.transformers()


class TestTransformer:
    @pytest.mark.parametrize("name", MODELS)
    def test_logits_equal_pytorchs(self, run, name):
        rows = parity.prompts(MODELS[name])
        assert len(rows) >= 200
        assert parity.logits_apart(run, MODELS[name], rows) < 1e-4

    @pytest.mark.parametrize(
        "path", sorted((parity.FOLDER.parent / "weights").glob("*.safetensors")), ids=lambda path: path.stem
    )
    def test_logits_of_the_books_own_models(self, run, path):
        model, _ = load_trained(path.stem)
        rows = parity.prompts(model)
        assert len(rows) >= 200
        assert parity.logits_apart(run, model, rows) < 1e-4

    def test_every_float16_arrives(self, run):
        bits = np.arange(2**16, dtype="<u2")
        got = run(
            """const view = new DataView(fromBase64(data, Uint8Array).buffer);
            return toBase64(lib.readFloat16(view, 0, 65536));""",
            parity.encoded(bits),
        )
        finite = np.isfinite(bits.view("<f2"))
        want = bits.view("<f2").astype("<f4")
        np.testing.assert_array_equal(parity.decoded(got, "<f4")[finite], want[finite])

    def test_a_session_says_what_a_fresh_reading_says(self, run):
        model = MODELS["grouped queries, untied"]
        got = run(
            """const [model] = load(data);
            const ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];
            const fresh = (ids) => [...model.logits(ids).at(-1)];
            const same = (session) => String(fresh(session.ids)) === String([...session.logits]);
            const session = model.session();
            const checks = ids.map((id) => same(session.push(id)));
            const twin = session.clone();
            checks.push(same(session.truncate(4)), same(session.push(8)), same(twin), same(twin.push(7)));
            checks.push(String(session.ids) === '3,1,4,1,8', twin.ids.length === 12);
            checks.push(same(session.follow([3, 1, 9])), same(session.follow([3, 1])));
            checks.push(same(session.follow([2])));
            const [left, right] = [session, session.clone()];
            left.push(4);
            right.push(6);
            checks.push(same(left), same(right));
            session.follow([2]);
            const kept = session.logits;
            session.push(1);
            checks.push(kept !== session.logits, String(kept) === String(model.session([2]).logits));
            checks.push(String(model.dist([2, 7])) === String(lib.softmax(fresh([2, 7]))));
            checks.push(String(model.dist([2])) === String(lib.softmax(fresh([2]))));
            checks.push(String(session.dist()) === String(lib.softmax(session.logits)));
            return checks;""",
            parity.packed(pack_model(model, parity.stand_in(model), "m")),
        )
        assert got == [True] * 27

    def test_attention_weights(self, run):
        for model in MODELS.values():
            row = [n % model.vocab_size for n in (3, 1, 4, 1, 5, 9, 2)]
            got = run(
                """const [model] = load(data.model);
                return model.attention(data.row).map((layer) => layer.map(toBase64));""",
                {"model": parity.packed(pack_model(model, parity.stand_in(model), "m")), "row": row},
            )
            with torch.no_grad():
                want = rounded(model).eval().attention_weights(torch.tensor([row]))
            for layer, weights in zip(got, want, strict=True):
                heads = np.stack([parity.decoded(head, "<f4").reshape(7, 7) for head in layer])
                np.testing.assert_allclose(heads, weights[0].numpy(), atol=1e-5)

    def test_start_is_read_first(self, run):
        model = MODELS["toy-sized"]
        got = run(
            """const [model] = load(data);
            const session = model.session([1, 2]);
            const after = [...session.logits];
            session.truncate(0);
            return { first: [...model.dist([])], again: [...session.dist()], after,
              limit: model.contextLength };""",
            parity.packed(pack_model(model, LANGUAGE, "m", start=[STOP, 7])),
        )
        with torch.no_grad():
            want = rounded(model)(torch.tensor([[STOP, 7, 1, 2]]))[0].double()
        np.testing.assert_allclose(got["first"], want[1].softmax(-1), atol=1e-6)
        np.testing.assert_allclose(got["again"], want[1].softmax(-1), atol=1e-6)
        np.testing.assert_allclose(got["after"], want[3], atol=1e-4)
        assert got["limit"] == 126

    def test_scores_in_the_thousands_do_not_overflow(self, run):
        model = CausalLM(7, 8, 2, 1, context_length=11)
        with torch.no_grad():
            model.blocks[0].attention.qkv.weight.mul_(60)
        row = [1, 2, 3, 0, 5, 6, 4]
        data = {"model": parity.packed(pack_model(model, parity.stand_in(model), "m")), "row": row}
        got = run("return load(data.model)[0].attention(data.row)[0].map(toBase64);", data)
        for head in got:
            weights = parity.decoded(head, "<f4").reshape(7, 7)
            np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
            np.testing.assert_allclose(np.triu(weights, 1), 0, atol=0)
        with torch.no_grad():
            x = rounded(model).blocks[0].attention_norm(model.embedding(torch.tensor([row])))
            q, k, _ = rounded(model).blocks[0].attention.qkv(x).unflatten(-1, (6, 4)).split(2, dim=2)
        assert float((q * k).sum(-1).abs().max()) / 2 > 1000  # e to this is beyond any number

    def test_what_it_refuses(self, run):
        causal, masked = MODELS["grouped queries, untied"], MODELS["masked"]
        data = parity.packed(
            pack_model(causal, parity.stand_in(causal), "c"), pack_model(masked, parity.stand_in(masked), "m")
        )
        models = "const [causal, masked] = load(data);"
        assert error_of(run, models + "causal.dist([])", data) == (
            "RangeError: the model predicts from what stands there: it needs a token"
        )
        assert error_of(run, models + "causal.dist([0, 87])", data) == (
            "RangeError: id 87 is outside the vocabulary of 87"
        )
        assert error_of(run, models + "masked.logits([88, -1])", data) == (
            "RangeError: id 88 is outside the vocabulary of 88"
        )
        assert error_of(run, models + "causal.logits(Array(38).fill(1))", data) == (
            "RangeError: the sequence is 38 tokens long, the model reads at most 37"
        )
        assert "TypeError: a masked model sees both sides" in error_of(run, models + "masked.session()", data)
        assert "TypeError: no model is of the kind" in error_of(run, "lib.loadModel({ kind: 'x' })")

    def test_a_refused_prefix_changes_nothing(self, run):
        model = MODELS["toy-sized"]
        got = run(
            """const [model] = load(data);
            const session = model.session([1, 2, 3]);
            try { session.follow([1, 99]); } catch { /* as it should */ }
            return [session.ids, String(session.logits) === String(model.session([1, 2, 3]).logits)];""",
            parity.packed(pack_model(model, LANGUAGE, "m")),
        )
        assert got == [[1, 2, 3], True]


class TestOneFace:
    def test_all_kinds_look_alike(self, run):
        ids = LANGUAGE.sample(1, 101, generator=torch.Generator().manual_seed(3))
        causal, masked = MODELS["toy-sized"], MODELS["masked"]
        packed = [
            pack_model(causal, LANGUAGE, "causal", ids=ids),
            pack_model(NGramLM(2, 87).fit(ids), LANGUAGE, "bigram", ids=ids),
            pack_model(LANGUAGE, LANGUAGE, "exact"),
            pack_model(masked, LANGUAGE, "masked"),
        ]
        got = run(
            """return load(data).map((model) => [model.kind, model.name, model.vocabSize, model.contextLength,
              model.tokenizer.tokens.length, model.rounding, model.causal, model.maskTokenId,
              model.causal === false ? 1 : model.dist([3]).reduce((a, b) => a + b)]);""",
            parity.packed(*packed),
        )
        found = rounding(causal, ids)
        apart = {"largest": found.largest, "nats": found.nats}
        one = pytest.approx(1, abs=1e-9)
        assert got == [
            ["transformer", "causal", 87, 128, 87, apart, True, None, one],
            ["ngram", "bigram", 87, None, 87, None, None, None, one],  # JSON writes Infinity as null
            ["automaton", "exact", 87, None, 87, None, None, None, one],
            ["transformer", "masked", 87, 128, 87, None, False, 87, one],
        ]


class TestOtherModels:
    def test_ngrams_and_the_exact_language(self, run):
        ids = LANGUAGE.sample(5, 499, generator=torch.Generator().manual_seed(3))
        many = torch.randint(300, (2003,), generator=torch.Generator().manual_seed(4))
        fitted = [NGramLM(n, 87).fit(ids) for n in range(1, 7)]
        wide = NGramLM(3, 300).fit(many)
        rows = [
            LANGUAGE.sample(1, n, generator=torch.Generator().manual_seed(n))[0].tolist()
            for n in range(1, 12)
        ]
        data = parity.packed(
            pack_model(LANGUAGE, LANGUAGE, "exact"),
            *(pack_model(m, LANGUAGE, f"{m.order}-gram", ids=ids, start=[STOP]) for m in fitted),
            pack_model(wide, CharTokenizer(chr(0x4E00 + i) for i in range(300)), "wide", ids=many),
        )
        got = run(
            """const models = load(data.models);
            return models.map((model) => data.rows.map((row) => [toBase64(model.dist(row)),
              toBase64(model.session(row.slice(0, -1)).push(row.at(-1)).logits)]));""",
            {"models": data, "rows": rows},
        )
        for model, answers in zip([LANGUAGE, *fitted, wide], got, strict=True):
            first = [STOP] if model in fitted else []
            for row, (probs, logits) in zip(rows, answers, strict=True):
                want = model(torch.tensor([[*first, *row]]))[0, -1]
                np.testing.assert_allclose(parity.decoded(probs, "<f8"), want.exp(), atol=1e-12)
                np.testing.assert_allclose(parity.decoded(logits, "<f8"), want, atol=1e-9)

    def test_nothing_before_the_first_token(self, run):
        ids = LANGUAGE.sample(1, 499, generator=torch.Generator().manual_seed(3))
        bigram = NGramLM(2, 87).fit(ids)
        got = run(
            "return load(data).map((model) => [...model.dist([])]);",
            parity.packed(
                pack_model(LANGUAGE, LANGUAGE, "exact"), pack_model(bigram, LANGUAGE, "2-gram", ids=ids)
            ),
        )
        np.testing.assert_allclose(got[0], LANGUAGE.log_probs[0].exp(), atol=1e-12)
        np.testing.assert_allclose(got[1], bigram.unigram_log_probs.exp(), atol=1e-12)

    def test_counting_in_steps(self, run):
        ids = [i * i % 7 for i in range(101)]
        got = run(
            """const steps = [...new lib.NGramCounts(7, 2).readInSteps(data, 101, 50)];
            const [slow, fast] = [new lib.NGramCounts(7, 2), new lib.NGramCounts(7, 2).read(data)];
            for (const _ of slow.read([6, 5, 4]).readInSteps(data)) { /* the old text is forgotten */ }
            return [steps, String(slow.dist([1], 2)) === String(fast.dist([1], 2)), fast.count([1, 4]),
              [...lib.ngramModel(fast, 2).session([3, 1]).dist()]];""",
            ids,
        )
        assert got[0] == pytest.approx(
            [(n + part) / 3 for n in range(3) for part in (0, 50 / 101, 100 / 101)]
        )
        assert got[1] is True
        assert got[2] == sum(ids[t : t + 2] == [1, 4] for t in range(100))
        want = NGramLM(2, 7).fit(torch.tensor(ids))(torch.tensor([[1]]))[0, -1].exp()
        np.testing.assert_allclose(got[3], want, atol=1e-12)

    def test_sessions_of_tables(self, run):
        got = run(
            """const [model] = load(data);
            const session = model.session([1]);
            const twin = session.clone().push(2);
            session.push(3).truncate(0);
            return [session.ids, twin.ids, model.contextLength,
              String(twin.dist()) === String(model.dist([1, 2]))];""",
            parity.packed(pack_model(LANGUAGE, LANGUAGE, "exact")),
        )
        assert got == [[], [1, 2], None, True]  # JSON writes Infinity as null
        data = parity.packed(pack_model(LANGUAGE, LANGUAGE, "exact"))
        assert "id 87 is outside the vocabulary of 87" in error_of(run, "load(data)[0].session([87])", data)


class TestFilters:
    def test_equal_pythons(self, run):
        parity.check_filters(run)


class TestSearch:
    @pytest.mark.parametrize("name", ["toy-sized", "grouped queries, untied", "one key/value head"])
    def test_greedy_and_beam_find_what_python_finds(self, run, name):
        model = MODELS[name]
        rows = [row[:9] for row in parity.prompts(model)[80:101:6]]
        assert parity.check_searches(run, model, rows, 10) == 4 * 18

    def test_on_the_exact_language(self, run):
        text = LANGUAGE.sample(1, 40, generator=torch.Generator().manual_seed(6))[0].tolist()
        prompts = [text[:n] for n in (1, 3, 7, 40)]
        got = run(
            """const [model] = load(data.model);
            return data.prompts.map((ids) => lib.beamSearch(model, ids, 5, 8));""",
            {"model": parity.packed(pack_model(LANGUAGE, LANGUAGE, "exact")), "prompts": prompts},
        )
        for prompt, found in zip(prompts, got, strict=True):
            _, score = beam_search(LANGUAGE, torch.tensor([prompt]), 5, 8)
            assert found["logProb"] == pytest.approx(float(score), abs=1e-6)
            both = LANGUAGE.log_prob(torch.tensor([found["ids"]])) - LANGUAGE.log_prob(torch.tensor([prompt]))
            assert found["logProb"] == pytest.approx(float(both), abs=1e-6)

    def test_steps_tell_the_whole_tree(self, run):
        beams, length = 3, 5
        model = parity.sharpened(CausalLM(13, 24, 3, 1, context_length=31), 1.5)
        data = {"model": parity.packed(pack_model(model, parity.stand_in(model), "m"))}
        got = run(
            """const [model] = load(data.model);
            const steps = [];
            const found = lib.beamSearch(model, [2, 1], 3, 5, { onStep: (step) => steps.push(step) });
            return { steps, found };""",
            data,
        )
        before = [{"ids": [2, 1], "logProb": 0}]
        for n, step in enumerate(got["steps"], start=1):
            children = step["candidates"]
            assert step["length"] == n
            assert len(children) == len(before) * 13
            totals = [child["logProb"] for child in children]
            assert totals == sorted(totals, reverse=True)
            assert [child["fate"] for child in children] == ["kept"] * beams + ["dropped"] * (
                len(children) - beams
            )
            kept = sorted((before[c["parent"]]["ids"] + [c["token"]], c["logProb"]) for c in children[:beams])
            assert kept == [(beam["ids"], beam["logProb"]) for beam in step["beams"]]
            for beam in step["beams"]:
                ids = torch.tensor([beam["ids"]])
                with torch.no_grad():
                    logp = rounded(model)(ids)[0, 1:-1].log_softmax(-1)
                total = logp.gather(1, ids[0, 2:, None]).sum()
                assert beam["logProb"] == pytest.approx(float(total), abs=1e-4)
            before = step["beams"]
        assert len(got["steps"]) == length
        assert got["found"]["logProb"] == max(beam["logProb"] for beam in before)


class TestTokenizers:
    def test_ids_and_texts_are_pythons(self, run):
        parity.check_tokenizers(run)

    def test_every_character_is_cut_as_in_python(self, run):
        parity.check_every_character(run)

    def test_words_of_the_toy_language(self, run):
        got = run(
            """const words = lib.loadTokenizer(data.json);
            return [words.encode('The gull  that hides.'), words.encode('it hides. The whalee sleeps'),
              words.encode('it zzzzzzzzz'), words.decode([0, 1, 2]), words.label(3),
              data.texts.map(lib.splitWords)];""",
            {"json": pack_tokenizer(LANGUAGE), "texts": parity.AWKWARD},
        )
        assert got[0]["ids"] == LANGUAGE.encode("the gull that hides.")
        assert got[0]["problem"] is None
        assert got[1]["ids"] == LANGUAGE.encode("it hides. the")
        assert (got[1]["unknown"], got[1]["at"]) == ("whalee", 14)
        assert got[1]["problem"] == (
            "Word 5, “whalee”, is not among the 87 words of the language; did you mean “whale”?"
        )
        assert got[2]["problem"] == "Word 2, “zzzzzzzzz”, is not among the 87 words of the language."
        assert got[3] == LANGUAGE.decode([0, 1, 2])
        assert got[4] == LANGUAGE.vocab[3]
        assert got[5] == [split_words(text) for text in parity.AWKWARD]


class TestPacking:
    def test_the_limit_is_named_before_any_work(self):
        check_size(SIZE_LIMIT, "it")
        with pytest.raises(
            ValueError, match="it would take 1,000,001 bytes, the limit of a widget is 1,000,000"
        ):
            check_size(SIZE_LIMIT + 1, "it")
        with torch.device("meta"):  # weights of no memory: looking at one would fail
            big = CausalLM(65, 256, 4, 3, context_length=64)
        size = 2 * sum(p.numel() for p in big.parameters())
        with pytest.raises(
            ValueError, match=f"the model 'big' would take {size:,} bytes, the limit .* 1,000,000"
        ):
            pack_model(big, parity.stand_in(big), "big")

    def test_several_models_share_the_limit(self):
        model = CausalLM(85, 112, 4, 2, context_length=64)
        first, second = (pack_model(model, parity.stand_in(model), name) for name in "ab")
        headers, data = pack_models([first])
        assert (headers[0]["offset"], len(data)) == (0, len(first[1]))
        with pytest.raises(ValueError, match=f"'a', 'b' together would take {2 * len(data):,} bytes"):
            pack_models([first, second])
        with pytest.raises(ValueError, match="a name of its own"):
            pack_models([first, first])

    def test_weights_are_the_nearest_float16(self):
        model = CausalLM(7, 8, 2, 1, context_length=5)
        header, data = pack_model(model, parity.stand_in(model), "m")
        assert header["config"]["d_model"] == 8
        assert len(data) == 2 * sum(p.numel() for p in model.parameters())
        want = torch.cat([p.detach().half().flatten() for p in model.parameters()])
        np.testing.assert_array_equal(np.frombuffer(data, "<f2"), want.numpy())
        assert json.loads(json.dumps(header)) == header

    def test_rounding_is_the_largest_difference_and_the_mean_divergence(self):
        model, ids = (
            parity.sharpened(CausalLM(7, 8, 2, 1, context_length=11), 3.0),
            torch.tensor([[1, 2, 3], [0, 5, 6]]),
        )
        found = rounding(model, ids)
        with torch.no_grad():
            p, q = model(ids).double().softmax(-1), rounded(model)(ids).double().softmax(-1)
        assert found.largest == pytest.approx(float((p - q).abs().max()), rel=1e-4)
        assert found.nats == pytest.approx(float((p * (p / q).log()).sum(-1).mean()), rel=1e-3, abs=1e-12)
        assert 0 < found.nats < found.largest < 0.1
        assert not model.training
        again = rounding(rounded(model), ids)
        assert (again.largest, again.nats) == (0.0, 0.0)
        header, _ = pack_model(model, parity.stand_in(model), "m", ids=ids)
        assert header["rounding"] == {"largest": found.largest, "nats": found.nats}

    def test_rounding_costs_the_books_models_little(self):
        ids = LANGUAGE.sample(7, 101, generator=torch.Generator().manual_seed(5))
        model = MODELS["toy-sized"]
        assert float(cross_entropy(rounded(model), ids) - cross_entropy(model, ids)) == pytest.approx(
            0, abs=0.01
        )

    @pytest.mark.parametrize(
        ("model", "tokenizer", "options", "error", "message"),
        [
            (
                CausalLM(7, 8, 2, 1),
                CharTokenizer("abc"),
                {},
                ValueError,
                "tokenizer has 3 tokens, the model 'm' 7",
            ),
            (
                CausalLM(7, 8, 2, 1),
                CharTokenizer("abcdefg"),
                {"start": [7]},
                ValueError,
                "below vocab_size 7, got 7",
            ),
            (
                NGramLM(2, 3).fit(torch.tensor([0, 1, 2])),
                CharTokenizer("abc"),
                {},
                ValueError,
                "give the ids",
            ),
            (
                NGramLM(2, 3).fit(torch.tensor([0, 1, 2, 0])),
                CharTokenizer("abc"),
                {"ids": torch.tensor([0, 1, 2, 1])},
                ValueError,
                "fitted on other ids",
            ),
            (
                NGramLM(2, 3, smoothing="mle").fit(torch.tensor([0, 1, 2])),
                CharTokenizer("abc"),
                {"ids": torch.tensor([0, 1, 2])},
                ValueError,
                "smoothing='mle'",
            ),
            (
                NGramLM(7, 3).fit(torch.arange(9) % 3),
                CharTokenizer("abc"),
                {"ids": torch.arange(9) % 3},
                ValueError,
                "up to order 6",
            ),
        ],
    )
    def test_what_it_refuses(self, model, tokenizer, options, error, message):
        with pytest.raises(error, match=message):
            pack_model(model, tokenizer, "m", **options)

    def test_weights_beyond_float16(self):
        model = CausalLM(7, 8, 2, 1)
        with torch.no_grad():
            model.norm.weight[3] = 70000.0
        with pytest.raises(ValueError, match=r"up to 65504, the model's largest is 70000\.0"):
            pack_model(model, CharTokenizer("abcdefg"), "m")

    def test_nan_is_no_model(self):
        model = CausalLM(7, 8, 2, 1)
        model.blocks[0].register_forward_hook(lambda *_: torch.full((1, 2, 8), torch.nan))
        with pytest.raises(ValueError, match=r"the model returned NaN logits, first at index \(0, 0, 0\)"):
            pack_model(model, CharTokenizer("abcdefg"), "m", ids=torch.tensor([[1, 2]]))

    @pytest.mark.parametrize(("value", "told"), [(float("nan"), "nan"), (0.5, "0.5")])
    def test_a_table_that_is_no_distribution(self, value, told):
        log_probs = LANGUAGE.log_probs.clone()
        log_probs[4, 2] = value
        table = SimpleNamespace(vocab=LANGUAGE.vocab, log_probs=log_probs, next_state=LANGUAGE.next_state)
        with pytest.raises(ValueError, match=rf"log P of word 2 in state 4 must be at most 0, got {told}"):
            pack_language(table)

    def test_a_masked_model_travels_with_its_mask_token(self):
        for model, token in ((MODELS["masked"], 87), (MODELS["mask token of the vocabulary"], 5)):
            assert isinstance(model, MaskedLM)
            assert pack_model(model, parity.stand_in(model), "m")[0]["mask_token_id"] == token


def test_all_modules_together_have_distinct_names():
    text = parity.one_script()
    names = re.findall(r"^(?:const|let|class|function\*?) (\w+)", text, flags=re.MULTILINE)
    assert len(names) == len(set(names))
