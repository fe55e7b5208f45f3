"""Runs JavaScript in the scope of a widget's own module, with the state that Python gave it."""

from pathlib import Path
from typing import Any

from javascript import run_module, state_of

from lmbook.widgets.base import BookWidget

MODEL = "const model = { get: (name) => saved.state[name] };\n"


def run_js(folder: Path, widget: BookWidget, script: str, data: object = None) -> Any:
    """Run `script`, in which `model` has the state and `saved.data` the data; return what it prints."""
    return run_module(folder, str(widget._esm), MODEL + script, {"state": state_of(widget), "data": data})
