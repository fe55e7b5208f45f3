"""The last chapter's picture: its quotes and sections are in the chapters that it links to."""

import ast
import json
import re
from pathlib import Path

import pytest
from docutils.nodes import make_id

CHAPTERS = Path(__file__).resolve().parents[2] / "chapters"
LINK = re.compile(r"(\d\d_\w+)#([\w-]+)")


def cells(name: str) -> list[dict]:
    return json.loads((CHAPTERS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def source(cell_id: str) -> str:
    return "".join(next(cell for cell in cells("11_next") if cell["id"] == cell_id)["source"])


def sections(name: str) -> set[str]:
    texts = ["".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "markdown"]
    return {make_id(head) for text in texts for head in re.findall(r"(?m)^#+ (.+)$", text)}


def printed(name: str) -> str:
    outputs = [output for cell in cells(name) for output in cell.get("outputs", [])]
    texts = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in outputs]
    return "\n".join("".join(text) for text in texts)


def stops() -> list[tuple[str, str, str]]:
    tree = ast.parse(source("steps"))
    return [ast.literal_eval(entry) for entry in tree.body[0].value.elts]


def test_every_part_of_the_picture_leads_to_a_section():
    links = LINK.findall(source("steps") + source("ladder"))
    assert len(links) >= 13
    assert not [(name, section) for name, section in links if section not in sections(name)]


@pytest.mark.parametrize("stop", stops(), ids=lambda stop: stop[1])
def test_numbers_of_other_chapters_are_those_that_they_print(stop):
    _, link, note = stop
    numbers = re.findall(r"(?<![\w.])\d*\.\d+", note)
    assert not [number for number in numbers if number not in printed(link.partition("#")[0])]


def test_the_number_of_the_real_model_is_the_one_that_chapter_7_prints():
    number = re.search(r"SMOLLM2 = ([\d.]+)", source("ladder"))[1]
    rows = [line.split() for line in printed("09_real_model").splitlines() if line.startswith("SmolLM2  ")]
    assert number in [row[-1] for row in rows if len(row) == 9]  # eight stretches of fifty words
