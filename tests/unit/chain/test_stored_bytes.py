"""Weights are where the record says before the record says it, on a folder and on S3; what is lost is trained again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tasearch.chain.control import Stores
from tasearch.chain.run import StageRunner
from tasearch.domain.errors import StorageError
from tasearch.domain.result import StageResult
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.owner import current_owner
from tasearch.stores.records import open_records
from tasearch.stores.stages import StageClaim, StageRecords, StageState
from tests.factories import CPU, make_dataset, make_stage
from tests.unit.chain.test_run import Watcher

DATASET = make_dataset()
TEACHER = make_stage(DATASET, "plain4")
STUDENT = make_stage(DATASET, teacher=TEACHER)


@pytest.fixture(params=["folder", "s3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "s3":
        return ArtifactStore(f"{request.getfixturevalue('bucket')}/artifacts")
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def stages(tmp_path: Path) -> StageRecords:
    return open_records(parse_storage_url(f"sqlite:///{tmp_path}/studies.db")).stages


def make_runner(stages: StageRecords, artifacts: ArtifactStore, home: Path) -> tuple[StageRunner, Watcher]:
    stores = Stores(
        stages=stages,
        artifacts=artifacts,
        checkpoints=CheckpointStore(home / "checkpoints"),
        tables=LogitTables(home / "cache", 10**8),
    )
    watcher = Watcher()
    runner = StageRunner(stores, DATASET, CPU, owner=current_owner(), watcher=watcher, checkpoint_seconds=60.0)
    return runner, watcher


def test_weights_are_stored_before_the_record_says_complete(
    stages: StageRecords, artifacts: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[tuple[str, object]] = []
    put, complete = artifacts.put, stages.complete

    def noted_put(data: bytes) -> str:
        row = stages.find(TEACHER.fingerprint)
        order.append(("put while", row and row.state))
        return put(data)

    def noted_complete(claim: StageClaim, result: StageResult) -> None:
        order.append(("complete, weights there", artifacts.exists(result.artifact_id)))
        complete(claim, result)

    monkeypatch.setattr(artifacts, "put", noted_put)
    monkeypatch.setattr(stages, "complete", noted_complete)
    make_runner(stages, artifacts, tmp_path)[0].run(TEACHER)
    assert order == [("put while", StageState.RUNNING), ("complete, weights there", True)]


def test_a_stage_whose_weights_cannot_be_stored_is_not_complete(
    stages: StageRecords, artifacts: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_data: bytes) -> str:
        raise StorageError("no space left")

    monkeypatch.setattr(artifacts, "put", full)
    with pytest.raises(StorageError, match="no space left"):
        make_runner(stages, artifacts, tmp_path)[0].run(TEACHER)
    row = stages.find(TEACHER.fingerprint)
    assert row is not None
    assert (row.state is StageState.COMPLETE, row.artifact_id) == (False, None)


def test_missing_weights_are_trained_again_and_said(
    stages: StageRecords, artifacts: ArtifactStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact_id = make_runner(stages, artifacts, tmp_path)[0].run(TEACHER).artifact_id
    artifacts.remove(artifacts.files()[0].name)
    runner, watcher = make_runner(stages, artifacts, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert runner.run(TEACHER).artifact_id == artifact_id
    assert watcher.trained == [TEACHER.fingerprint]
    assert "are missing; it is trained again" in caplog.text


def test_damaged_weights_of_a_teacher_are_trained_again_and_said(
    stages: StageRecords, artifacts: ArtifactStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact_id = make_runner(stages, artifacts, tmp_path)[0].run(TEACHER).artifact_id
    artifacts._filesystem.pipe_file(artifacts._path(artifact_id), b"half of it")
    runner, watcher = make_runner(stages, artifacts, tmp_path)
    with caplog.at_level(logging.WARNING):
        runner.run(STUDENT)
    assert sorted(watcher.trained) == sorted([TEACHER.fingerprint, STUDENT.fingerprint])
    assert artifacts.get(artifact_id)
    assert "is damaged" in caplog.text
