from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import OperationalError

from tasearch.domain.errors import StorageError
from tasearch.stores import hurry
from tasearch.stores.engine import open_engine
from tasearch.stores.transactions import create_tables, epoch_now, read, write


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path}/studies.db")
    with opened.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    yield opened
    opened.dispose()


def insert(connection: Connection) -> None:
    connection.execute(text("INSERT INTO t VALUES (1)"))


def count(engine: Engine) -> int:
    return read(engine, lambda connection: int(connection.execute(text("SELECT count(*) FROM t")).scalar_one()))


class Flaky:
    """Work that the database refuses a number of times before it lets it through."""

    def __init__(self, refusals: int, reason: str = "database is locked") -> None:
        self.tries = 0
        self._refusals = refusals
        self._reason = reason

    def __call__(self, connection: Connection) -> None:
        self.tries += 1
        insert(connection)
        if self.tries <= self._refusals:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError(self._reason))


def test_clock_of_the_database_counts_from_1970(engine: Engine) -> None:

    before = time.time()
    now = read(engine, lambda connection: connection.execute(select(epoch_now())).scalar_one())
    # A clock of whole milliseconds may round down.
    assert before - 0.01 <= now <= time.time() + 0.01


def test_work_is_tried_again_until_the_database_answers(engine: Engine) -> None:
    work = Flaky(2)
    write(engine, work, patience=10.0)
    assert (work.tries, count(engine)) == (3, 1)


def test_patience_ends(engine: Engine) -> None:
    work = Flaky(1000)
    with pytest.raises(StorageError, match="database is locked") as caught:
        write(engine, work, patience=0.25)
    assert 2 <= work.tries < 10
    assert caught.value.hint
    assert count(engine) == 0


def test_who_is_to_end_gives_up_soon(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hurry, "GRACE_SECONDS", 0.3)
    work = Flaky(10_000)
    hurry.hurry()
    with pytest.raises(StorageError, match="database is locked"):
        write(engine, work, patience=1000.0)
    assert work.tries > 1


def test_who_has_given_up_does_not_try_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hurry, "GRACE_SECONDS", 0.0)
    hurry.hurry()
    with pytest.raises(StorageError):
        write(engine, Flaky(10_000))
    work = Flaky(0)
    with pytest.raises(StorageError, match="was away when this process was asked to end"):
        write(engine, work)
    assert work.tries == 0


def test_who_is_to_end_still_writes_while_the_database_answers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hurry, "GRACE_SECONDS", 0.0)
    hurry.hurry()
    write(engine, Flaky(0))
    assert count(engine) == 1


def test_error_that_will_not_pass_is_not_tried_again(engine: Engine) -> None:
    work = Flaky(1000, "attempt to write a readonly database")
    with pytest.raises(StorageError, match="readonly"):
        write(engine, work, patience=10.0)
    assert work.tries == 1


def test_missing_table_is_a_storage_error_that_names_the_database(engine: Engine) -> None:
    with pytest.raises(StorageError, match=r"sqlite:///.*no such table"):
        read(engine, lambda connection: connection.execute(text("SELECT * FROM absent")))


def test_error_of_the_work_itself_rolls_back_and_passes_through(engine: Engine) -> None:
    def work(connection: Connection) -> None:
        insert(connection)
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        write(engine, work)
    assert count(engine) == 0


def test_reading_takes_no_write_lock(engine: Engine) -> None:
    begun: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        begun.append(statement)

    count(engine)
    write(engine, insert)
    assert [statement for statement in begun if statement.startswith("BEGIN")] == ["BEGIN", "BEGIN IMMEDIATE"]


def test_tables_that_another_process_makes_meanwhile_are_tried_again(engine: Engine) -> None:
    flaky = Flaky(2, "table t already exists")

    def create() -> str:
        with engine.begin() as connection:
            flaky(connection)
        return "made"

    assert create_tables(create, engine.url) == "made"
    assert flaky.tries == 3


def test_tables_that_cannot_be_made_are_given_up(engine: Engine) -> None:
    def create() -> None:
        with engine.begin() as connection:
            Flaky(1)(connection)

    with pytest.raises(StorageError, match="locked"):
        create_tables(create, engine.url, patience=0.0)
