from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from scipy import stats

from tasearch.domain.result import FinalRow, Role
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
    test: Mapping[str, Sequence[float | None]], val: Mapping[str, Sequence[float]] | None = None, *, number: int = 1
) -> list[FinalRow]:
    return [
        FinalRow(
            round=number,
            role=CHAINS[arm][0],
            arm=arm,
            chain=CHAINS[arm][1],
            search_val_accuracy=0.7,
            replicate=replicate,
            val_accuracy=(val or {}).get(arm, [0.7] * 9)[replicate - 1],
            test_accuracy=accuracy,
        )
        for arm, accuracies in test.items()
        for replicate, accuracy in enumerate(accuracies, 1)
    ]


BLKD = [0.700, 0.702, 0.698, 0.701, 0.699]
BETTER = [0.710, 0.711, 0.709, 0.710, 0.711]
NOKD = [0.650, 0.652, 0.648, 0.651, 0.649]


def test_the_interval_is_the_paired_t_interval_of_scipy() -> None:
    differences = [0.01, 0.03, 0.02, 0.00]
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    interval = paired_interval(differences)
    assert [interval.low, interval.high] == pytest.approx([expected.low, expected.high])


def test_one_replicate_has_no_interval() -> None:
    assert (paired_interval([0.01]).low, paired_interval([0.01]).high) == (None, None)


def test_a_clear_difference_is_separated() -> None:
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert verdict.separated
    assert verdict.winner == "A"
    assert verdict.text.startswith("A beats direct distillation by +1.0 points, 95% CI [")
    assert verdict.text.endswith("n = 5 replicates")


def test_no_difference_is_not_separated() -> None:
    verdict = judge(rows_of({"A": [0.701, 0.699, 0.702, 0.700, 0.698], "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert not verdict.separated
    assert verdict.winner is None
    assert "no chain is separated from direct distillation at this budget" in verdict.text


def test_a_chain_that_is_worse_is_called_worse() -> None:
    verdict = judge(rows_of({"A": NOKD, "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert verdict.text.startswith("direct distillation beats the leading chain")
    assert (verdict.separated, verdict.winner) == (True, "BLKD")


def test_val_chooses_who_leads_and_test_has_no_say() -> None:
    val = {"A": [0.80] * 5, "B": [0.75] * 5}
    verdict = judge(rows_of({"A": BLKD, "B": BETTER, "BLKD": BLKD, "NOKD": NOKD}, val))
    assert verdict is not None
    assert verdict.difference == pytest.approx(0.0)
    assert verdict.winner is None


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


def test_distillation_against_none_is_reported() -> None:
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}))
    assert verdict is not None
    assert verdict.notes[0].startswith("Direct distillation against no distillation: +5.0 points")


def test_a_finalist_that_test_puts_ahead_but_val_does_not_is_named() -> None:
    val = {"A": [0.80] * 5, "B": [0.75] * 5}
    verdict = judge(rows_of({"A": BLKD, "B": BETTER, "BLKD": BLKD, "NOKD": NOKD}, val))
    assert verdict is not None
    assert "no chain is separated" not in verdict.text
    assert verdict.text.startswith("the leading chain is not separated from direct distillation: A differs by")
    assert verdict.notes[0].startswith("B differs from direct distillation by +1.0 points")


def test_no_chain_wins_that_val_puts_behind_no_distillation() -> None:
    val = {"A": [0.70] * 5, "NOKD": [0.72] * 5}
    verdict = judge(rows_of({"A": BETTER, "BLKD": BLKD, "NOKD": NOKD}, val))
    assert verdict is not None
    assert verdict.winner is None
    assert verdict.text.endswith("; but the student without distillation is 2.0 points ahead of that chain on val")
