from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from tasearch.domain.gap import Series
from tasearch.domain.landscape import Landscape, Student, Surface
from tasearch.domain.result import TrialState
from tasearch.report.figure_data.capacity import capacity_info
from tasearch.report.figure_data.cost import cost_info
from tasearch.report.figure_data.finals import finals_info
from tasearch.report.figure_data.landscape import landscape_info
from tasearch.report.figure_data.paths import PathNode, PathsInfo, paths_info
from tasearch.report.figure_data.response import response_info
from tasearch.report.figures import figures
from tasearch.report.figures.capacity import draw_capacity
from tasearch.report.figures.cost import draw_cost
from tasearch.report.figures.finals import draw_finals
from tasearch.report.figures.landscape import draw_landscape
from tasearch.report.figures.look import AMOUNTS, DARK, NAME_WIDTH, amount, short_name
from tasearch.report.figures.paths import draw_paths
from tasearch.report.figures.response import draw_response
from tasearch.report.view import StudyView
from tests.unit.report.factories import (
    LADDER,
    LATENCY,
    make_chain,
    make_finals,
    make_trial,
    make_verdict,
    make_view,
    make_view_without_finals,
)

FLAT = Landscape(
    surfaces=tuple(
        Surface(
            student=Student(series=series, arm=series.value, chain=None, replicate=replicate),
            steps=(-0.5, 0.0, 0.5),
            losses=((6.0, 5.0, 6.0), (5.0, 1.0 + replicate, 5.0), (6.0, 5.0, 9.0)),
        )
        for series in (Series.NOKD, Series.BLKD)
        for replicate in (1, 2)
    ),
    num_images=8,
    command="tasearch landscape s",
)
NODE: dict[str, Any] = {
    "stages": 1,
    "runs": 1,
    "best_val_accuracy": 0.5,
    "temperature": 4.0,
    "kd_weight": 0.9,
    "standing": 0.5,
    "seconds": 1.0,
}
ALL = ["capacity", "paths", "finals", "response", "importance", "progress", "curves", "cost"]


def test_a_whole_study_has_all_figures(view: StudyView) -> None:
    assert list(figures(view)) == ALL


def test_a_study_without_trials_and_stages_has_no_figure() -> None:
    assert figures(make_view_without_finals(trials=(), stages=(), importances=())) == {}


def test_a_measured_landscape_is_drawn_before_the_cost(view: StudyView) -> None:
    assert list(figures(replace(view, landscape=FLAT))) == [*ALL[:-1], "landscape", "cost"]


def test_a_plane_of_the_first_replicate_is_drawn_for_each_kind_of_student(view: StudyView) -> None:
    drawn = draw_landscape(landscape_info(view, FLAT))
    planes = [trace for trace in drawn.data if trace.type == "contour"]
    assert [trace.customdata[1][1] for trace in planes] == [2.0, 2.0]


def test_all_planes_have_one_scale_of_colours(view: StudyView) -> None:
    planes = [trace for trace in draw_landscape(landscape_info(view, FLAT)).data if trace.type == "contour"]
    assert len({(trace.zmin, trace.zmax) for trace in planes}) == 1


def test_a_search_in_which_all_failed_still_shows_when() -> None:
    failed = make_trial(0, make_chain("plain10", "plain2"), None, state=TrialState.FAILED, failure="the loss is nan")
    assert "progress" in figures(make_view_without_finals(trials=(failed,), stages=(), importances=()))


def test_headings_of_a_long_path_stand_on_two_levels_and_keep_their_names() -> None:
    names = ("resnet110", "resnet56", "resnet44", "resnet32", "resnet20", "resnet8")
    nodes = tuple(PathNode(path=names[:end], **NODE) for end in range(1, len(names) + 1))
    ticks = draw_paths(PathsInfo(columns=names, nodes=nodes, shown=nodes, num_paths=1)).layout.xaxis
    assert [text.replace("<br>", "").strip("\u200b") for text in ticks.ticktext] == list(names)
    assert [text.startswith("\u200b") for text in ticks.ticktext] == [True, False] * 3
    assert ticks.tickangle == 0


def test_an_empty_ladder_has_no_capacity_figure() -> None:
    rows = (make_trial(0, make_chain("plain10", "plain2"), 0.7),)
    drawn = figures(make_view_without_finals(trials=rows, ta_capacities={}, stages=(), importances=()))
    assert list(drawn) == ["response", "progress", "curves"]


def test_accuracies_are_drawn_in_percent(view: StudyView) -> None:
    info = capacity_info(view)
    chains = [trace for trace in draw_capacity(info).data if trace.mode == "markers" and trace.error_y.array is None]
    drawn = sorted(y for trace in chains for y in trace.y)
    assert drawn == pytest.approx(sorted(100 * point.val_accuracy for point in info.points))


def test_the_switch_puts_every_trace_on_the_other_axis(view: StudyView) -> None:
    drawn = draw_capacity(capacity_info(view))
    by_params, *others = (button.args[0]["x"] for button in drawn.layout.updatemenus[0].buttons)
    assert [list(trace.x) for trace in drawn.data] == by_params
    assert len(others) == 3
    for other in others:
        assert [len(row) for row in other] == [len(row) for row in by_params]
    assert drawn.layout.updatemenus[0].buttons[1].args[1]["xaxis.tickvals"] == sorted(c.macs for c in LADDER.values())


def test_the_teacher_far_above_is_named_and_not_drawn(view: StudyView) -> None:
    teacher = next(trace for trace in draw_capacity(capacity_info(view)).data if "teacher" in (trace.name or ""))
    assert teacher.name == "teacher plain10 84.2% (above the axis)"
    assert list(teacher.y) == [None, None]


def test_blkd_of_the_finals_is_a_band(view: StudyView) -> None:
    bands = [trace for trace in draw_capacity(capacity_info(view)).data if trace.fill == "toself"]
    assert "BLKD" in {trace.legendgroup for trace in bands}


def test_one_replicate_is_drawn_without_an_interval() -> None:
    finals = make_finals(1)
    view = make_view(finals=finals, verdict=make_verdict(finals))
    assert list(draw_finals(finals_info(view)).data[1].error_x.array) == [0, 0]


def test_the_zero_line_stays_clear_of_the_chains_names(view: StudyView) -> None:
    drawn = draw_finals(finals_info(view))
    pieces = [(shape.y0, shape.y1) for shape in drawn.layout.shapes]
    names = [note.y for note in drawn.layout.annotations if note.yref != "paper"]
    assert len(pieces) == len(names) == 2
    assert not any(low <= name <= high for low, high in pieces for name in names)


def test_every_node_of_the_tree_is_drawn_once_and_every_other_one_has_a_branch(view: StudyView) -> None:
    info = paths_info(view)
    drawn = draw_paths(info)
    nodes = next(trace for trace in drawn.data if trace.mode == "markers+text")
    assert len(nodes.x) == len(info.shown)
    assert sum(trace.mode == "lines" for trace in drawn.data) == len(info.shown) - 1


def test_no_two_ends_of_branches_share_a_level(view: StudyView) -> None:
    info = paths_info(view)
    nodes = next(trace for trace in draw_paths(info).data if trace.mode == "markers+text")
    ends = [y for y, node in zip(nodes.y, info.shown, strict=True) if node.model == "plain2"]
    assert len(set(ends)) == len(ends)


def test_a_branch_is_wider_the_more_runs_pass(view: StudyView) -> None:
    info = paths_info(view)
    widths = [trace.line.width for trace in draw_paths(info).data if trace.mode == "lines"]
    runs = [node.runs for node in info.shown if len(node.path) > 1]
    assert widths[runs.index(max(runs))] == max(widths)
    assert widths[runs.index(min(runs))] == min(widths)


def test_each_number_of_tas_has_a_grid(view: StudyView) -> None:
    info = response_info(view)
    drawn = draw_response(info)
    cells = sum(value is not None for trace in drawn.data for line in trace.z for value in line)
    assert (len(drawn.data), cells) == (4, len(info.cells))


@pytest.mark.parametrize(("seconds", "unit"), [(50.0, "seconds"), (500.0, "minutes"), (50_000.0, "hours")])
def test_costs_are_drawn_in_a_unit_that_reads_well(seconds: float, unit: str) -> None:
    info = cost_info(make_view())
    info = replace(info, models=(replace(info.models[0], trained_seconds=seconds, table_seconds=None),))
    assert draw_cost(info).layout.xaxis.title.text == f"training time ({unit})"


def test_names_are_escaped_for_plotly() -> None:
    hostile = "<b>ta</b>"
    rows = (make_trial(0, make_chain("plain10", hostile, "plain2"), 0.7),)
    capacity = make_view().ta_capacities["plain4"]
    drawn = figures(make_view_without_finals(trials=rows, ta_capacities={hostile: capacity}, stages=()))
    texts = [text for trace in drawn["capacity"].data if trace.hovertext for text in trace.hovertext]
    assert "&lt;b&gt;ta&lt;/b&gt;" in texts[0]
    assert all(hostile not in figure.to_json() for figure in drawn.values())


def test_a_long_name_loses_its_middle() -> None:
    assert len(short_name("n" * 300)) <= NAME_WIDTH


def test_amounts_reach_from_the_lightest_to_the_darkest_colour() -> None:
    assert (amount(0.0), amount(1.0)) == (AMOUNTS[0], AMOUNTS[-1])


def test_every_colour_of_a_figure_has_one_for_dark_pages(view: StudyView) -> None:
    text = "".join(figure.to_json() for figure in figures(view).values())
    assert set(re.findall(r"#[0-9a-f]{6}", text)) <= set(DARK)


def switches(view: StudyView) -> list[str]:
    return [button.label for button in draw_capacity(capacity_info(view)).layout.updatemenus[0].buttons]


def test_latency_is_offered_where_every_ta_has_it(view: StudyView) -> None:
    assert switches(view) == ["parameters", "MACs", "latency, 1 image", "latency, 64 images"]
    assert switches(replace(view, latency=None)) == ["parameters", "MACs"]
    some = replace(LATENCY, models={"plain8": LATENCY.models["plain8"]})
    assert switches(replace(view, latency=some)) == ["parameters", "MACs"]


def test_latency_is_written_in_milliseconds(view: StudyView) -> None:
    axis = draw_capacity(capacity_info(view)).layout.updatemenus[0].buttons[2].args[1]
    assert axis["xaxis.ticktext"] == ["plain4<br>0.25 ms", "plain6<br>0.4 ms", "plain8<br>0.9 ms"]


def test_figures_name_the_metric_of_the_study(view: StudyView) -> None:
    drawn = figures(replace(view, metric="balanced-accuracy"))
    for name in ("capacity", "progress", "curves"):
        assert drawn[name].layout.yaxis.title.text == "validation balanced accuracy (%)"
    assert drawn["finals"].layout.xaxis.title.text.startswith("test balanced accuracy minus BLKD's")
