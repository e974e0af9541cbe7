"""The picture of one figure of a written report, for the folder of a study.

    python tests/bench/study_figure.py REPORT.html [--figure capacity] --out studies/NAME/figure.png

`--figure`: the name behind `figure-` in the page; the first figure of the page by default. Needs Playwright and a
Chromium (`--chromium PATH`).
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.bench.screenshots import ARGUMENTS

WIDTH, HEIGHT = 1000, 900


def picture_of(page_file: Path, figure: str | None, chromium: Path) -> Image.Image:
    """Return a figure of a page as it looks on a light screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(page_file.resolve().as_uri(), wait_until="load")
        found = page.locator(f"#figure-{figure}" if figure else ".js-plotly-plot").first
        found.scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        picture = Image.open(io.BytesIO(found.screenshot()))
        browser.close()
    return picture


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--figure")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chromium", type=Path, default=Path("/usr/bin/chromium"))
    options = parser.parse_args()
    # 64 colours are enough for a figure, and a quarter of the bytes.
    picture_of(options.page, options.figure, options.chromium).convert(
        "P", palette=Image.Palette.ADAPTIVE, colors=64
    ).save(options.out, optimize=True)
    print(f"{options.out} {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
