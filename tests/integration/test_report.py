"""`tasearch report` on a real study: what it writes, that it changes nothing, and that its commands are true."""

from __future__ import annotations

import csv
import hashlib
import json
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from tasearch.cli.main import main
from tests.integration.conftest import Study

Written = dict[str, Path]


@pytest.fixture
def database(finished: dict[str, Any], tmp_path: Path) -> Path:
    """The database of a study that has ended."""
    return tmp_path / "home" / "studies.db"


def write(database: Path, out: Path, formats: str = "html,md,json,csv") -> Written:
    at = ["--storage", f"sqlite:///{database}", "--home", str(out / "no-home")]
    assert main(["report", *at, "--out", str(out), "--format", formats]) == 0
    return {path.name: path for path in out.iterdir()}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def answer_of(written: Written) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(written["report.json"].read_text(encoding="utf-8"))
    return answer


def test_a_report_leaves_every_byte_of_the_database_as_it_is(database: Path, tmp_path: Path) -> None:
    before, beside = digest(database), sorted(database.parent.iterdir())
    write(database, tmp_path / "out")
    assert (digest(database), sorted(database.parent.iterdir())) == (before, beside)


def test_a_report_needs_no_right_to_write_the_database(database: Path, tmp_path: Path) -> None:
    database.chmod(0o444)
    assert "report.html" in write(database, tmp_path / "out")


def test_a_report_makes_no_tables_where_the_search_has_not_begun(database: Path, tmp_path: Path) -> None:
    """Between a study's registration and its first trial there may be no table of Optuna's."""
    with closing(sqlite3.connect(database)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if not name.startswith("tasearch_"):
                connection.execute(f"DROP TABLE {name}")
        connection.commit()
    before = digest(database)
    answer = answer_of(write(database, tmp_path / "out"))
    assert (answer["ranking"], digest(database)) == ([], before)


def test_all_formats_come_from_the_same_records(database: Path, tmp_path: Path) -> None:
    written = write(database, tmp_path / "out")
    answer = answer_of(written)
    with written["ranking.csv"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_accuracy"]) for row in rows] == [row["val_accuracy"] for row in answer["ranking"]]
    text = written["report.md"].read_text(encoding="utf-8").replace("\\", "")
    assert answer["headline"] in text
    assert answer["ranking"][0]["command"] in text


def test_a_report_holds_the_stages_that_were_trained(optimize: Study, tmp_path: Path) -> None:
    trained = optimize()["stages"]["trained"]
    answer = answer_of(write(tmp_path / "home" / "studies.db", tmp_path / "out", "json"))
    assert len(answer["stages"]) == sum(model["stages"] for model in answer["cost"]["models"]) == trained
    assert all(stage["seconds"] > 0 for stage in answer["stages"])


@pytest.mark.slow
def test_the_command_of_a_chain_gives_that_chain_with_the_same_accuracies(
    optimize: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = optimize("--temperatures", "2,16", "--kd-weights", "0.5", "--trials", "5")
    answer = answer_of(write(tmp_path / "home" / "studies.db", tmp_path / "out", "json"))
    tested = [row for row in answer["ranking"] if row["test"] is not None]
    assert {len(row["chain"]["path"]) - 2 for row in tested} == {0, 1}
    for number, row in enumerate(tested):
        words = shlex.split(row["command"])
        capsys.readouterr()
        assert main([*words[1:], "--home", str(tmp_path / f"again{number}"), "--json", "-q"]) == 0
        again = json.loads(capsys.readouterr().out)
        same = [
            other
            for other in again["ranking"]
            if (other["chain"], other["temperatures"], other["kd_weights"])
            == (" > ".join(row["chain"]["path"]), row["chain"]["temperatures"], row["chain"]["kd_weights"])
        ]
        assert [(one["val_accuracy"], one["test_accuracy"]) for one in same] == [
            (row["val_accuracy"], pytest.approx(row["test"]["mean"], abs=1e-12))
        ]
    assert first["verdict"]["n"] == 2


def test_json_on_stdout_names_the_files(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    at = ["--storage", f"sqlite:///{database}", "--out", str(tmp_path / "out"), "--format", "md,json"]
    assert main(["report", *at, "--json", "--study-name", "pets"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == [str(tmp_path / "out" / name) for name in ("report.md", "report.json")]
    assert answer["report"] == answer["files"][0]


@pytest.mark.parametrize("study_name", [None, "theirs"])
def test_a_study_that_optuna_made_is_told_from_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], study_name: str | None
) -> None:
    path = tmp_path / "theirs.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    theirs = optuna.create_study(storage=storage, study_name="theirs")
    trial = theirs.ask()
    theirs.tell(trial, trial.suggest_float("lr", 0, 1) + trial.suggest_int("depth", 1, 3))
    storage.remove_session()
    storage.engine.dispose()
    before = digest(path)
    named = [] if study_name is None else [study_name]
    assert main(["report", *named, "--storage", f"sqlite:///{path}"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert "study 'theirs' was made with Optuna, not by tasearch: its parameters are depth, lr" in error
    assert "optuna-dashboard" in hint
    assert digest(path) == before


def test_beside_ours_a_foreign_study_is_only_met_by_name(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    optuna.create_study(storage=storage, study_name="theirs")
    storage.remove_session()
    storage.engine.dispose()
    assert answer_of(write(database, tmp_path / "out", "json"))["study"]["study_name"] == "pets"
    capsys.readouterr()
    assert main(["report", "theirs", "--storage", f"sqlite:///{database}"]) == 2
    assert "was made with Optuna" in capsys.readouterr().err
    assert main(["report", "petz", "--storage", f"sqlite:///{database}"]) == 2
    assert "did you mean `pets`?" in capsys.readouterr().err


def test_stages_that_were_there_before_the_study_are_reused_ones(
    optimize: Study, finished: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = finished
    with closing(sqlite3.connect(tmp_path / "home" / "studies.db")) as connection, connection:
        # In the same second they would pass for this study's own.
        connection.execute("UPDATE tasearch_stages SET finished_at = datetime(finished_at, '-1 hour')")
    optimize("--study-name", "again")
    capsys.readouterr()
    assert main(["status", "again", "--home", str(tmp_path / "home"), "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert stages["trained"] == 0
    assert stages["reused"] == first["stages"]["trained"] + first["stages"]["reused"]
