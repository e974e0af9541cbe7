"""Everything that `tasearch doctor` looks at, in one list."""

from __future__ import annotations

from importlib.metadata import version

from tasearch.config.settings import Settings
from tasearch.domain.errors import StorageError
from tasearch.domain.finding import Finding, note, ok, wrong
from tasearch.search.storage import close_storage, open_storage
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkup import examine_artifacts, examine_database, examine_home, examine_leases
from tasearch.stores.engine import engine_kwargs, hide_password, parse_storage_url, url_text
from tasearch.stores.home import Home
from tasearch.stores.reading import guard, has_optuna_tables, readable_url
from tasearch.stores.records import Records, has_records, open_records
from tasearch.training.checkup import examine_device
from tasearch.worker.study_config import library_versions


def examine(settings: Settings, *, verify: bool) -> list[Finding]:
    """Return what is found of database, artifacts, home folder, leases, versions and devices.

    Trains nothing and leaves nothing behind; older tables are brought up to date, as by every command.
    `verify` reads and hashes every recorded artifact. What cannot be looked at is a finding, not an error.
    """
    home = Home(settings.home)
    found, records = _open(settings.storage or home.default_storage_url)
    if records is not None:
        try:
            artifacts = ArtifactStore(settings.artifacts or str(home.artifacts))
            found += examine_database(records)
            found += _optuna(settings.storage or home.default_storage_url)
            found += examine_leases(records)
            found += examine_artifacts(records, artifacts, verify=verify)
            found += _studies(records)
        except StorageError as error:
            found.append(wrong("database", error.message, error.hint))
        finally:
            records.close()
    installed = ", ".join(f"{library} {number}" for library, number in library_versions().items())
    return [*found, *examine_home(home), ok("versions", installed), *examine_device()]


def _optuna(storage: str) -> list[Finding]:
    """Return whether the installed Optuna can use its tables; nothing where it has none yet."""
    url = readable_url(storage)
    if not has_optuna_tables(url):
        return []
    try:
        close_storage(open_storage(url_text(url), engine_kwargs(url), guard, create=False))
    except StorageError as error:
        return [wrong("database", error.message, error.hint)]
    return [ok("database", f"Optuna {version('optuna')} can use its tables")]


def _studies(records: Records) -> list[Finding]:
    """Return which studies were made with other versions than those installed."""
    found = []
    for study in records.studies.list_all():
        changed = [
            f"{library} {made} (now {number})"
            for library, number in library_versions().items()
            if (made := study.versions.get(library)) not in (None, number)
        ]
        if changed:
            text = (
                f"study {study.study_name!r} was made with {', '.join(changed)}: new stages may differ in the last bits"
            )
            found.append(note("versions", text))
    return found


def _open(storage: str) -> tuple[list[Finding], Records | None]:
    try:
        url = parse_storage_url(storage, must_exist=True)
        if not has_records(url):
            text = f"{hide_password(url)} has no tables of tasearch"
            return [
                wrong(
                    "database",
                    text,
                    "is --home or --storage right? `tasearch db init` makes the tables in an "
                    "empty database, or beside Optuna's",
                )
            ], None
        return [], open_records(url, patience=0.0)
    except StorageError as error:
        return [wrong("database", error.message, error.hint)], None
