from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.exc import OperationalError

from tasearch.domain.errors import StorageError
from tasearch.stores.reading import guard, has_optuna_tables, open_readable, readable_url, study_names
from tasearch.stores.records import open_records
from tasearch.stores.schema import VERSION_TABLE

NOBODY = 65534


def make_database(path: Path) -> str:
    url = f"sqlite:///{path}"
    records = open_records(url)
    records.studies.create("study", {"teacher": "plain10"}, {}, {})
    records.close()
    return url


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder that nobody may write to, for root too: it steps down to another user meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="tasearch-locked-"))
    make_database(folder / "studies.db")
    (folder / "studies.db").chmod(0o444)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    records = open_readable(readable_url(make_database(tmp_path / "studies.db")))
    assert [row.study_name for row in records.studies.list_all()] == ["study"]
    records.close()


def test_reading_leaves_every_byte_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    url = make_database(path)
    before = digest(path)
    records = open_readable(readable_url(url))
    records.studies.list_all()
    records.close()
    assert digest(path) == before


def test_reading_leaves_no_files_beside(tmp_path: Path) -> None:
    records = open_readable(readable_url(make_database(tmp_path / "studies.db")))
    records.studies.list_all()
    records.close()
    assert [path.name for path in tmp_path.iterdir()] == ["studies.db"]


def test_other_libraries_engines_cannot_write_either(tmp_path: Path) -> None:
    engine = create_engine(readable_url(make_database(tmp_path / "studies.db")))
    guard(engine)
    with pytest.raises(OperationalError, match="readonly"), engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE other (a)")
    engine.dispose()


def test_nothing_can_be_written(tmp_path: Path) -> None:
    records = open_readable(readable_url(make_database(tmp_path / "studies.db")))
    with pytest.raises(StorageError, match=r"readonly"):
        records.studies.update_attrs("study", {"a": 1})
    records.close()


def test_a_file_in_a_folder_that_cannot_be_written_is_read(locked_folder: Path) -> None:
    records = open_readable(readable_url(f"sqlite:///{locked_folder / 'studies.db'}"))
    assert [row.study_name for row in records.studies.list_all()] == ["study"]
    records.close()


@pytest.mark.parametrize("name", ["a b.db", "a%20b.db", "a{b}.db", "a?b#c.db"])
def test_odd_file_names_are_found(tmp_path: Path, name: str) -> None:
    make_database(tmp_path / "studies.db")
    shutil.copy(tmp_path / "studies.db", tmp_path / name)
    assert study_names(readable_url(URL.create("sqlite", database=str(tmp_path / name)))) == ["study"]


def test_what_another_process_writes_meanwhile_is_seen(tmp_path: Path) -> None:
    url = make_database(tmp_path / "studies.db")
    writer = open_records(url)
    reader = open_readable(readable_url(url))
    writer.studies.create("second", {}, {}, {})
    assert [row.study_name for row in reader.studies.list_all()] == ["study", "second"]
    reader.close()
    writer.close()


def test_an_absent_file_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no database .*absent\.db"):
        readable_url(f"sqlite:///{tmp_path / 'absent.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("these are notes, not tables")
    with pytest.raises(StorageError, match="not a SQLite database"):
        readable_url(f"sqlite:///{tmp_path / 'notes.db'}")


def test_an_older_database_is_not_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    url = make_database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = 'r0001'")
        connection.commit()
    before = digest(path)
    with pytest.raises(StorageError, match="older tasearch"):
        open_readable(readable_url(url))
    assert digest(path) == before


def test_optunas_tables_are_told_from_their_absence(tmp_path: Path) -> None:
    assert not has_optuna_tables(readable_url(make_database(tmp_path / "studies.db")))
