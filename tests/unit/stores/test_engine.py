from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from tasearch.domain.errors import StorageError
from tasearch.stores.engine import (
    READ_ONLY,
    engine_kwargs,
    hide_password,
    open_engine,
    parse_storage_url,
    tune,
    url_text,
)


def refusal(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        parse_storage_url(url)
    return caught.value


def test_sqlite_file_that_is_not_there_yet_is_accepted_and_not_made(tmp_path: Path) -> None:
    assert parse_storage_url(f"sqlite:///{tmp_path}/studies.db").database == f"{tmp_path}/studies.db"
    assert list(tmp_path.iterdir()) == []


def test_relative_sqlite_file_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_storage_url("sqlite:///studies.db").database == "studies.db"


def test_empty_file_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "studies.db").touch()
    assert parse_storage_url(f"sqlite:///{tmp_path}/studies.db").database == f"{tmp_path}/studies.db"


def test_existing_database_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert parse_storage_url(f"sqlite:///{path}").database == str(path)


@pytest.mark.parametrize("content", [b"study,accuracy\n1,0.7018\n", b"SQLite", b"\x89PNG\r\n" + bytes(100)])
def test_file_that_is_no_database_is_refused_and_left_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(content)
    error = refusal(f"sqlite:///{path}")
    assert "is not a SQLite database" in error.message
    assert str(path) in error.message
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (content, [path])


def test_folder_is_refused(tmp_path: Path) -> None:
    error = refusal(f"sqlite:///{tmp_path}")
    assert "is a folder" in error.message
    assert f"sqlite:///{tmp_path}/studies.db" in error.hint


@pytest.mark.parametrize("name", ["studies.db", "absent/studies.db"])
def test_a_database_that_must_exist_is_looked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="there is no database") as caught:
        parse_storage_url(f"sqlite:///{tmp_path / name}", must_exist=True)
    assert "tasearch optimize" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_missing_parent_folder_is_refused_and_not_made(tmp_path: Path) -> None:
    assert "does not exist" in refusal(f"sqlite:///{tmp_path}/no/studies.db").message
    assert list(tmp_path.iterdir()) == []


def test_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a folder" in refusal(f"sqlite:///{tmp_path}/file/studies.db").message


def test_folder_that_may_not_be_written_is_refused() -> None:
    assert "cannot use the SQLite file /proc/studies.db" in refusal("sqlite:////proc/studies.db").message


def test_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "studies.db"
    path.touch()

    def deny(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert refusal(f"sqlite:///{path}").message.endswith("Permission denied")


def test_checking_again_keeps_the_locks_of_an_open_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    engine = open_engine(url)
    ask = (
        "import sqlite3, sys\n"
        "other = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "other.execute('PRAGMA journal_mode=DELETE')\n"
    )
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        connection.commit()
        parse_storage_url(url)
        other = subprocess.run(
            [sys.executable, "-c", ask, f"{tmp_path}/studies.db"], capture_output=True, text=True, check=False
        )
    engine.dispose()
    assert "database is locked" in other.stderr, "leaving WAL takes a lock that an open database must refuse"


def test_file_that_took_the_place_of_a_checked_one_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    path.touch()
    parse_storage_url(f"sqlite:///{path}")
    (tmp_path / "other").write_bytes(b"not a database")
    (tmp_path / "other").replace(path)
    assert "is not a SQLite database" in refusal(f"sqlite:///{path}").message


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_database_in_memory_is_refused(url: str) -> None:
    assert "in memory" in refusal(url).message


def test_sqlite_with_two_slashes_gets_the_third_as_a_hint() -> None:
    assert "three slashes" in refusal("sqlite://studies.db").hint


def test_sqlite_uri_name_is_refused() -> None:
    assert "URI names are not supported" in refusal("sqlite:///file:studies.db?mode=ro&uri=true").message


@pytest.mark.parametrize("path", ["studies.db", "/tmp/my studies.db", "results/a.sqlite3"])
def test_bare_path_is_refused_with_the_url_it_stands_for(path: str) -> None:
    error = refusal(path)
    assert "is not a database URL" in error.message
    assert error.hint == f"did you mean `sqlite:///{path}`?"


@pytest.mark.parametrize("url", ["", "://", "postgresql://u@host:port/db"])
def test_malformed_url_is_refused_with_examples(url: str) -> None:
    hint = refusal(url).hint
    assert "sqlite:///studies.db" in hint
    assert "postgresql+psycopg://user@host/db" in hint


@pytest.mark.parametrize("driver", ["mysql", "postgresql+psycopg2", "oracle", "nonsense"])
def test_unknown_driver_is_refused_with_those_allowed(driver: str) -> None:
    message = refusal(f"{driver}://user@host/db").message
    assert f"unknown driver `{driver}`" in message
    assert "allowed: sqlite, postgresql+psycopg" in message


@pytest.mark.parametrize("driver", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_through_psycopg(driver: str) -> None:
    assert parse_storage_url(f"{driver}://user@host/db").drivername == "postgresql+psycopg"


def test_credentials_in_the_query_move_to_where_they_are_hidden() -> None:
    url = parse_storage_url("postgresql://host/db?user=ada&password=secret&sslmode=require")
    assert (url.username, url.password, dict(url.query)) == ("ada", "secret", {"sslmode": "require"})
    assert "secret" not in repr(url)


def test_password_without_a_user_is_refused() -> None:
    assert "password without a user" in refusal("postgresql://host/db?password=secret").message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@host:port/db",
        "postgresql://ada:se@secret@host:port/db",
        "mysql://ada:secret@host/db",
        "nonsense://ada:secret@host",
        "ada:secret@host/db",
        "postgresql://host/db?password=secret",
        "sqlite://ada:secret@host/db",
    ],
)
def test_refusal_never_shows_the_password(url: str) -> None:
    error = refusal(url)
    assert "secret" not in f"{error.message} {error.hint} {error.__cause__!r}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:se/cr:et@host/db", "postgresql://ada:***@host/db"),
        ("postgresql://ada@host/db", "postgresql://ada@host/db"),
        ("postgresql://h/db?password=x&sslmode=off", "postgresql://h/db?password=***&sslmode=off"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("s3://key:secret@bucket/folder", "s3://key:***@bucket/folder"),
    ],
)
def test_only_the_password_is_hidden(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_password_of_an_engine_is_hidden() -> None:
    engine = open_engine("postgresql://ada:secret@host/db")
    assert hide_password(engine.url) == "postgresql+psycopg://ada:***@host/db"
    assert "secret" not in repr(engine)


def test_text_for_optuna_survives_its_formatting() -> None:
    text_for_optuna = url_text("postgresql://ada:a%7Bb%25@host/db")
    assert text_for_optuna.format() == "postgresql+psycopg://ada:a%7Bb%25@host/db"


def test_sqlite_waits_long_for_its_lock() -> None:
    assert engine_kwargs("sqlite:///studies.db") == {"connect_args": {"timeout": 60}}


def test_postgresql_connections_are_checked_and_few() -> None:
    kwargs = engine_kwargs("postgresql://ada@host/db")
    assert kwargs["pool_pre_ping"] is True
    assert kwargs["pool_size"] <= 2


def test_a_network_that_is_cut_is_noticed_within_ten_seconds() -> None:
    liveliness = engine_kwargs("postgresql://ada@host/db")["connect_args"]
    assert liveliness["connect_timeout"] + liveliness["tcp_user_timeout"] / 1000 <= 15
    assert liveliness["tcp_user_timeout"] < 10_000


def test_connect_timeout_of_the_url_is_kept() -> None:
    kwargs = engine_kwargs("postgresql://ada@host/db?connect_timeout=3")
    assert "connect_timeout" not in kwargs["connect_args"]


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar_one()


@pytest.fixture
def foreign_engine(tmp_path: Path) -> Engine:
    """An engine made elsewhere, with a connection already in its pool, as Optuna's is when it is tuned."""
    engine = create_engine(f"sqlite:///{tmp_path}/studies.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (0)"))
    return engine


@pytest.mark.parametrize(("name", "value"), [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 60000)])
def test_tuning_sets_what_many_processes_need(foreign_engine: Engine, name: str, value: object) -> None:
    tune(foreign_engine)
    assert pragma(foreign_engine, name) == value
    foreign_engine.dispose()


def test_tuning_twice_is_tuning_once(foreign_engine: Engine) -> None:
    tune(foreign_engine)
    tune(foreign_engine)
    assert pragma(foreign_engine, "journal_mode") == "wal"
    foreign_engine.dispose()


def test_transaction_holds_the_write_lock_from_its_first_read(foreign_engine: Engine) -> None:
    tune(foreign_engine)

    def increment() -> None:
        with foreign_engine.begin() as connection:
            seen = connection.execute(text("SELECT x FROM t")).scalar_one()
            time.sleep(0.005)
            connection.execute(text("UPDATE t SET x = :x"), {"x": seen + 1})

    threads = [threading.Thread(target=increment) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with foreign_engine.begin() as connection:
        assert connection.execute(text("SELECT x FROM t")).scalar_one() == 8
    foreign_engine.dispose()


def test_reader_is_not_held_up_by_a_writer(foreign_engine: Engine) -> None:
    tune(foreign_engine)
    with foreign_engine.begin() as writer:
        writer.execute(text("UPDATE t SET x = 1"))
        with foreign_engine.execution_options(**{READ_ONLY: True}).begin() as reader:
            assert reader.execute(text("SELECT x FROM t")).scalar_one() == 0
    foreign_engine.dispose()


def test_rolled_back_transaction_leaves_nothing(foreign_engine: Engine) -> None:
    tune(foreign_engine)
    with foreign_engine.connect() as connection:
        connection.execute(text("CREATE TABLE u (x INTEGER)"))
        connection.execute(text("UPDATE t SET x = 1"))
        connection.rollback()
    with foreign_engine.begin() as connection:
        assert connection.execute(text("SELECT x FROM t")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one() == 1
    foreign_engine.dispose()
