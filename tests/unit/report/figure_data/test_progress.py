from __future__ import annotations

from tasearch.domain.result import TrialState
from tasearch.report.figure_data.progress import progress_info
from tests.unit.report.factories import make_trial, make_view_without_finals

from .small import BY_4, SMALL, small_view


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
