"""`tasearch delete` on whole studies: what goes, what others keep."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from tasearch.cli.main import main
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.records import open_records
from tests.integration.conftest import Study

Delete = Callable[..., tuple[int, str, str]]
TABLES = (
    *("tasearch_studies", "tasearch_stages", "tasearch_study_stages", "tasearch_finals", "tasearch_leases"),
    *("studies", "trials", "trial_user_attributes"),
)


@pytest.fixture
def delete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Delete:
    """Delete `pets` and return exit code, stdout and stderr."""

    def run(*flags: str, name: str = "pets") -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["delete", name, "--home", str(tmp_path / "home"), *flags])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def query(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        return connection.execute(sql).fetchall()


def weights(tmp_path: Path) -> set[str]:
    artifacts = tmp_path / "home" / "artifacts"
    return {path.name for path in artifacts.rglob("*") if path.is_file()}


def test_nothing_of_the_only_study_is_left(finished: dict[str, Any], tmp_path: Path, delete: Delete) -> None:
    report = Path(finished["report"])
    assert weights(tmp_path)
    code, out, _ = delete("--yes")
    assert code == 0
    assert out.endswith("study pets was deleted\n")
    assert [name for name in TABLES if query(tmp_path, f"SELECT count(*) FROM {name}") != [(0,)]] == []
    assert weights(tmp_path) == set()
    assert not report.parent.exists()


def test_another_study_keeps_what_it_needs_and_says_the_same_as_before(
    optimize: Study, tmp_path: Path, delete: Delete
) -> None:
    optimize("--trials", "6", "--sampler", "random")
    other = optimize("--study-name", "again", "--trials", "2")
    code, out, _ = delete("--yes", "--json")
    answer = json.loads(out)
    assert (code, answer["deleted"]) == (0, True)
    assert answer["stages"]["removed"] > 0
    assert answer["weights"]["number"] == answer["stages"]["removed"]
    kept = {artifact for (artifact,) in query(tmp_path, "SELECT artifact_id FROM tasearch_stages")}
    assert len(kept) >= answer["stages"]["kept"] > 0
    assert {name for name in weights(tmp_path) if len(name) == 64} == kept
    again = optimize("--study-name", "again", "--trials", "2")
    assert again["stages"]["trained"] == 0
    assert again["verdict"] == other["verdict"]


def test_the_name_can_be_used_again(optimize: Study, finished: dict[str, Any], delete: Delete) -> None:
    before = finished
    delete("--yes")
    again = optimize("--epochs", "1")
    assert again["stages"]["trained"] > 0
    assert again["trials"] == before["trials"]


def test_without_a_terminal_it_lists_and_refuses(finished: dict[str, Any], tmp_path: Path, delete: Delete) -> None:
    before = weights(tmp_path)
    code, out, err = delete()
    assert code == 2
    assert "study pets: trials 3, runs of the finals 6" in out
    assert "say --yes" in err
    assert weights(tmp_path) == before
    assert query(tmp_path, "SELECT study_name FROM tasearch_studies") == [("pets",)]


def test_json_without_yes_only_lists(finished: dict[str, Any], tmp_path: Path, delete: Delete) -> None:
    before = weights(tmp_path)
    code, out, _ = delete("--json")
    answer = json.loads(out)
    assert (code, answer["deleted"], answer["trials"], answer["finals"]) == (0, False, 3, 6)
    assert weights(tmp_path) == before


@pytest.mark.parametrize("agreed", [True, False])
def test_on_a_terminal_it_asks(
    finished: dict[str, Any], tmp_path: Path, delete: Delete, monkeypatch: pytest.MonkeyPatch, agreed: bool
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_args, **_kwargs: agreed)
    assert delete()[0] == 0
    assert (query(tmp_path, "SELECT count(*) FROM tasearch_studies") == [(0,)]) is agreed


def test_a_study_that_is_worked_on_is_refused(finished: dict[str, Any], tmp_path: Path, delete: Delete) -> None:
    records = open_records(f"sqlite:///{tmp_path / 'home' / 'studies.db'}")
    records.workers.put("pets", "elsewhere/1:4711:1", {})
    records.close()
    code, _, err = delete("--yes")
    assert code == 2
    assert "is being worked on: process 4711 on elsewhere, seen" in err
    assert "tasearch stop" in err
    assert query(tmp_path, "SELECT count(*) FROM tasearch_studies") == [(1,)]


def test_weights_at_a_location_of_another_database_stay(
    finished: dict[str, Any], tmp_path: Path, delete: Delete
) -> None:
    artifacts = ArtifactStore(str(tmp_path / "home" / "artifacts"))
    artifacts.write_note("a" * 32, '{"study_name": "birds", "database": "elsewhere:/studies.db"}')
    before = {name for name in weights(tmp_path) if len(name) == 64}
    code, out, _ = delete("--yes")
    assert code == 0
    assert "stay: it also serves study 'birds' of the database elsewhere:/studies.db" in out
    assert {name for name in weights(tmp_path) if len(name) == 64} == before
    assert [mark.name for mark in artifacts.notes()] == ["a" * 32]


def test_weights_at_another_place_must_be_named_or_left(
    finished: dict[str, Any], tmp_path: Path, delete: Delete
) -> None:
    code, _, err = delete("--yes", "--artifacts", str(tmp_path / "elsewhere"))
    assert code == 2
    assert "study 'pets' keeps its weights at" in err
    before = weights(tmp_path)
    assert delete("--yes", "--artifacts", str(tmp_path / "elsewhere"), "--keep-weights")[0] == 0
    assert weights(tmp_path) == before


def test_an_optuna_study_of_somebody_else_is_left_alone(
    finished: dict[str, Any], tmp_path: Path, delete: Delete
) -> None:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        connection.execute("DELETE FROM study_user_attributes")
    code, _, err = delete("--yes")
    assert code == 2
    assert "that tasearch did not make" in err
    assert query(tmp_path, "SELECT count(*) FROM tasearch_studies") == [(1,)]


def test_an_unknown_study_is_refused(finished: dict[str, Any], delete: Delete) -> None:
    code, _, err = delete("--yes", name="pts")
    assert code == 2
    assert "did you mean `pets`" in err


@pytest.mark.slow
def test_what_is_left_of_trials_that_are_gone_says_nothing_about_new_ones(optimize: Study, tmp_path: Path) -> None:
    """As after a deletion that was killed half-way, or one by Optuna's own command."""
    first = optimize("--trials", "4", "--sampler", "random", "--scope", "stage")
    accuracies = {row["chain"]: row["val_accuracy"] for row in first["ranking"]}
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        connection.execute("UPDATE tasearch_leases SET outcome = replace(outcome, '\"complete\"', '\"failed\"')")
    optuna.delete_study(study_name="pets", storage=f"sqlite:///{tmp_path / 'home' / 'studies.db'}")
    again = optimize("--trials", "4", "--sampler", "random", "--scope", "stage")
    assert {row["chain"]: row["val_accuracy"] for row in again["ranking"]} == accuracies
