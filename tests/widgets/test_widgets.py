"""The widgets' Python side, and their JavaScript core against Python's models."""

import math
import re
from pathlib import Path

import pytest
import torch
from javascript import run_module, state_of

import lmbook.widgets
from lmbook.ngram import NGramLM
from lmbook.toy import ToyLanguage
from lmbook.widgets import ChainRuleExplorer, NextTokenDemo, ShannonGame
from lmbook.widgets.base import read_words
from lmbook.widgets.bundle import bundle, modules, without_exports
from lmbook.widgets.shannon import LETTERS, score_letters

FOLDER = Path(lmbook.widgets.__file__).parent
VIEWS = sorted(
    str(file.relative_to(FOLDER))
    for file in FOLDER.rglob("*.js")
    if "export default" in file.read_text("utf-8")
)
WORKERS = sorted(str(file.relative_to(FOLDER)) for file in FOLDER.glob("workers/*_worker.js"))
TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function\*? |const |let |class )(\w+)", re.MULTILINE)
COIN = {  # a language small enough to know by heart: 2 words and a full stop, which never follows "b"
    "start": {"a": (0.75, "start"), "b": (0.125, "after b"), ".": (0.125, "start")},
    "after b": {"a": (0.5, "start"), "b": (0.5, "after b")},
}


# The models that a view reads from the state of a widget.
READ = "const models = lib.readModels({ get: (name) => data.state[name] }, 5);\n"


@pytest.fixture(scope="module")
def language():
    return ToyLanguage()


@pytest.fixture(scope="module")
def ids(language):
    return language.sample(7, 1009, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def coin():
    return ToyLanguage(grammar=COIN)


@pytest.fixture(scope="module")
def coin_ids(coin):
    return coin.sample(1, 211, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def letter_model():
    text = "the cat sat on the mat and the dog sat on the cat " * 3
    return NGramLM(3, 27).fit(torch.tensor([LETTERS.index(c) for c in text]))


class TestParityWithPython:
    """The page's models against lmbook, after prefixes that the language produces and others."""

    def prefixes(self, language, ids):
        real = [
            ids[b, s : s + n].tolist() for b in range(7) for s in (0, 13, 400) for n in (1, 2, 3, 5, 8, 31)
        ]
        starts = [ids[b, :n].tolist() for b in range(7) for n in range(1, 15)]
        noise = torch.randint(
            language.vocab_size, (23, 6), generator=torch.Generator().manual_seed(0)
        ).tolist()
        return [[], *real, *starts, *noise]

    def test_exact_and_ngram_distributions(self, run, language, ids):
        prefixes = self.prefixes(language, ids)
        assert len(prefixes) >= 200
        widget = ChainRuleExplorer(language, ids)
        got = run(
            READ
            + """return data.prefixes.map((prefix) =>
              [models.exact.dist(prefix), ...[1, 2, 3, 4, 5].map((n) => models.ngramDist(prefix, n))]);""",
            {"state": state_of(widget), "prefixes": prefixes},
        )
        got = torch.tensor(got, dtype=torch.float64)  # (prefixes, 6, V)
        stop = language.vocab.index(".")
        fitted = [NGramLM(n, language.vocab_size).fit(ids) for n in range(1, 6)]
        for prefix, rows in zip(prefixes, got, strict=True):
            state = language.states(torch.tensor([prefix], dtype=torch.int64))[0, -1]
            read = torch.tensor([[stop, *prefix]])
            expected = [language.log_probs[state], *(model(read)[0, -1] for model in fitted)]
            torch.testing.assert_close(rows, torch.stack(expected).exp(), atol=1e-12, rtol=1e-10)

    def test_without_a_full_stop_the_first_word_is_the_unigram(self, run):
        grammar = {"s": {"x": (0.25, "s"), "y": (0.75, "t")}, "t": {"x": (1.0, "s")}}
        language = ToyLanguage(grammar=grammar)
        ids = language.sample(1, 53, generator=torch.Generator().manual_seed(1))
        widget = ChainRuleExplorer(language, ids, sentence="x y", presets=["y x"])
        got = run(READ + "return models.ngramDist([], 3);", {"state": state_of(widget)})
        expected = NGramLM(3, 2).fit(ids).unigram_log_probs.exp()
        torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), expected)
        assert widget.factors("x y", 3)[0] == pytest.approx(math.log(got[0]))

    def test_factors_of_sentences(self, run, language, ids):
        widget = ChainRuleExplorer(language, ids)
        got = run(
            READ
            + """const index = new Map(models.vocab.map((word, i) => [word, i]));
            return data.state.presets.map((text) => [1, 2, 3, 4, 5].map((n) => {
              const factors = lib.factorise(models, lib.splitWords(text).map((w) => index.get(w)), n);
              return { q: factors.map((f) => f.q), p: factors.map((f) => f.p),
                       total: String(lib.runningLogs(factors).at(-1).exact) };
            }));""",
            {"state": state_of(widget)},
        )
        for text, orders in zip(widget.presets, got, strict=True):
            total = float(language.log_prob(torch.tensor([read_words(text, language.vocab, "text")]))[0])
            for n, result in enumerate(orders, start=1):
                exact, ngram = widget.factors(text), widget.factors(text, n)
                assert result["p"] == pytest.approx([math.exp(x) for x in exact], abs=1e-12)
                assert result["q"] == pytest.approx([math.exp(x) for x in ngram], abs=1e-12)
                assert float(result["total"].replace("Infinity", "inf")) == pytest.approx(total)

    def test_counts(self, run, coin, coin_ids):
        grams, text = [[0], [1, 1], [2, 0, 0], [1, 2]], coin_ids[0].tolist()
        got = run(
            READ + "return data.grams.map((gram) => models.ngrams.count(gram));",
            {"state": state_of(NextTokenDemo(coin, coin_ids)), "grams": grams},
        )
        for gram, count in zip(grams, got, strict=True):
            assert count == sum(text[i : i + len(gram)] == gram for i in range(len(text)))


class TestExplanations:
    def explain(self, run, widget, text, order):
        return run(
            READ
            + """const { ids, order } = data;
            const place = lib.widestGap(lib.factorise(models, ids, order));
            return [place, place < 0 ? '' : lib.explain(models, ids, place, order)];""",
            {"state": state_of(widget), "ids": read_words(text, widget.vocab, "text"), "order": order},
        )

    def test_names_the_subject_that_the_verb_must_agree_with(self, run, language, ids):
        widget = ChainRuleExplorer(language, ids)
        place, why = self.explain(run, widget, "the gulls that the whale follows dives.", 3)
        assert place == 6
        assert "never says it here" in why
        assert "What decides is “gulls”, 5 words back: were it “gull”" in why
        assert "reads only “whale follows”" in why
        words = read_words("the gull that the whale follows", language.vocab, "text")
        row = language(torch.tensor([words]))[0, -1]
        assert f"would be {row[language.vocab.index('dives')].exp():.4f}." in why

    def test_counts_the_context_where_nothing_further_back_decides(self, run, coin, coin_ids):
        widget = ChainRuleExplorer(coin, coin_ids, sentence="a", presets=["a b"])
        _, why = self.explain(run, widget, "a b a", 1)
        assert "reads no word before it" in why
        place, why = self.explain(run, widget, "a b .", 2)
        assert (place, "never says it here" in why) == (2, True)
        seen = (coin_ids[0, :-1] == coin.vocab.index("b")).sum() + (coin_ids[0, -1] == coin.vocab.index("b"))
        assert f"reads only “b” before it, which its training text has {seen} times" in why

    def test_impossible_words_before(self, run, coin, coin_ids):
        widget = ChainRuleExplorer(coin, coin_ids, sentence="a", presets=[])
        ids = read_words("b . a", coin.vocab, "text")
        why = run(
            READ + "return lib.explain(models, data.ids, 2, 2);", {"state": state_of(widget), "ids": ids}
        )
        assert "have probability 0 already" in why


class TestModules:
    @pytest.mark.parametrize("view", VIEWS)
    def test_a_bundle_is_one_module_that_imports_nothing(self, view, tmp_path):
        text = bundle(view)
        text = text.replace("http://www.w3.org/2000/svg", "")  # a name, which nothing is fetched from
        assert not re.search(
            r"^\s*import\b|\bimport\(|\brequire\(|https?:|innerHTML", text, flags=re.MULTILINE
        )
        names = TOP_LEVEL.findall(text)
        assert len(names) == len(set(names))  # all modules share one scope
        text = text.replace("export default {", "const view = {")
        assert run_module(tmp_path, text, "print(typeof view.render);") == "function"

    @pytest.mark.parametrize("worker", WORKERS)
    def test_a_worker_is_one_script_that_answers(self, worker, tmp_path):
        text = "".join(map(without_exports, modules(worker)))
        names = TOP_LEVEL.findall(text)
        assert len(names) == len(set(names))
        asked = "onmessage({ data: { id: 1, method: 'nothing' } });"
        heard = f"globalThis.postMessage = ({{ error }}) => print(error.message); {asked}"
        assert run_module(tmp_path, text, heard) == 'the worker has no method "nothing"'

    @pytest.mark.parametrize("view", VIEWS)
    def test_a_bundle_leaves_out_remarks_and_no_code(self, view):
        lines = [line for line in bundle(view).split("\n") if line]
        assert not [line for line in lines if line.lstrip().startswith(("//", "/**"))]
        source = (FOLDER / view).read_text(encoding="utf-8")
        own = re.sub(r"^import [^;]*;\n", "", source, flags=re.MULTILINE).split("\n")
        own = [line for line in own if line and not line.lstrip().startswith(("//", "/**", "*"))]
        assert lines[-len(own) :] == own

    def test_the_core_and_the_kit_import_nothing_from_above(self):
        floors = {"core": {"core"}, "kit": {"kit", "core"}}
        imports = re.compile(r"""(?:from|import\(|import) *['"]([^'"]+)['"]""")  # of values and of types
        for floor, below in floors.items():
            for file in (FOLDER / floor).glob("*.js"):
                found = imports.findall(file.read_text(encoding="utf-8"))
                rooms = {(file.parent / name).resolve().relative_to(FOLDER).parts[0] for name in found}
                assert rooms <= below, f"{floor}/{file.name} imports from {rooms - below}"

    def test_an_import_that_cannot_be_inlined_is_refused(self, tmp_path):
        for line in ("import * as all from './x.js';", "import x from './x.js';", "export * from './x.js';"):
            (tmp_path / "view.js").write_text(f"{line}\nexport default {{}};\n")
            with pytest.raises(
                ValueError, match=r"view\.js has ['\"](import|export) .*: a bundle takes only import"
            ):
                bundle(str(tmp_path / "view.js"))

    def test_a_view_carries_the_scripts_of_its_workers(self, tmp_path, monkeypatch):
        monkeypatch.setattr("lmbook.widgets.bundle._HERE", tmp_path)
        (tmp_path / "workers").mkdir()
        (tmp_path / "workers" / "trial_worker.js").write_text(
            "// A worker.\nimport { twice } from '../core.js';\nanswer(twice('\"\\n„é“'));\n"
        )
        (tmp_path / "core.js").write_text("export const twice = (text) => text + text;\n")
        (tmp_path / "view.js").write_text("export default {};\n")
        script = "const [script] = Object.values(lmWorkers);"
        heard = f"{script} new Function('answer', script)((text) => print([Object.keys(lmWorkers), text]));"
        text = bundle("view.js", workers=("trial",)).replace("export default {};", "")
        assert run_module(tmp_path, text, heard) == [["trial"], 2 * '"\n„é“']

    def test_comments_go_and_what_looks_like_one_stays(self, tmp_path):
        (tmp_path / "view.js").write_text(
            "// gone\n/**\n * Gone.\n */\nconst a = 'http://x';\n/** @type {number} */ (a).b();\n  // gone\n"
            "const c = 1 /* stays */ + 2;\n/** Gone. */\nexport default {};\n"
        )
        assert bundle(str(tmp_path / "view.js")) == (
            "const a = 'http://x';\n/** @type {number} */ (a).b();\n"
            "const c = 1 /* stays */ + 2;\nexport default {};\n"
        )

    def test_readers_words_never_become_markup(self):
        for file in FOLDER.rglob("*.js"):
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text()
            )


class TestNextTokenDemo:
    def test_tables_hold_the_language(self, coin, coin_ids):
        widget = NextTokenDemo(coin, coin_ids, prefix="a b")
        assert widget.vocab == ["a", "b", "."]
        assert widget.row_starts == b"".join(n.to_bytes(4, "little") for n in (0, 3, 5, 8))
        assert list(widget.row_words) == [0, 1, 2, 0, 1, 0, 1, 2]
        assert list(widget.row_next)[::2] == [0, 1, 0, 0, 1, 2, 2, 2]
        assert list(widget.ids) == coin_ids[0].tolist()
        assert widget.row_length == 211

    def test_one_stream_is_one_row(self, coin, coin_ids):
        assert NextTokenDemo(coin, coin_ids[0]).row_length == 211

    def test_repr_tells_the_table(self, coin, coin_ids):
        row = NGramLM(2, 3).fit(coin_ids)(torch.tensor([[1]]))[0, -1].exp()
        lines = repr(NextTokenDemo(coin, coin_ids, prefix="a b", num_words=2)).splitlines()
        assert lines[0] == "NextTokenDemo after 'a b'"
        assert {line.split()[0] for line in lines[2:4]} == {"a", "b"}
        assert f"b             0.5000  {row[1]:.4f}" in lines
        assert lines[-1] == f"the others    0.0000  {row[2]:.4f}"

    def test_repr_reads_the_prefix_as_the_page_does(self, coin, coin_ids):
        widget = NextTokenDemo(coin, coin_ids, prefix="a")
        widget.prefix = "b zebra a"  # typed by a reader
        assert (
            repr(widget).splitlines()[1:] == repr(NextTokenDemo(coin, coin_ids, prefix="b")).splitlines()[1:]
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"prefix": "a zebra"}, "prefix has words outside the language's vocabulary of 3: 'zebra'"),
            ({"num_words": 0}, "num_words must be from 1 to 20, got 0"),
            ({"num_words": 21}, "num_words must be from 1 to 20, got 21"),
            ({"seed": -1}, r"seed must be at least 0 and below 2\*\*32, got -1"),
        ],
    )
    def test_bad_values(self, coin, coin_ids, arguments, message):
        with pytest.raises(ValueError, match=message):
            NextTokenDemo(coin, coin_ids, **arguments)

    def test_bad_data(self, coin, coin_ids):
        with pytest.raises(ValueError, match="below vocab_size 3, got 3"):
            NextTokenDemo(coin, torch.tensor([0, 3]))
        with pytest.raises(TypeError, match=r"int64 ids, got torch\.int32"):
            NextTokenDemo(coin, coin_ids.int())
        words = {f"w{i}": (1 / 257, "s") for i in range(257)}
        with pytest.raises(ValueError, match="257 words, the limit of its widgets is 256"):
            NextTokenDemo(ToyLanguage(grammar={"s": words}), coin_ids)


class TestChainRuleExplorer:
    def test_repr_tells_the_factors_and_the_total(self, coin, coin_ids):
        text = repr(ChainRuleExplorer(coin, coin_ids, sentence="a b .", presets=[], order=2))
        model = NGramLM(2, 3).fit(coin_ids)
        q = model(torch.tensor([[2, 0, 1, 2]]))[0, [0, 1, 2], [0, 1, 2]]
        assert f"b             0.1250  {q[1].exp():.4f}" in text
        assert text.endswith(f"log P(sentence) in nats: -inf exact, {q.sum():.4f} by the 2-gram")

    def test_bits(self, coin, coin_ids):
        text = repr(ChainRuleExplorer(coin, coin_ids, sentence="b b", presets=[], unit="bits"))
        assert "in bits: -4.0000 exact" in text  # 1/8 · 1/2

    def test_empty_sentence(self, coin, coin_ids):
        assert "0.0000 exact" in repr(ChainRuleExplorer(coin, coin_ids, sentence="", presets=[]))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"sentence": "a zebra"}, "vocabulary of 3: 'zebra'"),
            ({"sentence": "a", "presets": ["a yak"]}, "the sentence 'a yak' has words .*'yak'"),
            ({"order": 0}, "order must be from 1 to 5, got 0"),
            ({"order": 6}, "order must be from 1 to 5, got 6"),
            ({"unit": "dits"}, 'unit must be "nats" or "bits", got \'dits\''),
        ],
    )
    def test_bad_values(self, coin, coin_ids, arguments, message):
        with pytest.raises(ValueError, match=message):
            ChainRuleExplorer(coin, coin_ids, **{"sentence": "a", "presets": [], **arguments})


class TestShannonGame:
    def test_ranks_against_sorting(self, letter_model):
        text = "the dog sat on the mat"
        ids = torch.tensor([LETTERS.index(c) for c in text])
        log2_probs, ranks = score_letters(letter_model, ids, 4)
        for t in range(4, len(text)):
            probs = letter_model(ids[None, :t])[0, -1].exp().tolist()
            order = sorted(range(27), key=lambda w: (-probs[w], w))
            assert ranks[t - 4] == order.index(int(ids[t])) + 1
            assert log2_probs[t - 4] == pytest.approx(math.log2(probs[int(ids[t])]), abs=1e-9)

    def test_equally_likely_letters_rank_by_id(self):
        uniform = torch.zeros(1, 5, 27)
        _, ranks = score_letters(lambda ids: uniform, torch.tensor([3, 0, 26, 7, 1]), 1)
        assert ranks == [1, 27, 8, 2]

    @pytest.mark.parametrize(
        ("logits", "message"),
        [
            (torch.zeros(1, 5, 27).index_fill(1, torch.tensor([2]), math.nan), r"NaN logits, .* \(0, 2, 0\)"),
            (torch.zeros(1, 5, 27).index_fill(1, torch.tensor([2]), -math.inf), "no distribution .* index 3"),
        ],
    )
    def test_logits_without_a_rank_are_refused(self, logits, message):
        with pytest.raises(ValueError, match=message):
            score_letters(lambda ids: logits, torch.tensor([3, 0, 26, 7, 1]), 1)

    def test_a_model_in_training_drops_nothing_and_stays_in_training(self):
        model = torch.nn.Sequential(torch.nn.Embedding(27, 27), torch.nn.Dropout(0.5))
        ids = torch.tensor([3, 0, 26, 7, 1])
        assert score_letters(model, ids, 1) == score_letters(model.eval(), ids, 1)
        score_letters(model.train(), ids, 1)
        assert model.training
        assert model[1].training

    def test_another_alphabet_gives_the_same_game(self, letter_model):
        def last_is_space(ids):  # the same model over a … z and then the space
            return letter_model((ids + 1) % 27).roll(-1, dims=-1)

        first = ShannonGame(["the cat sat"], letter_model, given=3).passages[0]
        second = ShannonGame(["the cat sat"], last_is_space, given=3, alphabet=LETTERS[1:] + " ").passages[0]
        assert second["log2_probs"] == pytest.approx(first["log2_probs"])

    def test_repr_tells_bits_per_letter(self, letter_model):
        game = ShannonGame(
            ["the cat sat on the mat", "the dog sat"], letter_model, names=["Cat", "Dog"], given=4
        )
        log2_probs = game.passages[0]["log2_probs"]
        assert (
            repr(game).splitlines()[1].startswith(f"Cat: 18 letters, {-sum(log2_probs) / 18:.3f} bits each")
        )
        assert game.guesses == [[], []]

    @pytest.mark.parametrize(
        ("passages", "arguments", "message"),
        [
            (["the Cat sat on it"], {}, "Passage 1 has the character 'C'; allowed are the 27 letters"),
            ([], {}, "at least one text, got \\[\\]"),
            (["the cat"], {"given": 7}, "Passage 1 is 7 letters long; it must be from 8 to 2000"),
            (["the cat"], {"given": 0}, "given must be at least 1, got 0"),
            (["a" * 2001], {}, "Passage 1 is 2001 letters long; it must be from 13 to 2000"),
            (["the cat sat on it"], {"names": ["x", "y"]}, "there are 2 names for 1 passages"),
            (["the cat sat on it"], {"alphabet": "abc"}, "27 letters a–z and space in some order, got 'abc'"),
        ],
    )
    def test_bad_values(self, letter_model, passages, arguments, message):
        with pytest.raises(ValueError, match=message):
            ShannonGame(passages, letter_model, **arguments)

    def test_a_model_that_reads_too_little_or_masks(self, letter_model):
        class Short:
            context_length = 11

            def __call__(self, ids):
                return letter_model(ids)

        with pytest.raises(ValueError, match="a passage is 17 tokens long, the model's context_length is 11"):
            ShannonGame(["the cat sat on it"], Short())
        short = Short()
        short.predicts = "same"
        with pytest.raises(TypeError, match="predicts the token at its own place"):
            ShannonGame(["the cat sat on it"], short)


def all_widgets(coin, coin_ids, letter_model):
    return [
        NextTokenDemo(coin, coin_ids, prefix="a b"),
        ChainRuleExplorer(coin, coin_ids, sentence="a b a", presets=["b b"]),
        ShannonGame(["the cat sat on the mat"], letter_model),
    ]


def test_plain_text_is_the_whole_repr_and_holds_no_address(coin, coin_ids, letter_model):
    pairs = zip(
        all_widgets(coin, coin_ids, letter_model), all_widgets(coin, coin_ids, letter_model), strict=True
    )
    for widget, twin in pairs:
        data = widget._repr_mimebundle_()
        data = data[0] if isinstance(data, tuple) else data
        assert data["text/plain"] == repr(widget) == repr(twin)
        assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
        assert " at 0x" not in repr(widget)


@pytest.mark.parametrize("kind", [NextTokenDemo, ChainRuleExplorer, ShannonGame])
def test_unknown_arguments_are_refused_by_name(kind, coin, coin_ids, letter_model):
    first, second = (["the cat sat on it"], letter_model) if kind is ShannonGame else (coin, coin_ids)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'colour'"):
        kind(first, second, colour="red")


def test_python_hears_what_the_page_sets(coin, coin_ids):
    widget = ChainRuleExplorer(coin, coin_ids, sentence="a", presets=[])
    widget.set_state({"sentence": "b b", "order": 5})
    assert repr(widget).startswith("ChainRuleExplorer: 'b b'")
    assert "5-gram" in repr(widget)
