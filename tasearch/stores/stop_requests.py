"""Asking the workers of a study, on any machine, to end: one attr of the study, with the time of its database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, select

from tasearch.stores.schema import StudyTable
from tasearch.stores.studies import StudyRecords
from tasearch.stores.transactions import epoch_now, read

_KEY = "stop_asked_at"


def ask_to_stop(studies: StudyRecords, study_name: str) -> None:
    """Ask every worker that has begun by now to end. Raises StorageError for an unknown study."""
    studies.edit_attrs(study_name, lambda attrs, now: attrs | {_KEY: now})


def stop_watch(engine: Engine, study_name: str, began: float) -> Callable[[], bool]:
    """Return what says whether the study's workers were asked to end since this one began.

    `began`: by `time.monotonic()`. Only the database's clock is compared with itself, so hosts may disagree about the
    time. What is returned raises StorageError where the database is away, at once.
    """
    query = select(StudyTable.attrs, epoch_now().label("now")).where(StudyTable.study_name == study_name)

    def look(connection: Connection) -> tuple[dict[str, Any], float] | None:
        row = connection.execute(query).one_or_none()
        return None if row is None else (row.attrs, row.now)

    def is_asked() -> bool:
        seconds = time.monotonic() - began
        found = read(engine, look, patience=0.0)
        if found is None:
            return False
        attrs, now = found
        return bool(attrs.get(_KEY, float("-inf")) >= now - seconds)

    return is_asked
