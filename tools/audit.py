"""Lists the licence of every pinned package, then what is known to be vulnerable: `make audit`.

pip-audit has its own environment, so that the book doesn't depend on its dependencies.
"""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = "pip-audit==2.10.1"
HOME = ROOT / "_build" / "audit"


def licence(name: str) -> str:
    """Return what a package's metadata says of its licence, in a few words."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    classified = [
        c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or [] if c.startswith("License")
    ]
    said = about.get("License-Expression") or ", ".join(classified) or (about.get("License") or "").strip()
    return said.splitlines()[0][:60] if said else "not said"


def main() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    for name in pinned:
        print(f"{name:32} {licence(name)}")
    python = HOME / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PIP_AUDIT]
    subprocess.run(pip, check=True)
    # Strict: a package that can't be audited is a failure.
    audit = [
        "-m",
        "pip_audit",
        "--requirement",
        ROOT / "constraints.txt",
        "--no-deps",
        "--disable-pip",
        "--strict",
    ]
    sys.exit(subprocess.run([python, *audit]).returncode)


if __name__ == "__main__":
    main()
