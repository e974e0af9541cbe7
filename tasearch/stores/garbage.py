"""What no study needs any more: found first, then removed. Nothing that a living worker may use is ever garbage.

Weights are stored before they are recorded, so an artifact of the last hour is left alone. Whatever is removed although
somebody wanted it the moment after is trained or computed again, bit-identically.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tasearch.domain.errors import StorageError
from tasearch.stores.artifacts import GRACE_SECONDS, ArtifactStore, StoredFile
from tasearch.stores.checkpoints import checkpoint_files
from tasearch.stores.files import abandoned
from tasearch.stores.home import Home
from tasearch.stores.logit_tables import discard_table, idle_tables
from tasearch.stores.records import Records
from tasearch.stores.shared_artifacts import Mark, database_ids, marks_of, token_of
from tasearch.stores.stage_needs import (
    UnneededStage,
    recorded_artifacts,
    remove_stages,
    states_of_stages,
    unneeded_stages,
)
from tasearch.stores.stages import StageState


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    """A file of this machine's home folder."""

    path: Path
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbage:
    """What may go, by kind."""

    stages: tuple[UnneededStage, ...]
    """Records of stages that no study needs."""
    artifacts: tuple[StoredFile, ...]
    """Weights that no stage stands on, or only one of `stages`."""
    left_overs: tuple[StoredFile, ...]
    """Rests of uploads that were cut off."""
    checkpoints: tuple[LocalFile, ...]
    """Of stages that are complete, failed or among `stages`."""
    tables: tuple[LocalFile, ...]
    """Stored teacher logits that nobody has used for an hour."""
    temporary: tuple[LocalFile, ...]
    """Files of this machine that killed processes left half-written."""
    marks: tuple[Mark, ...]
    """Marks of studies of this database that are gone, or that keep their artifacts elsewhere now."""
    others: tuple[Mark, ...]
    """Studies of other databases in the same artifact location. While there are any, no artifact is garbage."""

    @property
    def kinds(self) -> dict[str, tuple[int, int]]:
        """Number and bytes of each kind; records and marks take next to none."""
        files: dict[str, tuple[StoredFile | LocalFile, ...]] = {
            "artifacts": self.artifacts,
            "left_overs": self.left_overs,
            "checkpoints": self.checkpoints,
            "tables": self.tables,
            "temporary": self.temporary,
        }
        sizes = {kind: (len(found), sum(file.size for file in found)) for kind, found in files.items()}
        return {"stages": (len(self.stages), 0), **sizes, "marks": (len(self.marks), 0)}

    @property
    def bytes(self) -> int:
        """Bytes that would be freed."""
        return sum(size for _, size in self.kinds.values())


def find_garbage(records: Records, artifacts: ArtifactStore, home: Home, *, forget: Collection[str] = ()) -> Garbage:
    """Return what no study of this database needs; changes nothing.

    `forget`: names of studies of other databases that are gone, so that their artifacts may go. Raises StorageError.
    """
    stages = tuple(unneeded_stages(records.engine))
    gone = {stage.fingerprint for stage in stages}
    marks, others = _marks(records, artifacts, forget)
    files = _unneeded_files(records, artifacts, gone, keep_artifacts=bool(others))
    return Garbage(
        stages=stages,
        artifacts=tuple(file for file in files if file.artifact_id is not None),
        left_overs=tuple(file for file in files if file.artifact_id is None),
        checkpoints=tuple(_checkpoints(records, home, gone)),
        tables=tuple(_local(path) for path in idle_tables(home.cache, GRACE_SECONDS)),
        temporary=tuple(_local(path) for folder in (home.checkpoints, home.cache) for path in abandoned(folder)),
        marks=tuple(marks),
        others=tuple(others),
    )


def remove_garbage(records: Records, artifacts: ArtifactStore, home: Home, found: Garbage) -> Garbage:
    """Remove what was found, unless it is needed by now; return what was removed. Raises StorageError."""
    stages = remove_stages(records.engine, found.stages)
    # Looked at once more: what a stage stands on by now, or what was stored again, stays.
    now = {file.name for file in _unneeded_files(records, artifacts, set(), keep_artifacts=bool(found.others))}
    files = [file for file in (*found.artifacts, *found.left_overs) if file.name in now]
    for file in files:
        artifacts.remove(file.name)
    for mark in found.marks:
        artifacts.remove_note(mark.token)
    unused = _checkpoints(records, home, {stage.fingerprint for stage in stages})
    checkpoints = [file for file in found.checkpoints if file.path in {other.path for other in unused}]
    for local in (*checkpoints, *found.temporary):
        with contextlib.suppress(OSError):
            local.path.unlink()
    return Garbage(
        stages=tuple(stages),
        artifacts=tuple(file for file in files if file.artifact_id is not None),
        left_overs=tuple(file for file in files if file.artifact_id is None),
        checkpoints=tuple(checkpoints),
        tables=tuple(file for file in found.tables if discard_table(file.path)),
        temporary=found.temporary,
        marks=found.marks,
        others=found.others,
    )


def _unneeded_files(
    records: Records, artifacts: ArtifactStore, gone: Collection[str], *, keep_artifacts: bool
) -> list[StoredFile]:
    """Return the files older than an hour that no stage stands on, the `gone` ones left out."""
    # The files first: what is stored and recorded after they were listed is young.
    now, files = artifacts.clock(), artifacts.files()
    needed = recorded_artifacts(records.engine, without=gone)
    return [
        file
        for file in files
        if now - file.modified > GRACE_SECONDS
        and (file.artifact_id is None or not (keep_artifacts or file.artifact_id in needed))
    ]


def _marks(records: Records, artifacts: ArtifactStore, forget: Collection[str]) -> tuple[list[Mark], list[Mark]]:
    """Return the marks that may go, and those of other databases."""
    now, here = artifacts.clock(), database_ids(records)
    # The marks first: one that is recorded after they were listed is young.
    marks = marks_of(artifacts)
    ours = {token_of(study.attrs) for study in records.studies.list_all()}
    if ours - {None} and not any(mark.token in ours for mark in marks):
        raise StorageError(
            f"no study of this database keeps its artifacts at {artifacts.location}",
            hint="say with --artifacts where the workers keep them",
        )
    unknown = [mark for mark in marks if mark.token not in ours]
    # Not by its address: another database may have had that, or have it in another network.
    foreign = [mark for mark in unknown if mark.database_id not in here]
    others = [mark for mark in foreign if mark.study_name not in forget]
    stale = [mark for mark in unknown if mark.database_id in here and now - mark.modified > GRACE_SECONDS]
    return [*stale, *(mark for mark in foreign if mark not in others)], others


def _checkpoints(records: Records, home: Home, gone: Collection[str]) -> list[LocalFile]:
    """Return the checkpoints of stages that have ended or are `gone`; of unknown ones another database may know."""
    states = states_of_stages(records.engine)
    ended = {name for name, state in states.items() if state in (StageState.COMPLETE, StageState.FAILED)}
    return [_local(path) for path in checkpoint_files(home.checkpoints) if path.stem in ended or path.stem in gone]


def _local(path: Path) -> LocalFile:
    """Return the file with its size; 0 for one that is gone by now."""
    try:
        return LocalFile(path=path, size=path.stat().st_size)
    except OSError:
        return LocalFile(path=path, size=0)
