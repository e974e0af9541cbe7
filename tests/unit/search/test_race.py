from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasearch.search.race import (
    Floats,
    Rule,
    critical_t,
    half_width,
    mean_and_t,
    replicates_to_separate,
    run_race,
    schedule,
)

RULE = Rule(looks=(3, 5, 8), least=0, level=0.01, interval_level=0.01)
WIGGLE = np.array([0.0, 1.0, -1.0, 0.5, -0.5, 0.2, -0.2, 0.0])
NAN = float("nan")


def finalist(level: float, *, seen: int = 8) -> list[float]:
    """Differences around a level with a spread of about 0.7, of which the first `seen` are known."""
    return [*(level + WIGGLE[:seen]).tolist(), *[NAN] * (8 - seen)]


def race_of(*finalists: list[float], rule: Rule = RULE) -> dict[str, object]:
    """Return the outcome of one study as plain values."""
    outcome = run_race(np.array([finalists]), rule)
    return {name: getattr(outcome, name)[0].tolist() for name in outcome.__slots__}


@pytest.mark.parametrize(
    ("first", "last", "looks"),
    [(5, 20, (5, 8, 12, 16, 20)), (5, 5, (5,)), (5, 6, (5, 6)), (2, 4, (2, 3, 4)), (1, 20, (1, 5, 10, 15, 20))],
)
def test_looks_are_at_the_quarters_of_the_way(first: int, last: int, looks: tuple[int, ...]) -> None:
    assert schedule(first, last) == looks


@pytest.mark.parametrize(("first", "last"), [(0, 5), (6, 5)])
def test_a_schedule_that_goes_backwards_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="no schedule"):
        schedule(first, last)


def test_the_statistic_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, (4, 7))
    assert mean_and_t(values)[1] == pytest.approx(stats.ttest_1samp(values, 0, axis=1).statistic)


def test_the_critical_value_is_exceeded_with_the_level() -> None:
    assert stats.t.sf(critical_t(8, 0.01), 7) == pytest.approx(0.01)


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 7)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.98)
    assert values.mean() + half_width(values, 0.01) == pytest.approx(expected.high)


@pytest.mark.parametrize("values", [[[1.0]], [[1.0, 1.0, 1.0]]], ids=["one value", "no spread"])
def test_where_no_spread_is_known_the_statistic_is_0(values: list[list[float]]) -> None:
    assert mean_and_t(np.array(values))[1].tolist() == [0.0]


def test_a_clear_winner_ends_the_race_at_the_first_look() -> None:
    found = race_of(finalist(9.0), finalist(0.3))
    assert (found["over"], found["winner"], found["replicates"], found["looks_taken"]) == (True, 0, 3, 1)


def test_of_two_that_beat_blkd_the_better_mean_wins() -> None:
    assert race_of(finalist(9.0), finalist(12.0))["winner"] == 1


def test_without_a_winner_the_race_goes_to_the_last_look() -> None:
    found = race_of(finalist(0.1), finalist(0.2))
    assert (found["over"], found["winner"], found["replicates"], found["leader"]) == (True, -1, 8, 1)


def test_a_finalist_clearly_below_blkd_is_dropped() -> None:
    assert race_of(finalist(0.1), finalist(-9.0))["dropped_after"] == [0, 3]


def test_a_finalist_clearly_behind_the_leader_is_dropped_without_being_below_blkd() -> None:
    behind = [value - 2.0 - 0.1 * step for step, value in enumerate(finalist(1.0))]
    found = race_of(finalist(1.0), behind)
    assert found["dropped_after"] == [0, 3]
    assert mean_and_t(np.array(behind[:3]))[1] > -critical_t(3, RULE.level)


def test_a_dropped_finalist_needs_no_further_replicates() -> None:
    found = race_of(finalist(0.1), finalist(-9.0, seen=3))
    assert (found["over"], found["replicates"]) == (True, 8)


def test_a_dropped_finalist_cannot_come_back() -> None:
    revived = [*finalist(-9.0, seen=3)[:3], 99.0, 99.1, 99.0, 99.1, 99.0]
    found = race_of(finalist(0.1), revived)
    assert (found["winner"], found["leader"]) == (-1, 0)


def test_when_nobody_is_left_blkd_has_won() -> None:
    found = race_of(finalist(-9.0), finalist(-10.0))
    assert (found["over"], found["blkd_won"], found["winner"], found["leader"]) == (True, True, -1, 0)


def test_a_race_waits_for_the_replicates_of_the_next_look() -> None:
    found = race_of(finalist(0.1, seen=4), finalist(0.2))
    assert (found["over"], found["replicates"], found["looks_taken"]) == (False, 5, 1)


def test_a_race_that_has_not_begun_waits_for_the_first_look() -> None:
    found = race_of(finalist(0.1, seen=0))
    assert (found["over"], found["replicates"], found["looks_taken"]) == (False, 3, 0)


def test_looks_before_the_least_decide_nothing() -> None:
    later = Rule(looks=(3, 5, 8), least=5, level=0.01, interval_level=0.01)
    found = race_of(finalist(9.0), rule=later)
    assert (found["winner"], found["replicates"], found["looks_taken"]) == (0, 5, 1)


def test_one_replicate_decides_nothing() -> None:
    found = race_of([9.0], rule=Rule.of(1, (1,)))
    assert (found["over"], found["winner"]) == (True, -1)


def test_studies_do_not_touch_each_other() -> None:
    draw = np.random.default_rng(1)
    together: Floats = draw.normal(0.5, 1, (50, 3, 8))
    alone = [run_race(together[[study]], RULE) for study in range(50)]
    whole = run_race(together, RULE)
    for name in whole.__slots__:
        expected = np.concatenate([getattr(outcome, name) for outcome in alone])
        assert (getattr(whole, name) == expected).all(), name


def test_the_number_of_replicates_to_separate_gives_the_power() -> None:
    needed = replicates_to_separate(0.5, 1.0, 0.01)
    assert needed is not None
    draws = np.random.default_rng(2).normal(0.5, 1, (20_000, needed))
    assert (mean_and_t(draws)[1] > critical_t(needed, 0.01)).mean() == pytest.approx(0.8, abs=0.02)


def test_a_difference_of_nothing_is_never_separated() -> None:
    assert replicates_to_separate(0.0, 1.0, 0.01) is None
