"""The dashboard in a real browser, on a real study: ours and optuna-dashboard's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.integration.dashboards import serving, serving_guarded, serving_stock
from tests.suite.browser import needs_browser

PASSWORD = "open-sesame-7731"
TITLES = ("tasearch: progress", "tasearch: finals")

pytestmark = [
    pytest.mark.slow,
    needs_browser,
]


@pytest.fixture(scope="module")
def address(finished_home: Path) -> Iterator[str]:
    with serving(finished_home) as found:
        yield found.url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.set_default_timeout(0)
    yield opened
    opened.close()


def see_figures_and_note(page: Page, address: str) -> None:
    """Open the study from the list, find its figures with their points, then its note."""
    page.goto(address)
    page.get_by_text("pets").first.click()
    for title in TITLES:
        figure = page.locator(".js-plotly-plot", has_text=title)
        expect(figure).to_be_visible()
        assert figure.locator(".points path").count() > 0
    study = page.url.partition("/studies/")[2].partition("/")[0]
    page.goto(f"{address}dashboard/studies/{study}/note")
    expect(page.get_by_text("How to read the columns")).to_be_visible()
    assert "direct distillation" in page.locator("strong").first.inner_text()
    page.goto(f"{address}dashboard/studies/{study}/trials")
    expect(page.get_by_role("columnheader", name="trained or reused")).to_be_visible()
    expect(page.get_by_role("cell", name="trained", exact=True).first).to_be_visible()


def test_the_study_opens_with_figures_and_notes(page: Page, address: str) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    see_figures_and_note(page, address)
    assert complaints == []


def test_optuna_dashboards_own_command_shows_them_too(page: Page, finished_home: Path) -> None:
    with serving_stock(f"sqlite:///{finished_home / 'studies.db'}") as stock:
        see_figures_and_note(page, stock.url)


def test_a_write_is_refused_and_the_page_says_why(page: Page, address: str) -> None:
    page.goto(f"{address}dashboard/studies/1/note")
    expect(page.get_by_text("How to read the columns")).to_be_visible()
    page.locator("[data-testid=EditIcon], [data-testid=ModeEditIcon], [data-testid=CreateIcon]").first.click()
    page.locator("textarea").first.fill("scribbled")
    with page.expect_response(lambda answer: answer.request.method == "PUT") as answered:
        page.get_by_role("button", name="Save").click()
    assert answered.value.status == 403
    expect(page.get_by_text("this dashboard is read-only")).to_be_visible()
    page.goto(f"{address}dashboard/studies/1/note")
    expect(page.get_by_text("How to read the columns")).to_be_visible()
    expect(page.get_by_text("scribbled")).to_have_count(0)


def test_without_the_password_there_is_nothing_and_with_it_everything(browser: Browser, finished_home: Path) -> None:
    with serving_guarded(finished_home, "--auth", "ada", password=PASSWORD) as found:
        stranger = browser.new_context()
        # Chromium shows nothing at all of an answer that asks for a password it has not got.
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            stranger.new_page().goto(found.url)
        stranger.close()
        known = browser.new_context(http_credentials={"username": "ada", "password": PASSWORD})
        page = known.new_page()
        page.goto(found.url)
        expect(page.get_by_text("pets").first).to_be_visible()
        known.close()


def test_an_attached_page_runs_no_script(browser: Browser, finished_home: Path, tmp_path: Path) -> None:
    """Where a browser shows an attached file, it is in no origin."""
    with serving(finished_home) as found:
        page = browser.new_page()
        page.goto(found.url)
        reached = page.evaluate(
            "fetch('/artifacts/1/ab-cd').then(answer => answer.headers.get('content-security-policy'))"
        )
        page.close()
    assert reached == "sandbox; default-src 'none'"
