"""A picture of the dashboard for the README: the figures of a real study, as Chromium shows them.

    python tests/bench/dashboard_screenshot.py --home tasearch-data [--study-name NAME] [--out FILE]

The study must have its verdict: `make demo` makes one in minutes. The picture is smaller than 300 kB.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import sync_playwright

from tests.integration.dashboards import serving
from tests.suite.browser import ARGUMENTS, CHROMIUM

MOST_BYTES = 300_000
WIDTH, HEIGHT = 1400, 1060
_HEADER = 76
"""Pixels of the bar that stays at the top."""


def shoot(home: Path, study_name: str | None, target: Path) -> None:
    """Write the picture of the newest study, or of the named one. Raises SystemExit where it would be too large."""
    with serving(home) as found, sync_playwright() as playwright:
        studies = found.ask("/api/studies").json["study_summaries"]
        chosen = [study for study in studies if study_name in (None, study["study_name"])]
        if not chosen:
            raise SystemExit(f"no study {study_name!r} in {home}: {[study['study_name'] for study in studies]}")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{found.url}dashboard/studies/{chosen[-1]['study_id']}")
        figures = page.locator(".js-plotly-plot", has_text="tasearch: ")
        figures.first.wait_for()
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length > 9")
        tops = [figure.bounding_box() for figure in figures.all()]
        top = min(box["y"] for box in tops if box is not None)
        page.evaluate(f"window.scrollBy(0, {top - _HEADER})")
        page.wait_for_timeout(500)
        picture = page.screenshot()
        browser.close()
    if len(picture) >= MOST_BYTES:
        raise SystemExit(f"the picture has {len(picture):,} bytes, at most {MOST_BYTES:,} are wanted")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(picture)
    print(f"{target}: {len(picture):,} bytes")


def main() -> None:
    """Make the picture that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("tasearch-data"))
    parser.add_argument("--study-name")
    parser.add_argument("--out", type=Path, default=Path("docs/images/dashboard.png"))
    options = parser.parse_args()
    shoot(options.home, options.study_name, options.out)


if __name__ == "__main__":
    main()
