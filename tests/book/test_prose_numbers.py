"""Every number in the prose is shown by an output, a setting or a source, or is listed with the reason."""

import tomllib
from pathlib import Path

import nbformat
import prose_numbers
import pytest
from prose_numbers import Book, claims, paragraphs

LIST = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["listed"]
COMPUTED = {("index", "map")}  # cells whose numbers test_start_page computes again


@pytest.fixture(scope="module")
def unexplained() -> set[tuple[str, str, str]]:
    book = Book()
    found = [number for name in book.cells for number in book.numbers(name)]
    assert len(found) > 800  # of which there are about a thousand
    unshown = (n for n in found if not n.shown and (n.chapter, n.cell) not in COMPUTED)
    return {(n.chapter, n.cell, n.claim.text) for n in unshown}


def listed() -> set[tuple[str, str, str]]:
    return {(entry["chapter"], cell, entry["number"]) for entry in LIST for cell in entry["cells"]}


def test_every_number_is_shown_cited_or_listed(unexplained):
    assert not unexplained - listed(), "print it, cite it, word it otherwise, or list it with the reason"


def test_the_list_holds_only_numbers_that_need_it(unexplained):
    assert not listed() - unexplained
    assert all(len(entry["reason"]) > 10 for entry in LIST)
    assert len(LIST) <= 20


def texts(markdown: str) -> list[str]:
    return [claim.text for paragraph in paragraphs(markdown) for claim in claims(paragraph)]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("It costs 2.19 nats, 46 % more than 1,024 do.", ["2.19", "46 %", "1,024"]),
        ("about 2.5 million words, or 10⁷⁴, or $10^{-45}$", ["10⁷⁴", "10^{-45}", "2.5 million"]),
        ("shares of 80/10/10", ["80 %", "10 %", "10 %"]),
        ("from .88 to −0.4", [".88", "0.4"]),
        ("Twelve of 12 words, in 1913, by GPT-2 and a 50-gram, see chapter 13, sections 14 and 15", []),
        ("`x = 3.5`, {term}`a <b 77>`, [link](c44.html), {cite}`shannon1948`, $t - 99$", []),
        ("$$\nx = 44.5\n$$ (eq-x)\n\n```\n55.5\n```\n", []),
        ("$0.48 \\times 0.5 = 0.24$", ["0.48", "0.5", "0.24"]),
        ("{term}`3.5 nats <nat>` of {doc}`chapter 1 <01_probability>`", ["3.5"]),
    ],
)
def test_reads_the_numbers_that_claim_something(markdown, expected):
    assert texts(markdown) == expected


def shown(
    tmp_path, prose: str, *, printed: str = "", code: str = "pass", cells_between: int = 0
) -> list[str]:
    v4 = nbformat.v4
    output = v4.new_output("stream", name="stdout", text=printed)
    cells = [v4.new_code_cell(code, outputs=[output], id="cell")]
    cells += [v4.new_markdown_cell("Words.", id=f"between-{i}") for i in range(cells_between)]
    cells.append(v4.new_markdown_cell(prose, id="prose"))
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / "01_one.ipynb")
    return [found.shown for found in Book(tmp_path).numbers("01_one") if found.cell == "prose"]


@pytest.mark.parametrize(
    ("prose", "printed", "expected"),
    [
        ("It is 0.37.", "value 0.3712", "printed by cell"),
        ("It is 0.37.", "value 0.3762", ""),
        ("It is 0.37.", "value 0.4", ""),
        ("It is 46 %.", "share 0.458", "printed by cell"),
        ("It is 0.46.", "share 45.8%", "printed by cell"),
        ("It is 4.4 million.", "4,387,886 letters", "printed by cell"),
        ("It is 4.3 million.", "4,387,886 letters", ""),
        ("Some 1,200 of them.", "1,234 words", "printed by cell"),
        ("All 1,200 of them.", "1,234 words", ""),
        ("It is 0.044 more.", "a 1.50\nb 1.544", "made of 1.5 and 1.544 in cell"),
        ("A third less, 33 %.", "3.0\n2.0", "made of 3 and 2 in cell"),
        ("It is 77.", "nothing", ""),
        ("It is 77 {cite}`x`.", "nothing", "cited"),
        ("It is 77. Others say so {cite}`x`.", "nothing", ""),
    ],
)
def test_says_what_shows_a_number(tmp_path, prose, printed, expected):
    assert shown(tmp_path, prose, printed=printed) == [expected]


def test_a_product_in_the_same_paragraph_explains_its_result(tmp_path):
    assert shown(tmp_path, "$0.48 \\times 0.5 = 0.24$", printed="0.48 0.5") == [
        *["printed by cell"] * 2,
        "made of 0.48 and 0.5",
    ]


def test_settings_are_numbers_in_code_and_products_of_neighbours(tmp_path):
    code = "x = sample(1_000, 200)  # 300,000\nlabel = '400,000'"
    assert shown(tmp_path, "1,000 rows, 200,000 words", code=code) == ["set by cell"] * 2
    assert shown(tmp_path, "300,000 or 400,000", code=code) == [""] * 2


def test_short_numbers_are_not_sought_far_away(tmp_path):
    assert shown(tmp_path, "It is 0.37.", printed="0.3712", cells_between=prose_numbers.NEAR) == [""]
    assert shown(tmp_path, "It is 0.371.", printed="0.3712", cells_between=20) == ["printed by cell"]
    assert shown(tmp_path, "As above, 0.37.", printed="0.3712", cells_between=20) == ["printed by cell"]
