"""The page asks for the file that the package has."""

import hashlib
import re

import lm_parity as parity
import views

from lmbook.smollm2 import _smollm2_path

PIECE = 4 * 2**20


def test_name_size_and_digest_are_those_of_the_package():
    source = (parity.FOLDER / "core" / "smollm2.js").read_text(encoding="utf-8")
    told = dict(re.findall(r"^  (file|size|digest): '?([^',]+)'?,", source, re.MULTILINE))
    path = _smollm2_path()
    data = path.read_bytes()
    pieces = [hashlib.sha256(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE)]
    digest = hashlib.sha256(b"".join(pieces)).hexdigest()
    assert told == {"file": path.name, "size": f"{len(data):_}", "digest": digest}
    assert views.WEIGHTS.endswith(f"/{path.name}")
