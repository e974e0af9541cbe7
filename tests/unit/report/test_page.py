from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tasearch.domain.errors import StorageError
from tasearch.domain.result import TrialState
from tasearch.report import page
from tasearch.report.page import flat_config, render_page, write_page
from tasearch.report.view import ModelPoint, StudyView
from tasearch.search.importance import Importance

from .factories import (
    make_chain,
    make_finals,
    make_trial,
    make_verdict,
    make_view,
    make_view_without_finals,
)
from .made_stages import make_stage

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(autouse=True)
def small_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the 4 MB of plotly.js where no browser reads the page."""
    monkeypatch.setattr(page, "get_plotlyjs", lambda: "/* plotly.js */")


class Tags(HTMLParser):
    """Collects the tags of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(" ".join(data.split()))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def hostile_view() -> StudyView:
    chain = make_chain("plain10", HOSTILE, "plain2")
    capacity = make_view().ta_capacities["plain4"]
    rows = (
        make_trial(0, chain, 0.7),
        make_trial(1, chain, None, state=TrialState.FAILED, failure=HOSTILE),
    )
    verdict = make_verdict(make_finals())
    return make_view(
        study_name=HOSTILE,
        storage=HOSTILE,
        command=HOSTILE,
        dataset=HOSTILE,
        environment=HOSTILE,
        teacher=ModelPoint(name=HOSTILE, capacity=capacity, val_accuracy=0.8),
        student=ModelPoint(name=HOSTILE, capacity=capacity, val_accuracy=0.6),
        ta_capacities={HOSTILE: capacity},
        config={HOSTILE: [HOSTILE]},
        versions={HOSTILE: HOSTILE},
        trials=rows,
        verdict=replace(verdict, text=HOSTILE, notes=(HOSTILE,)),
        stages=(
            make_stage("t", HOSTILE, roles=("teacher",), failure=HOSTILE),
            make_stage("s", HOSTILE, teacher_fingerprint="t", temperature=4.0, kd_weight=0.9),
        ),
        importances=(Importance(choice=HOSTILE, share=1.0),),
        data_hash=HOSTILE,
        test_opened=(HOSTILE,),
    )


def test_names_cannot_add_elements_to_the_page() -> None:
    shown, harmless = Tags(render_page(hostile_view())), Tags(render_page(make_view()))
    assert (shown.count("script"), shown.count("img")) == (harmless.count("script"), 0) == (4, 0)


def test_hostile_names_are_shown_as_text() -> None:
    assert render_page(hostile_view()).count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 10


def test_the_page_refers_to_nothing_outside(view: StudyView) -> None:
    shown = Tags(render_page(view))
    links = [attributes["href"] or "" for _, attributes in shown.tags if "href" in attributes]
    assert links
    assert all(link.startswith("#") for link in links)
    assert [tag for tag, attributes in shown.tags if {"src", "data", "srcset"} & set(attributes)] == []
    assert re.findall(r"@import|url\(", render_page(view)) == []


def test_plotly_is_inlined_once(view: StudyView) -> None:
    assert render_page(view).count("/* plotly.js */") == 1


def test_the_verdict_and_its_notes_are_shown(view: StudyView) -> None:
    assert view.verdict is not None
    assert {view.verdict.text, *view.verdict.notes} <= set(Tags(render_page(view)).texts)


def test_every_arm_shows_n_mean_std_and_interval(view: StudyView) -> None:
    texts = Tags(render_page(view)).texts
    start = texts.index("vs NOKD [95% CI]")
    assert texts[start + 1 : start + 9] == [
        "plain10 > plain8 > plain6 > plain4 > plain2", "temperature 4, KD weight 0.9", "5", "+0.7 [+0.3, +1.0]",
        "71.0 ± 0.3%", "71.2%", "+0.3", "+5.4 [+5.0, +5.8]",
    ]  # fmt: skip


def test_the_race_is_told_with_the_error_that_it_spends(view: StudyView) -> None:
    texts = Tags(render_page(view)).texts
    start = texts.index("on validation accuracy")
    assert texts[start + 1 : start + 3] == ["5", "2"]
    assert "is ahead of BLKD" in texts[start + 3]
    assert "after 5, 20 replicates" in texts[start + 4]
    assert "may err with 1.2%" in texts[start + 4]


def test_a_dropped_finalist_is_marked() -> None:
    verdict = make_verdict(make_finals())
    scores = (*verdict.scores[:-1], replace(verdict.scores[1], dropped_after=3))
    assert Tags(render_page(make_view(verdict=replace(verdict, scores=scores)))).texts.count("dropped") == 1


def test_every_chain_of_the_search_is_listed_with_the_command_that_trains_it(view: StudyView) -> None:
    shown = render_page(view)
    assert len(re.findall(r'<tr><td class="n rank"', shown)) == len(view.ranking)
    assert shown.count("<summary>command</summary><pre>tasearch optimize --teacher plain10") == len(view.ranking)


def test_of_very_many_chains_the_best_are_listed_and_the_rest_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_LISTED", 3)
    shown = render_page(make_view())
    assert shown.count('<tr><td class="n rank"') == 3
    assert "The best 3 of 18 chains are listed" in shown


def test_every_link_of_the_page_leads_somewhere(view: StudyView) -> None:
    shown = Tags(render_page(view))
    links = {attributes["href"] for _, attributes in shown.tags if "href" in attributes}
    assert links <= {f"#{attributes['id']}" for _, attributes in shown.tags if "id" in attributes}


def test_a_study_whose_trials_all_failed_says_so_in_place_of_figures() -> None:
    rows = tuple(
        make_trial(number, make_chain("plain10", "plain4", "plain2"), None, state=TrialState.FAILED, failure="diverged")
        for number in range(3)
    )
    texts = Tags(render_page(make_view_without_finals(trials=rows, stages=(), importances=()))).texts
    assert texts.count("diverged") == 3
    assert {"No trial has completed.", "No chain with a TA has completed yet.", "The finals have not begun."} <= set(
        texts
    )


def test_failures_are_listed_with_their_reason(view: StudyView) -> None:
    assert "loss is not finite in epoch 3" in Tags(render_page(view)).texts


def test_the_page_says_when_test_was_opened(view: StudyView) -> None:
    assert "opened once (2025-06-01T12:31:07+00:00)" in render_page(view)


def test_the_page_says_that_test_was_opened_again() -> None:
    assert "opened 2 times (a, b)" in render_page(make_view(test_opened=("a", "b")))


def test_the_page_says_that_test_is_closed() -> None:
    assert "Test set: closed" in render_page(make_view_without_finals())


def test_the_page_shows_the_command_that_reproduces_it(view: StudyView) -> None:
    assert view.command in Tags(render_page(view)).texts


def test_a_command_that_names_objects_of_a_program_is_said_to_be_for_python() -> None:
    assert "given objects of a Python program" in render_page(
        make_view(command="tasearch optimize --student object:net")
    )
    assert "given objects of a Python program" not in render_page(make_view())


def test_an_empty_ladder_is_explained() -> None:
    rows = (make_trial(0, make_chain("plain10", "plain2"), 0.7),)
    assert "The ladder is empty" in render_page(make_view_without_finals(trials=rows, ta_capacities={}))


def test_running_finals_are_announced() -> None:
    rows = tuple(replace(row, test_accuracy=None) for row in make_finals())
    assert "The finals are being trained" in render_page(make_view(finals=rows, verdict=None, test_opened=()))


def test_a_study_without_trials_renders_without_plotly() -> None:
    assert Tags(render_page(make_view_without_finals(trials=(), stages=(), importances=()))).count("script") == 0


def test_one_replicate_renders_without_interval() -> None:
    finals = make_finals(1)
    assert "[no interval]" in render_page(make_view(finals=finals, verdict=make_verdict(finals)))


def test_nested_settings_become_rows() -> None:
    config: dict[str, object] = {
        "recipe": {"epochs": 10, "rate": 0.1},
        "tas": [],
        "grid": (2.0, 4.0),
        "timeout": None,
        "flip": True,
    }
    assert flat_config(config) == {
        "recipe.epochs": "10",
        "recipe.rate": "0.1",
        "tas": "none",
        "grid": "2, 4",
        "timeout": "none",
        "flip": "yes",
    }


def test_the_page_is_written_into_a_new_folder(view: StudyView, tmp_path: Path) -> None:
    path = write_page(view, tmp_path / "reports" / "study")
    assert path == tmp_path / "reports" / "study" / "report.html"
    assert path.read_text(encoding="utf-8") == render_page(view)


def test_writing_again_replaces_the_page_and_leaves_nothing_else(view: StudyView, tmp_path: Path) -> None:
    write_page(view, tmp_path)
    write_page(make_view(study_name="renamed"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "renamed" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_failed_write_keeps_the_old_page(view: StudyView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_page(view, tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(StorageError, match="No space left on device"):
        write_page(make_view(study_name="renamed"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == before


def test_a_folder_that_is_a_file_is_refused(view: StudyView, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="taken"):
        write_page(view, tmp_path / "taken")


def test_the_page_names_another_metric_everywhere(view: StudyView) -> None:
    page = render_page(replace(view, metric="balanced-accuracy"))
    body = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", "", body)
    assert "balanced accuracy: the mean over the classes" in text
    bare = re.findall(r"(?:validation|val|test) accuracy", text, re.IGNORECASE)
    assert bare == []


def test_latency_is_told_with_place_threads_and_runs(view: StudyView) -> None:
    page = render_page(view)
    assert "median of 50 forward passes after warm-up on cpu Intel(R) Xeon(R), CPU threads: 2" in page
    assert "Latency was not measured" in render_page(replace(view, latency=None))


def test_what_was_done_to_the_data_is_said(view: StudyView) -> None:
    page = render_page(replace(view, data_remarks=("all 9 images: <grey>",)))
    assert "all 9 images: &lt;grey&gt;" in page
