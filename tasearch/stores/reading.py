"""A database opened to read and for nothing else: no table is made, no version changed, no lock of writers taken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from tasearch.domain.errors import StorageError
from tasearch.stores.database_errors import storage_error
from tasearch.stores.engine import engine_kwargs, parse_storage_url
from tasearch.stores.records import Records
from tasearch.stores.schema import VERSION_TABLE, StudyTable, has_current_tables
from tasearch.stores.transactions import read

_OPTUNA_VERSION = "alembic_version"


def readable_url(url: URL | str) -> URL:
    """Return the checked URL under which a database can be read; an engine on it wants `guard`.

    Raises StorageError where there is no such database or it cannot be read. A SQLite file that may not be written is
    opened as such, and one on a disk that cannot be written, which has no writer either, is read as it lies there.
    """
    checked = parse_storage_url(url, to_read=True) if isinstance(url, str) else url
    if checked.get_backend_name() != "sqlite":
        return checked
    path = Path(checked.database or "")
    if _may_write(path) and _may_write(path.resolve().parent):
        # Not as "ro", under which SQLite leaves the files beside that a database in WAL mode has while it is open.
        return checked
    name = f"file:{quote(str(path))}"
    read_only = checked.set(database=name, query={"mode": "ro", "uri": "true"})
    try:
        _look(read_only)
    except DBAPIError as error:
        # Without the right to make those files, SQLite opens it only as one that never changes.
        unchanging = read_only.update_query_dict({"immutable": "1"})
        try:
            _look(unchanging)
        except DBAPIError:
            raise storage_error(error, checked) from None
        return unchanging
    return read_only


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def guard(engine: Engine) -> None:
    """Make every connection of an engine refuse to write, another library's too; to be called before its first use."""
    if engine.dialect.name == "sqlite" and not event.contains(engine, "connect", _refuse_writing):
        event.listen(engine, "connect", _refuse_writing)
        engine.dispose()


def _refuse_writing(connection: Any, _record: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA query_only=ON")


def _open(url: URL, *, pooled: bool = False) -> Engine:
    """Return an engine that cannot write."""
    kwargs = {} if pooled else {"poolclass": NullPool}
    engine = create_engine(url, **kwargs, **engine_kwargs(url, pooled=pooled))
    guard(engine)
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True)
    return engine


def open_readable(url: URL) -> Records:
    """Return the records behind a `readable_url`; they can be read only.

    Raises StorageError where tasearch has never written to this database, or another version of it has.
    """
    engine = _open(url, pooled=True)
    try:
        if not _has_table(engine, VERSION_TABLE):
            raise StorageError("this database has no studies of tasearch", hint="is --home or --storage right?")
        if not has_current_tables(engine):
            raise StorageError(
                "this database was made by an older tasearch, and reading does not change it",
                hint="bring it up to date with `tasearch db init`, then ask again",
            )
    except BaseException:
        engine.dispose()
        raise
    return Records(engine)


def study_names(url: URL) -> list[str]:
    """Return the names of tasearch's studies behind a `readable_url`, oldest first; none where it has no tables.

    Raises StorageError where the database cannot be reached.
    """
    engine = _open(url)
    query = select(StudyTable.study_name).order_by(StudyTable.created_at, StudyTable.study_name)
    try:
        if not _has_table(engine, StudyTable.__tablename__):
            return []
        return read(engine, lambda connection: list(connection.execute(query).scalars()))
    finally:
        engine.dispose()


def has_optuna_tables(url: URL) -> bool:
    """Whether Optuna has made its tables behind a `readable_url`; it notes their version last."""
    engine = _open(url)
    try:
        if not _has_table(engine, _OPTUNA_VERSION):
            return False
        query = text(f"SELECT 1 FROM {_OPTUNA_VERSION}")
        return read(engine, lambda connection: connection.execute(query).first() is not None)
    finally:
        engine.dispose()


def _has_table(engine: Engine, name: str) -> bool:
    """Whether there is such a table. Raises StorageError at once where the database cannot be reached."""
    return read(engine, lambda connection: inspect(connection).has_table(name), patience=0.0)


def _look(url: URL) -> None:
    """Raise DBAPIError where the file cannot be read under this URL."""
    engine = create_engine(url, poolclass=NullPool)

    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT count(*) FROM sqlite_master"))
    finally:
        engine.dispose()
