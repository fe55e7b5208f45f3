"""SmolLM2 in Chromium against PyTorch; tests/widgets asks Deno. The file comes in through a file field."""

import lm_parity as parity
import pytest
from smollm2_parity import WRITE, check, prompts

from lmbook.smollm2 import _smollm2_path

OPEN = """
const load = async (file) => {
  const kernels = new lib.Kernels();
  const at = kernels.take(file.size);
  new Uint8Array(kernels.memory.buffer, at, file.size).set(new Uint8Array(await file.arrayBuffer()));
  return await lib.inSlices(lib.loadPretrained(kernels, at, file.size, { name: 'SmolLM2' }));
};
"""


@pytest.fixture(scope="module")
def write(browser):
    """Answer WRITE in a blank page that holds the model."""
    page = browser.new_page()
    page.set_content("<input type=file>")
    page.locator("input").set_input_files(_smollm2_path())
    script = f"{parity.one_script()}\n{parity.PRELUDE.replace('const load =', 'const loadAll =')}\n{OPEN}"
    page.evaluate(
        f"async () => {{ {script} const model = await load(document.querySelector('input').files[0]);"
        f"globalThis.write = (data) => {{ {WRITE} }}; }}"
    )
    yield lambda data: page.evaluate("(data) => write(data)", data)
    page.close()


def test_smollm2_says_in_chromium_what_it_says_in_pytorch(write):
    check(write, [prompts()[i] for i in (0, 5, 14)], 8)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(15))
def test_smollm2_says_and_writes_what_pytorch_does(write, part):
    check(write, prompts()[part::15], 64)
