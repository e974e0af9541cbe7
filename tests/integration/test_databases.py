from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tasearch.cli.main import main
from tests.integration.conftest import Study


@pytest.mark.parametrize("storage_url", ["postgresql"], indirect=True)
def test_a_whole_study_runs_and_continues_on_postgresql(optimize: Study, storage_url: str) -> None:
    first = optimize("--storage", storage_url)
    assert first["trials"]["complete"] == 3
    assert first["verdict"]["n"] == 2
    again = optimize("--storage", storage_url)
    assert again["stages"]["trained"] == 0
    assert again["verdict"] == first["verdict"]


def test_the_database_may_be_anywhere_and_is_optunas_too(optimize: Study, storage_url: str) -> None:
    answer = optimize("--storage", storage_url, "--trials", "1", "--replicates", "1", "--max-replicates", "1")
    storage = optuna.storages.RDBStorage(storage_url)
    study = optuna.load_study(study_name="pets", storage=storage)
    assert study.best_value == answer["best"]["val_accuracy"]
    assert study.best_trial.user_attrs["chain"] == "plain6 > plain2"
    storage.remove_session()
    storage.engine.dispose()


@pytest.mark.slow
def test_a_whole_study_keeps_its_weights_in_a_bucket(optimize: Study, bucket: str, tmp_path: Path) -> None:
    home, artifacts = tmp_path / "home", f"{bucket}/weights"
    first = optimize("--artifacts", artifacts)
    assert first["trials"]["complete"] == 3
    assert not list((home / "artifacts").iterdir())
    assert main(["doctor", "--verify", "--home", str(home), "--artifacts", artifacts]) == 0
    assert main(["gc", "--yes", "--home", str(home), "--artifacts", artifacts]) == 0
    assert optimize("--artifacts", artifacts)["stages"]["trained"] == 0
