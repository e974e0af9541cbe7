"""Which stages some study needs, and taking the others out of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, exists, select

from tasearch.stores.artifacts import GRACE_SECONDS
from tasearch.stores.schema import FinalTable, StageTable, StudyStageTable, StudyTable
from tasearch.stores.stages import StageState
from tasearch.stores.transactions import epoch_now, read, write


@dataclass(frozen=True, kw_only=True, slots=True)
class UnneededStage:
    """A stage that no study needs, as it was when it was found."""

    fingerprint: str
    student: str
    state: str
    attempt: int


def unneeded_stages(engine: Engine) -> list[UnneededStage]:
    """Return the stages that no study needs. Raises StorageError.

    A study needs the stages that it asked for, its finals, the models from labels that its report compares, and
    whatever taught one of them. A stage of the last hour, or one whose lease was alive within it, counts as needed too.
    """

    def work(connection: Connection) -> list[UnneededStage]:
        now = connection.execute(select(epoch_now())).scalar_one()
        rows = {row.fingerprint: row for row in connection.execute(_stages())}
        wanted = set(connection.execute(select(StudyStageTable.fingerprint)).scalars())
        finals = select(FinalTable.fingerprint).where(FinalTable.fingerprint.is_not(None))
        wanted |= {str(name) for name in connection.execute(finals).scalars()}
        for config in connection.execute(select(StudyTable.config)).scalars():
            wanted |= set(config.get("scratch", {}).values())
        wanted |= {name for name, row in rows.items() if _is_in_use(row, now)}
        needed = _with_teachers(wanted, rows)
        return [_unneeded(row) for name, row in sorted(rows.items()) if name not in needed]

    return read(engine, work)


def stages_of_study(engine: Engine, study_name: str) -> tuple[list[UnneededStage], int]:
    """Return the stages of a study that nothing else needs, and how many others it has. Raises StorageError.

    Its stages are those that it asked for, its finals, and what taught them. Of any age: the hour of grace is for what
    has not been recorded yet. One that somebody trains at this moment is needed.
    """

    def work(connection: Connection) -> tuple[list[UnneededStage], int]:
        now = connection.execute(select(epoch_now())).scalar_one()
        rows = {row.fingerprint: row for row in connection.execute(_stages())}
        asked: dict[bool, set[str]] = {True: set(), False: set()}
        for table in (StudyStageTable, FinalTable):
            query = select(table.study_name, table.fingerprint).where(table.fingerprint.is_not(None))
            for row in connection.execute(query):
                asked[row.study_name == study_name].add(row.fingerprint)
        for name, config in connection.execute(select(StudyTable.study_name, StudyTable.config)):
            if name != study_name:
                asked[False] |= set(config.get("scratch", {}).values())
        running = {name for name, row in rows.items() if row.state == StageState.RUNNING and row.leased_until > now}
        own, needed = _with_teachers(asked[True], rows) & set(rows), _with_teachers(asked[False] | running, rows)
        return [_unneeded(rows[name]) for name in sorted(own - needed)], len(own & needed)

    return read(engine, work)


def remove_stages(engine: Engine, stages: Iterable[UnneededStage]) -> list[UnneededStage]:
    """Remove the stages that are still as they were found and still asked for by no study; return those removed.

    A stage that only teaches one asked for meanwhile may go: it is trained again when it is needed.
    """
    linked = exists().where(StudyStageTable.fingerprint == StageTable.fingerprint)

    def work(connection: Connection) -> list[UnneededStage]:
        return [
            stage
            for stage in stages
            if connection.execute(
                delete(StageTable).where(
                    StageTable.fingerprint == stage.fingerprint,
                    StageTable.state == stage.state,
                    StageTable.attempt == stage.attempt,
                    ~linked,
                )
            ).rowcount
            == 1
        ]

    return write(engine, work)


def recorded_artifacts(engine: Engine, *, without: Collection[str] = ()) -> dict[str, str]:
    """Return the artifacts that stages stand on, but for some stages: the student's name of each, by artifact id."""
    columns = (StageTable.fingerprint, StageTable.artifact_id, StageTable.student)
    query = select(*columns).where(StageTable.artifact_id.is_not(None))

    def work(connection: Connection) -> dict[str, str]:
        rows = connection.execute(query).all()
        return {str(row.artifact_id): row.student for row in rows if row.fingerprint not in without}

    return read(engine, work)


def states_of_stages(engine: Engine) -> dict[str, str]:
    """Return the state of every stage by fingerprint."""
    query = select(StageTable.fingerprint, StageTable.state)
    return read(engine, lambda connection: {row.fingerprint: row.state for row in connection.execute(query).all()})


def _stages() -> Any:
    return select(
        StageTable.fingerprint,
        StageTable.teacher_fingerprint,
        StageTable.student,
        StageTable.state,
        StageTable.attempt,
        StageTable.leased_until,
        StageTable.created_at,
        StageTable.finished_at,
    )


def _is_in_use(row: Row[Any], now: float) -> bool:
    if row.state == StageState.RUNNING:
        last = float(row.leased_until or 0.0)
    else:
        last = float((row.finished_at or row.created_at).timestamp())
    return now - last < GRACE_SECONDS


def _with_teachers(wanted: Iterable[str], rows: Mapping[str, Row[Any]]) -> set[str]:
    """Return the wanted stages with all that taught them."""
    found: set[str] = set()
    for first in wanted:
        name: str | None = first
        while name is not None and name not in found:
            found.add(name)
            name = rows[name].teacher_fingerprint if name in rows else None
    return found


def _unneeded(row: Row[Any]) -> UnneededStage:
    return UnneededStage(fingerprint=row.fingerprint, student=row.student, state=row.state, attempt=row.attempt)
