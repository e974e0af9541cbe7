"""What became of a study's stages, without what they were asked to be: quick where there are many thousands."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Text, select, type_coerce

from tasearch.domain.result import Environment
from tasearch.stores.schema import StageTable, StudyStageTable
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
        )
        .join(StudyStageTable, StudyStageTable.fingerprint == StageTable.fingerprint)
        .where(StudyStageTable.study_name == study_name)
        .order_by(StageTable.created_at, StageTable.fingerprint, StudyStageTable.role)
    )

    def work(connection: Connection) -> list[StageOutcome]:
        rows = connection.execute(query).all()
        texts = {row.environment for row in rows}
        environments = {text: None if text is None else Environment(**json.loads(text)) for text in texts}
        return [
            StageOutcome(
                fingerprint=fingerprint,
                role=role,
                state=StageState(state),
                val_accuracy=val_accuracy,
                seconds=seconds,
                environment=environments[environment],
                failure=failure,
            )
            for fingerprint, role, state, val_accuracy, seconds, environment, failure in rows
        ]

    return read(engine, work, patience=patience)
