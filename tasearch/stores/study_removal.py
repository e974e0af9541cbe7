"""What goes when a study is deleted, and what others keep: found first, then removed.

Stages and weights of the study go at once, whatever their age, unless another study needs them. Weights at a location
that a study of another database uses too stay: what that one needs cannot be known here.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from tasearch.domain.errors import StorageError
from tasearch.stores.artifacts import ArtifactStore, StoredFile
from tasearch.stores.checkpoints import checkpoint_files
from tasearch.stores.home import Home
from tasearch.stores.records import Records
from tasearch.stores.schema import StageTable
from tasearch.stores.shared_artifacts import Mark, database_ids, marks_of, place_of, token_of
from tasearch.stores.stage_needs import UnneededStage, recorded_artifacts, remove_stages, stages_of_study
from tasearch.stores.studies import StudyRow
from tasearch.stores.transactions import read


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyGoods:
    """What a study has to itself."""

    study_name: str
    stages: tuple[UnneededStage, ...]
    num_kept: int
    """Stages of it that others need too."""
    artifacts: tuple[StoredFile, ...]
    """Weights of `stages`."""
    others: tuple[Mark, ...]
    """Studies of other databases at the artifact location: because of them no weights go."""
    token: str | None
    """Its mark at the artifact location; None where it has none there."""
    report: Path | None
    """Folder of its report on this machine."""

    @property
    def bytes(self) -> int:
        """Bytes of weights that are freed."""
        return sum(file.size for file in self.artifacts)


def find_goods(records: Records, artifacts: ArtifactStore | None, home: Home, study: StudyRow) -> StudyGoods:
    """Return what goes with a study; changes nothing. Without `artifacts` all weights stay where they are.

    Raises StorageError where the study keeps its weights elsewhere.
    """
    stages, num_kept = stages_of_study(records.engine, study.study_name)
    token = None if artifacts is None else token_of(study.attrs)
    files, others = ([], []) if artifacts is None or token is None else _weights(records, artifacts, study, stages)
    report = home.report_folder(study.study_name)
    return StudyGoods(
        study_name=study.study_name,
        stages=tuple(stages),
        num_kept=num_kept,
        artifacts=tuple(files),
        others=tuple(others),
        token=token,
        report=report if report.is_dir() else None,
    )


def remove_goods(records: Records, artifacts: ArtifactStore | None, home: Home, goods: StudyGoods) -> StudyGoods:
    """Remove the records of a study and what was found; return what was removed. Raises StorageError.

    What somebody has come to need meanwhile stays. Killed half-way it leaves nothing that is in use: the records go
    first, and `tasearch gc` finds the rest.
    """
    if goods.report is not None:
        shutil.rmtree(goods.report, ignore_errors=True)
    weights = _artifacts_of(records.engine, {stage.fingerprint for stage in goods.stages})
    records.studies.delete(goods.study_name)
    stages = remove_stages(records.engine, goods.stages)
    gone = {stage.fingerprint for stage in stages}
    theirs = {weights[name] for name in gone if name in weights} - recorded_artifacts(records.engine).keys()
    files = [file for file in goods.artifacts if file.artifact_id in theirs]
    if artifacts is not None:
        for file in files:
            artifacts.remove(file.name)
        if goods.token is not None:
            artifacts.remove_note(goods.token)
    for path in checkpoint_files(home.checkpoints):
        if path.stem in gone:
            with contextlib.suppress(OSError):
                path.unlink()
    return StudyGoods(
        study_name=goods.study_name,
        stages=tuple(stages),
        num_kept=goods.num_kept + len(goods.stages) - len(stages),
        artifacts=tuple(files),
        others=goods.others,
        token=goods.token,
        report=goods.report,
    )


def _weights(
    records: Records, artifacts: ArtifactStore, study: StudyRow, stages: Collection[UnneededStage]
) -> tuple[list[StoredFile], list[Mark]]:
    """Return the weights of stages, and the studies of other databases because of which they stay."""
    marks, here = marks_of(artifacts), database_ids(records)
    ours = {token_of(row.attrs) for row in records.studies.list_all()}
    if not any(mark.token == token_of(study.attrs) for mark in marks):
        raise StorageError(
            f"study {study.study_name!r} keeps its weights at {place_of(study.attrs)}, not at {artifacts.location}",
            hint="say that place with --artifacts, or --keep-weights to leave them where they are",
        )
    # A mark of this database that no study has is of one that is gone.
    others = [mark for mark in marks if mark.token not in ours and mark.database_id not in here]
    gone = {stage.fingerprint for stage in stages}
    own = set(_artifacts_of(records.engine, gone).values()) - recorded_artifacts(records.engine, without=gone).keys()
    return [] if others else [file for file in artifacts.files() if file.artifact_id in own], others


def _artifacts_of(engine: Engine, fingerprints: Collection[str]) -> dict[str, str]:
    """Return the artifact of each of some stages that has one, by fingerprint."""
    query = select(StageTable.fingerprint, StageTable.artifact_id).where(StageTable.artifact_id.is_not(None))

    def work(connection: Connection) -> dict[str, str]:
        return {
            row.fingerprint: str(row.artifact_id)
            for row in connection.execute(query)
            if row.fingerprint in fingerprints
        }

    return read(engine, work)
