from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from scipy import stats

from tasearch.domain.result import FinalRow, Role
from tasearch.search.race import Rule
from tasearch.search.verdict import judge, paired_interval
from tests.unit.search.test_space import make_space

SPACE = make_space()
CHAINS = {
    "A": (Role.FINALIST, SPACE.build(["plain4"], 4.0, 0.9)),
    "B": (Role.FINALIST, SPACE.build(["plain6"], 4.0, 0.9)),
    "BLKD": (Role.BLKD, SPACE.build([], 4.0, 0.9)),
    "NOKD": (Role.NOKD, None),
}


def rows_of(
    test: Mapping[str, Sequence[float | None]],
    val: Mapping[str, Sequence[float | None]] | None = None,
    *,
    number: int = 1,
) -> list[FinalRow]:
    """Rows of some arms; val is as test where it is not given."""
    return [
        FinalRow(
            round=number,
            role=CHAINS[arm][0],
            arm=arm,
            chain=CHAINS[arm][1],
            search_val_accuracy=0.7,
            replicate=replicate,
            val_accuracy=(test if val is None else val)[arm][replicate - 1],
            test_accuracy=accuracy,
        )
        for arm, accuracies in test.items()
        for replicate, accuracy in enumerate(accuracies, 1)
    ]


# Above and below direct distillation beyond doubt, and no better than it.
BLKD = [0.700, 0.702, 0.698, 0.701, 0.699]
BETTER = [0.710, 0.711, 0.709, 0.710, 0.711]
NOKD = [0.650, 0.652, 0.648, 0.651, 0.649]
EVEN = [0.701, 0.699, 0.702, 0.700, 0.698]
VAL_PREFERS_A: dict[str, list[float | None]] = {
    "A": [value + 0.09 for value in BETTER],
    "B": [*EVEN],
    "BLKD": [*BLKD],
    "NOKD": [*NOKD],
}


def test_the_interval_is_the_paired_t_interval_of_scipy() -> None:
    differences = [0.01, 0.03, 0.02, 0.00]
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    interval = paired_interval(differences)
    assert [interval.low, interval.high] == pytest.approx([expected.low, expected.high])


def test_one_replicate_has_no_interval() -> None:
    assert (paired_interval([0.01]).low, paired_interval([0.01]).high) == (None, None)


def test_a_stricter_level_gives_a_wider_interval() -> None:
    differences = [0.01, 0.03, 0.02, 0.00]
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.99)
    assert paired_interval(differences, 0.005).low == pytest.approx(expected.low)


def test_a_clear_difference_is_separated() -> None:
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert verdict.separated
    assert verdict.winner == "A"
    assert verdict.text.startswith("A beats direct distillation by +1.0 points, 95% CI [")
    assert verdict.text.endswith("n = 5 replicates")


def test_no_difference_is_not_separated() -> None:
    verdict = judge(rows_of({"A": EVEN, "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert not verdict.separated
    assert verdict.winner is None
    assert "no chain is separated from direct distillation at this budget" in verdict.text


def test_a_chain_that_is_worse_is_called_worse() -> None:
    verdict = judge(rows_of({"A": [0.651, 0.649, 0.651, 0.650, 0.650], "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert verdict.text.startswith("direct distillation beats every chain: A, the best of them, differs by -5.0")
    assert (verdict.separated, verdict.winner) == (True, "BLKD")


def test_val_chooses_who_leads_and_test_has_no_say() -> None:
    verdict = judge(rows_of({"A": BLKD, "B": BETTER, "BLKD": BLKD, "NOKD": NOKD}, VAL_PREFERS_A))
    assert verdict is not None
    assert verdict.difference == pytest.approx(0.0)
    assert (verdict.leader, verdict.winner) == ("A", "A")
    assert verdict.text.startswith("A is ahead of direct distillation on val, which decides, but test does not confirm")


def test_no_verdict_before_every_test_accuracy_is_there() -> None:
    assert judge(rows_of({"A": [*BETTER[:4], None], "BLKD": BLKD, "NOKD": NOKD})) is None


def test_only_the_last_round_counts() -> None:
    rows = rows_of({"A": BETTER, "BLKD": BLKD}) + rows_of({"A": NOKD, "BLKD": BLKD}, number=2)
    verdict = judge(rows)
    assert verdict is not None
    assert verdict.difference == pytest.approx(-0.05)


def test_without_a_finalist_there_is_nothing_to_compare() -> None:
    verdict = judge(rows_of({"BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert (verdict.difference, verdict.separated) == (None, False)
    assert verdict.text.startswith("no chain with a TA was compared with direct distillation, which differs from no")
    assert "+5.0 points" in verdict.text


def test_one_replicate_proves_nothing() -> None:
    verdict = judge(rows_of({"A": [0.9], "BLKD": [0.7], "NOKD": [0.6]}))
    assert verdict is not None
    assert (verdict.separated, verdict.ci_low) == (False, None)
    assert "one replicate proves nothing" in verdict.text


def test_the_leader_and_blkd_are_compared_with_no_distillation() -> None:
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert verdict.notes[0].startswith("A against no distillation: +6.0 points, 95% CI [")
    assert verdict.notes[1].startswith("Direct distillation against no distillation: +5.0 points, 95% CI [")


def test_a_finalist_that_test_puts_ahead_but_val_does_not_is_named() -> None:
    verdict = judge(rows_of({"A": BLKD, "B": BETTER, "BLKD": BLKD, "NOKD": NOKD}, VAL_PREFERS_A))
    assert verdict is not None
    assert any(note.startswith("B differs from direct distillation by +1.0 points") for note in verdict.notes)


def test_test_alone_separates_nothing() -> None:
    val: dict[str, list[float | None]] = {"A": [*EVEN], "BLKD": [*BLKD], "NOKD": [*NOKD]}
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}, val))
    assert verdict is not None
    assert (verdict.separated, verdict.winner) == (False, None)
    assert "which val, the only judge, does not show as clearly" in verdict.text


def test_no_chain_wins_that_val_puts_behind_no_distillation() -> None:
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": [value + 0.02 for value in BETTER]}))
    assert verdict is not None
    assert verdict.winner is None
    assert verdict.text.endswith("; but the student without distillation is 2.0 points ahead of that chain on val")


def test_not_separated_comes_with_the_replicates_that_would_likely_do() -> None:
    verdict = judge(rows_of({"A": [0.702, 0.701, 0.703, 0.700, 0.699], "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert verdict.race is not None
    assert verdict.race.replicates_to_separate is not None
    assert verdict.race.replicates_to_separate > 5
    needed = f"about {verdict.race.replicates_to_separate} replicates would likely separate them"
    assert verdict.text.endswith(needed)


def test_differences_that_do_not_vary_decide_nothing() -> None:
    verdict = judge(rows_of({"A": [0.71, 0.72], "BLKD": [0.70, 0.71], "NOKD": [0.65, 0.66]}))
    assert verdict is not None
    assert (verdict.separated, verdict.winner) == (False, None)
    assert "the differences on val are all the same" in verdict.text


def test_no_difference_at_all_needs_no_number_of_replicates() -> None:
    rows = rows_of({"A": [0.701, 0.701, 0.699, 0.700, 0.699], "BLKD": BLKD, "NOKD": NOKD})
    verdict = judge(rows)
    assert verdict is not None
    assert verdict.text.endswith("no number of replicates that could be run would likely separate them")


def test_the_optimism_of_the_search_is_said() -> None:
    verdict = judge(rows_of({"A": [0.69, 0.68, 0.69, 0.68, 0.685], "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert any("its optimism was +1.5 points" in note for note in verdict.notes)


LOOKS = Rule.of(2, (3, 5))
RACE_VAL: dict[str, list[float | None]] = {
    "A": [*EVEN],
    "B": [0.650, 0.652, 0.6481, None, None],
    "BLKD": [*BLKD],
    "NOKD": [*NOKD],
}


def test_a_dropped_finalist_is_reported_on_the_replicates_that_it_ran() -> None:
    run = {**RACE_VAL, "B": RACE_VAL["B"][:3]}
    verdict = judge(rows_of(run, RACE_VAL), lambda _: LOOKS)
    assert verdict is not None
    assert [(score.arm, score.n, score.dropped_after) for score in verdict.scores] == [
        ("A", 5, None), ("BLKD", 5, None), ("NOKD", 5, None), ("B", 3, 3)
    ]  # fmt: skip
    assert "Dropped on val: B after 3 replicates." in verdict.notes


def test_no_verdict_while_the_race_goes_on() -> None:
    short = {arm: values[:3] for arm, values in RACE_VAL.items()}
    assert judge(rows_of(short, short), lambda _: LOOKS) is None


def test_replicates_beyond_the_end_of_the_race_do_not_count() -> None:
    early = Rule.of(1, (5,))
    longer = {arm: [*values, 0.9] for arm, values in {"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}.items()}
    unseen = {arm: [*values, None] for arm, values in {"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}.items()}
    expected = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}), lambda _: early)
    assert judge(rows_of(unseen, longer), lambda _: early) == expected


def test_intervals_are_as_wide_as_the_rule_demands() -> None:
    rows = rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD})
    textbook, raced = judge(rows), judge(rows, lambda _: Rule.of(1, (5, 8, 12, 16, 20)))
    assert textbook is not None
    assert raced is not None
    assert textbook.ci_low is not None
    assert raced.ci_low is not None
    assert raced.ci_low < textbook.ci_low
    own = paired_interval([a - b for a, b in zip(BETTER, BLKD, strict=True)])
    assert (textbook.ci_low, textbook.ci_high) == (own.low, own.high)


def test_the_error_that_is_kept_is_said() -> None:
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}), lambda _: Rule.of(1, (5, 8, 12, 16, 20)))
    assert verdict is not None
    assert any("has a probability of at most 5% over 1 finalist and 5 looks" in note for note in verdict.notes)
