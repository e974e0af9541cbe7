"""Studies: what was asked for, under which configuration, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, select, update

from tasearch.domain.errors import ConfigError, StorageError
from tasearch.domain.fingerprint import fingerprint
from tasearch.stores.schema import NAME_LENGTH, FinalTable, LeaseTable, StudyStageTable, StudyTable, WorkerTable
from tasearch.stores.transactions import PATIENCE_SECONDS, epoch_now, insert_into, inserted, read, utc_now, write


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRow:
    """A study as recorded."""

    study_name: str
    identity_hash: str
    """Fingerprint of `identity`."""
    identity: dict[str, Any]
    """What may not change under this name."""
    config: dict[str, Any]
    """The resolved configuration, with the settings that may change."""
    attrs: dict[str, Any]
    versions: dict[str, Any]
    """Of the libraries when the study was created."""
    created_at: datetime


class StudyRecords:
    """The studies of a database; safe to use from many processes and threads."""

    def __init__(self, engine: Engine, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which an unreachable database is tried again before StorageError."""
        self._engine = engine
        self._patience = patience

    def create(
        self,
        study_name: str,
        identity: Mapping[str, Any],
        config: Mapping[str, Any],
        versions: Mapping[str, Any],
    ) -> bool:
        """Add a study. Returns False, changing nothing, where one of that name exists.

        Raises ConfigError for a name that is empty or too long.
        """
        if not 0 < len(study_name) <= NAME_LENGTH:
            raise ConfigError(
                f"study name of {len(study_name)} characters; allowed: 1 to {NAME_LENGTH}",
                hint="choose a shorter --study-name" if study_name else "give --study-name a value",
            )
        row = {
            "study_name": study_name,
            "identity_hash": fingerprint(identity),
            "identity": identity,
            "config": config,
            "attrs": {},
            "versions": versions,
        }

        def work(connection: Connection) -> bool:
            made = row | {"created_at": utc_now(connection)}
            query = insert_into(connection, StudyTable).values(made).on_conflict_do_nothing()
            return inserted(connection, query)

        return write(self._engine, work, patience=self._patience)

    def find(self, study_name: str) -> StudyRow | None:
        """Return the study, or None."""
        query = select(StudyTable.__table__).where(StudyTable.study_name == study_name)

        def work(connection: Connection) -> StudyRow | None:
            row = connection.execute(query).one_or_none()
            return None if row is None else _study_row(row)

        return read(self._engine, work, patience=self._patience)

    def list_all(self) -> list[StudyRow]:
        """Return all studies, oldest first."""
        query = select(StudyTable.__table__).order_by(StudyTable.created_at, StudyTable.study_name)
        return read(
            self._engine,
            lambda connection: [_study_row(row) for row in connection.execute(query)],
            patience=self._patience,
        )

    def update_attrs(self, study_name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set the given attrs, keep the others, and return them all. Raises StorageError for an unknown study."""
        return self.edit_attrs(study_name, lambda attrs, _now: attrs | dict(changes))

    def append_attr(self, study_name: str, key: str, value: Any, *, occasion: str | None = None) -> dict[str, Any]:
        """Append to the list under `key`, losing nothing that another process appends; returns all attrs.

        Of several calls with one `occasion` only the first appends. Raises StorageError for an unknown study.
        """

        def edit(attrs: dict[str, Any], _now: float) -> dict[str, Any]:
            past = attrs.get(f"{key}_occasions", [])
            if occasion in past:
                return attrs
            noted = {} if occasion is None else {f"{key}_occasions": [*past, occasion]}
            return attrs | {key: [*attrs.get(key, []), value]} | noted

        return self.edit_attrs(study_name, edit)

    def attrs_at(self, study_name: str) -> tuple[dict[str, Any], float]:
        """Return the attrs and the time by the database's clock. Raises StorageError for an unknown study."""
        query = select(StudyTable.attrs, epoch_now().label("now")).where(StudyTable.study_name == study_name)

        def work(connection: Connection) -> tuple[dict[str, Any], float]:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise _unknown(study_name)
            return row.attrs, row.now

        return read(self._engine, work, patience=self._patience)

    def edit_attrs(self, study_name: str, edit: Callable[[dict[str, Any], float], dict[str, Any]]) -> dict[str, Any]:
        """Replace the attrs by what `edit` makes of them, while no other process can change them; returns the new.

        `edit` also gets the time by the database's clock, and may be called twice. Raises StorageError for an unknown
        study.
        """
        this = StudyTable.study_name == study_name

        def work(connection: Connection) -> dict[str, Any]:
            # Locked until the end, so that no other process changes what is read here.
            query = select(StudyTable.attrs, epoch_now().label("now")).where(this).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                raise _unknown(study_name)
            attrs = edit(row.attrs, row.now)
            connection.execute(update(StudyTable).where(this).values(attrs=attrs))
            return attrs

        return write(self._engine, work, patience=self._patience)

    def update_config(self, study_name: str, config: Mapping[str, Any]) -> None:
        """Replace the configuration (settings that may change). Raises StorageError for an unknown study."""
        query = update(StudyTable).where(StudyTable.study_name == study_name).values(config=config)

        def work(connection: Connection) -> None:
            if connection.execute(query).rowcount != 1:
                raise _unknown(study_name)

        write(self._engine, work, patience=self._patience)

    def delete(self, study_name: str) -> bool:
        """Remove the study with its finals, workers and links to stages; False where there is none.

        Stages stay: other studies may stand on them.
        """

        def work(connection: Connection) -> bool:
            for table in (StudyStageTable, FinalTable, LeaseTable, WorkerTable):
                connection.execute(delete(table).where(table.study_name == study_name))
            return connection.execute(delete(StudyTable).where(StudyTable.study_name == study_name)).rowcount == 1

        return write(self._engine, work, patience=self._patience)


def _unknown(study_name: str) -> StorageError:
    return StorageError(f"no study named `{study_name}` in this database", hint="`tasearch studies` lists those it has")


def _study_row(row: Row[Any]) -> StudyRow:
    return StudyRow(
        study_name=row.study_name,
        identity_hash=row.identity_hash,
        identity=row.identity,
        config=row.config,
        attrs=row.attrs,
        versions=row.versions,
        created_at=row.created_at,
    )
