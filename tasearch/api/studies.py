"""Studies that are in a database: listed, read, reported. Nothing in it is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasearch.api.existing import choose_study, existing_page, named_where, open_to_read, readable_database
from tasearch.api.results import StudyResults, results_of
from tasearch.report.files import write_report as _write_report
from tasearch.report.query import load_view
from tasearch.stores.home import Home
from tasearch.stores.records import Records
from tasearch.worker.snapshot import Snapshot, is_gone

HOME = Path("tasearch-data")
FORMATS = ("html", "md", "json", "csv")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySummary:
    """One study of a database."""

    study_name: str
    created_at: datetime
    teacher: str
    student: str
    dataset: str
    verdict: str | None
    """The verdict's sentence; None before there is one, and for a measurement of `tasearch gap`."""
    is_gap: bool
    """Whether it is a measurement of `tasearch gap`, which has no trials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerState:
    """A worker of a study as it was last heard of."""

    worker: str
    is_gone: bool
    seconds_since_update: float
    snapshot: Snapshot


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """Where a study stands."""

    results: StudyResults
    workers: tuple[WorkerState, ...]


def list_studies(*, home: Path | str = HOME, storage: str | None = None) -> tuple[StudySummary, ...]:
    """Return the studies of a database, oldest first. Raises StorageError where there is none."""
    with open_to_read(readable_database(named_where(home, storage, None))) as records:
        return study_summaries(records)


def study_summaries(records: Records) -> tuple[StudySummary, ...]:
    """Return the studies of a database, oldest first."""
    return tuple(
        StudySummary(
            study_name=row.study_name,
            created_at=row.created_at,
            teacher=row.identity["teacher"],
            student=row.identity["student"],
            dataset=row.config["data"]["name"],
            verdict=(row.attrs.get("verdict") or {}).get("text"),
            is_gap="gap" in row.identity,
        )
        for row in records.studies.list_all()
    )


def load_study(study_name: str | None = None, *, home: Path | str = HOME, storage: str | None = None) -> StudyResults:
    """Return the results of a study, running or ended; without a name of the newest one.

    The database is only read. Raises StorageError where there is none, ConfigError where it has no such study.
    """
    where = named_where(home, storage, study_name)
    view = load_view(readable_database(where), study_name)
    return results_of(view, existing_page(where, view.study_name))


def study_status(study_name: str | None = None, *, home: Path | str = HOME, storage: str | None = None) -> StudyStatus:
    """Return the results of a study so far and its workers. Arguments and errors are those of `load_study`."""
    where = named_where(home, storage, study_name)
    with open_to_read(readable_database(where)) as records:
        name = choose_study(records, study_name).study_name
        workers = worker_states(records, name)
    return StudyStatus(results=load_study(name, home=home, storage=storage), workers=workers)


def worker_states(records: Records, study_name: str) -> tuple[WorkerState, ...]:
    """Return the workers of a study that have not signed off."""
    return tuple(
        WorkerState(
            worker=worker_id,
            is_gone=is_gone(worker_id, age),
            seconds_since_update=age,
            snapshot=Snapshot.from_payload(payload),
        )
        for worker_id, payload, age in records.workers.all(study_name)
    )


def write_report(
    study_name: str | None = None,
    *,
    out: Path | str | None = None,
    formats: Sequence[str] = ("html",),
    home: Path | str = HOME,
    storage: str | None = None,
) -> tuple[Path, ...]:
    """Write the report of a study and return its files; without a name of the newest one.

    `formats`: of html, md, json and csv; `out`: a folder, by default the study's own below `home`. Raises as
    `load_study`, and ConfigError for another format.
    """
    from tasearch.domain.errors import ConfigError, nearest

    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"unknown format {name!r} of a report", hint=nearest(name, list(FORMATS)))
    where = named_where(home, storage, study_name)
    view = load_view(readable_database(where), study_name)
    folder = Home(where.home).report_folder(view.study_name) if out is None else Path(out)
    return tuple(_write_report(view, folder, list(formats)))
