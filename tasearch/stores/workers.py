"""Workers: what each one does now, for `status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, delete, select

from tasearch.stores.schema import WorkerTable
from tasearch.stores.transactions import PATIENCE_SECONDS, epoch_now, insert_into, read, write


class WorkerRecords:
    """The workers of every study; safe to use from many processes and threads."""

    def __init__(self, engine: Engine, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which an unreachable database is tried again before StorageError."""
        self._engine = engine
        self._patience = patience

    def put(self, study_name: str, worker_id: str, payload: Mapping[str, Any]) -> None:
        """Replace what is known of a worker, and note the time by the database's clock."""

        def work(connection: Connection) -> None:
            changed = {"payload": payload, "updated_at": epoch_now()}
            row = {"study_name": study_name, "worker_id": worker_id, **changed}
            keys = [WorkerTable.study_name, WorkerTable.worker_id]
            insert = insert_into(connection, WorkerTable).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed))

        # Not tried again: the next state is as good.
        write(self._engine, work, patience=0.0)

    def all(self, study_name: str) -> list[tuple[str, dict[str, Any], float]]:
        """Return (worker_id, payload, age in seconds) of each worker, by worker_id."""
        age = (epoch_now() - WorkerTable.updated_at).label("age")
        query = select(WorkerTable.worker_id, WorkerTable.payload, age).where(WorkerTable.study_name == study_name)

        def work(connection: Connection) -> list[tuple[str, dict[str, Any], float]]:
            found = [(row.worker_id, row.payload, row.age) for row in connection.execute(query)]
            return sorted(found, key=lambda worker: worker[0])

        return read(self._engine, work, patience=self._patience)

    def remove(self, study_name: str, worker_id: str) -> None:
        """Forget a worker; an unknown one is no error."""
        query = delete(WorkerTable).where(WorkerTable.study_name == study_name, WorkerTable.worker_id == worker_id)
        write(self._engine, lambda connection: connection.execute(query), patience=self._patience)
