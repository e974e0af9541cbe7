"""The error rates of the rule in use, on few simulated studies; `tests/bench/verdict_simulation.py` takes many."""

from __future__ import annotations

from math import sqrt

import pytest

from tasearch.search.race import Rule, schedule
from tests.bench.verdict_simulation import DIFFERENCES, SHARED, VAL_TEST, Races, simulate

STUDIES = 4_000
LOOKS = schedule(5, 20)
RULE = Rule.of(3, LOOKS)


def margin(rate: float) -> float:
    """Three standard errors of a rate."""
    return 3 * sqrt(rate * (1 - rate) / STUDIES)


def run(*true: float, rule: Rule = RULE, shared: float = SHARED, val_test: float = VAL_TEST) -> Races:
    return simulate(true, rule, STUDIES, seed=7, shared=shared, val_test=val_test)


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_without_a_difference_a_false_winner_is_rare(shared: float) -> None:
    rate = (run(0.0, 0.0, 0.0, shared=shared).winner >= 0).mean()
    assert 0.025 < rate <= 0.05 + margin(0.05)


def test_beside_a_good_finalist_those_that_are_none_seldom_win() -> None:
    assert (run(0.5, 0.0, 0.0).winner > 0).mean() <= 0.05 + margin(0.05)


@pytest.mark.parametrize("finalists", [1, 2, 5])
def test_any_number_of_finalists_keeps_the_error(finalists: int) -> None:
    races = run(*[0.0] * finalists, rule=Rule.of(finalists, LOOKS))
    assert 0.025 < (races.winner >= 0).mean() <= 0.05 + margin(0.05)


def test_uncorrected_looks_would_not_keep_the_error() -> None:
    """The simulation sees what the correction is for."""
    plain = Rule(looks=LOOKS, least=0, level=0.025, interval_level=0.025)
    assert (run(0.0, 0.0, 0.0, rule=plain).winner >= 0).mean() > 0.1


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("val_test", [0.0, 0.9])
def test_the_reported_interval_covers_the_true_difference(difference: float, val_test: float) -> None:
    races = run(difference, difference, difference, val_test=val_test)
    assert races.covered.mean() >= 0.95 - margin(0.05)


@pytest.mark.parametrize("looks", [(5,), LOOKS], ids=str)
def test_one_finalist_is_covered_too(looks: tuple[int, ...]) -> None:
    races = run(0.0, rule=Rule.of(1, looks), val_test=0.9)
    assert races.covered.mean() >= 0.95 - margin(0.05)


def test_three_good_finalists_are_found_early() -> None:
    races = run(1.0, 1.0, 1.0)
    assert (races.winner >= 0).mean() >= 0.98
    assert races.replicates.mean() <= 9.5


def test_dropping_saves_replicates_of_those_that_are_behind() -> None:
    races = run(1.0, 0.0, 0.0)
    assert races.runs.mean() < 0.93 * 3 * races.replicates.mean()


def test_chains_that_are_all_worse_lose_to_blkd() -> None:
    races = run(-1.0, -1.0, -1.0)
    assert races.blkd_won.mean() > 0.75
    assert (races.winner >= 0).mean() < 0.01
