"""Stages and their leases: of every stage exactly one completion is recorded.

Every change is one conditional UPDATE. A claim carries an attempt number that grows with each claim, so a worker that
was thought dead and comes back can change nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, or_, select, update

from tasearch.domain.errors import LeaseLostError
from tasearch.domain.result import Environment, EpochResult, StageResult
from tasearch.domain.spec import StageSpec
from tasearch.stores.schema import StageTable, StudyStageTable
from tasearch.stores.transactions import PATIENCE_SECONDS, epoch_now, insert_into, inserted, read, utc_now, write

_CHUNK = 500
"""Most values in one IN list; old SQLite allows 999 parameters."""


class StageState(enum.StrEnum):
    """State of a stage."""

    RUNNING = "running"
    RELEASED = "released"
    """Given back, by a worker that stopped or because its artifact was lost: anyone may claim it."""
    FAILED = "failed"
    """Diverged or broke; may be claimed again."""
    COMPLETE = "complete"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageClaim:
    """The right to record the result of one stage."""

    fingerprint: str
    owner: str
    attempt: int
    """From 1, counted over all owners."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRow:
    """A stage as recorded."""

    fingerprint: str
    spec: dict[str, Any]
    """`StageSpec.to_plain()`."""
    student: str
    teacher_fingerprint: str | None
    replicate: int
    state: StageState
    owner: str | None
    """Who runs it, or who completed or failed it; None when released."""
    attempt: int
    leased_until: float | None
    """Seconds since 1970 by the database's clock; None unless running."""
    lease_left: float | None
    """Seconds until the lease ends, negative once it has, when this row was read; None unless running."""
    epoch: int
    """Epochs done."""
    epochs: int
    """Epochs planned."""
    artifact_id: str | None
    val_accuracy: float | None
    curve: tuple[EpochResult, ...]
    seconds: float | None
    environment: Environment | None
    failure: str | None
    created_at: datetime
    finished_at: datetime | None

    def result(self) -> StageResult:
        """Return what came out. Raises ValueError unless the stage is complete."""
        if (
            self.state is not StageState.COMPLETE
            or self.artifact_id is None
            or self.val_accuracy is None
            or self.seconds is None
            or self.environment is None
        ):
            raise ValueError(f"stage {self.fingerprint[:12]} is {self.state}, it has no result")
        return StageResult(
            fingerprint=self.fingerprint,
            artifact_id=self.artifact_id,
            val_accuracy=self.val_accuracy,
            curve=self.curve,
            seconds=self.seconds,
            environment=self.environment,
        )


class StageRecords:
    """The stages of a store; safe to use from many processes and threads."""

    def __init__(self, engine: Engine, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which an unreachable database is tried again before StorageError."""
        self._engine = engine
        self._patience = patience

    def find(self, fingerprint: str) -> StageRow | None:
        """Return the stage, or None where nobody has claimed it yet."""
        return self.find_many([fingerprint]).get(fingerprint)

    def find_many(self, fingerprints: Iterable[str]) -> dict[str, StageRow]:
        """Return the known stages among `fingerprints`, by fingerprint."""
        wanted = sorted(set(fingerprints))

        def work(connection: Connection) -> dict[str, StageRow]:
            rows: dict[str, StageRow] = {}
            for start in range(0, len(wanted), _CHUNK):
                query = _select().where(StageTable.fingerprint.in_(wanted[start : start + _CHUNK]))
                rows |= {row.fingerprint: _stage_row(row) for row in connection.execute(query)}
            return rows

        return read(self._engine, work, patience=self._patience)

    def claim(self, spec: StageSpec, owner: str, lease_seconds: float) -> StageClaim | None:
        """Take the stage for `owner`: a new one, one released or failed, or one whose lease has run out.

        Returns None where it is complete or somebody holds it. Of several claimants exactly one wins.
        """
        free = or_(
            StageTable.state.in_([StageState.RELEASED, StageState.FAILED]),
            and_(StageTable.state == StageState.RUNNING, StageTable.leased_until < epoch_now()),
        )

        def work(connection: Connection) -> StageClaim | None:
            if _insert(connection, spec, owner, lease_seconds):
                return StageClaim(fingerprint=spec.fingerprint, owner=owner, attempt=1)
            return _seize(connection, spec.fingerprint, owner, lease_seconds, free)

        return write(self._engine, work, patience=self._patience)

    def take_over(self, spec: StageSpec, owner: str, dead_owner: str, lease_seconds: float) -> StageClaim | None:
        """Take a running stage from an owner known to be dead, without waiting for its lease to run out.

        Returns None where `dead_owner` does not hold it any more.
        """
        theirs = and_(StageTable.state == StageState.RUNNING, StageTable.owner == dead_owner)
        return write(
            self._engine,
            lambda connection: _seize(connection, spec.fingerprint, owner, lease_seconds, theirs),
            patience=self._patience,
        )

    def renew(self, claim: StageClaim, epoch: int, lease_seconds: float) -> None:
        """Extend the lease from now, and record that `epoch` epochs are done. Raises LeaseLostError."""
        self._settle(claim, {"state": StageState.RUNNING, "leased_until": epoch_now() + lease_seconds, "epoch": epoch})

    def complete(self, claim: StageClaim, result: StageResult) -> None:
        """Record the result. Raises LeaseLostError where another claim has replaced this one."""
        if result.fingerprint != claim.fingerprint:
            raise ValueError(f"result of {result.fingerprint[:12]} offered for {claim.fingerprint[:12]}")
        values = {
            "state": StageState.COMPLETE,
            "leased_until": None,
            "epoch": StageTable.epochs,
            "artifact_id": result.artifact_id,
            "val_accuracy": result.val_accuracy,
            "curve": result.curve,
            "seconds": result.seconds,
            "environment": result.environment,
            "failure": None,
        }
        self._settle(claim, values, finishes=True)

    def release(self, claim: StageClaim) -> None:
        """Give the stage back unfinished, for anyone to claim. Raises LeaseLostError."""
        self._settle(claim, {"state": StageState.RELEASED, "owner": None, "leased_until": None})

    def fail(self, claim: StageClaim, reason: str) -> None:
        """Record that the stage diverged or broke. Raises LeaseLostError."""
        values = {
            "state": StageState.FAILED,
            "leased_until": None,
            # PostgreSQL stores no NUL.
            "failure": reason.replace("\x00", ""),
        }
        self._settle(claim, values, finishes=True)

    def invalidate(self, fingerprint: str, artifact_id: str) -> bool:
        """Release a complete stage whose artifact is missing or damaged, so that it is trained again.

        Returns False where the stage no longer stands on that artifact (someone else was first).
        """
        query = (
            update(StageTable)
            .where(
                StageTable.fingerprint == fingerprint,
                StageTable.state == StageState.COMPLETE,
                StageTable.artifact_id == artifact_id,
            )
            .values(
                state=StageState.RELEASED,
                owner=None,
                epoch=0,
                artifact_id=None,
                val_accuracy=None,
                curve=None,
                seconds=None,
                environment=None,
                finished_at=None,
            )
        )
        return write(self._engine, lambda connection: connection.execute(query).rowcount == 1, patience=self._patience)

    def link(self, study_name: str, fingerprint: str, role: str) -> None:
        """Note that a study asked for a stage as `teacher`, `nokd`, `chain` or `final`; again changes nothing."""

        def work(connection: Connection) -> None:
            row = {"study_name": study_name, "fingerprint": fingerprint, "role": role}
            connection.execute(insert_into(connection, StudyStageTable).values(row).on_conflict_do_nothing())

        write(self._engine, work, patience=self._patience)

    def stages_of(self, study_name: str) -> list[tuple[StageRow, str]]:
        """Return the claimed stages that a study asked for with their roles, oldest first."""
        query = (
            _select()
            .add_columns(StudyStageTable.role)
            .join(StudyStageTable, StudyStageTable.fingerprint == StageTable.fingerprint)
            .where(StudyStageTable.study_name == study_name)
            .order_by(StageTable.created_at, StageTable.fingerprint, StudyStageTable.role)
        )

        def work(connection: Connection) -> list[tuple[StageRow, str]]:
            return [(_stage_row(row), row.role) for row in connection.execute(query)]

        return read(self._engine, work, patience=self._patience)

    def _settle(self, claim: StageClaim, values: dict[str, Any], *, finishes: bool = False) -> None:
        """Change the claimed stage, if the claim still stands. Raises LeaseLostError."""
        query = (
            update(StageTable)
            .where(
                StageTable.fingerprint == claim.fingerprint,
                StageTable.owner == claim.owner,
                StageTable.attempt == claim.attempt,
                StageTable.state == StageState.RUNNING,
            )
            .values(values)
        )
        tries = 0

        def work(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            finished = {"finished_at": utc_now(connection)} if finishes else {}
            if connection.execute(query.values(finished) if finished else query).rowcount == 1:
                return
            now = connection.execute(
                select(StageTable.state, StageTable.owner, StageTable.attempt).where(
                    StageTable.fingerprint == claim.fingerprint
                )
            ).one_or_none()
            # A first try may have been committed although the connection broke before it said so.
            if tries > 1 and now is not None and (now.state, now.attempt) == (values["state"], claim.attempt):
                return
            raise LeaseLostError(_lost(claim, now), hint="its present owner records the result")

        write(self._engine, work, patience=self._patience)


def _lost(claim: StageClaim, now: Row[*tuple[Any, ...]] | None) -> str:
    held = f"attempt {claim.attempt} of {claim.owner} no longer holds stage {claim.fingerprint[:12]}"
    if now is None:
        return f"{held}: it is not in the store"
    return f"{held}: it is {now.state}, attempt {now.attempt}" + (f" of {now.owner}" if now.owner else "")


def _insert(connection: Connection, spec: StageSpec, owner: str, lease_seconds: float) -> bool:
    """Add the stage as running under `owner`; False where it is known already."""
    teacher = spec.distillation.teacher.fingerprint if spec.distillation is not None else None
    row = {
        "fingerprint": spec.fingerprint,
        "spec": spec.to_plain(),
        "student": spec.student.name,
        "teacher_fingerprint": teacher,
        "replicate": spec.replicate,
        "state": StageState.RUNNING,
        "owner": owner,
        "attempt": 1,
        "leased_until": epoch_now() + lease_seconds,
        "epoch": 0,
        "epochs": spec.recipe.epochs,
        "created_at": utc_now(connection),
    }
    query = insert_into(connection, StageTable).values(row).on_conflict_do_nothing()
    return inserted(connection, query)


def _seize(
    connection: Connection, fingerprint: str, owner: str, lease_seconds: float, condition: ColumnElement[bool]
) -> StageClaim | None:
    """Make a known stage run under `owner` if `condition` holds."""
    query = (
        update(StageTable)
        .where(StageTable.fingerprint == fingerprint, condition)
        .values(
            state=StageState.RUNNING,
            owner=owner,
            attempt=StageTable.attempt + 1,
            leased_until=epoch_now() + lease_seconds,
            failure=None,
            finished_at=None,
        )
    )
    if connection.execute(query).rowcount != 1:
        return None
    # The row is locked by the UPDATE, so this reads what it wrote.
    attempt = connection.execute(select(StageTable.attempt).where(StageTable.fingerprint == fingerprint)).scalar_one()
    return StageClaim(fingerprint=fingerprint, owner=owner, attempt=attempt)


def _select() -> Any:
    return select(StageTable.__table__, (StageTable.leased_until - epoch_now()).label("lease_left"))


def _stage_row(row: Row[Any]) -> StageRow:
    curve: Sequence[dict[str, Any]] = row.curve or ()
    return StageRow(
        fingerprint=row.fingerprint,
        spec=row.spec,
        student=row.student,
        teacher_fingerprint=row.teacher_fingerprint,
        replicate=row.replicate,
        state=StageState(row.state),
        owner=row.owner,
        attempt=row.attempt,
        leased_until=row.leased_until,
        lease_left=row.lease_left,
        epoch=row.epoch,
        epochs=row.epochs,
        artifact_id=row.artifact_id,
        val_accuracy=row.val_accuracy,
        curve=tuple(EpochResult(**epoch) for epoch in curve),
        seconds=row.seconds,
        environment=None if row.environment is None else Environment.from_plain(row.environment),
        failure=row.failure,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
