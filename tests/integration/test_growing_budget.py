"""A budget that is raised while a worker is at work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasearch.domain.spec import StageSpec
from tasearch.stores.records import open_records
from tests.beginnings import at_each_beginning
from tests.integration.conftest import Study


def raising(home: Path, **changes: Any) -> Callable[[StageSpec], None]:
    """Return what stores other settings of the study, as a further `tasearch optimize` does, once."""
    left = [1]

    def act(spec: StageSpec) -> None:
        if spec.distillation is not None and left:
            left.clear()
            records = open_records(f"sqlite:///{home / 'studies.db'}")
            study = records.studies.find("pets")
            assert study is not None
            records.studies.update_config("pets", study.config | {"settings": study.config["settings"] | changes})
            records.close()

    return act


def test_a_worker_goes_on_to_the_trials_that_were_added(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_each_beginning(monkeypatch, raising(tmp_path / "home", trials=4))
    assert optimize("--trials", "1")["trials"]["complete"] == 4


def test_a_worker_runs_the_replicates_that_were_added(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_each_beginning(monkeypatch, raising(tmp_path / "home", replicates=3, max_replicates=3))
    assert optimize("--trials", "2")["verdict"]["n"] == 3
