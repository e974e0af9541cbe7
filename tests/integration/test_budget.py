"""What ends a trial or a search early, and what is said before one begins."""

from __future__ import annotations

import itertools
import json
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial

from tasearch.cli.main import main
from tasearch.worker import loop, session, study_plan
from tasearch.worker.search_clock import OutOfTime, SearchClock
from tests.integration.conftest import Study


class AfterFirstEpoch(BasePruner):
    """Stops whatever it may."""

    def prune(self, study: OptunaStudy, trial: FrozenTrial) -> bool:
        del study, trial
        return True


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_plan, "make_pruner", lambda *_: AfterFirstEpoch())


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(home / "studies.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.usefixtures("eager")
def test_only_chains_with_tas_are_pruned_and_never_sent_to_the_finals(optimize: Study) -> None:
    answer = optimize("--trials", "4")
    assert answer["trials"] == {"complete": 2, "pruned": 2, "failed": 0}
    assert {entry["chain"] for entry in answer["ranking"]} == {"plain6 > plain2"}


def test_a_pruned_chain_that_is_asked_for_again_goes_on_from_its_checkpoint(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with monkeypatch.context() as patch:
        patch.setattr(study_plan, "make_pruner", lambda *_: AfterFirstEpoch())
        optimize("--trials", "2")
    released = rows(home, "SELECT fingerprint FROM tasearch_stages WHERE state = 'released'")
    assert len(released) == len(list((home / "checkpoints").iterdir())) == 1
    storage = optuna.storages.RDBStorage(f"sqlite:///{home / 'studies.db'}")
    study = optuna.load_study(storage=storage, study_name="pets")
    (pruned,) = (trial for trial in study.trials if trial.state is optuna.trial.TrialState.PRUNED)
    study.enqueue_trial(pruned.params)
    answer = optimize("--trials", "3")
    again = study.trials[-1]
    storage.remove_session()
    storage.engine.dispose()
    assert (again.state, again.params) == (optuna.trial.TrialState.COMPLETE, pruned.params)
    assert again.intermediate_values[1] == pruned.intermediate_values[1]
    assert answer["trials"] == {"complete": 2, "pruned": 1, "failed": 0}
    assert rows(home, f"SELECT state, attempt FROM tasearch_stages WHERE fingerprint = '{released[0][0]}'") == [
        ("complete", 2)
    ]


def test_a_chain_through_a_hopeless_ta_ends_before_its_student(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "is_hopeless", lambda *_: True)
    answer = optimize("--trials", "2")
    assert answer["trials"]["pruned"] == 1
    home = tmp_path / "home"
    taught = "SELECT COUNT(*) FROM tasearch_stages s JOIN tasearch_stages t ON s.teacher_fingerprint = t.fingerprint "
    assert rows(home, taught + "WHERE t.student = 'plain4' AND s.replicate = 0") == [(0,)]
    ((reason,),) = rows(home, "SELECT value_json FROM trial_user_attributes WHERE key = 'stopped'")
    assert "TA plain4 ended at" in str(reason)


def test_a_search_without_time_fails_and_says_why(
    optimize: Study, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--timeout", "0.000001"]) == 3
    assert "no trial of study 'pets' completed" in capsys.readouterr().err
    assert optimize("--timeout", "600")["trials"]["complete"] == 3


def test_a_trial_that_ran_out_of_time_is_finished_later_and_counts_once(
    optimize: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = loop.SearchWorker._check_ta
    with monkeypatch.context() as patch:

        def at_a_ta(self: loop.SearchWorker, *args: object, is_student: bool) -> None:
            if not is_student:
                raise OutOfTime
            asked(self, *args, is_student=is_student)  # type: ignore[arg-type]

        patch.setattr(loop.SearchWorker, "_check_ta", at_a_ta)
        patch.setattr(SearchClock, "is_over", property(lambda self: bool(self._spent > 1e9)))
        patch.setattr(loop.SearchWorker, "_stopped", _stop_for_good(loop.SearchWorker._stopped))
        optimize("--trials", "2")
    states = "SELECT state FROM trials ORDER BY number"
    assert rows(tmp_path / "home", states) == [("COMPLETE",), ("PRUNED",)]
    assert optimize("--trials", "2")["trials"] == {"complete": 2, "pruned": 1, "failed": 0}


def _stop_for_good(stopped: object) -> object:
    def stop(self: loop.SearchWorker, *args: object) -> None:
        stopped(self, *args)  # type: ignore[operator]
        self.clock._limit, self.clock._spent = 0.0, 1e10

    return stop


def test_a_dry_run_creates_nothing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*arguments, "--dry-run"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["trials"] == 3
    assert answer["search_stages"] <= answer["search_stages_unshared"]
    assert answer["seconds"] == answer["search_seconds"] + answer["finals_seconds"] > 0
    assert not (tmp_path / "home" / "studies.db").exists()


def test_suggest_trains_what_is_missing_and_names_a_ta(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Measured again, the other precision may come out faster.
    measured = itertools.cycle(["bfloat16", "float32"])
    monkeypatch.setattr(session, "faster_precision", lambda _nets, _device: next(measured))
    kept = ("--teacher", "--student", "--dataset", "--home", "--epochs", "--batch-size", "--threads")
    flags = [part for name in kept for part in arguments[arguments.index(name) :][:2]]
    answers = []
    for _ in range(2):
        assert main(["suggest", *flags, "--json", "-q"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["ta"] == answers[1]["ta"] == "plain4"
    assert [answer["stages"] for answer in answers] == [{"trained": 3, "reused": 0}, {"trained": 0, "reused": 3}]
