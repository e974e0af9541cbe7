"""Everything that tasearch records in one database."""

from __future__ import annotations

from sqlalchemy import URL, Engine

from tasearch.stores.engine import open_engine
from tasearch.stores.finals import FinalRecords
from tasearch.stores.schema import migrate
from tasearch.stores.stages import StageRecords
from tasearch.stores.studies import StudyRecords
from tasearch.stores.transactions import PATIENCE_SECONDS
from tasearch.stores.workers import WorkerRecords


class Records:
    """The four kinds of records over one engine; safe to use from many processes and threads."""

    def __init__(self, engine: Engine, *, patience: float = PATIENCE_SECONDS) -> None:
        """`engine`: tuned and migrated. `patience`: seconds an unreachable database is tried again."""
        self.engine = engine
        self.stages = StageRecords(engine, patience=patience)
        self.studies = StudyRecords(engine, patience=patience)
        self.finals = FinalRecords(engine, patience=patience)
        self.workers = WorkerRecords(engine, patience=patience)

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()


def open_records(url: URL | str, *, patience: float = PATIENCE_SECONDS) -> Records:
    """Open a database, bring its tables up to date, and return its records. Raises StorageError."""
    engine = open_engine(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return Records(engine, patience=patience)
