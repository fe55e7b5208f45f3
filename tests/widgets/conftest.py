"""What the tests of widgets share: the modules of the page's core, asked as they stand in the folder."""

import lm_parity as parity
import pytest
from javascript import run_module


@pytest.fixture
def run(tmp_path) -> parity.Run:
    """Run the body of a function of (lib, data), where `lib` has what all shared modules export."""
    imports = [
        f"import * as m{i} from '{(parity.FOLDER / name).as_uri()}';" for i, name in enumerate(parity.SHARED)
    ]
    lib = "const lib = { " + ", ".join(f"...m{i}" for i in range(len(parity.SHARED))) + " };"
    source = "\n".join([*imports, lib, parity.PRELUDE])

    def ask(body: str, data: object = None) -> object:
        return run_module(tmp_path, source, f"print(((data) => {{ {body} }})(saved));", data)

    return ask
