"""The written page in a real browser: what is drawn, what it asks the network for, what it complains about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tasearch.domain.result import TrialState
from tasearch.report.figure_data import capacity_info
from tasearch.report.page import write_page
from tasearch.report.view import StudyView

from .factories import make_chain, make_trial, make_view, make_view_without_finals

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not installed")


@dataclass
class Opened:
    """A page after loading, with what happened on the way."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def points(self, figure: str) -> int:
        return self.page.locator(f"#figure-{figure} .scatterlayer .points path").count()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


def open_view(browser: Browser, view: StudyView, folder: Path, width: int = 1200) -> Opened:
    address = write_page(view, folder).as_uri()
    opened = Opened(page=browser.new_page(viewport={"width": width, "height": 900}), address=address)
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on(
        "console",
        lambda message: opened.complaints.append(message.text) if message.type in ("error", "warning") else None,
    )
    opened.page.goto(address, wait_until="load")
    return opened


@pytest.fixture(scope="module")
def whole(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return open_view(browser, make_view(), tmp_path_factory.mktemp("whole"))


def test_every_chain_with_tas_is_a_point(whole: Opened) -> None:
    assert whole.points("capacity") == len(capacity_info(make_view()).points) == 14


def test_every_finalist_and_replicate_is_a_point(whole: Opened) -> None:
    assert whole.points("finals") == 2 * 5 + 2


def test_every_trial_that_ended_is_a_point(whole: Opened) -> None:
    assert whole.points("progress") == 20


def test_nothing_but_the_file_is_asked_for(whole: Opened) -> None:
    assert whole.requests == [whole.address]


def test_the_browser_has_nothing_to_complain_about(whole: Opened) -> None:
    assert whole.complaints == []


def test_hovering_a_point_shows_the_chain(whole: Opened) -> None:
    whole.page.locator("#figure-capacity .scatterlayer .points path").first.hover(force=True)
    shown = whole.page.locator("#figure-capacity .hoverlayer .hovertext").text_content()
    assert "plain10 > plain4 > plain2" in (shown or "")


@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_never_scrolls_sideways(browser: Browser, tmp_path: Path, width: int) -> None:
    page = open_view(browser, make_view(), tmp_path, width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_names_do_not_run_as_code(browser: Browser, tmp_path: Path) -> None:
    chain = make_chain("plain10", HOSTILE, "plain2")
    rows = (make_trial(0, chain, 0.7), make_trial(1, chain, None, state=TrialState.FAILED, failure=HOSTILE))
    capacities = {HOSTILE: make_view().ta_capacities["plain4"]}
    opened = open_view(
        browser,
        make_view_without_finals(study_name=HOSTILE, trials=rows, ta_capacities=capacities),
        tmp_path,
    )
    opened.page.locator("#figure-capacity .scatterlayer .points path").first.hover(force=True)
    assert opened.points("capacity") == 1
    assert opened.page.evaluate("window.broken") is None
    assert (opened.requests, opened.complaints) == ([opened.address], [])
    opened.page.close()


def test_a_study_without_trials_opens_cleanly(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view_without_finals(trials=()), tmp_path)
    assert (opened.requests, opened.complaints) == ([opened.address], [])
    opened.page.close()
