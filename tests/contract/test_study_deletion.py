"""Studies taken out of Optuna's tables, on every database."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest
from optuna.storages import RDBStorage

from tasearch.domain.errors import ConfigError
from tasearch.search.removal import open_trials
from tasearch.search.storage import close_storage, open_storage
from tasearch.search.study import MARK
from tasearch.stores.engine import engine_kwargs, tune, url_text
from tasearch.stores.transactions import create_tables


@pytest.fixture
def storage(storage_url: str) -> Iterator[RDBStorage]:
    """Optuna's storage with a study `pets` of two trials that tasearch made, and another."""
    found = create_tables(lambda: open_storage(url_text(storage_url), engine_kwargs(storage_url), tune), storage_url)
    for name in ("pets", "birds"):
        study = optuna.create_study(storage=found, study_name=name)
        study.set_user_attr(MARK, True)
        for _ in range(2):
            trial = study.ask({"x": optuna.distributions.IntDistribution(0, 3)})
            trial.set_user_attr("chain", "a > b")
            study.tell(trial, 0.5)
    yield found
    close_storage(found)


def names(storage: RDBStorage) -> list[str]:
    return sorted(study.study_name for study in storage.get_all_studies())


def test_a_study_goes_with_its_trials_and_no_other(storage: RDBStorage, storage_url: str) -> None:
    with open_trials(storage_url, "pets") as trials:
        assert trials.count() == 2
        trials.delete()
        assert trials.count() == 0
    assert names(storage) == ["birds"]
    assert len(optuna.load_study(storage=storage, study_name="birds").trials) == 2


def test_an_unknown_study_has_no_trials(storage: RDBStorage, storage_url: str) -> None:
    with open_trials(storage_url, "fish") as trials:
        assert trials.count() == 0
        trials.delete()
    assert names(storage) == ["birds", "pets"]


def test_a_study_of_somebody_else_stays(storage: RDBStorage, storage_url: str) -> None:
    optuna.create_study(storage=storage, study_name="theirs").ask()
    with open_trials(storage_url, "theirs") as trials, pytest.raises(ConfigError, match="tasearch did not make"):
        trials.delete()
    assert "theirs" in names(storage)
