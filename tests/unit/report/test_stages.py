from __future__ import annotations

from dataclasses import replace

import pytest

from tasearch.report.ranking import ranked_chains
from tasearch.report.stages import chain_costs, stage_records
from tasearch.report.view import StudyView

from .factories import make_chain, make_trial, make_view, make_view_without_finals
from .made_stages import BEGIN, SECONDS, TABLE_SECONDS, make_stages

DIRECT = make_chain("plain10", "plain2")
BY_6 = make_chain("plain10", "plain6", "plain2")
BY_6_4 = make_chain("plain10", "plain6", "plain4", "plain2")
TRIALS = (make_trial(0, DIRECT, 0.70), make_trial(1, BY_6, 0.72), make_trial(2, BY_6_4, 0.71))


def shared_view(**changes: object) -> StudyView:
    """Two chains of which the second stands on the first one's TA."""
    return make_view_without_finals(**{"trials": TRIALS, "stages": make_stages(TRIALS), **changes})


def test_a_stage_knows_its_path() -> None:
    assert [record.path for record in stage_records(shared_view()) if len(record.path) > 2] == [
        ("plain10", "plain6", "plain2"),
        ("plain10", "plain6", "plain4"),
        ("plain10", "plain6", "plain4", "plain2"),
    ]


def test_a_stage_counts_the_chains_that_stand_on_it() -> None:
    runs = {record.path: record.runs for record in stage_records(shared_view())}
    assert (runs["plain10", "plain6"], runs["plain10", "plain2"], runs[("plain10",)]) == (2, 1, 3)


def test_a_trial_answered_from_the_store_is_no_further_run() -> None:
    again = replace(TRIALS[1], number=3, duplicate_of=1)
    runs = {record.path: record.runs for record in stage_records(shared_view(trials=(*TRIALS, again)))}
    assert runs["plain10", "plain6"] == 2


def test_a_chain_takes_the_sum_of_its_stages() -> None:
    assert chain_costs(shared_view())[2].training_seconds == pytest.approx(
        SECONDS["plain6"] + SECONDS["plain4"] + SECONDS["plain2"] + TABLE_SECONDS
    )


def test_what_an_earlier_trial_has_trained_is_reused() -> None:
    costs = chain_costs(shared_view())
    assert (costs[0].reused_share, costs[1].reused_share) == (0.0, 0.0)
    assert costs[2].reused_share == pytest.approx(SECONDS["plain6"] / costs[2].training_seconds)


def test_what_was_trained_outside_of_trials_is_reused() -> None:
    stages = tuple(
        replace(stage, roles=("chain", "rung")) if stage.student == "plain6" else stage for stage in make_stages(TRIALS)
    )
    costs = chain_costs(shared_view(stages=stages))
    assert costs[1].reused_share == pytest.approx(SECONDS["plain6"] / costs[1].training_seconds)


def test_what_was_there_before_the_study_is_reused() -> None:
    stages = tuple(replace(stage, finished_at=BEGIN.replace(year=2024)) for stage in make_stages(TRIALS))
    assert {cost.reused_share for cost in chain_costs(shared_view(stages=stages)).values()} == {1.0}


def test_without_the_stages_a_chain_has_no_cost() -> None:
    assert chain_costs(shared_view(stages=())) == {}


def test_the_ranking_holds_every_chain_with_its_cost() -> None:
    rows = ranked_chains(shared_view())
    assert [(row.rank, row.chain) for row in rows] == [(1, BY_6), (2, BY_6_4), (3, DIRECT)]
    assert [row.training_seconds for row in rows] == [
        chain_costs(shared_view())[row.trial_number].training_seconds for row in rows
    ]


def test_the_ranking_shows_test_with_an_interval_for_finalists_alone() -> None:
    view = make_view()
    tested = [row for row in ranked_chains(view) if row.test is not None]
    assert len(tested) == 3
    assert all(row.test is not None and row.test.n == 5 and row.test.low is not None for row in tested)
    assert view.verdict is not None
    means = {score.chain: score.test_accuracy for score in view.verdict.scores}
    assert [row.test.mean for row in tested if row.test] == pytest.approx([means[row.chain] for row in tested])
