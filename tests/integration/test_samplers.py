"""Strategies in whole studies, where stages are really trained."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tests.integration.conftest import Study


def trials_of(home: Path) -> list[dict[str, object]]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{home / 'studies.db'}")
    params = [trial.params for trial in optuna.load_study(storage=storage, study_name="pets").trials]
    storage.remove_session()
    storage.engine.dispose()
    return params


FLAGS = ["--scope", "stage", "--temperatures", "2,4", "--kd-weights", "0.5,0.9"]


@pytest.mark.slow
def test_a_study_in_parts_has_the_trials_of_one_at_once(optimize: Study, tmp_path: Path) -> None:
    for trials in ("3", "4", "5"):
        # The quota of direct distillation follows the budget; it is 1 for each of these.
        optimize(*FLAGS, "--sampler", "dp", "--trials", trials)
    at_once = tmp_path / "at once"
    optimize(*FLAGS, "--sampler", "dp", "--trials", "5", "--home", str(at_once))
    assert trials_of(tmp_path / "home") == trials_of(at_once)


@pytest.mark.parametrize(("sampler", "pairs"), [("dp", 4), ("staged", 2)])
def test_stages_trained_outside_of_trials_are_in_the_study(
    optimize: Study, tmp_path: Path, sampler: str, pairs: int
) -> None:
    optimize(*FLAGS, "--sampler", sampler, "--trials", "3")
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'home' / 'studies.db'}")
    attrs = optuna.load_study(storage=storage, study_name="pets").user_attrs
    storage.remove_session()
    storage.engine.dispose()
    calibrated = {name: value for name, value in attrs.items() if name.startswith("stage plain6 > plain4 (")}
    assert len(calibrated) == pairs
    assert all(0 < value["val_accuracy"] <= 1 for value in calibrated.values())


@pytest.mark.slow
def test_an_exhaustive_search_ends_by_itself(optimize: Study) -> None:
    answer = optimize("--sampler", "exhaustive", "--temperatures", "2,4", "--kd-weights", "0.9", "--trials", "30")
    assert answer["trials"]["complete"] == 4
