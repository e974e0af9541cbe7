from __future__ import annotations

from dataclasses import replace

import pytest

from tasearch.domain.result import Role, TrialRow, TrialState
from tasearch.report.view import (
    StudyView,
    TrialCounts,
    best,
    counts,
    given_line,
    headline,
    heuristic_line,
    race_looks,
    rank_chains,
    score_of,
)

from .factories import ARMS, make_chain, make_finals, make_trial, make_verdict, make_view, make_view_without_finals

DIRECT = make_chain("plain10", "plain2")
BY_4 = make_chain("plain10", "plain4", "plain2")
BY_6 = make_chain("plain10", "plain6", "plain2")


def test_chains_are_ranked_by_val_accuracy() -> None:
    ranking = rank_chains([make_trial(0, DIRECT, 0.70), make_trial(1, BY_4, 0.71), make_trial(2, BY_6, 0.69)], None)
    assert [(row.rank, row.chain, row.trial_number) for row in ranking] == [(1, BY_4, 1), (2, DIRECT, 0), (3, BY_6, 2)]


def test_of_equal_chains_the_earlier_trial_ranks_first() -> None:
    ranking = rank_chains([make_trial(3, BY_6, 0.7), make_trial(1, BY_4, 0.7)], None)
    assert [row.trial_number for row in ranking] == [1, 3]


def test_other_pairs_on_one_path_are_other_chains() -> None:
    warm = make_chain("plain10", "plain4", "plain2", temperature=8.0)
    assert len(rank_chains([make_trial(0, BY_4, 0.7), make_trial(1, warm, 0.7)], None)) == 2


def test_a_chain_is_ranked_once() -> None:
    again = make_trial(5, BY_4, 0.7, duplicate_of=1)
    ranking = rank_chains([again, make_trial(1, BY_4, 0.7), make_trial(2, BY_4, 0.7)], None)
    assert [row.trial_number for row in ranking] == [1]


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAILED, TrialState.RUNNING, TrialState.WAITING])
def test_only_complete_trials_are_ranked(state: TrialState) -> None:
    assert rank_chains([make_trial(0, BY_4, 0.7, state=state)], None) == ()


def test_a_chain_in_the_finals_carries_its_score() -> None:
    verdict = make_verdict(make_finals())
    finalist = ARMS[0][1]
    assert finalist is not None
    ranking = rank_chains([make_trial(0, finalist, 0.71), make_trial(1, BY_6, 0.7)], verdict)
    assert ranking[0].test in verdict.scores
    assert ranking[1].test is None


def test_the_best_chain_is_the_first_of_the_ranking(view: StudyView) -> None:
    leader = best(view)
    assert leader is not None
    assert leader.val_accuracy == max(row.val_accuracy for row in view.trials if row.val_accuracy is not None)


def test_without_a_complete_trial_there_is_no_best() -> None:
    assert best(make_view_without_finals(trials=())) is None


def test_blkd_is_the_best_direct_chain() -> None:
    cold = make_chain("plain10", "plain2", temperature=2.0)
    rows = (make_trial(0, DIRECT, 0.69), make_trial(1, cold, 0.70), make_trial(2, BY_4, 0.71))
    blkd = make_view_without_finals(trials=rows).blkd
    assert blkd is not None
    assert blkd.chain == cold


def test_duplicates_count_apart_from_complete_trials(view: StudyView) -> None:
    assert counts(view.trials) == TrialCounts(complete=18, pruned=1, failed=1, running=0, waiting=0, duplicates=1)


def test_scores_are_found_by_role(view: StudyView) -> None:
    score = score_of(view.verdict, Role.NOKD)
    assert score is not None
    assert score.role is Role.NOKD


def test_without_a_verdict_there_is_no_score() -> None:
    assert score_of(None, Role.BLKD) is None


def test_the_headline_is_the_verdict(view: StudyView) -> None:
    assert view.verdict is not None
    assert headline(view) == view.verdict.text


def test_a_race_is_told_look_by_look(view: StudyView) -> None:
    assert view.verdict is not None
    assert view.verdict.race is not None
    lead, other, *rest = sorted(view.verdict.scores, key=lambda score: score.role is not Role.FINALIST)
    race = replace(view.verdict.race, looks=(3, 5, 20), taken=(3, 5))
    verdict = replace(view.verdict, race=race, scores=(lead, replace(other, dropped_after=3), *rest), separated=False)
    assert [(look.replicates, look.in_race, look.outcome) for look in race_looks(verdict)] == [
        (3, 2, f"dropped {other.arm}, goes on"),
        (5, 1, "not separated, no replicates left"),
    ]


def test_without_a_race_there_are_no_looks(view: StudyView) -> None:
    assert view.verdict is not None
    assert race_looks(replace(view.verdict, race=None)) == race_looks(None) == ()


def test_before_the_finals_the_headline_says_how_far_the_search_is() -> None:
    assert headline(make_view_without_finals()) == (
        "No verdict yet: 18 of 20 trials complete, the finals have not begun."
    )


def test_where_all_trials_failed_the_headline_says_why() -> None:
    failed = make_trial(0, make_chain("plain10", "plain2"), None, state=TrialState.FAILED, failure="the loss is nan")
    view = make_view_without_finals(trials=(failed,))
    assert headline(view) == "No verdict: no trial has completed, 1 failed, the last because the loss is nan."


def test_during_the_finals_the_headline_counts_trained_runs() -> None:
    rows = [replace(row, test_accuracy=None) for row in make_finals()]
    rows = [replace(row, val_accuracy=None) if row.replicate > 3 else row for row in rows]
    view = make_view(finals=tuple(rows), verdict=None, test_opened=())
    assert headline(view) == "No verdict yet: 12 of 20 finals runs trained, test set closed."


def test_during_a_second_round_the_first_one_is_not_forgotten() -> None:
    first = make_finals()
    second = [replace(row, round=2, replicate=row.replicate + 5, test_accuracy=None) for row in first]
    second = [replace(row, val_accuracy=None) if row.replicate > 7 else row for row in second]
    view = make_view(finals=(*first, *second), verdict=None, test_opened=("NOON",), earlier_verdict="It wins.")
    assert headline(view) == (
        "No verdict yet: 8 of 20 finals runs of round 2 trained, test set closed for it (opened before, NOON). "
        "The verdict of the round before: It wins."
    )


def test_a_trial_that_died_before_its_chain_was_known_is_accepted() -> None:
    row = TrialRow(number=0, state=TrialState.FAILED, chain=None, val_accuracy=None, failure="killed")
    assert make_view_without_finals(trials=(row,)).ranking == ()


def test_a_ta_without_capacity_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="plain6"):
        make_view_without_finals(trials=(make_trial(0, BY_6, 0.7),), ta_capacities={})


SCRATCH = {"plain10": 0.84, "plain8": 0.80, "plain6": 0.76, "plain4": 0.71, "plain2": 0.60}


def test_the_heuristic_is_not_known_before_every_model_was_trained_from_labels() -> None:
    line = heuristic_line(make_view(scratch={name: SCRATCH[name] for name in ("plain10", "plain8", "plain2")}))
    assert line is not None
    assert "not marked, because plain6, plain4 were not trained from labels" in line


def test_the_heuristic_names_a_ta_and_is_held_against_the_chain_that_leads() -> None:
    view = make_view(scratch=SCRATCH)
    assert view.verdict is not None
    leader = next(score.chain for score in view.verdict.scores if score.role is Role.FINALIST)
    assert leader is not None
    line = heuristic_line(view)
    assert line is not None
    assert line.startswith("Accuracy-midpoint heuristic (Mirzadeh et al. 2020): plain4, whose 71.0%")
    hit = "the one TA" if leader.tas == ("plain4",) else "one of the TAs" if "plain4" in leader.tas else "not a TA"
    assert line.endswith(f"72.0%: {hit} of the chain that leads the finals.")


def test_without_a_verdict_the_heuristic_only_names_a_ta() -> None:
    line = heuristic_line(make_view_without_finals(scratch=SCRATCH))
    assert line is not None
    assert line.endswith("teacher and student, 72.0%.")


def test_without_tas_there_is_no_heuristic() -> None:
    assert heuristic_line(make_view_without_finals(ta_capacities={}, trials=())) is None


def test_a_given_teacher_is_said_and_doubted_where_it_is_near_chance() -> None:
    view = replace(make_view(), given_teacher="ab" * 32)
    assert given_line(make_view()) is None
    assert given_line(view) == "The teacher was given (weights SHA-256 abababababab) and not trained here."
    guessing = replace(view, teacher=replace(view.teacher, val_accuracy=1 / view.num_classes))
    assert "is near chance" in (given_line(guessing) or "")


def test_a_given_teacher_that_always_says_the_largest_class_is_doubted() -> None:
    view = replace(make_view(), given_teacher="ab" * 32, num_classes=2, num_val=1000, val_counts=(950, 50))
    constant = replace(view, teacher=replace(view.teacher, val_accuracy=0.95))
    assert "is near chance" in (given_line(constant) or "")
