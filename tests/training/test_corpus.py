"""Texts of a run: files read in blocks, documents, what is for validation, what has changed."""

import pytest

from lmbook.training import corpus as module
from lmbook.training.corpus import (
    Fingerprint,
    Source,
    Split,
    documents,
    find_sources,
    read_blocks,
    what_changed,
)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)


def write(path, text, **options):
    path.write_text(text, **{"encoding": "utf-8", "newline": "", **options})
    return path


def texts(split):
    """Split -> its documents."""
    found, open_ = {"training": [], "validation": []}, {}
    for name, text, ends in split.texts():
        open_[name] = open_.get(name, "") + text
        if ends:
            found[name].append(open_.pop(name))
    assert not open_
    return found


class TestReading:
    def test_blocks_are_the_text_wherever_they_are_cut(self, tmp_path, small_blocks):
        text = "é日🙂a\r\nb\rc\n" * 9
        blocks = list(read_blocks(write(tmp_path / "a.txt", text)))
        assert len(blocks) > 9
        assert "".join(blocks) == text.replace("\r\n", "\n").replace("\r", "\n")

    def test_a_byte_order_mark_is_dropped_once(self, tmp_path, small_blocks):
        path = write(tmp_path / "a.txt", "\ufeffabc" * 5, encoding="utf-8-sig")
        assert "".join(read_blocks(path)) == "\ufeffabc" * 5

    @pytest.mark.parametrize("before", [0, 5, 6, 7, 20])
    def test_the_place_of_a_byte_that_is_no_utf8(self, before, tmp_path, small_blocks):
        path = tmp_path / "a.txt"
        path.write_bytes(b"a" * before + b"\xe9b")
        with pytest.raises(ValueError, match=rf"a\.txt isn't UTF-8: byte 0xe9 at position {before};"):
            list(read_blocks(path))

    def test_a_character_cut_off_at_the_end(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_bytes("abcé".encode()[:-1])
        with pytest.raises(ValueError, match="at position 3"):
            list(read_blocks(path))

    @pytest.mark.parametrize("separator", ["<|end|>", "\n\n", "a"])
    def test_documents_are_what_split_gives(self, separator, tmp_path, small_blocks):
        text = separator.join(["one", "", "two <|en", "three\n", "|end|>four"]) + separator
        found = {}
        for number, part in documents(Source("x", write(tmp_path / "a.txt", text)), separator):
            found[number] = found.get(number, "") + part
        assert [found.get(n, "") for n in range(max(found) + 1)] == text.split(separator)


class TestSources:
    def test_a_folder_is_its_text_files_in_order(self, tmp_path):
        (tmp_path / "sub").mkdir()
        for name in "b.txt", "a.txt", "sub/c.txt", "no.md":
            write(tmp_path / name, name)
        found = find_sources([str(tmp_path)])
        assert [source.path.name for source in found] == ["a.txt", "b.txt", "c.txt"]

    def test_an_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"is a folder without a file \*\.txt"):
            find_sources([str(tmp_path)])

    def test_the_books_corpora_are_documents_with_a_split(self):
        found = find_sources(["shakespeare"])
        assert len(found) == 38
        assert {s.name for s in found if s.split == "validation"} == {
            "shakespeare: Twelfth Night", "shakespeare: King John", "shakespeare: Hamlet",
        }  # fmt: skip


class TestSplit:
    def test_the_end_of_each_of_few_documents_is_for_validation(self, tmp_path, small_blocks):
        a, b = write(tmp_path / "a.txt", "a" * 100), write(tmp_path / "b.txt", "b" * 40)
        found = texts(Split.of(find_sources([str(a), str(b)]), None))
        assert found == {"training": ["a" * 95, "b" * 38], "validation": ["aaaaa", "bb"]}

    def test_every_twentieth_of_many_is_for_validation(self, tmp_path):
        names = [f"<{n}>" for n in range(45)]
        path = write(tmp_path / "a.txt", "|" + "||".join(names))  # empty documents don't count
        found = texts(Split.of(find_sources([str(path)]), "|"))
        assert found["validation"] == ["<19>", "<39>"]
        assert found["training"] == [name for name in names if name not in ("<19>", "<39>")]

    def test_what_validation_names_is_for_validation_alone(self, tmp_path):
        a, b = write(tmp_path / "a.txt", "a" * 100), write(tmp_path / "b.txt", "b" * 40)
        found = texts(Split.of(find_sources([str(a)], [str(b)]), None))
        assert found == {"training": ["a" * 100], "validation": ["b" * 40]}


class TestFingerprint:
    def sources(self, *paths):
        return find_sources([str(path) for path in paths])

    def of(self, *paths):
        return [Fingerprint.of(source) for source in self.sources(*paths)]

    @pytest.mark.parametrize(
        ("new", "message"),
        [
            ("0123456789abcdefghij", None),
            ("0123456789abcdefghijk", "had 20 bytes and has 21: text was added at its end"),
            ("0123456789abcdeXghij", "had 20 bytes and has 20; they differ first at or after byte 14"),
            ("0123456789abcde", "had 20 bytes and has 15; they differ first at or after byte 14"),
            ("X123456789abcdefghijklm", "differ first at or after byte 0"),
        ],
    )
    def test_what_changed(self, new, message, tmp_path, small_blocks):
        path = write(tmp_path / "a.txt", "0123456789abcdefghij")
        old = self.of(path)
        write(path, new)
        found = what_changed(self.sources(path), old, self.of(path))
        assert found is None if message is None else message in found and str(path) in found

    def test_one_more_file(self, tmp_path):
        a, b = write(tmp_path / "a.txt", "a"), write(tmp_path / "b.txt", "b")
        message = "it had 1 text(s) and has 2"
        assert what_changed(self.sources(a, b), self.of(a), self.of(a, b)) == message

    def test_a_file_that_is_for_validation_now(self, tmp_path):
        a, b = write(tmp_path / "a.txt", "a"), write(tmp_path / "b.txt", "b")
        sources = find_sources([str(a)], [str(b)])
        new = [Fingerprint.of(source) for source in sources]
        message = f"{a} was for both and is for training"
        assert what_changed(sources, self.of(a, b), new) == message

    def test_a_known_file_isnt_read_again(self, tmp_path, monkeypatch):
        path = write(tmp_path / "a.txt", "abc")
        (source,) = self.sources(path)
        known = Fingerprint.of(source)
        monkeypatch.setattr(module, "_digests", lambda *_: 1 / 0)
        assert Fingerprint.of(source, known) is known
        write(path, "abcd")
        with pytest.raises(ZeroDivisionError):
            Fingerprint.of(source, known)
