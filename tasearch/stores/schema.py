"""The `tasearch_*` tables beside Optuna's, and bringing a database up to date.

No foreign keys: Optuna deletes its own rows, and SQLite gives deleted ids to new studies, so rows are keyed by
study name and fingerprint.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, DateTime, Dialect, Double, Engine, Integer, String, Text, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from tasearch.domain.errors import StorageError
from tasearch.domain.fingerprint import canonical_json
from tasearch.stores.engine import hide_password
from tasearch.stores.transactions import read, write

if TYPE_CHECKING:
    from alembic.config import Config

LATEST = "r0003"
"""Version of the tables below."""
VERSION_TABLE = "tasearch_alembic_version"
"""Our own: a foreign row in Optuna's `alembic_version` makes Optuna refuse the database."""
NAME_LENGTH = 512
"""Longest study name, as in Optuna's tables."""
_OPTUNA_TABLES = frozenset(
    {"studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials", "version_info"}
    | {"trial_user_attributes", "trial_system_attributes", "trial_params", "trial_values"}
    | {"trial_intermediate_values", "trial_heartbeats"}
)
_ADVISORY_LOCK = 0x7461736561726368
# Alembic keeps the migration that runs in module globals.
_migrating = threading.Lock()


class JsonText(TypeDecorator[Any]):
    """Any JSON value as canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Python value to text; None is NULL."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Text to Python value."""
        return None if value is None else json.loads(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, always aware and in UTC; SQLite forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuses a naive time by raising ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """What was stored, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Metadata of our tables."""


class StudyTable(Base):
    """A study as tasearch sees it; Optuna keeps its trials."""

    __tablename__ = "tasearch_studies"

    study_name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    identity_hash: Mapped[str] = mapped_column(String(64))
    identity: Mapped[dict[str, Any]] = mapped_column(JsonText)
    config: Mapped[dict[str, Any]] = mapped_column(JsonText)
    attrs: Mapped[dict[str, Any]] = mapped_column(JsonText)
    versions: Mapped[dict[str, Any]] = mapped_column(JsonText)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class StageTable(Base):
    """A stage, shared by every study that asks for it; `attempt` fences off workers that lost their lease."""

    __tablename__ = "tasearch_stages"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    spec: Mapped[dict[str, Any]] = mapped_column(JsonText)
    student: Mapped[str] = mapped_column(String(NAME_LENGTH))
    teacher_fingerprint: Mapped[str | None] = mapped_column(String(64))
    replicate: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    attempt: Mapped[int] = mapped_column(Integer)
    leased_until: Mapped[float | None] = mapped_column(Double)
    epoch: Mapped[int] = mapped_column(Integer)
    epochs: Mapped[int] = mapped_column(Integer)
    artifact_id: Mapped[str | None] = mapped_column(String(64))
    val_accuracy: Mapped[float | None] = mapped_column(Double)
    curve: Mapped[list[dict[str, Any]] | None] = mapped_column(JsonText)
    seconds: Mapped[float | None] = mapped_column(Double)
    environment: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    failure: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class StudyStageTable(Base):
    """Which study asked for which stage, and as what."""

    __tablename__ = "tasearch_study_stages"

    study_name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)


class FinalTable(Base):
    """One arm of the finals on one replicate."""

    __tablename__ = "tasearch_finals"

    study_name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    arm: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    replicate: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(String(32))
    chain: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    search_val_accuracy: Mapped[float | None] = mapped_column(Double)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    val_accuracy: Mapped[float | None] = mapped_column(Double)
    test_accuracy: Mapped[float | None] = mapped_column(Double)
    failure: Mapped[str | None] = mapped_column(Text)


class LeaseTable(Base):
    """Who does a trial or a run of the finals; `attempt` fences off workers that lost it."""

    __tablename__ = "tasearch_leases"

    study_name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    subject: Mapped[str] = mapped_column(String(128), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    attempt: Mapped[int] = mapped_column(Integer)
    leased_until: Mapped[float | None] = mapped_column(Double)
    failures: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JsonText)


class WorkerTable(Base):
    """What each worker of a study does now."""

    __tablename__ = "tasearch_workers"

    study_name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    worker_id: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JsonText)
    updated_at: Mapped[float] = mapped_column(Double)


def is_ours(name: str | None, type_: str, _parents: Any) -> bool:
    """Whether Alembic should look at this part of the database (its `include_name`): Optuna's tables are not ours."""
    return type_ != "table" or (name is not None and name.startswith("tasearch_") and name != VERSION_TABLE)


def migrate(engine: Engine) -> None:
    """Bring an empty or older database up to date; several processes may do so at once.

    Raises StorageError where the database cannot be reached or written, was made by a newer tasearch, or belongs to
    another application; nothing is created then.
    """

    def upgrade(connection: Connection) -> None:
        from alembic import command

        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        # Asked again: another process may have upgraded while this one waited for the lock.
        if not _is_current(connection, engine.url):
            refuse_foreign(connection, engine.url)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    if not has_current_tables(engine):
        with _migrating:
            write(engine, upgrade, patience=0.0)


def has_current_tables(engine: Engine) -> bool:
    """Whether our tables are those of this version; nothing is changed.

    Raises StorageError where a newer tasearch made them, or where the database cannot be reached.
    """
    return read(engine, lambda connection: _is_current(connection, engine.url), patience=0.0)


def _is_current(connection: Connection, url: URL) -> bool:
    version = version_of(connection)
    if version in (None, LATEST):
        return version == LATEST
    from alembic.script import ScriptDirectory

    # Imported only here: it takes a third of a second, and nearly every database is up to date.
    if version not in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}:
        raise StorageError(
            f"database {hide_password(url)} was made by a newer tasearch "
            f"(its tables are at version {version}, this one knows up to {LATEST})",
            hint="upgrade tasearch, or choose another database with --storage",
        )
    return False


def version_of(connection: Connection) -> str | None:
    """Return the version of our tables in a database; None where it has none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()


def refuse_foreign(connection: Connection, url: URL) -> None:
    """Raise StorageError where the database holds another application's tables and neither Optuna's nor ours."""
    found = set(inspect(connection).get_table_names())
    if VERSION_TABLE in found or "studies" in found:
        return
    foreign = sorted(name for name in found - _OPTUNA_TABLES if not name.startswith("tasearch_"))
    if "alembic_version" in found:
        foreign.append("alembic_version")
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise StorageError(
            f"database {hide_password(url)} belongs to another application: it has tables {shown}",
            hint="give tasearch a database of its own with --storage",
        )


def _config() -> Config:
    """Return Alembic's configuration of the migrations inside this package."""
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
