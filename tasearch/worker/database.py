"""Making a database ready for workers: Optuna's tables and ours."""

from __future__ import annotations

from tasearch.search.storage import close_storage, open_storage
from tasearch.stores.engine import engine_kwargs, tune, url_text
from tasearch.stores.records import open_records
from tasearch.stores.transactions import create_tables


def prepare_database(url: str) -> None:
    """Create the tables that are missing and bring older ones up to date; any number of processes may do so at once.

    Raises StorageError where the database cannot be reached or written, was made by a newer version, or belongs to
    another application.
    """
    open_records(url).close()
    close_storage(create_tables(lambda: open_storage(url_text(url), engine_kwargs(url), tune), url))
