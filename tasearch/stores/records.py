"""Everything that tasearch records in one database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tasearch.stores.database_errors import storage_error
from tasearch.stores.engine import open_engine, parse_storage_url
from tasearch.stores.finals import FinalRecords
from tasearch.stores.leases import LeaseRecords
from tasearch.stores.schema import VERSION_TABLE, migrate, refuse_foreign
from tasearch.stores.stages import StageRecords
from tasearch.stores.studies import StudyRecords
from tasearch.stores.transactions import PATIENCE_SECONDS
from tasearch.stores.workers import WorkerRecords

T = TypeVar("T")


class Records:
    """All kinds of records over one engine; safe to use from many processes and threads."""

    def __init__(self, engine: Engine, *, patience: float = PATIENCE_SECONDS) -> None:
        """`engine`: tuned and migrated. `patience`: seconds an unreachable database is tried again."""
        self.engine = engine
        self.stages = StageRecords(engine, patience=patience)
        self.studies = StudyRecords(engine, patience=patience)
        self.finals = FinalRecords(engine, patience=patience)
        self.leases = LeaseRecords(engine, patience=patience)
        self.workers = WorkerRecords(engine, patience=patience)

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()


def open_records(url: URL | str, *, patience: float = PATIENCE_SECONDS) -> Records:
    """Open a database, bring its tables up to date, and return its records. Raises StorageError."""
    url = parse_storage_url(url) if isinstance(url, str) else url
    if url.get_backend_name() == "sqlite" and Path(str(url.database)).exists():
        # Before the file is opened for writing, which would change the journal mode of somebody else's.
        _look(url, lambda connection: refuse_foreign(connection, url))
    engine = open_engine(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return Records(engine, patience=patience)


def has_records(url: URL | str) -> bool:
    """Whether tasearch has ever written to this database; nothing is written to find out. Raises StorageError."""
    return _look(make_url(url), lambda connection: inspect(connection).has_table(VERSION_TABLE))


def _look(url: URL, work: Callable[[Connection], T]) -> T:
    """Run `work` on a connection that can change nothing. Raises StorageError."""
    readable = url
    if url.get_backend_name() == "sqlite":
        # Read-only, so that not even the journal mode of a foreign file is changed.
        readable = url.set(database=f"file:{quote(url.database or '')}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(readable, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return work(connection)
    except DBAPIError as error:
        raise storage_error(error, url) from None
    finally:
        engine.dispose()
