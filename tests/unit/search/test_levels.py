from __future__ import annotations

import pytest

from tasearch.search.levels import _TABLE, ERROR, TARGET, calibrate, levels
from tasearch.search.race import schedule

USUAL = schedule(5, 20)


def test_one_finalist_and_one_look_are_a_textbook_comparison() -> None:
    assert levels(1, (7,)) == (ERROR, ERROR / 2)


def test_one_look_at_independent_finalists_is_sidaks_level() -> None:
    expected = 1 - (1 - TARGET) ** (1 / 3)
    assert calibrate(3, (5,), 100_000)[0] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("key", [(3, USUAL), (1, schedule(5, 10))], ids=str)
def test_the_table_holds_what_a_calibration_gives(key: tuple[int, tuple[int, ...]]) -> None:
    assert calibrate(*key, 100_000) == pytest.approx(_TABLE[key], rel=0.05)


def test_usual_races_are_in_the_table() -> None:
    assert {(finalists, USUAL) for finalists in range(1, 6)} <= set(_TABLE)


def test_a_calibration_is_repeatable() -> None:
    assert calibrate(2, (3, 6), 20_000) == calibrate(2, (3, 6), 20_000)


@pytest.mark.parametrize("num_finalists", range(1, 6))
def test_every_level_pays_for_more_than_one_comparison(num_finalists: int) -> None:
    level, interval_level = levels(num_finalists, USUAL)
    assert ERROR / (num_finalists * len(USUAL)) * 0.5 < interval_level <= level < ERROR


def test_more_looks_cost_more() -> None:
    assert levels(2, (5, 8, 12, 16, 20))[0] < levels(2, (5, 6, 7, 8, 10))[0] < levels(2, (5,))[0]


def test_a_race_that_ends_after_one_replicate_has_levels() -> None:
    assert levels(3, (1,)) == (ERROR, ERROR / 2)
