from __future__ import annotations

from tasearch.report.figure_data.curves import TOP_CURVES, curves_info
from tasearch.report.view import StudyView

from .small import BY_4, BY_4_WARM, BY_8_4, DIRECT, small_view


def test_curves_are_the_best_blkd_then_the_best_chains() -> None:
    assert [curve.chain for curve in curves_info(small_view()).curves] == [DIRECT, BY_4_WARM, BY_8_4, BY_4]


def test_curves_are_limited_in_number(view: StudyView) -> None:
    assert len(curves_info(view).curves) == TOP_CURVES + 1


def test_the_curves_end_inside_the_range(view: StudyView) -> None:
    info = curves_info(view)
    assert all(info.range.shows(curve.accuracies[-1]) for curve in info.curves)
