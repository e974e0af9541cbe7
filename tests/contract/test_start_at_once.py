"""Many processes on an empty database at the same moment: one set of tables, of Optuna's and of ours."""

from __future__ import annotations

import optuna
from sqlalchemy import Engine, create_engine, text

from tasearch.stores.schema import VERSION_TABLE
from tests.contract.at_once import at_once
from tests.contract.starters import initialise, join

PROCESSES = 24


def counts(storage_url: str, *tables: str) -> list[int]:
    engine: Engine = create_engine(storage_url)
    try:
        with engine.connect() as connection:
            return [int(connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in tables]
    finally:
        engine.dispose()


def test_tables_are_made_once(storage_url: str) -> None:
    assert len(at_once(initialise, PROCESSES, storage_url)) == PROCESSES
    assert counts(storage_url, VERSION_TABLE, "alembic_version", "version_info") == [1, 1, 1]


def test_workers_that_need_no_preparation_open_one_study(storage_url: str) -> None:
    at_once(join, PROCESSES, storage_url)
    assert counts(storage_url, VERSION_TABLE, "alembic_version", "version_info") == [1, 1, 1]
    storage = optuna.storages.RDBStorage(storage_url)
    assert optuna.get_all_study_names(storage) == ["race"]
    assert optuna.load_study(study_name="race", storage=storage).user_attrs["joined"] is True
    storage.remove_session()
    storage.engine.dispose()
