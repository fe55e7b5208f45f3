"""The one way in which the tests run JavaScript: a module in Deno, which may neither write nor connect, and
read only the file that it is given.

Data travels as JSON, to the module and back: bytes arrive as a DataView, typed arrays return as lists.
"""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import traitlets
from deno import find_deno_bin

HEAD = """
const saved = JSON.parse(await new Response(Deno.stdin.readable).text(), (_, value) =>
  value?.$bytes === undefined ? value : new DataView(Uint8Array.fromBase64(value.$bytes).buffer));
const print = (value) =>
  console.log(JSON.stringify(value ?? null, (_, x) => (ArrayBuffer.isView(x) ? [...x] : x)));
"""


def run_module(
    folder: Path, source: str, script: str, data: object = None, *, reads: Path | None = None
) -> Any:
    """Run `script` at the end of the module `source`, where `saved` is `data`; return what it gives `print`.

    Args:
        folder: where the module is written.
        source: what stands in front of the script, in the same scope: imports, or a whole module.
        script: statements; `print(value)` is called once.
        data: anything that JSON holds, and bytes.
        reads: a file that the module may read.
    """
    file = folder / "module.mjs"
    file.write_text("\n".join((source, HEAD, script)), encoding="utf-8")
    done = subprocess.run(
        [
            find_deno_bin(),
            "run",
            "--quiet",
            "--no-config",
            "--no-prompt",
            "--no-npm",
            "--no-remote",
            *([f"--allow-read={reads}"] if reads else []),
            str(file),
        ],
        input=json.dumps(data, default=_as_base64),
        env=os.environ | {"DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def state_of(widget: traitlets.HasTraits) -> dict[str, Any]:
    """What the page gets of a widget: each trait that a view reads."""
    state = {name: getattr(widget, name) for name in widget.keys if not name.startswith("_")}
    return {k: v for k, v in state.items() if isinstance(v, str | bytes | int | float | list | dict)}


def _as_base64(value: object) -> dict[str, str]:
    if not isinstance(value, bytes):
        raise TypeError(f"JSON can't hold {value!r}")
    return {"$bytes": base64.b64encode(value).decode()}
