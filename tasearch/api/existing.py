"""Open a database that must already be there: reading commands never create one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasearch.config.joining import joining_settings
from tasearch.config.resolve import resolve
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError, StorageError
from tasearch.report.query import find_study, newest_study, refuse_gap
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.home import Home
from tasearch.stores.reading import open_readable, readable_url
from tasearch.stores.records import Records, has_records, open_records
from tasearch.stores.studies import StudyRow


def existing_url(settings: Settings) -> str:
    """Return the URL of the database, with its password. Raises StorageError where a SQLite file is missing."""
    url = parse_storage_url(settings.storage or Home(settings.home).default_storage_url, must_exist=True)
    return url.render_as_string(hide_password=False)


def readable_database(settings: Settings) -> str:
    """Return the URL of a database that is only read, with its password. Raises StorageError where it is missing."""
    url = parse_storage_url(settings.storage or Home(settings.home).default_storage_url, to_read=True)
    return url.render_as_string(hide_password=False)


def existing_page(settings: Settings, study_name: str) -> Path | None:
    """Return the report of a study where one has been written."""
    page = Home(settings.home).report_page(study_name)
    return page if page.is_file() else None


def named_where(home: Path | str, storage: str | None, study_name: str | None) -> Settings:
    """Return the settings that say where a database is and which of its studies is meant. Raises ConfigError."""
    places = {"home": home, "storage": storage, "study_name": study_name}
    return resolve({"teacher": "-", "student": "-", **places}, {}, None)


def stored_settings(
    records: Records, study_name: str, flags: Mapping[str, Any], environment: Mapping[str, str]
) -> Settings:
    """Return the settings of somebody who works on a study that is there. Raises ConfigError."""
    stored = refuse_gap(find_study(records, study_name)).config["settings"]
    return joining_settings(stored, {**flags, "study_name": study_name}, environment)


@contextmanager
def open_existing(url: str) -> Iterator[Records]:
    """Give the records of a database, closed at the end of the block.

    Raises StorageError where tasearch has never written to it.
    """
    if not has_records(url):
        raise StorageError("this database has no studies of tasearch", hint="is --home or --storage right?")
    records = open_records(url)
    try:
        yield records
    finally:
        records.close()


@contextmanager
def open_to_read(url: str) -> Iterator[Records]:
    """Give the records of a database that is not to be changed, closed at the end of the block.

    Raises StorageError where tasearch has never written to it, or an older version of it has.
    """
    records = open_readable(readable_url(url))
    try:
        yield records
    finally:
        records.close()


def choose_study(records: Records, study_name: str | None) -> StudyRow:
    """Return the named study, or the newest search of the database. Raises ConfigError for one of `tasearch gap`."""
    if study_name is not None:
        return refuse_gap(find_study(records, study_name))
    return newest_study(records)


def study_at_work(records: Records, study_name: str | None) -> StudyRow:
    """Return the named study, a measurement of `tasearch gap` too, or the newest search. Raises ConfigError."""
    return newest_study(records) if study_name is None else find_study(records, study_name)


def named_study(argument: str | None, settings: Settings) -> str | None:
    """Return the study that a command names as its argument or with --study-name. Raises ConfigError for two."""
    if argument is not None and settings.study_name not in (None, argument):
        raise ConfigError(
            f"two studies are named: {argument!r} and, by --study-name, {settings.study_name!r}",
            hint="name one of them",
        )
    return argument or settings.study_name
