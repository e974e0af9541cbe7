"""The bench counts right on a case that can be counted by hand."""

from __future__ import annotations

from tests.bench.landscapes import Fig5
from tests.bench.replay import Replay


def test_enumerating_figure_5_trains_its_15_stages_where_whole_chains_take_20() -> None:
    """One direct chain, three of two stages, three of three, one of four: 1 + 6 + 9 + 4."""
    point = Replay(Fig5(), "last", "exhaustive", seed=0, trials=20).run([20])[0]
    assert (point.trials_run, point.stages, point.whole_chains, point.regret) == (8, 15, 20, 0.0)
    assert point.saving == 20 / 15


def test_rungs_outside_of_trials_are_counted_as_cost() -> None:
    """Direct, and through the best model of 4, 6 and 8: four last stages on six rungs, of which three are in trials."""
    point = Replay(Fig5(), "last", "dp", seed=0, trials=4).run([4])[0]
    assert (point.trials_run, point.stages, point.whole_chains) == (4, 10, 1 + 4 + 3 + 2)


def test_a_budget_ends_the_search() -> None:
    points = Replay(Fig5(), "chain", "tpe", seed=0, trials=5).run([2, 5])
    assert [point.trials_run for point in points] == [2, 5]
    assert points[0].stages <= points[1].stages
