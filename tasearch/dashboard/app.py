"""The dashboard as one WSGI application over a study database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from optuna_dashboard import wsgi
from optuna_dashboard.artifact.exceptions import ArtifactNotFound

from tasearch.dashboard.answers import StudyAnswers
from tasearch.dashboard.guard import Guard, Login, WsgiApp
from tasearch.search.browsing import cached, study_state
from tasearch.search.storage import Storage, close_storage, open_storage
from tasearch.stores.engine import engine_kwargs, forbid_writes, tune, url_text
from tasearch.stores.reading import has_optuna_tables, readable_url
from tasearch.stores.transactions import create_tables


class Attachments:
    """Files that visitors attach to studies and trials, in one folder, each under its id."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made with the first file."""
        self._folder = folder

    def open(self, artifact_id: str) -> BinaryIO:
        """Open a file for reading. Raises ArtifactNotFound."""
        try:
            return self._path(artifact_id).open("rb")
        except FileNotFoundError:
            raise ArtifactNotFound(f"no file {artifact_id}") from None

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep a file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(artifact_id).open("wb") as file:
            shutil.copyfileobj(content_body, file)

    def remove(self, artifact_id: str) -> None:
        """Remove a file. Raises ArtifactNotFound."""
        try:
            self._path(artifact_id).unlink()
        except FileNotFoundError:
            raise ArtifactNotFound(f"no file {artifact_id}") from None

    def _path(self, artifact_id: str) -> Path:
        # Ids come from a URL that takes hexadecimal digits and hyphens, and from the database, which takes anything.
        return self._folder / Path(artifact_id).name


@contextmanager
def open_dashboard(
    url: str, *, login: Login | None, allow_write: bool, host: str, attachments: Path
) -> Iterator[WsgiApp]:
    """Give the application for a database that has tasearch's tables; its connections close at the end of the block.

    Unless `allow_write`, the database's connections themselves refuse every change. `host`: the name it is served as;
    `attachments`: the folder of attached files. Raises StorageError.
    """
    storage = _storage(url, allow_write=allow_write)
    try:
        # Cached: optuna-dashboard reads the whole study anew every few seconds, and only one process fills the cache.
        browsed = cached(storage)
        # Without a store there is no form that would be refused.
        files = Attachments(attachments) if allow_write or attachments.is_dir() else None
        app = wsgi(browsed, artifact_store=files)
        answers = StudyAnswers(app, partial(study_state, browsed), skip_ended=partial(skip_ended, app))
        yield Guard(answers, login=login, allow_write=allow_write, host=host)
    finally:
        close_storage(storage)


def _storage(url: str, *, allow_write: bool) -> Storage:
    """Open Optuna's storage; to read it takes no right to write, unless its tables are missing."""
    if not allow_write:
        readable = readable_url(url)
        if has_optuna_tables(readable):
            return open_storage(url_text(readable), engine_kwargs(readable), forbid_writes, create=False)
    prepare = tune if allow_write else forbid_writes
    return create_tables(lambda: open_storage(url_text(url), engine_kwargs(url), prepare), url)


def skip_ended(app: Any, study_id: int, num_ended: int) -> None:
    """Spare optuna-dashboard from going through the search spaces of trials that it has seen end.

    It remembers where to go on from only while some trial has not ended, so for a finished study it begins at 0 each
    time. What it remembers is not public: where another version has nothing of the kind, nothing is spared.
    """
    cache = getattr(app, "_inmemory_cache", None)
    known = getattr(cache, "_cached_extra_study_property_cache", {}).get(study_id)
    cursor = getattr(known, "_cursor", None)
    if known is not None and isinstance(cursor, int):
        known._cursor = max(cursor, num_ended - 1)
