from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from tasearch.domain.errors import StorageError
from tasearch.domain.spec import StageSpec
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.garbage import Garbage, find_garbage, remove_garbage
from tasearch.stores.home import Home
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.records import Records
from tasearch.stores.schema import StageTable
from tasearch.stores.shared_artifacts import check_shared, database_name
from tasearch.stores.stages import StageState
from tests.contract.examples import final, result_of, stage

TEACHER = stage("plain10")
STUDENT = stage(teacher=TEACHER)
OTHER = stage("plain4")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "s3":
        return ArtifactStore(f"{request.getfixturevalue('bucket')}/artifacts")
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def train(records: Records, artifacts: ArtifactStore) -> Callable[[StageSpec], str]:
    """Complete a stage with weights of its own; returns their id."""

    def train(spec: StageSpec) -> str:
        claim = records.stages.claim(spec, "someone:1:1", 60.0)
        assert claim is not None
        artifact_id = artifacts.put(spec.fingerprint.encode())
        records.stages.complete(claim, result_of(spec, artifact_id=artifact_id))
        return artifact_id

    return train


@pytest.fixture
def hours_later(records: Records, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make everything that is there now old."""

    def pass_time() -> None:
        with records.engine.begin() as connection:
            connection.execute(update(StageTable).values(created_at=LONG_AGO))
            connection.execute(
                update(StageTable).where(StageTable.finished_at.is_not(None)).values(finished_at=LONG_AGO)
            )
        # An object store lets nobody set its times.
        monkeypatch.setattr("tasearch.stores.garbage.GRACE_SECONDS", -10.0)

    return pass_time


def ids(found: Garbage) -> set[str | None]:
    return {file.artifact_id for file in found.artifacts}


Train = Callable[[StageSpec], str]
Later = Callable[[], None]


def test_stages_of_no_study_go_with_their_weights(
    records: Records, artifacts: ArtifactStore, home: Home, train: Train, hours_later: Later
) -> None:
    records.studies.create("pets", {}, {}, {})
    kept, gone = train(STUDENT), train(OTHER)
    records.stages.link("pets", STUDENT.fingerprint, "chain")
    hours_later()
    found = find_garbage(records, artifacts, home)
    assert [stage.fingerprint for stage in found.stages] == [OTHER.fingerprint]
    assert (ids(found), found.bytes) == ({gone}, 64)
    assert artifacts.exists(gone), "finding removes nothing"
    removed = remove_garbage(records, artifacts, home, found)
    assert (ids(removed), removed.bytes) == ({gone}, 64)
    assert (artifacts.exists(kept), artifacts.exists(gone)) == (True, False)
    assert records.stages.find(OTHER.fingerprint) is None
    assert records.stages.find(STUDENT.fingerprint) is not None
    again = find_garbage(records, artifacts, home)
    assert (again.stages, again.artifacts) == ((), ())


def test_what_taught_a_stage_of_a_study_stays(
    records: Records, artifacts: ArtifactStore, home: Home, train: Train, hours_later: Later
) -> None:
    train(TEACHER)
    train(STUDENT)
    records.stages.link("pets", STUDENT.fingerprint, "chain")
    hours_later()
    assert find_garbage(records, artifacts, home).stages == ()


@pytest.mark.parametrize("need", ["final", "scratch"])
def test_finals_and_models_of_the_report_stay(
    records: Records, artifacts: ArtifactStore, home: Home, train: Train, hours_later: Later, need: str
) -> None:
    train(OTHER)
    records.studies.create("pets", {}, {"scratch": {"plain4": OTHER.fingerprint}} if need == "scratch" else {}, {})
    if need == "final":
        records.finals.open_round("pets", [final()])
        records.finals.record_val("pets", 1, final().arm, 1, OTHER.fingerprint, 0.7)
    hours_later()
    found = find_garbage(records, artifacts, home)
    assert (found.stages, found.artifacts) == ((), ())


def test_a_stage_that_another_study_shares_outlives_a_deleted_study(
    records: Records, artifacts: ArtifactStore, home: Home, train: Train, hours_later: Later
) -> None:
    for name in ("pets", "cars"):
        records.studies.create(name, {}, {}, {})
        records.stages.link(name, OTHER.fingerprint, "teacher")
    train(OTHER)
    hours_later()
    records.studies.delete("pets")
    assert find_garbage(records, artifacts, home).stages == ()
    records.studies.delete("cars")
    assert len(find_garbage(records, artifacts, home).stages) == 1


def test_weights_of_the_last_hour_stay_though_nothing_stands_on_them(
    records: Records, artifacts: ArtifactStore, home: Home
) -> None:
    """They are stored before they are recorded."""
    artifacts.put(b"just uploaded")
    assert find_garbage(records, artifacts, home).artifacts == ()


def test_a_stage_that_ended_in_the_last_hour_stays(
    records: Records, artifacts: ArtifactStore, home: Home, train: Train
) -> None:
    train(OTHER)
    assert find_garbage(records, artifacts, home).stages == ()


def test_a_stage_under_way_stays(records: Records, artifacts: ArtifactStore, home: Home, hours_later: Later) -> None:
    records.stages.claim(OTHER, "someone:1:1", 60.0)
    hours_later()
    assert find_garbage(records, artifacts, home).stages == ()


def test_what_is_needed_by_now_is_not_removed(
    records: Records, artifacts: ArtifactStore, home: Home, train: Train, hours_later: Later
) -> None:
    """Between listing and removing, a study asks for one stage, and weights are recorded."""
    linked, stray = train(OTHER), artifacts.put(STUDENT.fingerprint.encode())
    hours_later()
    found = find_garbage(records, artifacts, home)
    assert ids(found) == {linked, stray}
    records.stages.link("pets", OTHER.fingerprint, "chain")
    train(STUDENT)
    removed = remove_garbage(records, artifacts, home, found)
    assert (removed.stages, removed.artifacts) == ((), ())
    assert artifacts.exists(linked)
    assert artifacts.exists(stray)


def test_a_stage_that_is_claimed_by_now_is_not_removed(
    records: Records, artifacts: ArtifactStore, home: Home, train: Train, hours_later: Later
) -> None:
    train(OTHER)
    hours_later()
    found = find_garbage(records, artifacts, home)
    row = records.stages.find(OTHER.fingerprint)
    assert row is not None
    records.stages.invalidate(OTHER.fingerprint, str(row.artifact_id))
    assert records.stages.claim(OTHER, "someone:2:2", 60.0) is not None
    assert remove_garbage(records, artifacts, home, found).stages == ()
    row = records.stages.find(OTHER.fingerprint)
    assert row is not None
    assert row.state is StageState.RUNNING


def test_weights_of_a_database_that_shares_the_location_are_left_alone(
    records: Records, artifacts: ArtifactStore, home: Home, hours_later: Later
) -> None:
    theirs = artifacts.put(b"theirs")
    artifacts.write_note("a" * 32, '{"study_name": "birds", "database": "postgresql+psycopg://elsewhere/db"}')
    hours_later()
    found = find_garbage(records, artifacts, home)
    assert [(mark.study_name, mark.database) for mark in found.others] == [
        ("birds", "postgresql+psycopg://elsewhere/db")
    ]
    assert found.artifacts == ()
    forgotten = find_garbage(records, artifacts, home, forget=["birds"])
    assert ids(forgotten) == {theirs}
    remove_garbage(records, artifacts, home, forgotten)
    assert (artifacts.exists(theirs), artifacts.notes()) == (False, [])


def test_the_mark_of_a_deleted_study_goes(
    records: Records, artifacts: ArtifactStore, home: Home, hours_later: Later
) -> None:
    for name in ("pets", "cars"):
        records.studies.create(name, {}, {}, {})
        check_shared(records, name, artifacts, "someone:1:1")
    hours_later()
    records.studies.delete("cars")
    found = find_garbage(records, artifacts, home)
    assert [mark.study_name for mark in found.marks] == ["cars"]
    remove_garbage(records, artifacts, home, found)
    assert len(artifacts.notes()) == 1
    check_shared(records, "pets", artifacts, "someone:2:2")


def test_weights_of_a_database_that_had_the_same_address_are_left_alone(
    records: Records, artifacts: ArtifactStore, home: Home, hours_later: Later
) -> None:
    theirs, address = artifacts.put(b"theirs"), database_name(records.engine.url)
    artifacts.write_note("a" * 32, json.dumps({"study_name": "old", "database": address, "database_id": "of-old"}))
    records.studies.create("new", {}, {}, {})
    check_shared(records, "new", artifacts, "someone:1:1")
    hours_later()
    found = find_garbage(records, artifacts, home)
    assert ([mark.study_name for mark in found.others], found.artifacts, found.marks) == (["old"], (), ())
    assert artifacts.exists(theirs)


def test_a_location_that_no_study_keeps_its_artifacts_at_is_refused(
    records: Records, artifacts: ArtifactStore, home: Home, tmp_path: Path
) -> None:
    records.studies.create("pets", {}, {}, {})
    check_shared(records, "pets", artifacts, "someone:1:1")
    with pytest.raises(StorageError, match=r"no study of this database keeps its artifacts at .*/wrong"):
        find_garbage(records, ArtifactStore(str(tmp_path / "wrong")), home)


class TestHome:
    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> ArtifactStore:
        return ArtifactStore(str(tmp_path / "artifacts"))

    def test_checkpoints_of_stages_that_have_ended_go(
        self, records: Records, artifacts: ArtifactStore, home: Home, train: Train
    ) -> None:
        train(OTHER)
        records.stages.claim(STUDENT, "someone:1:1", 60.0)
        checkpoints = CheckpointStore(home.checkpoints)
        for name in (OTHER.fingerprint, STUDENT.fingerprint, "0" * 64):
            checkpoints.save(name, b"state")
        found = find_garbage(records, artifacts, home)
        assert [file.path.stem for file in found.checkpoints] == [OTHER.fingerprint]
        remove_garbage(records, artifacts, home, found)
        assert checkpoints.load(OTHER.fingerprint) is None
        assert checkpoints.load(STUDENT.fingerprint) is not None
        assert checkpoints.load("0" * 64) is not None, "another database may know it"

    def test_tables_that_are_idle_and_not_pinned_go(
        self, records: Records, artifacts: ArtifactStore, home: Home
    ) -> None:
        import numpy as np

        tables = LogitTables(home.cache, 10**6)
        for key in ("idle", "pinned", "fresh"):
            tables.put(key, np.zeros(3, np.float16))
        for key in ("idle", "pinned"):
            os.utime(tables._path(key), (0, 0))
        with tables.pin("pinned"):
            found = find_garbage(records, artifacts, home)
            assert [file.path for file in found.tables] == [tables._path("idle")]
            remove_garbage(records, artifacts, home, found)
        assert [tables.get(key) is not None for key in ("idle", "pinned", "fresh")] == [False, True, True]

    def test_half_written_files_of_killed_processes_go(
        self, records: Records, artifacts: ArtifactStore, home: Home
    ) -> None:
        CheckpointStore(home.checkpoints).save("x", b"")
        old, new = home.checkpoints / ".a.checkpoint.0123.tmp", home.checkpoints / ".b.checkpoint.0123.tmp"
        for path in (old, new):
            path.write_bytes(b"half")
        os.utime(old, (0, 0))
        found = find_garbage(records, artifacts, home)
        assert ([file.path for file in found.temporary], found.bytes) == ([old], 4)
        remove_garbage(records, artifacts, home, found)
        assert (old.exists(), new.exists()) == (False, True)

    def test_rests_of_uploads_go(self, records: Records, artifacts: ArtifactStore, home: Home) -> None:
        path = Path(artifacts.path_of(artifacts.put(b"weights")))
        rest = path.parent / f".{path.name}.0123456789ab.tmp"
        path.rename(rest)
        os.utime(rest, (0, 0))
        found = find_garbage(records, artifacts, home)
        assert [file.name for file in found.left_overs] == [str(rest.relative_to(artifacts.location))]
        remove_garbage(records, artifacts, home, found)
        assert not rest.exists()
