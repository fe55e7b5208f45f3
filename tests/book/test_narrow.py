"""Figures are drawn a second time for phones: as wide as the column, with letters that can be read."""

import hashlib
import pickle
import re

import execute
import matplotlib.pyplot as plt
import narrow
import nbformat
import pytest
from extensions import pictures
from matplotlib.text import Text

V4 = nbformat.v4
COLUMN = 356  # pixels, on a phone that is 390 wide


@pytest.fixture
def kept(tmp_path):
    def keep(figure):
        path = tmp_path / "figure.pickle"
        path.write_bytes(pickle.dumps(figure))
        plt.close(figure)
        return path

    with plt.style.context("lmbook.book"):
        yield keep


def size(svg: str) -> tuple[int, int]:
    return tuple(int(n) for n in re.findall(r'"(\d+)"', pictures.size(svg)))


@pytest.mark.parametrize("width", [5, 7, 9])
def test_a_figure_of_any_width_is_as_wide_as_the_column(kept, width):
    figure, ax = plt.subplots(figsize=(width, 3))
    ax.plot([1, 2], label="a line")
    ax.set(xlabel="steps", ylabel="nats per word")
    ax.legend()
    found, _ = size(narrow.narrow(kept(figure)))
    assert COLUMN - 12 <= found <= COLUMN


def test_panels_stack_and_stay_as_high_as_they_were(kept):
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.5), sharey=True)
    axes[0].set_ylabel("probability")
    path = kept(figure)
    _, stacked = size(narrow.narrow(path))
    _, pair = size(narrow.narrow(path, columns=2))
    assert stacked == pytest.approx(3 * 2.5 * 96, rel=0.06)
    assert pair == pytest.approx(2 * 2.5 * 96, rel=0.06)


def test_small_letters_grow_and_a_long_title_breaks(kept):
    figure, ax = plt.subplots()
    ax.set_title("a title that is longer than a phone is wide, by far")
    ax.text(0.5, 0.5, "small", fontsize=6)
    narrow.enlarge(figure)
    assert min(text.get_fontsize() for text in figure.findobj(Text)) * 4 / 3 >= 11  # pixels
    assert "\n" in ax.get_title(loc="left")
    plt.close(figure)


def test_a_name_beside_a_line_stays_in_its_panel(kept):
    figure, ax = plt.subplots(figsize=(4, 2), layout="constrained")
    ax.set(xlim=(0, 10))
    texts = [ax.text(9, 0.2, "beyond the right edge"), ax.text(1, 0.6, "left of a line", ha="right")]
    narrow.keep_inside(figure)
    figure.canvas.draw()
    left, right = ax.get_window_extent().intervalx
    for text in texts:
        box = text.get_window_extent()
        assert left - 1 <= box.x0 < box.x1 <= right + 1
    plt.close(figure)


def test_the_execution_keeps_each_figure_under_the_name_that_its_picture_has_on_the_site(tmp_path):
    lines = (
        '%config InlineBackend.figure_formats = ["svg"]',
        "import matplotlib.pyplot as plt",
        "plt.plot([1, 2])\nplt.show()",
    )
    notebook = V4.new_notebook(cells=[V4.new_code_cell(line) for line in lines])
    path = tmp_path / "one.ipynb"
    nbformat.write(notebook, path)
    execute.execute_chapters([path], tmp_path / "cache")
    cache = execute.get_cache(tmp_path / "cache")
    done = cache.get_cache_bundle(cache.match_cache_notebook(notebook).pk).nb
    svg = next(o["data"]["image/svg+xml"] for o in done.cells[2].outputs if "data" in o)
    name = hashlib.sha256("\n".join(svg.splitlines()).encode()).hexdigest()
    assert [p.stem for p in (tmp_path / "cache" / execute.FIGURES).iterdir()] == [name]


def test_a_page_shows_both_versions_with_their_sizes(monkeypatch, tmp_path):
    svg = '<svg xmlns="" width="600pt" height="300pt" viewBox="0 0 600 300">'
    (tmp_path / "wide.svg").write_text(svg, encoding="utf-8")
    monkeypatch.setattr(pictures, "drawn_narrow", lambda *_: svg.replace("600pt", "264pt"))
    name = "ab" * 32 + ".svg"
    body = (
        f'<figure class="x" id="fig-a">\n<div class="lm-figure"><img alt="a" src="../_images/{name}" /></div>'
    )
    after = pictures.with_sizes(body, "chapters/a", {name: tmp_path / "wide.svg"}, tmp_path / "images")
    assert f'srcset="../_images/{"ab" * 32}-narrow.svg" width="352" height="400">' in after
    assert f'src="../_images/{name}" width="800" height="400" loading="lazy"' in after
    assert (tmp_path / "images" / f"{'ab' * 32}-narrow.svg").exists()
    monkeypatch.setattr(pictures, "drawn_narrow", lambda *_: None)
    alone = pictures.with_sizes(body, "chapters/a", {name: tmp_path / "wide.svg"}, tmp_path / "images")
    assert "<picture>" not in alone
    assert 'width="800"' in alone
