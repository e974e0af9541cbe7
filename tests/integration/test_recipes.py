"""A study under the released code's recipe, and a worker that joins it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tasearch.cli.main import main
from tasearch.report.query import load_view
from tests.integration.conftest import Study


def test_the_recipe_reaches_every_stage_the_report_and_workers_that_join(
    optimize: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    optimize("--recipe", "paper-code")
    with sqlite3.connect(home / "studies.db") as connection:
        specs = [json.loads(spec) for (spec,) in connection.execute("SELECT spec FROM tasearch_stages")]
    assert {spec["recipe"]["learning_rate"] for spec in specs} == {0.01}
    assert {spec["recipe"]["initial_weights"] for spec in specs} == {"uniform"}
    assert {spec["distillation"]["kl_reduction"] for spec in specs if spec["distillation"]} == {"mean"}
    assert {(spec["data"]["shift"], spec["data"]["flip"]) for spec in specs} == {(0, False)}
    config = load_view(f"sqlite:///{home / 'studies.db'}", "pets").config
    assert (config["recipe"], config["kl_reduction"]) == ("paper-code", "mean")
    capsys.readouterr()
    assert main(["worker", "--study-name", "pets", "--home", str(home), "--threads", "1", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"]["trained"] == 0


def test_the_same_study_under_another_recipe_is_refused(
    optimize: Study, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    optimize()
    assert main([*arguments, "--recipe", "paper"]) == 2
    assert "exists with another configuration: " in capsys.readouterr().err
