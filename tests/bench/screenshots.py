"""Pictures of the report of a real study, for the README: at a desk, on a phone, in the dark.

    python tests/bench/screenshots.py DATABASE_URL [--study-name NAME] [--out docs/images]

Needs Playwright and a Chromium (`--chromium PATH`). Each picture is kept below 300 kB.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tasearch.report.page import write_page
from tasearch.report.query import load_view

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
MOST_BYTES = 300_000
DESK, PHONE = 1180, 390
Scheme = Literal["light", "dark"]


class Photographer:
    """Takes pictures of one page."""

    def __init__(self, browser: Browser, page: Path, folder: Path) -> None:
        self._browser, self._address, self._folder = browser, page.as_uri(), folder

    def take(self, name: str, *, width: int, height: int, at: str = "", scheme: Scheme = "light") -> None:
        """Write `<name>.png`: the page from the element `at` on, a CSS selector, or from its top."""
        page = self._browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.goto(self._address, wait_until="load")
        page.add_style_tag(content="html { scroll-behavior: auto !important; }")
        if at:
            page.evaluate("(at) => document.querySelector(at).scrollIntoView()", at)
        page.wait_for_timeout(300)
        picture = Image.open(io.BytesIO(page.screenshot()))
        page.close()
        path = self._folder / f"{name}.png"
        picture.convert("RGB").save(path, optimize=True)
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise SystemExit(f"{path} has {size} bytes, more than {MOST_BYTES}: take a smaller part of the page")
        print(f"{path} {size:,} bytes")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", help="URL, e.g. sqlite:///tasearch-data/studies.db")
    parser.add_argument("--study-name", help="the newest study of the database by default")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--chromium", type=Path, default=Path("/usr/bin/chromium"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        page = write_page(load_view(options.database, options.study_name), Path(temporary))
        browser = playwright.chromium.launch(executable_path=options.chromium, args=ARGUMENTS)
        photographer = Photographer(browser, page, options.out)
        photographer.take("report", width=DESK, height=1480)
        photographer.take("report-capacity", width=DESK, height=830, at="#capacity")
        photographer.take("report-paths", width=DESK, height=430, at="#paths")
        photographer.take("report-ranking", width=DESK, height=760, at="#chains")
        photographer.take("report-phone", width=PHONE, height=1100, at="#capacity")
        photographer.take("report-dark", width=DESK, height=1180, at="#finals", scheme="dark")
        browser.close()


if __name__ == "__main__":
    main()
