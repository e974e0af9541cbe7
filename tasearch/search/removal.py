"""Taking a study out of Optuna's tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.storages import BaseStorage

from tasearch.domain.errors import ConfigError
from tasearch.search.storage import close_storage, open_storage
from tasearch.search.study import MARK
from tasearch.stores.engine import engine_kwargs, tune, url_text
from tasearch.stores.transactions import create_tables


class StoredTrials:
    """The trials of a study as Optuna has them; none where it does not know the study."""

    def __init__(self, storage: BaseStorage, study_name: str) -> None:
        self._storage, self._name = storage, study_name

    def count(self) -> int:
        """Return how many there are."""
        study_id = self._find()
        return 0 if study_id is None else self._storage.get_n_trials(study_id)

    def delete(self) -> None:
        """Remove the study with its trials. Raises ConfigError for one that somebody else made under this name."""
        study_id = self._find()
        if study_id is None:
            return
        if MARK not in self._storage.get_study_user_attrs(study_id) and self._storage.get_n_trials(study_id):
            raise ConfigError(
                f"this database has an Optuna study {self._name!r} that tasearch did not make",
                hint="delete that one with `optuna delete-study`, if it is to go",
            )
        with contextlib.suppress(KeyError):
            # Deleted by a call whose answer was lost.
            self._storage.delete_study(study_id)

    def _find(self) -> int | None:
        try:
            return self._storage.get_study_id_from_name(self._name)
        except KeyError:
            return None


@contextmanager
def open_trials(url: str, study_name: str) -> Iterator[StoredTrials]:
    """Give the trials of a study in a database, closed at the end of the block. Raises StorageError."""
    storage = create_tables(lambda: open_storage(url_text(url), engine_kwargs(url), tune), url)
    try:
        yield StoredTrials(storage, study_name)
    finally:
        close_storage(storage)
