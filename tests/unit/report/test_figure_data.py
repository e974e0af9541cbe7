from __future__ import annotations

import pytest

from tasearch.domain.result import TrialState
from tasearch.report.figure_data import (
    TOP_CURVES,
    Reference,
    accuracy_range,
    capacity_info,
    curves_info,
    finals_info,
    progress_info,
    references,
)
from tasearch.report.view import StudyView

from .factories import (
    ARMS,
    LADDER,
    make_chain,
    make_finals,
    make_trial,
    make_verdict,
    make_view,
    make_view_without_finals,
)

DIRECT = make_chain("plain10", "plain2")
BY_4 = make_chain("plain10", "plain4", "plain2")
BY_4_WARM = make_chain("plain10", "plain4", "plain2", temperature=8.0)
BY_8_4 = make_chain("plain10", "plain8", "plain4", "plain2")
SMALL = (
    make_trial(0, DIRECT, 0.70),
    make_trial(1, BY_4, 0.69),
    make_trial(2, BY_4_WARM, 0.72),
    make_trial(3, BY_8_4, 0.71),
)


def small_view(**changes: object) -> StudyView:
    return make_view_without_finals(trials=SMALL, **changes)


def test_a_chain_stands_at_the_ta_that_teaches_the_student() -> None:
    several = next(point for point in capacity_info(small_view()).points if point.num_tas == 2)
    assert (several.num_params, several.macs) == (LADDER["plain4"].num_params, LADDER["plain4"].macs)


def test_direct_distillation_is_no_point_of_the_capacity_figure() -> None:
    assert {point.chain for point in capacity_info(small_view()).points} == {BY_4, BY_4_WARM, BY_8_4}


def test_one_pair_of_each_path_is_its_best() -> None:
    marked = {point.chain for point in capacity_info(small_view()).points if point.best_of_path}
    assert marked == {BY_4_WARM, BY_8_4}


def test_rungs_are_sorted_by_capacity() -> None:
    assert [name for name, _ in capacity_info(small_view()).rungs] == ["plain4", "plain6", "plain8"]


def test_references_are_nokd_best_blkd_and_teacher() -> None:
    assert references(small_view()) == (
        Reference(label="NOKD", accuracy=0.655),
        Reference(label="BLKD", accuracy=0.70),
        Reference(label="teacher plain10", accuracy=0.842),
    )


def test_a_far_reference_does_not_squash_the_points() -> None:
    shown = accuracy_range([0.69, 0.72], [Reference(label="teacher", accuracy=0.84)])
    assert not shown.shows(0.84)
    assert shown.high - shown.low < 0.05


def test_a_near_reference_is_inside() -> None:
    assert accuracy_range([0.69, 0.72], [Reference(label="BLKD", accuracy=0.68)]).shows(0.68)


def test_every_value_is_inside() -> None:
    shown = accuracy_range([0.2, 0.5, 0.9])
    assert all(shown.shows(value) for value in (0.2, 0.5, 0.9))


def test_equal_values_still_span_a_point() -> None:
    shown = accuracy_range([0.7])
    assert shown.high - shown.low >= 0.01


def test_an_arm_is_paired_with_blkd_by_replicate() -> None:
    finals = make_finals(3)
    view = make_view(finals=tuple(reversed(finals)), verdict=make_verdict(finals))
    tests = {(row.arm, row.replicate): row.test_accuracy or 0.0 for row in finals}
    arm, direct = ARMS[0][1], ARMS[2][1]
    assert arm is not None
    assert direct is not None
    expected = [tests[arm.label, replicate] - tests[direct.label, replicate] for replicate in (1, 2, 3)]
    shown = next(row for row in finals_info(view) if row.chain == arm)
    assert shown.per_replicate == pytest.approx(expected)


def test_the_interval_drawn_is_the_verdicts(view: StudyView) -> None:
    assert view.verdict is not None
    intervals = {score.arm: score.versus_blkd for score in view.verdict.scores}
    assert all(arm.difference == intervals[arm.chain.label] for arm in finals_info(view))


def test_only_finalists_are_compared(view: StudyView) -> None:
    assert [arm.chain for arm in finals_info(view)] == [ARMS[0][1], ARMS[1][1]]


def test_before_the_verdict_no_difference_is_shown() -> None:
    assert finals_info(make_view(verdict=None)) == ()


def test_best_so_far_never_falls_and_keeps_kinds_apart() -> None:
    info = progress_info(small_view())
    assert [(p.trial_number, p.best_so_far) for p in info.tas] == [(1, 0.69), (2, 0.72), (3, 0.72)]
    assert [(p.trial_number, p.best_so_far) for p in info.blkd] == [(0, 0.70)]


def test_trials_without_a_result_are_kept_with_their_reason() -> None:
    rows = (
        make_trial(0, BY_4, None, state=TrialState.FAILED, failure="diverged"),
        make_trial(1, BY_4, None, state=TrialState.PRUNED, curve=(0.3, 0.4)),
    )
    ended = progress_info(make_view_without_finals(trials=rows)).ended
    assert [row.text for row in ended] == ["failed: diverged", "pruned after 2 epochs of the student"]


def test_duplicates_are_no_progress() -> None:
    rows = (*SMALL, make_trial(4, BY_4, 0.69, duplicate_of=1))
    info = progress_info(make_view_without_finals(trials=rows))
    assert (len(info.tas), info.last_trial) == (3, 4)


def test_curves_are_the_best_blkd_then_the_best_chains() -> None:
    assert [curve.chain for curve in curves_info(small_view()).curves] == [DIRECT, BY_4_WARM, BY_8_4, BY_4]


def test_curves_are_limited_in_number(view: StudyView) -> None:
    assert len(curves_info(view).curves) == TOP_CURVES + 1


def test_the_curves_end_inside_the_range(view: StudyView) -> None:
    info = curves_info(view)
    assert all(info.range.shows(curve.accuracies[-1]) for curve in info.curves)
