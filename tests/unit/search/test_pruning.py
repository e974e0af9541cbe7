from __future__ import annotations

import optuna
import pytest

from tasearch.search.pruning import PRUNERS, is_hopeless, make_pruner

EPOCHS = 9


def stopped_after(name: str) -> int | None:
    """Return the epoch after which a bad run is stopped beside eight good ones; None where it is finished."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Hyperband draws the bracket of a trial from the name of its study, and one of its brackets stops nobody.
    study = optuna.create_study(direction="maximize", pruner=make_pruner(name, EPOCHS), study_name="birds")
    for good in range(8):
        trial = study.ask()
        for epoch in range(1, EPOCHS + 1):
            trial.report(0.6 + good / 100 + epoch / 1000, epoch)
            # Halving compares with those that were asked about at the same epoch.
            trial.should_prune()
        study.tell(trial, 0.6)
    trial = study.ask()
    for epoch in range(1, EPOCHS + 1):
        trial.report(0.1, epoch)
        if trial.should_prune():
            return epoch
    return None


def test_none_finishes_every_run() -> None:
    assert stopped_after("none") is None


@pytest.mark.parametrize("name", [name for name in PRUNERS if name != "none"])
def test_a_bad_run_is_stopped(name: str) -> None:
    assert stopped_after(name) is not None


def test_the_median_waits_for_a_third_of_the_epochs() -> None:
    assert stopped_after("median") == EPOCHS // 3


@pytest.mark.parametrize(
    ("ta", "independent", "hopeless"),
    [(0.50, 400, False), (0.49, 400, True), (0.58, 400, False), (0.58, 40_000, True), (0.70, 400, False)],
)
def test_a_ta_is_hopeless_three_standard_errors_below_nokd(ta: float, independent: int, hopeless: bool) -> None:
    # sqrt((0.5 * 0.5 + 0.6 * 0.4) / 400) = 0.035
    assert is_hopeless(ta, 0.6, independent) is hopeless
