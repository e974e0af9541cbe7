"""Whether the workers of a study share their artifacts: said when a worker starts, not when its weights are missed.

The study's attrs hold a random mark, and a note of that name lies in the artifact location. A worker whose location has
no such note looks somewhere else than the others.
"""

from __future__ import annotations

import json
import logging
import platform
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

from tasearch.domain.errors import StorageError
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.engine import hide_password
from tasearch.stores.owner import is_known_dead
from tasearch.stores.records import Records

logger = logging.getLogger(__name__)

_KEY = "artifact_mark"
_DATABASE = "database_id"
"""Attr of a study: what tells its database from others, of the same address too. All of a database have the same, but
for those that began at the same moment in an empty one."""
_FRESH_SECONDS = 60.0
"""A worker that was heard of less than this long ago is taken for alive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A note in an artifact location: a study of a database keeps its artifacts there."""

    token: str
    study_name: str
    database: str
    """`database_name` of the study's database."""
    database_id: str
    """Of `database_ids`, empty where an older version left it."""
    modified: float
    """When it was left: seconds since 1970 by the clock of the location."""


def check_shared(
    records: Records, study_name: str, artifacts: ArtifactStore, owner: str, *, joins: bool = False
) -> None:
    """Check that the artifacts of this worker are those of the study's other workers; to be called when it joins.

    `owner` is `current_owner()` of this process. Where no other worker lives the study moves to this location, and that
    is logged; one that only `joins` never moves it. Raises StorageError where the study's artifacts are elsewhere and
    may not move, or for an unknown study.
    """
    while True:
        row = records.studies.find(study_name)
        if row is None:
            raise StorageError(f"no study named `{study_name}` in this database", hint="register it first")
        mark = row.attrs.get(_KEY)
        if mark is not None and artifacts.has_note(mark["token"]):
            records.studies.edit_attrs(study_name, lambda attrs, now: _seen(attrs, owner, now))
            return
        if mark is not None and joins:
            raise _elsewhere(study_name, mark["location"], artifacts.place)
        token = secrets.token_hex(16)
        database_id = row.attrs.get(_DATABASE) or min(database_ids(records), default=secrets.token_hex(8))
        # The note first: a mark that is recorded can be found.
        artifacts.write_note(token, _note(study_name, database_name(records.engine.url), database_id))
        old = None if mark is None else mark["token"]
        try:
            new = {"token": token, "location": artifacts.place}
            moved = _moved(records, study_name, old, new, owner, database_id)
        except BaseException:
            artifacts.remove_note(token)
            raise
        if moved:
            if mark is not None:
                logger.warning(
                    "the artifacts of study %s were at %s, now at %s; stages whose weights are not there are trained "
                    "again when they are needed",
                    study_name,
                    mark["location"],
                    artifacts.place,
                )
            return
        artifacts.remove_note(token)


def marks_of(artifacts: ArtifactStore) -> list[Mark]:
    """Return every mark of a location, also of other databases. Raises StorageError."""
    found = []
    for note in artifacts.notes():
        try:
            content = json.loads(note.text)
            study_name, database = str(content["study_name"]), str(content["database"])
            database_id = str(content.get("database_id", ""))
        except (ValueError, TypeError, KeyError):
            # Somebody else's file: unknown, so that nothing here is taken for unused.
            study_name, database, database_id = "?", "?", ""
        found.append(
            Mark(
                token=note.name,
                study_name=study_name,
                database=database,
                database_id=database_id,
                modified=note.modified,
            )
        )
    return found


def database_ids(records: Records) -> frozenset[str]:
    """Return what this database is known as in marks: whatever has another id is another one's."""
    found = {study.attrs.get(_DATABASE) for study in records.studies.list_all()}
    return frozenset(str(one) for one in found if one)


def token_of(attrs: dict[str, Any]) -> str | None:
    """Return the mark in a study's attrs, or None where it has none."""
    mark = attrs.get(_KEY)
    return None if mark is None else str(mark["token"])


def place_of(attrs: dict[str, Any]) -> str:
    """Return where a study with a mark keeps its artifacts."""
    return str(attrs[_KEY]["location"])


def database_name(url: URL | str) -> str:
    """Return what tells a database from others, without user and password."""
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        return f"{platform.node()}:{Path(str(url.database)).resolve()}"
    bare = URL.create(url.drivername, host=url.host, port=url.port, database=url.database, query=url.query)
    return hide_password(bare)


def _note(study_name: str, database: str, database_id: str) -> str:
    return json.dumps({"study_name": study_name, "database": database, "database_id": database_id})


def _seen(attrs: dict[str, Any], owner: str, now: float) -> dict[str, Any]:
    """Note that `owner` has joined; forget those that joined long ago."""
    mark = attrs.get(_KEY)
    if mark is None:
        return attrs
    fresh = {name: at for name, at in mark["joined"].items() if now - at < _FRESH_SECONDS}
    return attrs | {_KEY: mark | {"joined": fresh | {owner: now}}}


def _moved(
    records: Records, study_name: str, old: str | None, new: dict[str, str], owner: str, database_id: str
) -> bool:
    """Replace the mark `old`; False where another worker has been first. Raises StorageError where others live."""
    alive = [
        worker
        for worker, _, age in records.workers.all(study_name)
        if worker != owner and age < _FRESH_SECONDS and not is_known_dead(worker)
    ]

    def edit(attrs: dict[str, Any], now: float) -> dict[str, Any]:
        mark = attrs.get(_KEY)
        if (mark and mark["token"]) != old:
            return attrs
        if mark is not None:
            joined = [name for name, at in mark["joined"].items() if now - at < _FRESH_SECONDS and name != owner]
            others = [*alive, *(name for name in joined if not is_known_dead(name))]
            if others:
                raise _not_shared(study_name, mark["location"], new["location"], others[0])
        return attrs | {_DATABASE: database_id, _KEY: new | {"joined": {owner: now}}}

    return bool(records.studies.edit_attrs(study_name, edit)[_KEY]["token"] == new["token"])


def _elsewhere(study_name: str, theirs: str, ours: str) -> StorageError:
    return StorageError(
        f"study {study_name!r} keeps its artifacts at {theirs}, and this worker would keep them elsewhere, at {ours}",
        hint="join with --artifacts or --home of the study; `tasearch optimize` with the study's flags moves it",
    )


def _not_shared(study_name: str, theirs: str, ours: str, worker: str) -> StorageError:
    host, pid, _ = worker.rsplit(":", 2)
    return StorageError(
        f"study {study_name!r} keeps its artifacts at {theirs}, where process {pid} on {host} is at work, "
        f"and this worker would keep them elsewhere, at {ours}",
        hint="give all workers of a study the same --artifacts: a shared disk or s3://bucket/folder",
    )
