"""Short transactions that outlast a database's restart, and the database's own clock."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Double, Engine, create_engine, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from tasearch.domain.errors import StorageError
from tasearch.stores.creation_lock import only_creator
from tasearch.stores.database_errors import storage_error
from tasearch.stores.engine import READ_ONLY, engine_kwargs, hide_password, parse_storage_url
from tasearch.stores.hurry import give_up, has_given_up, is_out_of_time, pause

T = TypeVar("T")
logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""How long a transaction is tried again while the database cannot be reached."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class epoch_now(FunctionElement[float]):  # noqa: N801  (reads as the SQL function that it is)
    """Seconds since 1970 by the database's clock: hosts that disagree about the time agree about leases."""

    type = Double()
    inherit_cache = True


@compiles(epoch_now, "sqlite")
def _epoch_now_sqlite(_element: epoch_now, _compiler: SQLCompiler, **_kwargs: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(epoch_now, "postgresql")
def _epoch_now_postgresql(_element: epoch_now, _compiler: SQLCompiler, **_kwargs: Any) -> str:
    # Not now(), which stands still inside a transaction that waited for a lock.
    return "CAST(extract(epoch from clock_timestamp()) AS DOUBLE PRECISION)"


def utc_now(connection: Connection) -> datetime:
    """Return the time by the database's clock, which every host sees alike."""
    return datetime.fromtimestamp(float(connection.execute(select(epoch_now())).scalar_one()), UTC)


def insert_into(connection: Connection, table: type[Any]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT of this database's dialect, which knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def inserted(connection: Connection, query: sqlite.Insert | postgresql.Insert) -> bool:
    """Run an INSERT ... ON CONFLICT DO NOTHING of one row, and return whether there was no conflict."""
    # SQLAlchemy keeps the row count of an INSERT only where asked to.
    return connection.execute(query, execution_options={"preserve_rowcount": True}).rowcount == 1


def read(engine: Engine, work: Callable[[Connection], T], *, patience: float = PATIENCE_SECONDS) -> T:
    """Run `work` on a snapshot, without taking the write lock. Raises StorageError."""
    return _run(engine.execution_options(**{READ_ONLY: True}), work, patience)


def write(engine: Engine, work: Callable[[Connection], T], *, patience: float = PATIENCE_SECONDS) -> T:
    """Run `work` in one transaction, again for up to `patience` seconds while the database cannot be reached.

    `work` may run twice where the connection broke during the commit, so it must be conditional or idempotent.
    Raises StorageError.
    """
    return _run(engine, work, patience)


def create_tables(create: Callable[[], T], url: URL | str, *, patience: float = 10.0) -> T:
    """Run `create`, which makes Optuna's tables where they are missing, as the only process that does so.

    Optuna looks and then creates, without a lock, so it is tried again too: programs other than tasearch may create at
    the same moment. Raises StorageError when it has failed for `patience` seconds.
    """
    url = parse_storage_url(url) if isinstance(url, str) else url
    engine = create_engine(url, poolclass=NullPool, **engine_kwargs(url, pooled=False))
    deadline = time.monotonic() + patience
    while True:
        try:
            if not _optuna_is_there(engine):
                with only_creator(engine):
                    # Asked again: another process may have made them while this one waited.
                    if not _optuna_is_there(engine):
                        return create()
            return create()
        except DBAPIError as error:
            if time.monotonic() > deadline:
                raise storage_error(error, url) from None
            time.sleep(_FIRST_PAUSE)


def _optuna_is_there(engine: Engine) -> bool:
    """Whether Optuna has made its tables; it notes their version last."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return connection.execute(text("SELECT 1 FROM alembic_version")).first() is not None


def patiently(call: Callable[[], T], engine: Engine, *, patience: float = PATIENCE_SECONDS) -> T:
    """Return what `call` returns; it is called again for up to `patience` seconds while the database fails.

    For other libraries on the same database, which wrap its errors. Raises StorageError; what is no error of the
    database passes through.
    """
    deadline = time.monotonic() + patience
    seconds = _FIRST_PAUSE
    while True:
        if has_given_up():
            raise StorageError(
                f"database {hide_password(engine.url)} was away when this process was asked to end",
                hint="nothing is lost: whoever comes next goes on",
            )
        try:
            return call()
        except Exception as error:
            cause = _database_error(error)
            passing = cause is not None and _is_passing(cause, engine)
            if cause is None or not (passing or error is cause):
                # What another library makes of an error that will not pass is its answer.
                raise
            refusal = storage_error(cause, engine.url)
            if passing and is_out_of_time():
                give_up()
            if not passing or time.monotonic() + seconds > deadline or is_out_of_time():
                # Not chained: the driver's message may quote what it was given.
                raise refusal from None
            logger.warning("%s; trying again in %.1f s", refusal.message, seconds)
        # Spread out: many workers come back at the same moment.
        pause(seconds * random.uniform(0.5, 1.0))
        seconds = min(2 * seconds, _LONGEST_PAUSE)


def _database_error(error: BaseException | None) -> DBAPIError | None:
    """Return the database's own error that another one was raised from, or None."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return error


def _run(engine: Engine, work: Callable[[Connection], T], patience: float) -> T:
    def transaction() -> T:
        with engine.begin() as connection:
            return work(connection)

    return patiently(transaction, engine, patience=patience)


def _is_passing(error: DBAPIError, engine: Engine) -> bool:
    """Whether the same transaction may succeed a moment later."""
    if engine.dialect.name == "sqlite":
        return "locked" in str(error.orig) or "busy" in str(error.orig)
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
