"""Optuna's storage on the study database, made to outlast a database that is away for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial, wraps
from typing import Any

import optuna
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import RDBStorage

from tasearch.domain.errors import StorageError
from tasearch.search.trial_storage import Excerpt, TrialStorage
from tasearch.stores.engine import reading
from tasearch.stores.transactions import patiently

_READS = (
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "get_all_studies",
    "get_trial_id_from_study_id_trial_number",
    "get_trial",
    "_get_trials",
)
_WRITES = (
    "create_new_study",
    "delete_study",
    "set_study_user_attr",
    "set_study_system_attr",
    "_create_new_trial",
    "_set_trial_param",
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_user_attrs",
    "set_trial_system_attr",
)
"""What Optuna's cache asks its backend for. Each may be called again: of a call whose answer was lost a new trial stays
behind without an owner, which the next worker takes up, and everything else sets what is already set."""


Storage = RDBStorage
SEARCH_ERRORS = (OptunaError,)
"""What Optuna raises where it, or its database, fails."""


class PatientStorage(TrialStorage):
    """Optuna's storage, asked again while the database cannot be reached; raises StorageError when it stays away."""


def _patient(name: str, *, reads: bool) -> Callable[..., Any]:
    original = getattr(TrialStorage, name)

    @wraps(original)
    def call(self: PatientStorage, *args: Any, **kwargs: Any) -> Any:
        with reading() if reads else nullcontext():
            return patiently(partial(original, self, *args, **kwargs), self.engine)

    return call


for _name in (*_READS, *_WRITES):
    setattr(PatientStorage, _name, _patient(_name, reads=_name in _READS))


def open_storage(
    url: str,
    engine_kwargs: Mapping[str, Any],
    tune: Callable[[Any], None] | None = None,
    *,
    excerpt: Excerpt | None = None,
    create: bool = True,
) -> RDBStorage:
    """Open Optuna's storage on `url`; `tune` gets its engine before the first real use.

    Without `tune` for reading only: nothing then waits for whoever writes. `excerpt`: read no more of trials than that,
    `row_excerpt` for their rows. Without `create` Optuna's tables must be there, and nothing is written. Raises
    StorageError where the tables are of another version of Optuna.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        # The versions are compared below: where the constructor refuses, it leaves its connections open.
        storage = PatientStorage(url, dict(engine_kwargs), excerpt, create=create)
    except StorageInternalError as error:
        # What the database said, by which the caller knows whether to try again.
        raise (error.__cause__ or error) from None
    found, wanted = storage.get_current_version(), storage.get_head_version()
    if found != wanted:
        known = found in storage.get_all_versions()
        close_storage(storage)
        raise StorageError(
            f"Optuna's tables in this database are at version {found}, the installed Optuna {optuna.__version__} works "
            f"with {wanted}",
            hint="bring them up to date with `optuna storage upgrade --storage URL`"
            if known
            else "upgrade optuna, or choose another database with --storage",
        )
    if tune is not None:
        tune(storage.engine)
    return storage


def is_stored(storage: RDBStorage, study_name: str) -> bool:
    """Whether Optuna has a study of this name."""
    try:
        storage.get_study_id_from_name(study_name)
    except KeyError:
        return False
    return True


def close_storage(storage: RDBStorage) -> None:
    """Close the storage's connections: SQLite tidies up when the last one goes."""
    storage.remove_session()
    storage.engine.dispose()
