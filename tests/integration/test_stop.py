"""`tasearch stop`: workers end as after SIGTERM, and the study goes on afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasearch.cli.main import main
from tasearch.domain.spec import StageSpec
from tasearch.worker import progress
from tests.beginnings import at_each_beginning
from tests.integration.conftest import Study


@pytest.fixture
def stop(tmp_path: Path) -> list[str]:
    return ["stop", "pets", "--home", str(tmp_path / "home")]


@pytest.fixture
def stopping(stop: list[str], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stop the study, once, when the first distilled stage begins; the exit codes of `tasearch stop`."""
    codes: list[int] = []

    def act(spec: StageSpec) -> None:
        if spec.distillation is not None and not codes:
            codes.append(main([*stop, "--wait", "0"]))

    at_each_beginning(monkeypatch, act)
    monkeypatch.setattr(progress, "PUBLISH_SECONDS", 0.0)
    return codes


def test_a_worker_ends_as_after_sigterm_and_the_same_command_goes_on(
    arguments: list[str], stopping: list[int], optimize: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([flag for flag in arguments if flag != "-q"]) == 143
    error = capsys.readouterr().err
    assert "study pets was stopped (`tasearch stop`)" in error
    assert "the same command goes on from here" in error
    # The worker could not end while the stop waited for it, in the same thread.
    assert stopping == [1]
    assert optimize()["verdict"]["n"] == 2


def test_those_still_at_work_are_named(
    arguments: list[str], stopping: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments)
    assert "study pets: still at work after 0 s: process " in capsys.readouterr().err


def test_a_study_without_workers_has_none_to_end(
    finished: dict[str, Any], stop: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(stop) == 0
    assert capsys.readouterr().out == "study pets: no worker was running\n"
    assert main([*stop, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"study_name": "pets", "ended": [], "left": []}


def test_a_stop_does_not_concern_workers_that_start_later(optimize: Study, stop: list[str]) -> None:
    optimize("--trials", "1")
    assert main(stop) == 0
    assert optimize("--trials", "3")["trials"]["complete"] == 3


def test_an_unknown_study_is_refused(
    finished: dict[str, Any], stop: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stop", "pts", *stop[2:]]) == 2
    assert "did you mean `pets`" in capsys.readouterr().err


def test_two_names_are_refused(finished: dict[str, Any], stop: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*stop, "--study-name", "birds"]) == 2
    assert "two studies are named: 'pets' and, by --study-name, 'birds'" in capsys.readouterr().err


def test_a_measurement_of_the_gap_is_stopped_alike(
    images: Path, stop: list[str], stopping: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = "--epochs 1 --batch-size 16 --threads 1 --replicates 1 --precision float32 --limit-train 36"
    where = ["--dataset", f"folder:{images}", "--home", str(tmp_path / "home"), "--study-name", "pets"]
    gap = ["gap", "--vary", "student", "--teacher", "plain6", "--student", "plain2", *budget.split(), *where]
    assert main(gap) == 143
    assert "study pets was stopped (`tasearch stop`)" in capsys.readouterr().err
    assert stopping == [1]
    assert main(gap) == 0
