from __future__ import annotations

import pytest

from tasearch.domain.result import Interval
from tasearch.report.figure_data import capacity
from tasearch.report.figure_data.capacity import Baseline, baselines, capacity_info
from tasearch.report.view import StudyView
from tests.unit.report.factories import ARMS, LADDER, make_view

from .small import BY_4, BY_4_WARM, BY_8_4, small_view

SCRATCH = {"plain10": 0.84, "plain8": 0.80, "plain6": 0.76, "plain4": 0.71, "plain2": 0.60}


def test_a_chain_stands_at_the_ta_that_teaches_the_student() -> None:
    several = next(point for point in capacity_info(small_view()).points if point.num_tas == 2)
    assert (several.num_params, several.macs) == (LADDER["plain4"].num_params, LADDER["plain4"].macs)


def test_direct_distillation_is_no_point_of_the_capacity_figure() -> None:
    assert {point.chain for point in capacity_info(small_view()).points} == {BY_4, BY_4_WARM, BY_8_4}


def test_one_pair_of_each_path_is_its_best() -> None:
    marked = {point.chain for point in capacity_info(small_view()).points if point.is_best_of_path}
    assert marked == {BY_4_WARM, BY_8_4}


def test_rungs_are_sorted_by_capacity() -> None:
    assert [rung.name for rung in capacity_info(small_view()).rungs] == ["plain4", "plain6", "plain8"]


def test_before_the_finals_baselines_are_single_runs() -> None:
    assert baselines(small_view()) == tuple(
        Baseline(label=label, val=Interval(mean=mean, low=None, high=None, n=1))
        for label, mean in (("NOKD", 0.655), ("BLKD", 0.70), ("teacher plain10", 0.842))
    )


def test_in_the_finals_nokd_and_blkd_have_intervals_over_replicates(view: StudyView) -> None:
    nokd, blkd, teacher = (baseline.val for baseline in baselines(view))
    assert (nokd.n, blkd.n, teacher.n) == (5, 5, 1)
    values = [row.val_accuracy for row in view.finals if row.arm == "NOKD" and row.val_accuracy is not None]
    assert nokd.mean == pytest.approx(sum(values) / 5)
    assert nokd.low is not None
    assert nokd.low < nokd.mean


def test_finalists_stand_at_their_mean_val_accuracy(view: StudyView) -> None:
    finals = capacity_info(view).finals
    assert {point.chain for point in finals} == {ARMS[0][1], ARMS[1][1]}
    assert view.verdict is not None
    means = {score.chain: score.val_accuracy for score in view.verdict.scores}
    assert [point.val.mean for point in finals] == pytest.approx([means[point.chain] for point in finals])


def test_the_intervals_of_finalists_are_inside_the_axis(view: StudyView) -> None:
    info = capacity_info(view)
    assert all(info.range.shows(end) for point in info.finals for end in (point.val.low or 0, point.val.high or 0))


def test_the_heuristics_ta_is_marked_once_it_is_known() -> None:
    assert capacity_info(make_view()).midpoint is None
    assert capacity_info(make_view(scratch=SCRATCH)).midpoint == "plain4"


def test_of_very_many_chains_the_best_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "MOST_POINTS", 2)
    info = capacity_info(small_view())
    assert [point.chain for point in info.points] == [BY_4_WARM, BY_8_4]
    assert info.num_left_out == 1
    assert BY_4 not in {point.chain for point in info.points}
