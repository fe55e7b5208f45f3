"""Tokens on the disk, rows that stay within documents, and what is made again."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from lmbook.tokenizer import tokenizer_from_json
from lmbook.training import tokens as module
from lmbook.training.corpus import Source, find_sources
from lmbook.training.tokens import IGNORED, TokenFolder, Tokens, TokenSettings, prepare_tokens


def of(*lengths):
    """Documents of these lengths; each id is its place."""
    return Tokens(np.arange(sum(lengths), dtype=np.uint16), np.cumsum(lengths))


class TestBatch:
    def test_a_batch_depends_on_seed_and_step_alone(self):
        tokens = of(1000)
        rows = tokens.batch(5, 7, 4, 11)
        assert rows.shape == (4, 12)
        assert rows.dtype == torch.int64
        assert torch.equal(rows[:, 1:] - rows[:, :-1], torch.ones(4, 11, dtype=torch.int64))
        torch.manual_seed(1)
        assert torch.equal(rows, tokens.batch(5, 7, 4, 11))
        assert not torch.equal(rows, tokens.batch(5, 8, 4, 11))
        assert not torch.equal(rows, tokens.batch(6, 7, 4, 11))

    @pytest.mark.parametrize(
        ("lengths", "starts"),
        [
            ([10], {*range(7)}),  # the last row is 6, 7, 8, 9
            ([6, 5], {0, 1, 2, 6, 7}),
            ([6, 2, 5], {0, 1, 2, 6, 8, 9}),  # of the second only its begin
            ([6, 2], {0, 1, 2, 6}),
            ([1, 2, 1, 2], {0, 1, 3, 4}),
        ],
    )
    def test_every_row_within_a_document_is_as_likely_as_another(self, lengths, starts):
        tokens = of(*lengths)
        first = Counter(int(i) for step in range(300) for i in tokens.batch(0, step, 5, 3)[:, 0])
        assert first.keys() == starts
        expected = 1500 / len(starts)
        assert sum((n - expected) ** 2 / expected for n in first.values()) < 22.5  # 99.9 % of 6 degrees

    def test_nothing_is_predicted_beyond_a_document(self):
        rows = of(6, 2, 5).rows(np.array([0, 3, 6, 9, 12]), 3).tolist()
        x = IGNORED
        assert rows == [[0, 1, 2, 3], [3, 4, 5, x], [6, 7, x, x], [9, 10, 11, 12], [12, x, x, x]]


class TestEpochs:
    @pytest.mark.parametrize("lengths", [[10], [7], [4], [10, 2, 7], [1, 1, 5, 1, 301, 2, 1]])
    @pytest.mark.parametrize("batch_size", [1, 2, 5])
    def test_a_pass_predicts_each_token_once_but_the_first_of_a_document(self, lengths, batch_size):
        tokens = of(*lengths)
        count = tokens.num_rows(3)
        steps = 2 * -(-count // batch_size) if count % batch_size else 2 * count // batch_size
        rows = torch.cat([tokens.epoch_batch(5, step, batch_size, 3) for step in range(steps)])
        expected = {*range(sum(lengths))} - {*tokens.begins.tolist()}
        for epoch in 0, 1:
            found = rows[epoch * count : (epoch + 1) * count, 1:].flatten().tolist()
            assert sorted(i for i in found if i != IGNORED) == sorted(expected)

    def test_passes_have_orders_of_their_own(self):
        tokens = of(301, 400)
        first, second, again = (tokens.epoch_batch(0, n, tokens.num_rows(7), 7)[:, 0] for n in (0, 1, 0))
        assert not first.equal(second)
        assert first.sort().values.equal(second.sort().values)
        assert first.equal(again)
        assert not first.equal(tokens.epoch_batch(1, 0, len(first), 7)[:, 0])
        assert first.diff().unique().numel() > 20  # mixed, not turned


class TestValidation:
    def test_rows_follow_one_another_within_documents(self):
        assert of(10, 2, 7).validation_starts(3, 10**6).tolist() == [0, 3, 6, 10, 12, 15]

    def test_of_too_many_rows_some_are_chosen_evenly(self):
        starts = of(301, 301).validation_starts(3, 36)
        assert len(starts) == 12
        assert sum(starts < 301) == 6
        assert len(set(np.diff(starts).tolist())) <= 3


TEXT = "The seal, 12 gulls;  and\n\n the  rock é日🙂_x\t" * 40


def prepare(tmp_path, kind="bpe", texts=(TEXT,), vocab_size=300, tokenizer=None):
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    sources = find_sources([str(tmp_path / f"{n}.txt") for n in range(len(texts))])
    return prepare_tokens(tmp_path / "tokens", sources, TokenSettings(kind, vocab_size, None), tokenizer)[0]


class TestFolder:
    @pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
    @pytest.mark.parametrize("block", [5, 64, 2**20])
    def test_tokens_are_those_of_each_document_however_it_is_cut(self, kind, block, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "BLOCK", block)
        monkeypatch.setattr("lmbook.training.corpus.BLOCK", block)
        made = prepare(tmp_path, kind, [TEXT, "rock and seal " * 9])
        tokenizer = tokenizer_from_json(made.tokenizer)
        for split, cut in ("training", slice(0, 0.95)), ("validation", slice(0.95, 1)):
            ids, ends = [], []
            for text in TEXT, "rock and seal " * 9:
                ids += tokenizer.encode(text[round(cut.start * len(text)) : round(cut.stop * len(text))])
                ends.append(len(ids))
            tokens = made.tokens(split)
            assert tokens.ids.tolist() == ids
            assert tokens.ends.tolist() == ends

    @pytest.mark.parametrize(("kind", "size"), [("char", 1), ("byte", 1), ("bpe", 2)])
    def test_ids_take_as_few_bytes_as_they_need(self, kind, size, tmp_path):
        made = prepare(tmp_path, kind)
        assert made.bytes_per_id == size
        assert (tmp_path / "tokens" / "training.tokens").stat().st_size == size * len(
            made.tokens("training").ids
        )

    def test_a_folder_of_an_earlier_version_is_read(self, tmp_path):
        """The index keeps its names: another name would make every corpus's tokens again."""
        made = prepare(tmp_path)
        index = json.loads((tmp_path / "tokens" / "index.json").read_text(encoding="utf-8"))
        assert index.keys() == {"recipe", "tokenizer", "sources", "bytes_per_id", "ends"}
        assert index["recipe"] == {"kind": "bpe", "vocab_size": 300, "separator": None}
        assert index["sources"][0].keys() == {"name", "size", "modified", "split", "blocks"}
        assert TokenFolder.read(tmp_path / "tokens") == made

    def test_tokens_are_mapped_not_read(self, tmp_path):
        assert isinstance(prepare(tmp_path).tokens("training").ids, np.memmap)

    def test_the_same_is_not_made_again(self, tmp_path, monkeypatch):
        made = prepare(tmp_path)
        monkeypatch.setattr(module.Split, "of", lambda *_: 1 / 0)
        assert prepare(tmp_path) == made
        assert prepare(tmp_path, tokenizer=made.tokenizer) == made

    @pytest.mark.parametrize(
        "change",
        [{"texts": [TEXT + "more"]}, {"kind": "byte"}, {"vocab_size": 270}, {"texts": [TEXT, TEXT]}],
        ids=lambda change: next(iter(change)),
    )
    def test_another_corpus_or_tokenizer_is_made_and_who_has_the_old_one_keeps_it(self, change, tmp_path):
        before = prepare(tmp_path).tokens("training")
        ids = before.ids.tolist()
        after = prepare(tmp_path, **change)
        assert after.tokens("training").ids.tolist() != ids
        assert before.ids.tolist() == ids
        names = {path.name for path in (tmp_path / "tokens").iterdir()}
        assert names == {"training.tokens", "validation.tokens", "index.json", "lock"}

    @pytest.mark.parametrize(
        "damage",
        [
            "tokens cut",
            "no tokens",
            "index cut",
            "index of numbers",
            "no index",
            "ends that fall",
            "lists without end",
            "ends of a text",
            "a recipe without a kind",
        ],
    )
    def test_what_is_damaged_is_made_again(self, damage, tmp_path):
        ids = prepare(tmp_path).tokens("training").ids.tolist()
        folder = tmp_path / "tokens"
        tokens, index = folder / "training.tokens", folder / "index.json"
        {
            "tokens cut": lambda: tokens.write_bytes(tokens.read_bytes()[:-3]),
            "no tokens": tokens.unlink,
            "index cut": lambda: index.write_text(index.read_text()[:-9]),
            "index of numbers": lambda: index.write_text("[1, 2]"),
            "lists without end": lambda: index.write_text("[" * 200_000),
            "ends of a text": lambda: index.write_text(
                index.read_text().replace('"ends": {', '"ends": "", "e": {')
            ),
            "a recipe without a kind": lambda: index.write_text(
                index.read_text().replace('"kind"', '"sort"', 1)
            ),
            "no index": index.unlink,
            "ends that fall": lambda: index.write_text(
                index.read_text().replace('"ends": {"training": [', '"ends": {"training": [9999, ')
            ),
        }[damage]()
        assert TokenFolder.read(folder) is None
        assert prepare(tmp_path).tokens("training").ids.tolist() == ids

    def test_an_interrupted_making_leaves_nothing_that_looks_whole(self, tmp_path, monkeypatch):
        prepare(tmp_path)

        def stop(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(json, "dumps", stop)
            with pytest.raises(KeyboardInterrupt):
                prepare(tmp_path, "byte")
        assert prepare(tmp_path, "byte").bytes_per_id == 1
        assert not list((tmp_path / "tokens").glob("*.partial"))


DAMAGES = [("bytes_per_id", size) for size in (1.0, True, 3, 0, "1", None)]
DAMAGES += [("tokenizer", text) for text in ("", "x", '{"kind": "byte"', '{"kind": "none"}', 3, None)]


@pytest.mark.parametrize(("name", "value"), DAMAGES)
def test_tokens_with_a_damaged_index_are_made_again(tmp_path, name, value):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat. " * 9, encoding="utf-8")
    settings = TokenSettings(kind="byte", vocab_size=None, separator=None)
    made, _ = prepare_tokens(tmp_path / "tokens", [Source("a", path=path)], settings)
    ids, index = made.tokens("training").ids.tolist(), tmp_path / "tokens" / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text("utf-8")) | {name: value}), "utf-8")
    assert TokenFolder.read(tmp_path / "tokens") is None
    again, _ = prepare_tokens(tmp_path / "tokens", [Source("a", path=path)], settings)
    assert again.tokens("training").ids.tolist() == ids


def test_a_full_disk_is_said_with_the_file(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat. " * 9, encoding="utf-8")
    settings = TokenSettings(kind="byte", vocab_size=None, separator=None)

    class Full(np.ndarray):
        def tofile(self, file):
            raise OSError("9 requested and 1 written")

    monkeypatch.setattr(module.np, "array", lambda *args, **options: np.zeros(9, np.uint8).view(Full))
    with pytest.raises(OSError, match=r"training\.tokens\.\d+\.partial couldn't be written: 9 req"):
        prepare_tokens(tmp_path / "tokens", [Source("a", path=path)], settings)
    assert not (tmp_path / "tokens" / "index.json").exists()


def test_two_runs_that_tokenise_into_one_folder_take_turns(tmp_path, monkeypatch):
    """Without turns one run's index may come to stand beside the other's tokens."""
    make, inside, most = module._make_tokens, [], []

    def slow(*arguments):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.3)
        make(*arguments)
        inside.pop()

    def run(name):
        path = tmp_path / name
        path.write_text(f"{name} sat on the mat. " * 9, encoding="utf-8")
        settings = TokenSettings(kind="byte", vocab_size=None, separator=None)
        return prepare_tokens(tmp_path / "tokens", [Source(name, path=path)], settings)[0].sources[0].name

    monkeypatch.setattr(module, "_make_tokens", slow)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, ["cat", "dog", "cat", "dog"]))
    assert found == ["cat", "dog", "cat", "dog"]
    assert max(most) == 1
