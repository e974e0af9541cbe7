"""A small search, written out."""

from __future__ import annotations

from tasearch.report.view import StudyView
from tests.unit.report.factories import make_chain, make_trial, make_view_without_finals

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
