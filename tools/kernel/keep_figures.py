"""An extension of the kernels that execute chapters: it keeps each figure, to be drawn again for a phone.

A figure is kept as a pickle in the folder that LMBOOK_FIGURES names, under the hash of the SVG that the page
shows, which is also that file's name on the site. `site/narrow.py` draws it.
"""

import os
import pickle
from hashlib import sha256
from pathlib import Path

from IPython.core import pylabtools

FOLDER = os.environ.get("LMBOOK_FIGURES", "")


def keep(figure: object, svg: str) -> None:
    name = sha256(os.linesep.join(svg.splitlines()).encode()).hexdigest()
    Path(FOLDER, f"{name}.pickle").write_bytes(pickle.dumps(figure))


def load_ipython_extension(shell: object) -> None:
    """Keep every figure that is drawn as SVG from now on."""
    draw = pylabtools.print_figure

    def print_figure(figure: object, fmt: str = "png", **options: object) -> object:
        drawn = draw(figure, fmt=fmt, **options)
        if fmt == "svg" and FOLDER:
            keep(figure, drawn)
        return drawn

    pylabtools.print_figure = print_figure
