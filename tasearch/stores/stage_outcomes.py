"""What became of a study's stages, without what they were asked to be: quick where there are many thousands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Text, func, select, type_coerce

from tasearch.domain.result import Environment
from tasearch.stores.schema import LeaseTable, StageTable, StudyStageTable
from tasearch.stores.stages import StageState
from tasearch.stores.transactions import PATIENCE_SECONDS, read


@dataclass(frozen=True, kw_only=True, slots=True)
class StageOutcome:
    """How far a stage that a study asked for has come."""

    fingerprint: str
    role: str
    """What the study asked for it as: `teacher`, `nokd`, `chain`, `rung` or `final`."""
    state: StageState
    val_accuracy: float | None
    seconds: float | None
    environment: Environment | None
    failure: str | None
    finished_at: datetime | None
    """By the database's clock."""


def stage_outcomes(engine: Engine, study_name: str, *, patience: float = PATIENCE_SECONDS) -> list[StageOutcome]:
    """Return the claimed stages that a study asked for, once for each role, oldest first. Raises StorageError.

    `patience`: seconds for which an unreachable database is tried again.
    """
    query = (
        select(
            StageTable.fingerprint,
            StudyStageTable.role,
            StageTable.state,
            StageTable.val_accuracy,
            StageTable.seconds,
            # As text: a study's stages have few environments between them, and each is parsed once.
            type_coerce(StageTable.environment, Text).label("environment"),
            StageTable.failure,
            StageTable.finished_at,
        )
        .join(StudyStageTable, StudyStageTable.fingerprint == StageTable.fingerprint)
        .where(StudyStageTable.study_name == study_name)
        .order_by(StageTable.created_at, StageTable.fingerprint, StudyStageTable.role)
    )

    def work(connection: Connection) -> list[StageOutcome]:
        rows = connection.execute(query).all()
        texts = {row.environment for row in rows}
        environments = {text: None if text is None else Environment.from_plain(json.loads(text)) for text in texts}
        return [
            StageOutcome(
                fingerprint=fingerprint,
                role=role,
                state=StageState(state),
                val_accuracy=val_accuracy,
                seconds=seconds,
                environment=environments[environment],
                failure=failure,
                finished_at=finished_at,
            )
            for fingerprint, role, state, val_accuracy, seconds, environment, failure, finished_at in rows
        ]

    return read(engine, work, patience=patience)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageDetail:
    """A stage that a study asked for: what was trained, by which teacher, and what it came to."""

    fingerprint: str
    student: str
    teacher_fingerprint: str | None
    """Stage of its teacher; None: from labels."""
    temperature: float | None
    """None from labels, as `kd_weight`."""
    kd_weight: float | None
    replicate: int
    roles: tuple[str, ...]
    """What the study asked for it as: `teacher`, `nokd`, `chain`, `rung`, `final`."""
    state: StageState
    val_accuracy: float | None
    seconds: float | None
    """Training time over all attempts."""
    attempts: int
    """How often it was begun or taken over."""
    environment: Environment | None
    failure: str | None
    finished_at: datetime | None


def stage_details(engine: Engine, study_name: str, *, patience: float = PATIENCE_SECONDS) -> list[StageDetail]:
    """Return the claimed stages that a study asked for, each once, in the order in which they ended.

    Those that have not ended come last. Raises StorageError; `patience` as for `stage_outcomes`.
    """
    query = (
        select(
            StageTable.fingerprint,
            StageTable.student,
            StageTable.teacher_fingerprint,
            type_coerce(StageTable.spec, Text).label("spec"),
            StageTable.replicate,
            StageTable.state,
            StageTable.val_accuracy,
            StageTable.seconds,
            StageTable.attempt,
            type_coerce(StageTable.environment, Text).label("environment"),
            StageTable.failure,
            StageTable.finished_at,
            StudyStageTable.role,
        )
        .join(StudyStageTable, StudyStageTable.fingerprint == StageTable.fingerprint)
        .where(StudyStageTable.study_name == study_name)
    )
    rows = read(engine, lambda connection: connection.execute(query).all(), patience=patience)
    texts = {row.environment for row in rows}
    environments = {text: None if text is None else Environment.from_plain(json.loads(text)) for text in texts}
    roles: dict[str, list[str]] = {}
    for row in rows:
        roles.setdefault(row.fingerprint, []).append(row.role)
    found = []
    for row in {row.fingerprint: row for row in rows}.values():
        kd: Mapping[str, Any] = json.loads(row.spec).get("distillation") or {}
        found.append(
            StageDetail(
                fingerprint=row.fingerprint,
                student=row.student,
                teacher_fingerprint=row.teacher_fingerprint,
                temperature=kd.get("temperature"),
                kd_weight=kd.get("kd_weight"),
                replicate=row.replicate,
                roles=tuple(sorted(roles[row.fingerprint])),
                state=StageState(row.state),
                val_accuracy=row.val_accuracy,
                seconds=row.seconds,
                attempts=row.attempt,
                environment=environments[row.environment],
                failure=row.failure,
                finished_at=row.finished_at,
            )
        )
    ended = [stage for stage in found if stage.finished_at is not None]
    rest = [stage for stage in found if stage.finished_at is None]
    return [
        *sorted(ended, key=lambda stage: (stage.finished_at, stage.fingerprint)),
        *sorted(rest, key=lambda stage: stage.fingerprint),
    ]


def num_retries(engine: Engine, study_name: str, *, patience: float = PATIENCE_SECONDS) -> int:
    """Return how often trials and runs of the finals were given back after an error that may pass.

    Raises StorageError.
    """
    query = select(func.coalesce(func.sum(LeaseTable.failures), 0)).where(LeaseTable.study_name == study_name)
    return int(read(engine, lambda connection: connection.execute(query).scalar_one(), patience=patience))
