from __future__ import annotations

import pytest

from tasearch.report.figure_data.finals import finals_info
from tasearch.report.view import StudyView
from tests.unit.report.factories import ARMS, make_finals, make_verdict, make_view


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
