from __future__ import annotations

import dataclasses

import pytest

from tasearch.domain.gap import Series, Vary
from tasearch.domain.result import FinalRow
from tasearch.search.gap import GapArm, best, comparisons, gap_arms, gap_points, planned_rows
from tests.unit.search.test_space import make_space

SPACE = make_space(("plain6", "plain4"))
PAIR = (4.0, 0.9)


def paths(vary: Vary) -> list[tuple[Series, tuple[str, ...]]]:
    return [(arm.series, arm.path) for arm in gap_arms(SPACE, vary)]


def test_a_growing_teacher_stands_over_one_student() -> None:
    assert paths(Vary.TEACHER) == [
        (Series.NOKD, ("plain2",)),
        (Series.BLKD, ("plain4", "plain2")),
        (Series.BLKD, ("plain6", "plain2")),
        (Series.BLKD, ("plain10", "plain2")),
    ]


def test_growing_students_stand_alone_and_under_one_teacher() -> None:
    assert paths(Vary.STUDENT) == [
        *((Series.NOKD, (student,)) for student in ("plain2", "plain4", "plain6")),
        *((Series.BLKD, ("plain10", student)) for student in ("plain2", "plain4", "plain6")),
    ]


def test_every_ta_is_distilled_and_from_labels() -> None:
    assert paths(Vary.TA)[2:] == [
        *((Series.DISTILLED_TA, ("plain10", ta, "plain2")) for ta in ("plain4", "plain6")),
        *((Series.SCRATCH_TA, ("plain10", ta, "plain2")) for ta in ("plain4", "plain6")),
    ]


@pytest.mark.parametrize("vary", Vary)
def test_no_two_arms_share_a_label(vary: Vary) -> None:
    arms = gap_arms(SPACE, vary)
    assert len({arm.label(PAIR) for arm in arms}) == len(arms)


def with_results(vary: Vary, replicates: int = 3) -> tuple[tuple[GapArm, ...], list[FinalRow]]:
    """Return arms and rows; the k-th arm has 0.5 + k / 100 on test and on val, plus a little per replicate."""
    arms = gap_arms(SPACE, vary)
    rows = planned_rows(dict.fromkeys(arms, PAIR), range(1, replicates + 1))
    place = {arm.label(PAIR): number for number, arm in enumerate(arms)}
    return arms, [
        dataclasses.replace(row, val_accuracy=value, test_accuracy=value)
        for row in rows
        if (value := 0.5 + place[row.arm] / 100 + row.replicate * (1 + place[row.arm]) / 1e4)
    ]


@pytest.mark.parametrize(("vary", "count"), [(Vary.TEACHER, 2 + 3), (Vary.STUDENT, 3), (Vary.TA, 3 * 2)])
def test_what_is_compared(vary: Vary, count: int) -> None:
    arms, rows = with_results(vary)
    assert len(comparisons(gap_points(rows, arms), vary)) == count


def test_differences_are_paired_and_separated_where_the_interval_leaves_zero_out() -> None:
    arms, rows = with_results(Vary.TEACHER)
    first = comparisons(gap_points(rows, arms), Vary.TEACHER)[0]
    assert (first.arm, first.against) == (arms[2].label(PAIR), arms[1].label(PAIR))
    assert first.difference.mean == pytest.approx(0.0102)
    assert first.is_separated


def test_intervals_widen_with_the_number_of_comparisons() -> None:
    arms, rows = with_results(Vary.TEACHER)
    points = gap_points(rows, arms)

    def width_to_nokd(count: int) -> float:
        found = comparisons(points[:count], Vary.TEACHER)
        (first,) = [one for one in found if one.against == "NOKD plain2" and one.arm == points[1].arm]
        assert first.difference.high is not None
        return first.difference.high - first.difference.mean

    assert width_to_nokd(2) < width_to_nokd(3) < width_to_nokd(4)


def test_one_replicate_separates_nothing() -> None:
    arms, rows = with_results(Vary.STUDENT, replicates=1)
    assert not any(found.is_separated for found in comparisons(gap_points(rows, arms), Vary.STUDENT))


def test_an_arm_that_is_not_tested_is_left_out() -> None:
    arms, rows = with_results(Vary.TEACHER)
    rows[0] = dataclasses.replace(rows[0], test_accuracy=None)
    assert len(gap_points(rows, arms)) == len(arms) - 1


def test_the_best_arm_is_chosen_on_val() -> None:
    arms, rows = with_results(Vary.TEACHER)
    rows = [
        dataclasses.replace(row, val_accuracy=0.99 if row.chain is None else row.val_accuracy, test_accuracy=0.1)
        for row in rows
    ]
    assert best(gap_points(rows, arms)).series is Series.NOKD
