from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from tasearch.domain.errors import StorageError
from tasearch.stores.engine import open_engine
from tasearch.stores.records import open_records
from tasearch.stores.schema import LATEST, VERSION_TABLE, Base, is_ours, migrate

TABLES = {f"tasearch_{name}" for name in ("studies", "stages", "study_stages", "finals", "leases", "workers")}


@pytest.fixture
def engine(storage_url: str) -> Iterator[Engine]:
    opened = open_engine(storage_url)
    yield opened
    opened.dispose()


def version(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one())


def test_empty_database_gets_all_tables(engine: Engine) -> None:
    migrate(engine)
    assert set(inspect(engine).get_table_names()) == TABLES | {VERSION_TABLE}


def test_the_latest_migration_is_the_version_that_the_code_knows(engine: Engine) -> None:
    migrate(engine)
    assert version(engine) == LATEST


def test_migrated_database_is_what_the_code_declares(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "include_name": is_ours, "compare_type": True}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    assert differences == []


def test_migrated_primary_keys_are_those_declared(engine: Engine) -> None:
    migrate(engine)
    found = {name: inspect(engine).get_pk_constraint(name)["constrained_columns"] for name in TABLES}
    declared = {name: [column.name for column in table.primary_key] for name, table in Base.metadata.tables.items()}
    assert found == declared


def test_tables_of_optuna_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('v3.2.0.a')"))
        connection.execute(text("CREATE TABLE studies (study_id INTEGER PRIMARY KEY)"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "v3.2.0.a"
    assert set(inspect(engine).get_table_names()) == TABLES | {VERSION_TABLE, "alembic_version", "studies"}


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    before = version(engine)
    migrate(engine)
    assert version(engine) == before


def test_database_of_a_newer_tasearch_is_refused_by_name(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'"))
    with pytest.raises(StorageError, match=r"made by a newer tasearch .*r9999") as caught:
        migrate(engine)
    assert "upgrade tasearch" in caught.value.hint
    assert version(engine) == "r9999"


def test_failed_migration_leaves_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE tasearch_workers (foreign_column INTEGER)"))
    with pytest.raises(StorageError, match="tasearch_workers"):
        migrate(engine)
    assert set(inspect(engine).get_table_names()) == {"tasearch_workers"}


def test_unreachable_server_is_named_without_its_password() -> None:
    engine = open_engine("postgresql://someone:se%40cret@127.0.0.1:1/studies")
    with pytest.raises(StorageError, match=r"someone:\*\*\*@127\.0\.0\.1") as caught:
        migrate(engine)
    assert "cret" not in f"{caught.value.message} {caught.value.hint} {engine!r}"


def test_untuned_engine_can_be_migrated(storage_url: str) -> None:
    engine = create_engine(storage_url)
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= TABLES
    engine.dispose()


@pytest.mark.parametrize("table", ["albums", "alembic_version"])
def test_database_of_another_application_is_refused_and_gets_no_table(
    engine: Engine, storage_url: str, table: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {table} (version_num VARCHAR(32))"))
    with pytest.raises(StorageError, match=f"belongs to another application: it has tables {table}"):
        open_records(storage_url)
    assert set(inspect(engine).get_table_names()) == {table}
