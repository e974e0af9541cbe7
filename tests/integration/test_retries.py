"""Errors that may pass: a trial is tried again under its number, a few times."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tasearch.chain import run
from tests.integration.conftest import Study

FIT = vars(run)["fit"]
ONE = ["--temperatures", "4", "--kd-weights", "0.9", "--trials", "1"]


def failing(times: int) -> Any:
    """Return a `fit` whose first `times` calls for a distilled student fail as a machine out of memory does."""
    left = [times]

    def fit(spec: Any, *arguments: Any, **named: Any) -> Any:
        if spec.distillation is not None and left[0]:
            left[0] -= 1
            raise RuntimeError("out of memory")
        return FIT(spec, *arguments, **named)

    return fit


def leases(tmp_path: Path) -> list[tuple[str, str, int, int]]:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        return connection.execute(
            "SELECT subject, state, attempt, failures FROM tasearch_leases WHERE subject LIKE 'trial %'"
        ).fetchall()


def test_a_trial_is_tried_again_under_its_number(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "fit", failing(2))
    assert optimize(*ONE)["trials"] == {"complete": 1, "pruned": 0, "failed": 0}
    assert leases(tmp_path) == [("trial 0", "ended", 3, 2)]


def test_a_trial_that_keeps_failing_is_given_up_with_the_reason(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "fit", failing(2))
    optimize(*ONE, "--max-retries", "1", code=3)
    assert leases(tmp_path) == [("trial 0", "ended", 2, 1)]
