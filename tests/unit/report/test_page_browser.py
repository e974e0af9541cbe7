"""The written page in a real browser: what is drawn, what it asks the network for, what it complains about."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tasearch.domain.result import TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.report.figure_data.capacity import capacity_info
from tasearch.report.figure_data.paths import paths_info
from tasearch.report.figures.look import DARK, GROUND
from tasearch.report.page import write_page
from tasearch.report.view import StudyView
from tests.suite.browser import needs_browser

from .factories import TRIALS, make_chain, make_trial, make_view, make_view_without_finals
from .made_stages import make_stage, make_stages

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"

pytestmark = [
    pytest.mark.slow,
    needs_browser,
]


@dataclass
class Opened:
    """A page after loading, with what happened on the way."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def points(self, figure: str) -> int:
        return self.page.locator(f"#figure-{figure} .scatterlayer .points path").count()


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait for a page to change; it forbids `eval`, which Playwright's `wait_for_function` needs."""
    while not holds():
        page.wait_for_timeout(50)


def open_view(
    browser: Browser, view: StudyView, folder: Path, width: int = 1200, scheme: Literal["light", "dark"] = "light"
) -> Opened:
    address = write_page(view, folder).as_uri()
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(0)
    opened = Opened(page=page, address=address)
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


def test_every_chain_with_tas_and_every_finalist_is_a_point(whole: Opened) -> None:
    info = capacity_info(make_view())
    assert (len(info.points), len(info.finals)) == (14, 2)
    assert whole.points("capacity") == 14 + 2


def test_every_node_of_the_tree_is_a_point(whole: Opened) -> None:
    assert whole.points("paths") == len(paths_info(make_view()).shown)


def test_every_choice_and_every_model_is_a_bar(whole: Opened) -> None:
    bars = whole.page.locator("#figure-importance .barlayer .point")
    assert bars.count() == len(make_view().importances)
    # Five models, each with what was trained, reused and read from tables, a bar of no length too.
    assert whole.page.locator("#figure-cost .barlayer .point").count() == 3 * 5


def test_every_pair_that_was_tried_is_written_in_its_cell(whole: Opened) -> None:
    view = make_view()
    pairs = {(len(row.chain.tas), row.chain.temperature, row.chain.kd_weight) for row in view.ranking}
    shown = whole.page.locator("#figure-response .heatmap-label text").all_text_contents()
    assert len([text for text in shown if text.strip()]) == len(pairs)


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


def ticks(opened: Opened) -> str:
    return opened.page.locator("#figure-capacity .xaxislayer-above").text_content() or ""


def test_the_switch_changes_the_axis_and_moves_the_points(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path)
    first = opened.page.locator("#figure-capacity .scatterlayer .points path").first
    before, place = ticks(opened), first.bounding_box()
    opened.page.get_by_role("button", name="MACs").click()
    wait_until(opened.page, lambda: "6.4M" in str(opened.page.locator("#figure-capacity").text_content()))
    assert ("37.3k" in before, "6.4M" in before) == (True, False)
    assert ("37.3k" in ticks(opened), "6.4M" in ticks(opened)) == (False, True)
    assert first.bounding_box() != place
    assert opened.page.get_by_role("button", name="MACs").get_attribute("aria-pressed") == "true"
    assert (opened.points("capacity"), opened.complaints) == (16, [])
    opened.page.close()


def column(opened: Opened, number: int) -> list[str]:
    return opened.page.locator(f"#ranking tbody tr:visible td:nth-child({number})").all_text_contents()


def test_the_ranking_is_sorted_by_any_column_and_back(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path)
    opened.page.get_by_role("button", name="Show all 18 chains").click()
    assert column(opened, 1) == [str(rank) for rank in range(1, 19)]
    reused = opened.page.locator("#ranking thead").get_by_role("button", name="reused")
    reused.click()
    shares = [int(text.removesuffix("%")) for text in column(opened, 10)]
    assert shares == sorted(shares, reverse=True)
    assert opened.page.locator("#ranking th[aria-sort]").all_text_contents() == ["reused"]
    reused.click()
    assert [int(text.removesuffix("%")) for text in column(opened, 10)] == sorted(shares)
    assert opened.complaints == []
    opened.page.close()


def test_what_is_missing_stands_last_whichever_way_it_is_sorted(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path)
    opened.page.get_by_role("button", name="Show all 18 chains").click()
    test = opened.page.locator("#ranking thead").get_by_role("button", name="test")
    for _ in range(2):
        test.click()
        assert [text != "–" for text in column(opened, 6)] == [True] * 3 + [False] * 15
    opened.page.close()


def test_the_ranking_is_folded_until_all_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path)
    assert len(column(opened, 1)) == 12
    opened.page.close()


def test_switch_sorting_and_commands_are_reached_with_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path)
    reached = set()
    for _ in range(40):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("document.activeElement.textContent.trim()"))
        if reached >= {"MACs", "reused", "command"}:
            break
    assert reached >= {"MACs", "reused", "command"}
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("#ranking details[open]").count() == 1
    opened.page.close()


def ground(opened: Opened) -> str:
    return str(opened.page.evaluate("document.getElementById('figure-capacity').layout.paper_bgcolor"))


def test_figures_are_dark_on_a_dark_page_and_follow_a_change(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path, scheme="dark")
    assert ground(opened) == DARK[GROUND]
    opened.page.emulate_media(color_scheme="light")
    wait_until(opened.page, lambda: ground(opened) == GROUND)
    opened.page.close()


def test_figures_are_printed_light_and_as_narrow_as_paper(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path, scheme="dark")
    opened.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    width = opened.page.evaluate("document.querySelector('#figure-capacity .main-svg').getBoundingClientRect().width")
    assert (ground(opened), width) == (GROUND, 680)
    opened.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert ground(opened) == DARK[GROUND]
    opened.page.close()


LONG = "a_model_whose_name_somebody_made_" * 5


def many_chains(count: int = 500) -> StudyView:
    """Many chains, as a search at scope `stage` leaves them."""
    grid = [(temperature, weight) for temperature in (2.0, 4.0, 8.0, 16.0) for weight in (0.5, 0.9, 1.0)]
    pairs = itertools.product(grid, repeat=4)
    path = ("plain10", "plain8", "plain6", "plain4", "plain2")
    rows = [
        make_trial(
            number,
            ChainSpec(path=path, temperatures=tuple(t for t, _ in stages), kd_weights=tuple(w for _, w in stages)),
            0.6 + 0.1 * number / count,
        )
        for number, stages in enumerate(itertools.islice(pairs, count))
    ]
    return make_view_without_finals(trials=tuple(rows), stages=make_stages(rows))


def long_names() -> StudyView:
    rows = tuple(
        make_trial(number, make_chain(LONG + "t", LONG + ta, LONG + "s", temperature=4.0 + number), 0.7 + number / 100)
        for number, ta in enumerate("ab")
    )
    sizes = make_view().ta_capacities
    teacher, student = make_view().teacher, make_view().student
    return make_view_without_finals(
        study_name=LONG,
        trials=rows,
        teacher=replace(teacher, name=LONG + "t"),
        student=replace(student, name=LONG + "s"),
        ta_capacities={LONG + "a": sizes["plain8"], LONG + "b": sizes["plain4"]},
        stages=(
            make_stage("t", LONG + "t", roles=("teacher",)),
            make_stage("a", LONG + "a", teacher_fingerprint="t", temperature=4.0, kd_weight=0.9),
            make_stage("b", LONG + "s", teacher_fingerprint="a", temperature=4.0, kd_weight=0.9),
        ),
    )


VIEWS = {
    "whole": make_view,
    "before the finals": make_view_without_finals,
    "one trial": lambda: make_view_without_finals(trials=TRIALS[:1], stages=make_stages(TRIALS[:1]), importances=()),
    "nothing yet": lambda: make_view_without_finals(trials=(), stages=(), importances=()),
    "500 chains": many_chains,
    "long names": long_names,
}


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("name", VIEWS)
def test_any_study_opens_without_complaint_and_never_scrolls_sideways(
    browser: Browser, tmp_path: Path, name: str, width: int
) -> None:
    opened = open_view(browser, VIEWS[name](), tmp_path, width)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert (opened.requests, opened.complaints) == ([opened.address], [])
    opened.page.close()


def test_on_a_phone_no_table_scrolls_sideways(browser: Browser, tmp_path: Path) -> None:
    opened = open_view(browser, make_view(), tmp_path, 390)
    wide = opened.page.evaluate(
        "[...document.querySelectorAll('.stacked')].filter((e) => e.scrollWidth > e.clientWidth).length"
    )
    assert wide == 0
    opened.page.close()


@pytest.mark.parametrize("count", [500, 10_000])
def test_a_page_of_many_chains_is_smaller_than_6_mb(tmp_path: Path, count: int) -> None:
    assert write_page(many_chains(count), tmp_path).stat().st_size < 6_000_000


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
    assert opened.page.locator("header p").text_content() == f"Study {HOSTILE}, created {make_view().created_at}"
    assert opened.points("capacity") == 1
    assert opened.page.evaluate("window.broken") is None
    assert (opened.requests, opened.complaints) == ([opened.address], [])
    opened.page.close()
