"""A budget that is raised while a worker is at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasearch.chain import run
from tasearch.stores.records import open_records
from tests.integration.conftest import Study

FIT = vars(run)["fit"]


def raising(home: Path, **changes: Any) -> Any:
    """Return a `fit` that stores other settings of the study, as a further `tasearch optimize` does, once."""
    left = [1]

    def fit(spec: Any, *arguments: Any, **named: Any) -> Any:
        if spec.distillation is not None and left:
            left.clear()
            records = open_records(f"sqlite:///{home / 'studies.db'}")
            study = records.studies.find("pets")
            assert study is not None
            records.studies.update_config("pets", study.config | {"settings": study.config["settings"] | changes})
            records.close()
        return FIT(spec, *arguments, **named)

    return fit


def test_a_worker_goes_on_to_the_trials_that_were_added(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "fit", raising(tmp_path / "home", trials=4))
    assert optimize("--trials", "1")["trials"]["complete"] == 4


def test_a_worker_runs_the_replicates_that_were_added(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "fit", raising(tmp_path / "home", replicates=3, max_replicates=3))
    assert optimize("--trials", "2")["verdict"]["n"] == 3
