"""One headless Chromium of the system for all tests that look at a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path(shutil.which("chromium") or shutil.which("google-chrome") or "chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs a browser: Chromium is not on the PATH")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser. A test closes the pages that it opens."""
    from playwright.sync_api import expect, sync_playwright

    # The watchdog of the suite decides what is a hang.
    expect.set_options(timeout=3_600_000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=0)
        yield launched
        launched.close()
