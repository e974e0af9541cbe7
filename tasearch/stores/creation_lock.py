"""One process at a time creates the tables of a database, also those that Optuna creates by looking first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, text

_ADVISORY_LOCK = 0x7461736563726561


@contextmanager
def only_creator(engine: Engine) -> Iterator[None]:
    """Hold the right to create tables during the block, waiting for whoever has it; a dead process loses it at once.

    On SQLite the folder of the file is locked: the file's own write lock would keep out the block itself. On PostgreSQL
    it is an advisory lock, held by a connection of its own. Raises DBAPIError where the server cannot be reached.
    """
    if engine.dialect.name == "sqlite":
        with _folder_locked(Path(str(engine.url.database)).parent):
            yield
        return
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network disks have no such locks; whoever collides there tries again.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
