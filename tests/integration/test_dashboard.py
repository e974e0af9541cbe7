"""`tasearch dashboard` on a real study, and what a study leaves in its database for it."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from pathlib import Path

import optuna
import psutil
import pytest
from optuna_dashboard import get_note

from tasearch.cli.main import main
from tasearch.domain.errors import StageFailedError
from tests.integration.conftest import Study
from tests.integration.dashboards import Served, serving, serving_guarded
from tests.integration.guarded_postgres import Guarded
from tests.integration.test_secrets import holds_password

PASSWORD = "open-sesame-7731"


@pytest.fixture(scope="module")
def home(finished_home: Path) -> Path:
    return finished_home


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    with serving(home) as found:
        yield found


def authorization(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_a_finished_study_has_verdict_chains_and_figures(served: Served) -> None:
    study = served.ask("/api/studies/1").json
    assert "separated from direct distillation" in study["note"]["body"] or "beats" in study["note"]["body"]
    assert {figure["id"] for figure in study["plotly_graph_objects"]} >= {"tasearch-progress", "tasearch-finals"}
    for trial in study["trials"]:
        assert "| stage | temperature | KD weight | val | seconds | trained or reused |" in trial["note"]["body"]
        assert "trained |" in trial["note"]["body"]


def test_nothing_can_be_changed(served: Served) -> None:
    for method, path in (("DELETE", "/api/studies/1"), ("POST", "/api/studies"), ("PUT", "/api/studies/1/note")):
        reply = served.ask(path, method)
        assert reply.status == 403
        assert "read-only" in reply.json["reason"]
    assert served.ask("/api/studies/1").status == 200


def test_without_the_password_nothing_is_served(home: Path) -> None:
    with serving_guarded(home, "--auth", "ada", password=PASSWORD) as found:
        for path in ("/", "/dashboard", "/static/bundle.js", "/favicon.ico", "/api/meta", "/api/studies/1", "/csv/1"):
            assert found.ask(path).status == 401
            assert found.ask(path, headers=authorization("ada", "wrong")).status == 401
        assert found.ask("/api/studies/1", headers=authorization("ada", PASSWORD)).status == 200
        command_line = " ".join(psutil.Process(found.process.pid).cmdline())
        code, err = found.end()
    assert code == 143
    assert PASSWORD not in command_line + err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it(home: Path, signum: int, code: int) -> None:
    with serving(home) as found:
        assert found.ask("/api/meta").status == 200
        ended, err = found.end(signum)
    assert ended == code
    assert "Traceback" not in err


@pytest.mark.slow
def test_it_says_where_it_is(home: Path) -> None:
    with serving(home) as found:
        _, err = found.end()
    assert f"dashboard at {found.url} (read-only); Ctrl-C ends it" in err


def test_a_study_does_not_fail_for_want_of_its_notes(
    optimize: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("tasearch.dashboard.notebook.write_notes", broken)
    assert main([word for word in arguments if word != "-q"]) == 0
    err = capsys.readouterr().err
    assert "the notes for the dashboard were not written: no ink; the study is not affected" in err


def test_notes_are_there_when_the_search_has_ended(
    optimize: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("stopped before the finals")

    monkeypatch.setattr("tasearch.worker.finals.FinalsWorker.run", stop)
    optimize(code=1)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'home' / 'studies.db'}")
    note = get_note(optuna.load_study(study_name="pets", storage=storage))
    storage.remove_session()
    storage.engine.dispose()
    assert "No verdict yet: 3 of 3 trials complete" in note


def test_a_study_without_a_result_has_notes_that_say_why(
    optimize: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def diverge(*_: object) -> None:
        raise StageFailedError("loss is not finite")

    monkeypatch.setattr("tasearch.worker.loop.SearchWorker._train_chain", diverge)
    optimize(code=3)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'home' / 'studies.db'}")
    study = optuna.load_study(study_name="pets", storage=storage)
    notes = [get_note(optuna.trial.Trial(study, trial._trial_id)) for trial in study.get_trials()]
    storage.remove_session()
    storage.engine.dispose()
    assert len(notes) == 3
    assert all("Failed: loss is not finite" in note for note in notes)


def test_a_study_whose_teacher_cannot_be_trained_has_a_note_that_says_so(optimize: Study, tmp_path: Path) -> None:
    optimize("--learning-rate", "1e30", code=1)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'home' / 'studies.db'}")
    note = get_note(optuna.load_study(study_name="pets", storage=storage))
    storage.remove_session()
    storage.engine.dispose()
    assert "**No verdict: stage plain6 from labels" in note.replace("\\", "")


def test_the_same_command_again_changes_no_note(optimize: Study, tmp_path: Path) -> None:
    def notes() -> dict[str, object]:
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'home' / 'studies.db'}")
        found = storage.get_study_system_attrs(storage.get_study_id_from_name("pets"))
        storage.remove_session()
        storage.engine.dispose()
        return found

    optimize()
    before = notes()
    optimize()
    assert notes() == before


@pytest.mark.slow
def test_the_password_of_the_database_is_nowhere(
    guarded: Guarded, arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main([*arguments, "--storage", guarded.text]) == 0
    monkeypatch.setenv("TASEARCH_STORAGE", guarded.text)
    with serving(tmp_path / "home", "-v", "--debug") as found:
        paths = (
            "/api/studies",
            "/api/studies/1",
            "/api/studies/99",
            "/api/meta",
            "/csv/1",
            "/api/nothing",
            "/dashboard",
        )
        said = b"".join(found.ask(path).body for path in paths).decode()
        _, err = found.end()
    assert "pets" in said
    assert not holds_password(said + err)
