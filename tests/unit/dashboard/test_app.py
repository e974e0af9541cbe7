"""The whole application over a real database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna_dashboard import wsgi
from optuna_dashboard._inmemory_cache import _CachedExtraStudyProperty

from tasearch.dashboard.app import open_dashboard, skip_ended
from tasearch.dashboard.guard import WsgiApp
from tasearch.dashboard.notebook import write_notes
from tasearch.domain.errors import StorageError
from tasearch.search.browsing import cached
from tasearch.search.storage import close_storage
from tasearch.stores import reading
from tests.unit.dashboard.asking import ask
from tests.unit.dashboard.factories import STAGES, STUDY, make_facts, make_storage, make_study

READ_BY_GET = {
    "/",
    "/dashboard<:re:(/.*)?>",
    "/api/meta",
    "/api/studies",
    "/api/studies/<study_id:int>",
    "/api/studies/<study_id:int>/param_importances",
    "/api/studies/<study_id:int>/plot/<plot_type>",
    "/csv/<study_id:int>",
    "/favicon.ico",
    "/static/<filename:path>",
    "/incompatible-rdb-schema",
    "/artifacts/<study_id:int>/<artifact_id:re:[0-9a-fA-F-]+>",
    "/artifacts/<study_id:int>/<trial_id:int>/<artifact_id:re:[0-9a-fA-F-]+>",
}
"""The routes of optuna-dashboard that were read through and found to write nothing (0.21)."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a study, its notes and a figure; only to be read."""
    path = tmp_path_factory.mktemp("original") / "studies.db"
    url = f"sqlite:///{path}"
    write_notes(url, make_facts(make_study(url)), STAGES, {"capacity": '{"data": []}'})
    return path


@pytest.fixture
def url(original: Path, tmp_path: Path) -> str:
    """A copy of it."""
    shutil.copy(original, tmp_path / "studies.db")
    return f"sqlite:///{tmp_path / 'studies.db'}"


@contextmanager
def opened(url: str, folder: Path, *, allow_write: bool = False) -> Iterator[WsgiApp]:
    with open_dashboard(url, login=None, allow_write=allow_write, host="127.0.0.1", attachments=folder) as app:
        yield app


@pytest.fixture
def app(url: str, tmp_path: Path) -> Iterator[WsgiApp]:
    with opened(url, tmp_path / "attachments") as found:
        yield found


def test_its_get_routes_are_those_that_were_looked_through(url: str) -> None:
    storage = make_storage(url)
    found = {route.rule for route in wsgi(storage).routes if route.method == "GET"}
    close_storage(storage)
    assert found == READ_BY_GET


def test_the_study_is_what_optuna_dashboard_says(app: WsgiApp, url: str) -> None:
    storage = make_storage(url)
    expected = ask(wsgi(cached(storage)), "/api/studies/1", query="after=0").json
    close_storage(storage)
    assert in_order(ask(app, "/api/studies/1").json) == in_order(expected)
    rest = {**expected, "trials": expected["trials"][3:]}
    assert in_order(ask(app, "/api/studies/1", query="after=3").json) == in_order(rest)


def in_order(value: Any) -> Any:
    """Return JSON with its attributes sorted: Optuna gives those of a running trial in any order."""
    if isinstance(value, dict):
        return {key: in_order(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted(map(in_order, value), key=lambda item: item.get("key", "") if isinstance(item, dict) else "")
    return value


def test_a_database_that_may_only_be_read_is_served(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rights themselves do not hold back a test that runs as root."""
    monkeypatch.setattr(reading, "_may_write", lambda _path: False)
    with opened(url, tmp_path / "attachments") as app:
        assert ask(app, "/api/studies/1").json["note"]["body"]


def test_it_has_notes_and_figures(app: WsgiApp) -> None:
    study = ask(app, "/api/studies/1").json
    assert "beats direct distillation" in study["note"]["body"]
    assert [figure["id"] for figure in study["plotly_graph_objects"]] == ["tasearch-capacity"]
    assert "| stage |" in study["trials"][0]["note"]["body"]


@pytest.mark.parametrize(
    "path",
    ["/dashboard", "/dashboard/studies/1", "/static/bundle.js", "/favicon.ico", "/api/meta", "/csv/1", "/api/studies"],
)
def test_its_pages_are_served_also_without_accept_encoding(app: WsgiApp, path: str) -> None:
    assert ask(app, path).status == 200


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/api/studies", {"study_name": "new", "directions": ["maximize"]}),
    ("POST", "/api/studies/1/rename", {"study_name": "new"}),
    ("DELETE", "/api/studies/1", {}),
    ("PUT", "/api/studies/1/note", {"version": 9, "body": "x"}),
    ("PUT", "/api/studies/1/1/note", {"version": 9, "body": "x"}),
    ("POST", "/api/trials/5/tell", {"state": "Fail"}),
    ("POST", "/api/trials/5/user-attrs", {"user_attrs": {"a": 1}}),
    ("POST", "/api/artifacts/1", {"file": "data:text/plain;base64,eA==", "filename": "x.txt"}),
    ("POST", "/incompatible-rdb-schema", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_no_write_reaches_a_read_only_dashboard(app: WsgiApp, url: str, method: str, path: str, body: Any) -> None:
    before = content(url)
    assert ask(app, path, method, body=json.dumps(body).encode()).status == 403
    assert content(url) == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES[:-2])
def test_the_database_refuses_what_the_guard_would_let_through(
    app: WsgiApp, url: str, method: str, path: str, body: Any
) -> None:
    before = content(url)
    app._allow_write = True  # type: ignore[attr-defined]
    assert ask(app, path, method, body=json.dumps(body).encode()).status >= 400
    assert content(url) == before


def content(url: str) -> tuple[object, ...]:
    """Return everything of the studies of a database."""
    storage = make_storage(url)
    found = tuple(
        (study.study_name, study.user_attrs, study.system_attrs, storage.get_all_trials(study._study_id))
        for study in storage.get_all_studies()
    )
    close_storage(storage)
    return found


def test_a_note_can_be_edited_where_that_was_allowed(url: str, tmp_path: Path) -> None:
    with opened(url, tmp_path / "attachments", allow_write=True) as app:
        body = json.dumps({"version": 2, "body": "mine"}).encode()
        assert ask(app, "/api/studies/1/note", "PUT", body=body).status == 204
        assert ask(app, "/api/studies/1").json["note"] == {"version": 2, "body": "mine"}


def test_an_attached_page_cannot_run_in_the_dashboards_origin(url: str, tmp_path: Path) -> None:
    folder, page = tmp_path / "attachments", tmp_path / "page.html"
    folder.mkdir()
    page.write_text("<script>alert(1)</script>")
    storage = make_storage(url)
    study = optuna.load_study(study_name=STUDY, storage=storage)
    store = FileSystemArtifactStore(folder)
    name = upload_artifact(artifact_store=store, file_path=str(page), study_or_trial=study, storage=storage)
    close_storage(storage)
    with opened(url, folder) as app:
        answer = ask(app, f"/artifacts/1/{name}")
    assert (answer.status, answer.body) == (200, b"<script>alert(1)</script>")
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_files_can_be_attached_and_removed_where_that_was_allowed(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "attachments"
    with opened(url, folder, allow_write=True) as app:
        body = json.dumps({"file": "data:text/plain;base64,aGVsbG8=", "filename": "a.txt"}).encode()
        name = ask(app, "/api/artifacts/1", "POST", body=body).json["artifact_id"]
        assert (folder / name).read_bytes() == b"hello"
        assert ask(app, f"/artifacts/1/{name}").body == b"hello"
        assert ask(app, f"/api/artifacts/1/{name}", "DELETE").status == 204
    assert list(folder.iterdir()) == []


def test_a_read_only_dashboard_offers_no_form_for_files(app: WsgiApp) -> None:
    assert ask(app, "/api/meta").json["artifact_is_available"] is False


def test_a_new_trial_shows_up(url: str, app: WsgiApp, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(ask(app, "/api/studies/1").json["trials"])
    storage = make_storage(url)
    optuna.load_study(study_name=STUDY, storage=storage).enqueue_trial({})
    close_storage(storage)
    # Not for the seconds that optuna-dashboard answers from what it has read.
    monkeypatch.setattr("optuna_dashboard._storage.timedelta", lambda **_: timedelta(0))
    assert len(ask(app, "/api/studies/1").json["trials"]) == before + 1


def test_tables_of_another_optuna_are_refused(url: str, tmp_path: Path) -> None:
    storage = make_storage(url)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    close_storage(storage)
    with pytest.raises(StorageError, match=r"at version v2\.6\.0\.a") as refused, opened(url, tmp_path):
        pass
    assert "optuna storage upgrade" in refused.value.hint


def test_search_spaces_of_ended_trials_are_gone_through_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    inner = _CachedExtraStudyProperty._update_search_space

    def watched(self: _CachedExtraStudyProperty, trial: optuna.trial.FrozenTrial) -> None:
        seen.append(trial.number)
        inner(self, trial)

    monkeypatch.setattr(_CachedExtraStudyProperty, "_update_search_space", watched)
    storage = make_storage(url)
    optuna.load_study(study_name=STUDY, storage=storage).tell(4, 0.5)
    app = wsgi(cached(storage))
    first = ask(app, "/api/studies/1", query="after=0").json
    skip_ended(app, 1, 5)
    seen.clear()
    assert ask(app, "/api/studies/1", query="after=0").json == first
    close_storage(storage)
    assert seen == [4]
