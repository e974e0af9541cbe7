"""Everything that tasearch records in one database."""

from __future__ import annotations

from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, inspect, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tasearch.domain.errors import StorageError
from tasearch.stores.engine import hide_password, open_engine
from tasearch.stores.finals import FinalRecords
from tasearch.stores.leases import LeaseRecords
from tasearch.stores.schema import VERSION_TABLE, migrate
from tasearch.stores.stages import StageRecords
from tasearch.stores.studies import StudyRecords
from tasearch.stores.transactions import PATIENCE_SECONDS, describe
from tasearch.stores.workers import WorkerRecords


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
    engine = open_engine(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return Records(engine, patience=patience)


def has_records(url: URL | str) -> bool:
    """Whether tasearch has ever written to this database; nothing is written to find out. Raises StorageError."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        # Read-only, so that not even the journal mode of a foreign file is changed.
        parsed = parsed.set(database=f"file:{quote(parsed.database or '')}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(parsed, poolclass=NullPool)
    try:
        return inspect(engine).has_table(VERSION_TABLE)
    except DBAPIError as error:
        raise StorageError(
            f"cannot read the database {hide_password(url)}: {describe(error, engine)}",
            hint="check that the server runs and that you may read it",
        ) from None
    finally:
        engine.dispose()
