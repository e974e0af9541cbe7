from __future__ import annotations

import pytest

from tasearch.report.figure_data import capacity_info, finals_info
from tasearch.report.figures import draw_capacity, draw_finals, figures
from tasearch.report.view import StudyView

from .factories import make_chain, make_finals, make_trial, make_verdict, make_view, make_view_without_finals


def test_a_whole_study_has_all_four_figures(view: StudyView) -> None:
    assert list(figures(view)) == ["capacity", "finals", "progress", "curves"]


def test_a_study_without_trials_has_no_figure() -> None:
    assert figures(make_view_without_finals(trials=())) == {}


def test_an_empty_ladder_has_no_capacity_figure() -> None:
    rows = (make_trial(0, make_chain("plain10", "plain2"), 0.7),)
    drawn = figures(make_view_without_finals(trials=rows, ta_capacities={}))
    assert list(drawn) == ["progress", "curves"]


def test_accuracies_are_drawn_in_percent(view: StudyView) -> None:
    info = capacity_info(view)
    drawn = sorted(y for trace in draw_capacity(info).data for y in trace.y)
    assert drawn == pytest.approx(sorted(100 * point.val_accuracy for point in info.points))


def test_one_replicate_is_drawn_without_an_interval() -> None:
    finals = make_finals(1)
    view = make_view(finals=finals, verdict=make_verdict(finals))
    assert list(draw_finals(finals_info(view)).data[1].error_x.array) == [0, 0]


def test_the_teacher_far_above_is_named_at_the_edge(view: StudyView) -> None:
    texts = [annotation.text for annotation in draw_capacity(capacity_info(view)).layout.annotations]
    assert "↑ teacher plain10 84.2%, off the scale" in texts


def test_names_are_escaped_for_plotly() -> None:
    hostile = "<b>ta</b>"
    rows = (make_trial(0, make_chain("plain10", hostile, "plain2"), 0.7),)
    capacity = make_view().ta_capacities["plain4"]
    drawn = figures(make_view_without_finals(trials=rows, ta_capacities={hostile: capacity}))
    texts = [text for trace in drawn["capacity"].data for text in trace.hovertext]
    assert "&lt;b&gt;ta&lt;/b&gt;" in texts[0]
    assert hostile not in drawn["capacity"].to_json()
