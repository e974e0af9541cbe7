from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest

from tasearch.cli.main import main
from tasearch.worker import session
from tests.integration.conftest import Study


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(home / "studies.db") as connection:
        return connection.execute(sql).fetchall()


def test_more_trials_that_put_others_ahead_open_test_again_on_unseen_replicates(
    optimize: Study, finished: dict[str, Any], tmp_path: Path
) -> None:
    optimize("--trials", "9")
    rounds = query(
        tmp_path / "home", "SELECT round, min(replicate), max(replicate) FROM tasearch_finals GROUP BY round"
    )
    # The second round exists only if another chain leads now; either way no replicate is used by two rounds.
    assert rounds in ([(1, 1, 2)], [(1, 1, 2), (2, 3, 4)])


def test_more_replicates_extend_the_finals(optimize: Study, finished: dict[str, Any], tmp_path: Path) -> None:
    assert finished["verdict"]["n"] == 2
    assert optimize("--replicates", "4", "--max-replicates", "4")["verdict"]["n"] == 4
    assert query(tmp_path / "home", "SELECT DISTINCT round FROM tasearch_finals") == [(1,)]


def test_finals_use_fresh_replicates_under_the_same_teacher(finished: dict[str, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert query(home, "SELECT count(*) FROM tasearch_stages WHERE student = 'plain6'") == [(1,)]
    assert query(home, "SELECT DISTINCT replicate FROM tasearch_finals ORDER BY 1") == [(1,), (2,)]


def test_another_study_on_the_same_store_trains_nothing_that_is_there(
    optimize: Study, finished: dict[str, Any]
) -> None:
    first = finished
    second = optimize("--study-name", "again")
    assert first["stages"]["trained"] > 0
    assert second["stages"]["trained"] == 0
    assert second["verdict"] == first["verdict"]


def test_precision_is_resolved_once_and_kept(optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "faster_precision", lambda *_: "bfloat16")
    optimize("--precision", "auto")
    monkeypatch.setattr(session, "faster_precision", lambda *_: "float32")
    assert optimize("--precision", "auto")["stages"]["trained"] == 0
    stored = query(tmp_path / "home", "SELECT DISTINCT json_extract(spec, '$.recipe.precision') FROM tasearch_stages")
    assert stored == [("bfloat16",)]


@pytest.mark.slow
def test_studies_of_one_teacher_use_one_measurement(optimize: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "faster_precision", lambda *_: "bfloat16")
    optimize("--precision", "auto")
    monkeypatch.setattr(session, "faster_precision", lambda *_: "float32")
    assert optimize("--study-name", "again", "--precision", "auto")["stages"]["trained"] == 0


def test_a_search_of_failures_ends_with_exit_code_3_and_says_why(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """At this temperature the softened logits overflow, so every distilled stage diverges."""
    assert main([*arguments, "--temperatures", "1e-42", "--trials", "1"]) == 3
    error = capsys.readouterr().err
    assert "no trial of study 'pets' completed: 1 failed" in error
    assert "diverged in epoch 1" in error


def test_trials_that_diverge_are_failed_with_their_reason_and_the_study_goes_on(
    optimize: Study, tmp_path: Path
) -> None:
    """At 1e-42 the softened logits overflow, at 4 they do not; both temperatures are asked for."""
    answer = optimize("--temperatures", "1e-42,4", "--trials", "6", "--sampler", "random")
    rows = query(
        tmp_path / "home",
        "SELECT trials.state, value_json FROM trials LEFT JOIN trial_user_attributes AS attrs "
        "ON attrs.trial_id = trials.trial_id AND attrs.key = 'failure'",
    )
    reasons = [reason for state, reason in rows if state == "FAIL"]
    assert reasons
    assert all("temperature 1e-42" in reason and "diverged in epoch 1" in reason for reason in reasons)
    assert answer["trials"]["complete"] == 6 - len(reasons) > 0
    assert answer["verdict"]["n"] == 2


def test_one_replicate_gives_a_verdict_without_an_interval(optimize: Study) -> None:
    verdict = optimize("--replicates", "1", "--max-replicates", "1")["verdict"]
    assert (verdict["n"], verdict["separated"], verdict["ci_low"]) == (1, False, None)


def test_an_empty_ladder_tunes_direct_distillation_only(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    at = arguments.index("--finalists")
    assert main([*arguments[:at], *arguments[at + 2 :], "--teacher", "plain4"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {entry["chain"] for entry in answer["ranking"]} == {"plain4 > plain2"}
    assert "no chain with a TA was compared" in answer["verdict"]["text"]


def test_an_exhausted_space_ends_the_search_with_exit_code_0(optimize: Study) -> None:
    answer = optimize("--temperatures", "4", "--kd-weights", "0.9", "--trials", "30")
    assert answer["trials"]["complete"] == 2
    assert {entry["chain"] for entry in answer["ranking"]} == {"plain6 > plain2", "plain6 > plain4 > plain2"}


def test_the_best_chain_of_the_answer_leads_the_ranking(finished: dict[str, Any]) -> None:
    answer = finished
    assert answer["best"]["chain"] == answer["ranking"][0]["chain"]
    assert answer["best"]["val_accuracy"] == max(entry["val_accuracy"] for entry in answer["ranking"])


def test_the_report_is_one_file_where_the_answer_says(finished: dict[str, Any]) -> None:
    page = Path(finished["report"])
    assert page.name == "report.html"
    assert "<html" in page.read_text(encoding="utf-8")[:300]


@pytest.mark.slow
def test_the_page_shows_the_resolved_precision_and_augmentation(
    optimize: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "faster_precision", lambda *_: "bfloat16")
    page = Path(optimize("--precision", "auto")["report"]).read_text(encoding="utf-8")
    assert "--precision bfloat16" in page
    assert "augment</t" not in page


def test_a_smaller_budget_than_is_done_changes_nothing_that_is_shown(
    finished: dict[str, Any], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = finished
    assert main([*arguments[:-1], "--trials", "1", "--replicates", "1"]) == 0
    out, err = capsys.readouterr()
    assert "has 3 trials and 2 replicates in its finals already" in err
    page = Path(before["report"]).read_text(encoding="utf-8")
    assert "--trials 3 --finalists 1 --replicates 2" in page
    after = json.loads(out)["verdict"]
    assert (after["n"], after["difference"]) == (before["verdict"]["n"], before["verdict"]["difference"])


def test_status_shows_the_study_that_the_environment_names(
    finished: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TASEARCH_STUDY_NAME", "nobody's")
    assert main(["status", "--home", str(tmp_path / "home")]) == 2
    assert "nobody's" in capsys.readouterr().err


@pytest.mark.slow
def test_opening_test_again_is_said(
    optimize: Study, finished: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optimize("--replicates", "3", "--max-replicates", "3")
    assert main(["status", "--home", str(tmp_path / "home")]) == 0
    assert "The test set was opened 2 times" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_an_optuna_study_of_somebody_else_is_refused_and_left_alone(
    arguments: list[str], tmp_path: Path, direction: Literal["minimize", "maximize"], capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    storage = optuna.storages.RDBStorage(url)
    theirs = optuna.create_study(storage=storage, study_name="pets", direction=direction)
    theirs.tell(theirs.ask(), 0.5)
    assert main([*arguments, "--storage", url]) == 2
    assert "that tasearch did not make" in capsys.readouterr().err
    assert len(theirs.trials) == 1
    assert main(["studies", "--storage", url]) == 0
    assert capsys.readouterr().out == "no studies\n"
    storage.remove_session()
    storage.engine.dispose()


def test_a_changed_image_size_is_refused_and_leaves_no_decoded_copy(
    finished: dict[str, Any], arguments: list[str], tmp_path: Path
) -> None:
    decoded = tmp_path / "home" / "data" / "decoded"
    before = sorted(decoded.iterdir())
    assert main([*arguments, "--image-size", "24"]) == 2
    assert sorted(decoded.iterdir()) == before


def test_reading_commands_write_nothing_into_a_foreign_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, theirs = tmp_path / "empty.db", tmp_path / "theirs.db"
    empty.touch()
    with sqlite3.connect(theirs) as connection:
        connection.execute("CREATE TABLE other (a)")
    before = theirs.read_bytes()
    for database in (empty, theirs):
        assert main(["status", "--storage", f"sqlite:///{database}"]) == 2
        assert "no studies of tasearch" in capsys.readouterr().err
    assert (empty.read_bytes(), theirs.read_bytes()) == (b"", before)
