from __future__ import annotations

from dataclasses import replace

from tasearch.domain.fingerprint import plain
from tasearch.domain.result import FinalRow, Role
from tasearch.search.race import Rule
from tasearch.search.standing import RULES, rule_of_round, standing, stored_rule, val_differences

ROLES = {"A": Role.FINALIST, "B": Role.FINALIST, "BLKD": Role.BLKD, "NOKD": Role.NOKD}
RULE = Rule.of(2, (3, 5), 3)
LEVELS = {"A": 0.701, "B": 0.60, "BLKD": 0.70, "NOKD": 0.65}
WIGGLE = (0.000, 0.004, -0.003, 0.002, -0.004)


def rows_of(trained: dict[str, int], planned: int = 5, first: int = 1) -> list[FinalRow]:
    """Rows of all arms, of which so many are trained."""
    return [
        FinalRow(
            round=1,
            role=ROLES[arm],
            arm=arm,
            chain=None,
            search_val_accuracy=0.7,
            replicate=first + step,
            val_accuracy=LEVELS[arm] + WIGGLE[(step + shift) % 5] if step < count else None,
        )
        for shift, (arm, count) in enumerate(trained.items())
        for step in range(planned)
    ]


ALL = {"A": 5, "B": 5, "BLKD": 5, "NOKD": 5}


def test_differences_are_paired_with_blkd_by_replicate() -> None:
    names, found = val_differences(rows_of(ALL), 3, 1)
    assert names == ["A", "B"]
    assert found[0].round(6).tolist() == [
        round(LEVELS["A"] + WIGGLE[step] - LEVELS["BLKD"] - WIGGLE[step + 2], 6) for step in range(3)
    ]


def test_a_round_may_begin_at_any_replicate() -> None:
    assert standing(rows_of(ALL, first=7), RULE) == standing(rows_of(ALL), RULE)


def test_a_new_round_is_due_for_the_first_look() -> None:
    now = standing([], RULE)
    assert (now.replicates, now.over, now.looks_taken) == (3, False, 0)


def test_a_look_waits_for_blkd_too() -> None:
    assert standing(rows_of({**ALL, "BLKD": 2}), RULE).looks_taken == 0


def test_a_look_does_not_wait_for_nokd() -> None:
    assert standing(rows_of({**ALL, "NOKD": 0}), RULE).over


def test_a_dropped_finalist_is_due_no_more() -> None:
    now = standing(rows_of({**ALL, "A": 4, "B": 3}), RULE)
    assert (now.dropped_after, now.due("B"), now.due("A"), now.due("NOKD")) == ({"B": 3}, 3, 5, 5)
    assert not now.over


def test_the_race_ends_at_the_last_look() -> None:
    now = standing(rows_of({**ALL, "B": 3}), RULE)
    assert (now.over, now.winner, now.leader, now.replicates) == (True, None, "A", 5)


def test_without_finalists_every_arm_runs_the_first_look() -> None:
    rows = [row for row in rows_of({**ALL, "NOKD": 2}) if row.role is not Role.FINALIST]
    assert (standing(rows, RULE).over, standing(rows, RULE).due("BLKD")) == (False, 3)
    done = [replace(row, val_accuracy=0.5) for row in rows]
    assert standing(done, RULE).over


def test_test_accuracies_have_no_say() -> None:
    rows = rows_of(ALL)
    flattered = [replace(row, test_accuracy=0.99 if row.arm == "B" else 0.01) for row in rows]
    assert standing(flattered, RULE) == standing(rows, RULE)


def test_a_new_round_has_the_looks_that_are_asked_for() -> None:
    assert rule_of_round(None, [], 2, (3, 5)) == RULE


def test_the_same_command_keeps_the_rule() -> None:
    assert rule_of_round(RULE, rows_of(ALL), 2, (3, 5)) == RULE


def test_more_replicates_keep_the_looks_that_were_taken_and_pay_for_them() -> None:
    short = Rule.of(2, (3,), 3)
    rule = rule_of_round(short, rows_of(ALL), 2, (3, 5))
    assert rule.looks == (3, 5)
    assert rule.level < short.level


def test_a_later_first_look_leaves_earlier_ones_without_a_say_but_paid_for() -> None:
    rule = rule_of_round(Rule.of(2, (3,), 3), rows_of(ALL), 2, (5,))
    assert (rule.looks, rule.deciding) == ((3, 5), (5,))
    assert rule_of_round(rule, rows_of(ALL), 2, (5,)) == rule


def test_looks_that_were_planned_and_not_taken_are_forgotten() -> None:
    assert rule_of_round(RULE, rows_of({**ALL, "A": 2}), 2, (2, 4)).looks == (2, 4)


def test_fewer_replicates_do_not_undo_a_look() -> None:
    rule = rule_of_round(RULE, rows_of(ALL), 2, (3,))
    assert (rule.looks, rule.deciding) == ((3, 5), (3, 5))


def test_a_rule_survives_storing() -> None:
    assert stored_rule({RULES: {"2": plain(RULE)}}, 2) == RULE


def test_an_unknown_round_has_no_stored_rule() -> None:
    assert stored_rule({}, 1) is None
