"""Prints sheets, keys and slides of the built site, each to a PDF in _build/course: `make course`."""

import shutil
import sys
from pathlib import Path

import ensure_chromium
from playwright.sync_api import Browser, sync_playwright
from print_book import HTML, book

PRINTED = book.ROOT / "_build" / "course"


def pages() -> list[Path]:
    """Return the pages of the course."""
    return sorted((HTML / "course").glob("*.html"))


def print_course(browser: Browser) -> int:
    """Print all of them with `browser`; return how many they are, or exit where the site has none."""
    found = pages()
    if not found:
        sys.exit(f"The site isn't built: {HTML.relative_to(book.ROOT)}/course has no pages.")
    shutil.rmtree(PRINTED, ignore_errors=True)
    PRINTED.mkdir(parents=True)
    page = browser.new_page()
    for path in found:
        page.goto(f"{path.as_uri()}?print", wait_until="load")
        page.pdf(
            path=PRINTED / f"{path.stem}.pdf", prefer_css_page_size=True, print_background=True, tagged=True
        )
    page.close()
    return len(found)


def main() -> None:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=ensure_chromium.find(), args=flags)
        print(f"{print_course(browser)} files for a course: {PRINTED.as_uri()}")
        browser.close()


if __name__ == "__main__":
    main()
