from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tasearch.domain.result import FinalRow, Role, TrialRow, TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.search.finals import (
    Arm,
    arms,
    due_rows,
    enter_round,
    fairness_notes,
    finalists,
    opening_notes,
    tuned_blkd,
)
from tests.unit.search.test_space import make_space

SPACE = make_space()


def trial(
    number: int, tas: list[str], accuracy: float | None, *, temperature: float = 4.0, duplicate_of: int | None = None
) -> TrialRow:
    return TrialRow(
        number=number,
        state=TrialState.COMPLETE if accuracy is not None else TrialState.FAILED,
        chain=SPACE.build(tas, temperature, 0.9),
        val_accuracy=accuracy,
        duplicate_of=duplicate_of,
    )


TRIALS = [
    trial(0, [], 0.60),
    trial(1, ["plain4"], 0.63),
    trial(2, ["plain4"], 0.65, temperature=8.0),
    trial(3, ["plain6"], 0.64),
    trial(4, ["plain8"], 0.61),
    trial(5, [], 0.62, temperature=2.0),
    trial(6, ["plain8", "plain4"], None),
]


def test_each_path_sends_its_best_chain() -> None:
    chosen = finalists(TRIALS, 3)
    assert [(arm.chain.tas, arm.chain.temperature) for arm in chosen if arm.chain] == [
        (("plain4",), 8.0),
        (("plain6",), 4.0),
        (("plain8",), 4.0),
    ]


def test_direct_distillation_is_no_finalist() -> None:
    assert all(arm.chain is not None and not arm.chain.is_direct for arm in finalists(TRIALS, 10))


def test_equal_accuracy_goes_to_the_earlier_trial() -> None:
    chosen = finalists([trial(1, ["plain6"], 0.5), trial(0, ["plain4"], 0.5)], 1)
    assert chosen[0].chain is not None
    assert chosen[0].chain.tas == ("plain4",)


def test_blkd_takes_part_with_its_best_pair() -> None:
    blkd = tuned_blkd(TRIALS)
    assert blkd is not None
    assert blkd.chain == SPACE.build([], 2.0, 0.9)


def test_the_arms_are_finalists_blkd_and_nokd() -> None:
    assert [arm.role for arm in arms(TRIALS, 2, 0.5)] == [Role.FINALIST, Role.FINALIST, Role.BLKD, Role.NOKD]


def rows_of(contenders: list[Arm], replicates: int, existing: list[FinalRow] | None = None) -> list[FinalRow]:
    number, first = enter_round(existing or [], contenders)
    return due_rows(number, first, contenders, lambda _: replicates, existing or [])


def test_finals_run_on_replicates_that_the_search_never_saw() -> None:
    rows = rows_of(arms(TRIALS, 2, 0.5), 3)
    assert sorted({row.replicate for row in rows}) == [1, 2, 3]
    assert len(rows) == 12


def test_the_same_arms_continue_their_round() -> None:
    contenders = arms(TRIALS, 2, 0.5)
    first = rows_of(contenders, 2)
    more = rows_of(contenders, 4, first)
    assert {row.round for row in more} == {1}
    assert sorted({row.replicate for row in more}) == [1, 2, 3, 4]


def test_rows_that_exist_stay_as_they_are() -> None:
    contenders = arms(TRIALS, 2, 0.5)
    first = [replace(row, val_accuracy=0.6) for row in rows_of(contenders, 2)]
    assert [row for row in rows_of(contenders, 4, first) if row.replicate <= 2] == first


def test_an_arm_that_was_dropped_gets_no_further_rows() -> None:
    contenders = arms(TRIALS, 2, 0.5)
    out = contenders[1].label
    rows = due_rows(1, 1, contenders, lambda arm: 2 if arm == out else 5, [])
    counts = Counter(row.arm for row in rows)
    assert counts == {arm.label: 2 if arm.label == out else 5 for arm in contenders}


def test_other_arms_open_a_new_round_on_unseen_replicates() -> None:
    first = rows_of(arms(TRIALS, 2, 0.5), 3)
    better = [*TRIALS, trial(7, ["plain8", "plain6"], 0.9)]
    rows = rows_of(arms(better, 2, 0.5), 3, first)
    assert {row.round for row in rows} == {2}
    assert sorted({row.replicate for row in rows}) == [4, 5, 6]


STANDING_ON_PLAIN8 = [
    trial(0, ["plain8"], 0.70),
    trial(1, ["plain8", "plain6"], 0.69),
    trial(2, ["plain8", "plain4"], 0.68),
    trial(3, ["plain8", "plain6", "plain4"], 0.67),
    trial(4, ["plain4"], 0.60),
    trial(5, ["plain6"], 0.61),
]


def test_finalists_do_not_all_stand_on_one_first_ta() -> None:
    chosen = finalists(STANDING_ON_PLAIN8, 3)
    assert [arm.chain.tas for arm in chosen if arm.chain] == [("plain8",), ("plain8", "plain6"), ("plain6",)]


def test_a_single_finalist_is_the_best_chain() -> None:
    assert [arm.search_val_accuracy for arm in finalists(STANDING_ON_PLAIN8, 1)] == [0.70]


def test_finalists_stay_where_no_chain_has_another_first_ta() -> None:
    assert [arm.search_val_accuracy for arm in finalists(STANDING_ON_PLAIN8[:4], 3)] == [0.70, 0.69, 0.68]


def test_another_pair_on_the_first_ta_is_another_checkpoint() -> None:
    space = make_space(scope="chain")
    rows = [
        replace(trial(0, ["plain8"], 0.70), chain=space.build(["plain8"], 4.0, 0.9)),
        replace(trial(1, ["plain8", "plain6"], 0.69), chain=space.build(["plain8", "plain6"], 4.0, 0.9)),
        replace(trial(2, ["plain8"], 0.60), chain=space.build(["plain8"], 2.0, 0.9)),
    ]
    assert [arm.search_val_accuracy for arm in finalists(rows, 2)] == [0.70, 0.60]


@pytest.mark.parametrize(
    ("occasions", "notes"),
    [
        (["round 1, replicates [1]"], 0),
        (["round 1, replicates [1]", "round 2, replicates [2]"], 1),
        (["round 1, replicates [1]", "round 1, replicates [1, 2]"], 2),
    ],
)
def test_opening_test_again_is_noted_and_extending_a_round_after_it_too(occasions: list[str], notes: int) -> None:
    attrs = {"test_opened": ["now"] * len(occasions), "test_opened_occasions": occasions}
    assert len(opening_notes(attrs)) == notes


def test_a_finalist_tuned_more_than_blkd_is_said() -> None:
    rows = rows_of(arms(TRIALS, 2, 0.5), 1)
    more = [*TRIALS, trial(8, ["plain4"], 0.1, temperature=16.0)]
    assert fairness_notes(TRIALS, rows) == []
    assert "had 2 pairs tried, the most tuned finalist 3" in fairness_notes(more, rows)[0]


def test_a_duplicate_is_not_a_result() -> None:
    chain: ChainSpec = SPACE.build(["plain4"], 4.0, 0.9)
    duplicate = trial(9, ["plain4"], 0.99, duplicate_of=1)
    assert duplicate.chain == chain
    assert finalists([duplicate], 1) == []


def test_rows_keep_what_the_search_had_found() -> None:
    rows: list[FinalRow] = rows_of(arms(TRIALS, 1, 0.5), 1)
    assert [row.search_val_accuracy for row in rows] == [0.65, 0.62, 0.5]
