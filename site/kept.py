"""What takes seconds to make, kept between builds under `_build/kept`."""

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from book import ROOT

FOLDER = ROOT / "_build" / "kept"


def kept(name: str, source: bytes, make: Callable[[], Any]) -> Any:
    """Return what `make` returns, as JSON has it; of the same `source` and by the same code it is made once.

    Under each name the last one is kept.
    """
    code = Path(make.__code__.co_filename).read_bytes()
    path, state = FOLDER / f"{name}.json", sha256(code + b"\0" + source).hexdigest()
    with suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads(path.read_text(encoding="utf-8"))[state]
    made = make()
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({state: made}), encoding="utf-8")
    return made
