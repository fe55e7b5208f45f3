"""Finds a Chromium for the browser tests, installs one where there is none, or fails and says how."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
HOW = """No Chromium was found, and none could be installed. Install one, then run `make test` again:
    Debian, Ubuntu:  sudo apt-get install chromium
    elsewhere:       .venv/bin/python -m playwright install --with-deps chromium
or name one that you have: CHROMIUM=/path/to/chrome make test"""


def find() -> str | None:
    """Return the path of a Chromium: $CHROMIUM, else one on PATH, an application, or Playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    candidates = [shutil.which(name) for name in NAMES]
    candidates += [path for path in APPLICATIONS if Path(path).exists()]
    return next((path for path in candidates if path), None) or playwright_own()


def playwright_own() -> str | None:
    """Return the path of the Chromium that `playwright install chromium` has downloaded, if it has."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Install Chromium: with apt-get as root on Debian, else with Playwright."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("Installing Chromium with apt-get.", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "chromium"]):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if not find():
        print("Installing Chromium with Playwright.", flush=True)
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> None:
    if not find() and not os.environ.get("CHROMIUM"):
        install()
    path = find()
    print(f"Chromium: {path}" if path else HOW, file=sys.stdout if path else sys.stderr)
    sys.exit(0 if path else 1)


if __name__ == "__main__":
    main()
