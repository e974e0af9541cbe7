"""Errors that may pass: a trial is tried again under its number, a few times."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tasearch.cli.main import main
from tasearch.domain.errors import StageFailedError
from tasearch.domain.spec import StageSpec
from tests.beginnings import at_each_beginning
from tests.integration.conftest import Study

ONE = ["--temperatures", "4", "--kd-weights", "0.9", "--trials", "1"]


def failing(times: int) -> Callable[[StageSpec], None]:
    """Return what lets the first `times` beginnings of a distilled student fail, as a machine out of memory does."""
    left = [times]

    def act(spec: StageSpec) -> None:
        if spec.distillation is not None and left[0]:
            left[0] -= 1
            raise RuntimeError("out of memory")

    return act


def diverging(student: str, *, replicates: range, distilled: bool) -> Callable[[StageSpec], None]:
    """Return what lets a stage diverge for one kind of stage on some replicates."""

    def act(spec: StageSpec) -> None:
        is_distilled = spec.distillation is not None
        if spec.student.name == student and spec.replicate in replicates and is_distilled is distilled:
            raise StageFailedError(f"stage {spec.label} diverged")

    return act


def leases(tmp_path: Path) -> list[tuple[str, str, int, int]]:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        return connection.execute(
            "SELECT subject, state, attempt, failures FROM tasearch_leases WHERE subject LIKE 'trial %'"
        ).fetchall()


def test_a_trial_is_tried_again_under_its_number(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_each_beginning(monkeypatch, failing(2))
    assert optimize(*ONE)["trials"] == {"complete": 1, "pruned": 0, "failed": 0}
    assert leases(tmp_path) == [("trial 0", "ended", 3, 2)]


def test_a_trial_that_keeps_failing_is_given_up_with_the_reason(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_each_beginning(monkeypatch, failing(2))
    optimize(*ONE, "--max-retries", "1", code=3)
    assert leases(tmp_path) == [("trial 0", "ended", 2, 1)]


def test_a_baseline_is_tried_again(optimize: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]

    def act(spec: StageSpec) -> None:
        if spec.distillation is None and left[0]:
            left[0] -= 1
            raise RuntimeError("out of memory")

    at_each_beginning(monkeypatch, act)
    assert optimize(*ONE)["trials"]["complete"] == 1


def test_a_search_goes_on_without_the_student_from_labels(optimize: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    at_each_beginning(monkeypatch, diverging("plain2", replicates=range(1), distilled=False))
    answer = optimize(*ONE)
    assert answer["trials"]["complete"] == 1
    assert answer["verdict"] is not None


def test_a_teacher_that_diverges_ends_the_study_with_the_reason(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_each_beginning(monkeypatch, diverging("plain6", replicates=range(1), distilled=False))
    assert main([*arguments, *ONE]) == 1
    assert "stage plain6 from labels" in capsys.readouterr().err


def test_finals_end_with_a_verdict_where_a_finalist_diverges(optimize: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    at_each_beginning(monkeypatch, diverging("plain4", replicates=range(1, 9), distilled=True))
    verdict = optimize("--temperatures", "4", "--kd-weights", "0.9")["verdict"]
    assert verdict["text"].startswith("no chain with a TA was compared with direct distillation, which differs")
    assert any("plain4" in note and "is out of the finals" in note for note in verdict["notes"])
