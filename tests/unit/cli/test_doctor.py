"""`tasearch doctor`: every fault is found, named and comes with what to do."""

from __future__ import annotations

import json
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.owner import current_owner
from tasearch.stores.records import Records, open_records
from tasearch.stores.shared_artifacts import check_shared
from tests.contract.examples import result_of, stage
from tests.unit.cli.conftest import Run

ARGUMENTS = ["doctor", "--home", "home", "--json"]


@pytest.fixture
def home(here: Path) -> Path:
    (here / "home").mkdir()
    return here / "home"


@pytest.fixture
def records(home: Path) -> Any:
    opened = open_records(f"sqlite:///{home}/studies.db")
    opened.studies.create("pets", {}, {}, {"torch": version("torch")})
    yield opened
    opened.close()


@pytest.fixture
def weights(home: Path, records: Records) -> Path:
    """The weights of a complete stage."""
    artifacts = ArtifactStore(str(home / "artifacts"))
    claim = records.stages.claim(stage(), "someone:1:1", 60.0)
    assert claim is not None
    artifact_id = artifacts.put(b"weights")
    records.stages.complete(claim, result_of(stage(), artifact_id=artifact_id))
    return Path(artifacts.path_of(artifact_id))


@pytest.fixture
def ill(run: Run) -> Any:
    """Run doctor, which must find something; returns what is wrong, by area."""

    def ill(*flags: str) -> dict[str, list[str]]:
        answer = run([*ARGUMENTS, *flags])
        assert answer.code == 1, answer.err
        found = json.loads(answer.out)
        assert found["ok"] is False
        bad = [one for one in found["findings"] if one["health"] == "wrong"]
        assert all(one["mend"] for one in bad)
        return {one["area"]: [o["text"] for o in bad if o["area"] == one["area"]] for one in bad}

    return ill


def test_all_is_well(run: Run, weights: Path) -> None:
    answer = run([*ARGUMENTS, "--verify"])
    assert answer.code == 0, answer.out
    found = json.loads(answer.out)
    assert {one["area"] for one in found["findings"]} == {
        *("database", "artifacts", "home", "leases", "versions", "device"),
    }
    texts = " | ".join(one["text"] for one in found["findings"])
    assert "all 1 recorded artifacts are there" in texts
    assert "1 artifacts match their hashes" in texts
    assert f"torch {version('torch')}" in texts
    assert "journal mode is wal" in texts


def test_people_read_lines(run: Run, weights: Path) -> None:
    answer = run(["doctor", "--home", "home"])
    assert answer.out.splitlines()[-1] == "all is well"
    assert "ok     artifacts  all 1 recorded" in answer.out


def test_missing_weights(ill: Any, weights: Path) -> None:
    weights.unlink()
    assert ill() == {"artifacts": [f"1 of 1 recorded artifacts, {weights.name[:12]} (plain2) are missing"]}


def test_damaged_weights_are_found_with_verify(run: Run, ill: Any, weights: Path) -> None:
    weights.write_bytes(b"half")
    assert run(ARGUMENTS).code == 0
    assert ill("--verify") == {"artifacts": [f"1 of 1 recorded artifacts, {weights.name[:12]} (plain2) are damaged"]}


def test_quiet_prints_what_is_wrong_and_how_to_mend_it(run: Run, weights: Path) -> None:
    weights.unlink()
    first, second = run(["doctor", "--home", "home", "-q"]).out.splitlines()
    assert first.startswith("wrong  artifacts  1 of 1")
    assert "mend: they are trained again" in second


def test_artifacts_that_the_workers_keep_elsewhere(ill: Any, here: Path, records: Records) -> None:
    check_shared(records, "pets", ArtifactStore(str(here / "shared")), current_owner())
    (text,) = ill()["artifacts"]
    assert f"study 'pets' keeps its artifacts at {here / 'shared'} on " in text


def test_artifacts_that_cannot_be_written(ill: Any, records: Records) -> None:
    assert "cannot write artifacts under /proc/artifacts" in ill("--artifacts", "/proc/artifacts")["artifacts"][0]


def test_a_database_that_is_not_there(ill: Any, home: Path) -> None:
    assert f"there is no database {home}/studies.db" in ill()["database"][0]
    assert not (home / "studies.db").exists()


def test_a_database_without_our_tables(ill: Any, home: Path) -> None:
    sqlite3.connect(home / "studies.db").close()
    (home / "studies.db").touch()
    assert "has no tables of tasearch" in ill()["database"][0]


def test_a_database_in_another_journal_mode(ill: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasearch.stores.engine._enter_wal", lambda _connection: None)
    open_records(f"sqlite:///{home}/studies.db").close()
    assert "its journal mode is delete, not wal" in ill()["database"][0]


def test_a_server_that_does_not_answer_is_found_without_its_password(run: Run, ill: Any, home: Path) -> None:
    url = "postgresql://ada:secret-word@127.0.0.1:1/db"
    assert "postgresql+psycopg://ada:***@127.0.0.1:1/db failed" in ill("--storage", url)["database"][0]
    assert "secret-word" not in run(["doctor", "--storage", url]).out


def test_what_dead_workers_hold(ill: Any, records: Records) -> None:
    dead = current_owner().replace(current_owner().split(":")[1], "4194304")
    records.workers.put("pets", dead, {})
    records.stages.claim(stage(), dead, 60.0)
    records.leases.claim("pets", "trial 3", dead, 60.0)
    worker, lease, trial = ill()["leases"]
    assert f"trial 3 of study 'pets' is still leased to {dead}" in trial
    assert f"worker {dead} of study 'pets' is gone" in worker
    assert f"a stage of plain2 is still leased to {dead}" in lease


def test_living_workers_are_well(run: Run, records: Records) -> None:
    records.workers.put("pets", current_owner(), {})
    records.stages.claim(stage(), current_owner(), 60.0)
    assert run(ARGUMENTS).code == 0


def test_a_study_of_other_versions_is_noted(run: Run, records: Records) -> None:
    records.studies.create("old", {}, {}, {"torch": "1.0"})
    answer = run(["doctor", "--home", "home"])
    assert answer.code == 0
    assert f"note   versions   study 'old' was made with torch 1.0 (now {version('torch')})" in answer.out


def test_a_gpu_that_was_asked_for_and_is_not_there(ill: Any, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert ill() == {"device": ["CUDA_VISIBLE_DEVICES is 0, and torch sees no GPU"]}


def test_a_full_disk(ill: Any, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 5e8

    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage)
    found = ill()
    assert "500 MB are free where it lies" in found["database"][0]
    assert "0.5 GB free" in found["home"][0]


def test_tables_of_another_optuna_are_wrong(ill: Any, home: Path, records: Records) -> None:
    with sqlite3.connect(home / "studies.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('v9.0.0.a')")
        connection.execute("CREATE TABLE version_info (version_info_id INT, schema_version INT, library_version TEXT)")
        connection.execute("INSERT INTO version_info VALUES (1, 99, '9.0.0')")
    assert any("at version v9.0.0.a" in text for text in ill()["database"])
