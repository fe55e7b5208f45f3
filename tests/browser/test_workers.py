"""A worker under the policy of the site's own pages."""

import pytest

from lmbook.widgets.bundle import modules, without_exports

KIT = "".join(map(without_exports, modules("kit/worker.js")))
ANSWERING = "".join(map(without_exports, modules("workers/answering.js")))
WORKER = f"""{ANSWERING}
answerCalls({{
  where: () => [typeof document, typeof WebAssembly.instantiate],
  run: (bytes) => new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.answer(),
  fail() {{ throw new RangeError('the limit is 3'); }},
  die() {{ setTimeout(() => {{ throw new Error('out of order'); }}); return new Promise(() => {{}}); }},
}});"""
# (module (func (export "answer") (result i32) (i32.const 42)))
ANSWER = "0061736d010000000105016000017f03020100070a0106616e7377657200000a06010400412a0b"


@pytest.mark.parametrize("from_disk", [False, True], ids=["http", "file"])
def test_a_worker_computes_and_fails_in_the_open(page, site, from_disk):
    page.goto((site.file if from_disk else site.http)("search.html"))
    found = page.evaluate(
        f"""async ({{ text, wasm }}) => {{
          {KIT}
          globalThis.lmWorkers = {{ trial: text }};
          const worker = await openWorker('trial');
          const failed = (error) => `${{error.name}}: ${{error.message}}`;
          return [
            await worker.call('where'),
            await worker.call('run', Uint8Array.from(wasm.match(/../g), (byte) => parseInt(byte, 16))),
            await worker.call('fail').catch(failed),
            await worker.call('die').catch(failed),
            await worker.call('where').catch(failed),
            await openWorker('stranger').catch(failed),
          ];
        }}""",
        {"text": WORKER, "wasm": ANSWER},
    )
    stopped = "Error: The worker has stopped: Uncaught Error: out of order."
    unknown = "Error: This page has no script of the worker “stranger”."
    assert found == [["undefined", "function"], 42, "RangeError: the limit is 3", stopped, stopped, unknown]
