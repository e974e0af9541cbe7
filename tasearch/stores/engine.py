"""Database URLs and engines: one place that knows how SQLite and PostgreSQL want to be opened.

Optuna's engine on the same database gets the same treatment through `engine_kwargs` and `tune`.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from tasearch.domain.errors import StorageError
from tasearch.stores.files import probe_writable

READ_ONLY = "tasearch_read_only"
"""Execution option of a connection that only reads: no write lock is taken on SQLite."""

_reading: ContextVar[bool] = ContextVar("reading", default=False)
_EXAMPLES = "write `sqlite:///studies.db` or `postgresql+psycopg://user@host/db`"
_SQLITE_MAGIC = b"SQLite format 3\x00"
_BUSY_SECONDS = 60
_IDLE_SECONDS = 30
_LIVELINESS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
}
"""libpq's words for: a network that is cut is noticed within seconds, not when TCP gives up after a quarter of an hour.
In seconds, the last one in milliseconds; what the URL says of them wins."""
_checked: dict[Path, tuple[int, int] | None] = {}
"""SQLite files that this process found fit, with device and inode, or None where there was no file yet."""
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def hide_password(url: URL | str) -> str:
    """Return the URL for people: the password replaced by `***`, also in text that is not a valid URL."""
    if isinstance(url, URL):
        text = url.render_as_string(hide_password=True)
    else:
        # To the last `@`: a password typed without percent-encoding may itself hold `@`, `:` or `/`.
        text = re.sub(r"(^|://)([^:/?#@\s]*):(?!//).*@", r"\1\2:***@", url, flags=re.DOTALL)
    return re.sub(r"(password=)[^&\s]*", r"\1***", text)


def parse_storage_url(text: str, *, must_exist: bool = False, to_read: bool = False) -> URL:
    """Return the checked URL of a database that tasearch can use.

    `postgresql://` becomes `postgresql+psycopg://`. A SQLite file may be absent or empty, and its folder must
    exist and be writable; nothing is created. Raises StorageError, with `must_exist` also for an absent SQLite file.
    `to_read`: the file must exist, and neither it nor its folder need be writable.
    """
    shown = hide_password(text)
    if "://" not in text:
        hint = _EXAMPLES if not text or "@" in text else f"did you mean `sqlite:///{text}`?"
        raise StorageError(f"`{shown}` is not a database URL", hint=hint)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Not chained: the parser's message may quote the password.
        raise StorageError(f"malformed database URL `{shown}`", hint=_EXAMPLES) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise StorageError(
            f"unknown driver `{url.drivername}` in database URL `{shown}`; allowed: sqlite, postgresql+psycopg",
            hint=_EXAMPLES,
        )
    url = url.set(drivername=driver)
    if driver == "sqlite":
        _check_sqlite(url, shown, must_exist or to_read, to_read=to_read)
        return url
    return _check_postgresql(url, shown)


def url_text(url: URL | str) -> str:
    """Return the URL with its password, as Optuna's `RDBStorage` takes it; never print it.

    Braces are doubled because Optuna passes its URL through `str.format`.
    """
    text = _as_url(url).render_as_string(hide_password=False)
    return text.replace("{", "{{").replace("}", "}}")


def engine_kwargs(url: URL | str, *, pooled: bool = True) -> dict[str, Any]:
    """Return the arguments of `create_engine` for this database, to be handed to Optuna's storage too."""
    url = _as_url(url)
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    kwargs: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 3} if pooled else {}
    kwargs["connect_args"] = {name: value for name, value in _LIVELINESS.items() if name not in url.query}
    return kwargs


def open_engine(url: URL | str) -> Engine:
    """Return a tuned engine; connects only when first used. Raises StorageError for a URL that cannot be used."""
    url = _as_url(url)
    engine = create_engine(url, **engine_kwargs(url))
    tune(engine)
    return engine


@contextmanager
def reading() -> Iterator[None]:
    """Take no write lock on SQLite in this block: for other libraries' reads on a tuned engine, whose connections take
    no execution options. Without it every process that starts holds up all others while it composes its first queries.
    """
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def tune(engine: Engine) -> None:
    """Give an engine the settings under which many processes share one database; may be called twice.

    On SQLite WAL lets readers and a writer work at once; BEGIN IMMEDIATE takes the write lock before the first read,
    without which two transactions can read the same state and both write (SQLite has no SELECT ... FOR UPDATE). On
    PostgreSQL a transaction that stands still is ended by the server.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    on_connect = _on_sqlite_connect if is_sqlite else _on_postgresql_connect
    if event.contains(engine, "connect", on_connect):
        return
    event.listen(engine, "connect", on_connect)
    if is_sqlite:
        event.listen(engine, "begin", _on_sqlite_begin)
    # Connections opened before the listeners existed have none of these settings.
    engine.dispose()


def forbid_writes(engine: Engine) -> None:
    """Make every connection of an engine refuse to change anything, whatever is asked of it."""
    event.listen(engine, "connect", _on_connect_read_only)
    # Connections opened before the listener existed may still write.
    engine.dispose()


def _as_url(url: URL | str) -> URL:
    return parse_storage_url(url) if isinstance(url, str) else url


def _on_postgresql_connect(connection: Any, _record: ConnectionPoolEntry) -> None:
    # A process that stands still, or is cut off, inside a transaction must not hold up all others with its locks.
    connection.execute(f"SET idle_in_transaction_session_timeout = {1000 * _IDLE_SECONDS}")
    connection.commit()


def _on_sqlite_connect(connection: Any, _record: ConnectionPoolEntry) -> None:
    # The driver's own implicit BEGIN would come too late; `_on_sqlite_begin` issues it instead.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
    _enter_wal(connection)
    connection.execute("PRAGMA synchronous=NORMAL")


def _on_connect_read_only(connection: Any, _record: ConnectionPoolEntry) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA query_only=ON")
    else:
        connection.read_only = True


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL; several processes may do so at once, and SQLite answers some at once with busy."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _on_sqlite_begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READ_ONLY, False) or _reading.get()
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _check_sqlite(url: URL, shown: str, must_exist: bool, *, to_read: bool) -> None:
    """Check that the file is or can become a database of ours, before SQLite opens it."""
    if url.host:
        raise StorageError(
            f"malformed database URL `{shown}`", hint="SQLite takes three slashes: `sqlite:///studies.db`"
        )
    if url.database in (None, "", ":memory:"):
        raise StorageError(
            f"`{shown}` is a database in memory, which no other process sees and which ends with this one",
            hint="name a file: `sqlite:///studies.db`",
        )
    if str(url.database).startswith("file:"):
        raise StorageError(f"`{shown}`: SQLite URI names are not supported", hint="name a file: `sqlite:///studies.db`")
    path = Path(str(url.database))
    if must_exist and not path.exists():
        raise StorageError(
            f"there is no database {path}",
            hint="run `tasearch optimize` first, or say where it is with --home or --storage",
        )
    try:
        if to_read:
            _check_readable(path)
        else:
            _check_sqlite_file(path)
    except OSError as error:
        raise StorageError(
            f"cannot use the SQLite file {path}: {error.strerror or error}",
            hint="free some space there, then run the same command again: no table was half-written"
            if error.errno == errno.ENOSPC
            else "choose a file in a folder that exists and where you may " + ("read" if to_read else "write"),
        ) from error


def _check_sqlite_file(path: Path) -> None:
    """Raise OSError or StorageError for a file that SQLite cannot use, or that holds something else."""
    if path.is_dir():
        raise StorageError(
            f"{path} is a folder, not a database file", hint=f"did you mean `sqlite:///{path / 'studies.db'}`?"
        )
    if not path.parent.is_dir():
        what = "is not a folder" if path.parent.exists() else "does not exist"
        raise StorageError(
            f"cannot create the SQLite file {path}: {path.parent} {what}", hint="create the folder or choose another"
        )
    real = path.resolve()
    identity = _identity(real)
    # Closing a file drops every lock that this process holds on it, SQLite's too, so a file that this process
    # may have open by now is not opened again.
    if identity is not None and (real not in _checked or _checked[real] not in (None, identity)):
        # "r+": SQLite will write; opening for both changes nothing.
        with real.open("r+b") as file:
            head = file.read(len(_SQLITE_MAGIC))
        if head and head != _SQLITE_MAGIC:
            raise StorageError(
                f"{path} exists and is not a SQLite database; it is left untouched", hint="choose another file"
            )
    probe_writable(path.parent)
    _checked[real] = identity


def _check_readable(path: Path) -> None:
    """Raise StorageError for a file of another kind, OSError for one that cannot be read."""
    if path.resolve() in _checked:
        # Closing it would drop the locks that this process may hold on it.
        return
    with path.open("rb") as file:
        if file.read(len(_SQLITE_MAGIC)) not in (b"", _SQLITE_MAGIC):
            raise StorageError(f"{path} is not a SQLite database", hint="choose another file")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of a file, or None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _check_postgresql(url: URL, shown: str) -> URL:
    """Return the URL with its credentials in their own fields, where SQLAlchemy hides them when printing."""
    if "@" in f"{url.host}{url.database}":
        raise StorageError(
            f"malformed database URL `{shown}`", hint="percent-encode the password: `@` is %40, `/` is %2F, `:` is %3A"
        )
    moved = {key: str(url.query[key]) for key in ("user", "password") if key in url.query}
    url = url.difference_update_query(moved)
    if "user" in moved:
        url = url.set(username=moved["user"])
    if "password" in moved:
        url = url.set(password=moved["password"])
    if url.password is not None and url.username is None:
        raise StorageError(f"database URL `{shown}` has a password without a user", hint=_EXAMPLES)
    return url
