"""What `tasearch doctor` looks at in the database, the artifacts and the folders of this machine; changes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, select, text, update

from tasearch.domain.errors import ArtifactError, StorageError
from tasearch.domain.finding import Finding, note, ok, wrong
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.engine import hide_password
from tasearch.stores.files import nearest_existing
from tasearch.stores.home import Home
from tasearch.stores.leases import LeaseState
from tasearch.stores.owner import is_known_dead
from tasearch.stores.records import Records
from tasearch.stores.schema import VERSION_TABLE, LeaseTable, StageTable, StudyTable
from tasearch.stores.shared_artifacts import database_ids, marks_of, place_of, token_of
from tasearch.stores.stage_needs import recorded_artifacts
from tasearch.stores.stages import StageState
from tasearch.stores.transactions import epoch_now, read, write

_CLOCK_SECONDS = 5.0
"""More than this between two clocks is worth a word."""
_LEAST_FREE_BYTES = 1e9
_WORKER_SECONDS = 60.0
"""A worker that has been silent for longer is taken for gone."""


def examine_database(records: Records) -> list[Finding]:
    """Return what is found of a database that could be opened: settings, writing, clock."""
    engine = records.engine
    studies = len(records.studies.list_all())
    version = read(engine, lambda c: c.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one())
    found = [
        ok(
            "database",
            f"{hide_password(engine.url)}: {_server(engine)}, tables at version {version}, {studies} studies",
        ),
        *_written(engine),
    ]
    if engine.dialect.name == "sqlite":
        found += _sqlite(engine)
    begin = time.time()
    now = read(engine, lambda connection: connection.execute(select(epoch_now())).scalar_one())
    off = max(begin - now, now - time.time(), 0.0)
    if off > _CLOCK_SECONDS:
        found.append(
            wrong(
                "database",
                f"the clock of the database is {off:.0f} s off this machine's",
                "set both clocks by NTP; leases follow the database's, but dates and ages of files do not",
            )
        )
    else:
        found.append(ok("database", "its clock agrees with this machine's"))
    return found


def examine_leases(records: Records) -> list[Finding]:
    """Return what dead workers have left."""
    found = []
    for study in records.studies.list_all():
        for worker, _, age in records.workers.all(study.study_name):
            if age >= _WORKER_SECONDS or is_known_dead(worker):
                found.append(
                    wrong(
                        "leases",
                        f"worker {worker} of study {study.study_name!r} is gone without signing off, "
                        f"last seen {age:.0f} s ago",
                        f"go on with `tasearch worker --study-name {study.study_name}`, which takes up its work",
                    )
                )
    columns = (StageTable.student, StageTable.owner, (StageTable.leased_until - epoch_now()).label("left"))
    query = select(*columns).where(StageTable.state == StageState.RUNNING)
    for row in read(records.engine, lambda connection: connection.execute(query).all()):
        if row.left < 0 or is_known_dead(str(row.owner)):
            found.append(
                wrong(
                    "leases",
                    f"a stage of {row.student} is still leased to {row.owner}, which does not work on it any more",
                    "the next worker that needs it goes on from its last checkpoint; nothing is lost",
                )
            )
    held = (LeaseTable.study_name, LeaseTable.subject, LeaseTable.owner)
    left = (LeaseTable.leased_until - epoch_now()).label("left")
    others = select(*held, left).where(LeaseTable.state == LeaseState.HELD)
    for lease in read(records.engine, lambda connection: connection.execute(others).all()):
        if lease.left < 0 or is_known_dead(str(lease.owner)):
            found.append(
                wrong(
                    "leases",
                    f"{lease.subject} of study {lease.study_name!r} is still leased to {lease.owner}, which is gone",
                    f"`tasearch worker --study-name {lease.study_name}` takes it up where it stopped; nothing is lost",
                )
            )
    return found or [ok("leases", "no dead worker holds anything")]


def examine_artifacts(records: Records, artifacts: ArtifactStore, *, verify: bool) -> list[Finding]:
    """Return whether the location can be used and holds what is recorded; `verify` reads and hashes every artifact."""
    try:
        artifacts.check_writable()
        there = {file.artifact_id for file in artifacts.files()}
        found = [ok("artifacts", f"{artifacts.location} can be written")]
        found += _marks(records, artifacts)
    except StorageError as error:
        return [wrong("artifacts", error.message, error.hint)]
    recorded = recorded_artifacts(records.engine)
    missing = [name for name in recorded if name not in there]
    if missing:
        found.append(
            wrong(
                "artifacts",
                f"{_counted(missing, recorded)} are missing",
                "they are trained again when they are needed; or is --artifacts another place than the workers'?",
            )
        )
    else:
        found.append(ok("artifacts", f"all {len(recorded)} recorded artifacts are there"))
    if verify:
        found.append(_verified(artifacts, {name: recorded[name] for name in recorded if name in there}))
    return found


def examine_home(home: Home) -> list[Finding]:
    """Return whether the folders of this machine can be written and have space left."""
    try:
        home.check_writable()
    except StorageError as error:
        return [wrong("home", error.message, error.hint)]
    free = shutil.disk_usage(nearest_existing(home.root)).free
    space = f"{home.root} can be written, {free / 1e9:,.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return [wrong("home", space, "free some space (`tasearch gc`), or choose another place with --home")]
    return [ok("home", space)]


def _server(engine: Engine) -> str:
    query = "SELECT sqlite_version()" if engine.dialect.name == "sqlite" else "SHOW server_version"
    name = "SQLite" if engine.dialect.name == "sqlite" else "PostgreSQL"
    return f"{name} {read(engine, lambda connection: connection.execute(text(query)).scalar_one())}"


def _written(engine: Engine) -> list[Finding]:
    def work(connection: Connection) -> None:
        # Changes no row, and is refused all the same where nothing may be written.
        connection.execute(update(StudyTable).where(StudyTable.study_name.is_(None)).values(identity_hash=""))

    try:
        write(engine, work, patience=0.0)
    except StorageError as error:
        return [wrong("database", error.message, error.hint)]
    return [ok("database", "it can be written")]


def _sqlite(engine: Engine) -> list[Finding]:
    mode = read(engine, lambda connection: connection.execute(text("PRAGMA journal_mode")).scalar_one())
    sound = read(engine, lambda connection: connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    found = []
    if mode != "wal":
        mend = "keep the file on a local disk; for many machines use PostgreSQL"
        found.append(
            wrong("database", f"its journal mode is {mode}, not wal: many workers would block one another", mend)
        )
    if sound != "ok":
        mend = "stop all workers, then `sqlite3 FILE .recover` into a new file, and use that with --storage"
        found.append(wrong("database", f"it is damaged: {sound}", mend))
    free = shutil.disk_usage(Path(str(engine.url.database)).resolve().parent).free
    if free < _LEAST_FREE_BYTES:
        found.append(wrong("database", f"{free / 1e6:,.0f} MB are free where it lies", "free some space there"))
    return found or [ok("database", "it is sound, and its journal mode is wal")]


def _marks(records: Records, artifacts: ArtifactStore) -> list[Finding]:
    """Return which studies keep their artifacts elsewhere, and who else uses this location."""
    marks = marks_of(artifacts)
    here, tokens = database_ids(records), {mark.token for mark in marks}
    studies = {token_of(study.attrs): study for study in records.studies.list_all()}
    elsewhere = [
        wrong(
            "artifacts",
            f"study {study.study_name!r} keeps its artifacts at {place_of(study.attrs)}, not here",
            "say that place with --artifacts",
        )
        for token, study in studies.items()
        if token is not None and token not in tokens
    ]
    others = [
        note("artifacts", f"{artifacts.location} also serves study {mark.study_name!r} of database {mark.database}")
        for mark in marks
        if mark.token not in studies and mark.database_id not in here
    ]
    return [*elsewhere, *others]


def _verified(artifacts: ArtifactStore, recorded: dict[str, str]) -> Finding:
    damaged = []
    for artifact_id in recorded:
        try:
            artifacts.get(artifact_id)
        except ArtifactError:
            damaged.append(artifact_id)
        except StorageError as error:
            return wrong("artifacts", error.message, error.hint)
    if damaged:
        return wrong(
            "artifacts",
            f"{_counted(damaged, recorded)} are damaged",
            "they are trained again when they are needed; look at the disk they lie on",
        )
    return ok("artifacts", f"{len(recorded)} artifacts match their hashes")


def _counted(bad: Sequence[str], recorded: dict[str, str]) -> str:
    examples = ", ".join(f"{artifact_id[:12]} ({recorded[artifact_id]})" for artifact_id in bad[:3])
    more = ", ..." if len(bad) > 3 else ""
    return f"{len(bad)} of {len(recorded)} recorded artifacts, {examples}{more}"
