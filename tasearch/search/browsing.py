"""Optuna's side of the dashboard: a storage for one process that reads all the time, and what its studies look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb.models import StudySystemAttributeModel

from tasearch.search.trial_storage import Excerpt
from tasearch.stores.transactions import insert_into, write

_FINGERPRINTS, _NUM_TRAINED = "stage_fingerprints", "stages_trained"
"""User attributes that a worker gives to a completed trial."""
_CHUNK = 300
"""Rows in one statement; old SQLite allows 999 parameters, and a row has three."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyState:
    """What tells whether anything of a study has changed since it was last looked at."""

    name: str
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    """Notes, figures and attached files, beside Optuna's own."""
    num_trials: int
    unfinished: tuple[tuple[Any, ...], ...]
    """Of each trial that has not ended its number, state, parameters, reported epochs and attributes."""


def cached(storage: RDBStorage) -> BaseStorage:
    """Return the storage with finished trials kept in memory; for one process that reads again and again."""
    return get_storage(storage)


def study_state(storage: BaseStorage, study_id: int) -> StudyState | None:
    """Return the present state of a study, None where there is no such study; quick on a cached storage."""
    study = next((study for study in storage.get_all_studies() if study._study_id == study_id), None)
    if study is None:
        return None
    trials = storage.get_all_trials(study_id, deepcopy=False)
    return StudyState(
        name=study.study_name,
        user_attrs=study.user_attrs,
        system_attrs=study.system_attrs,
        num_trials=len(trials),
        unfinished=tuple(
            (trial.number, trial.state, len(trial.params), len(trial.intermediate_values), len(trial.user_attrs))
            for trial in trials
            if not trial.state.is_finished()
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialPlace:
    """Where Optuna keeps a trial, and which stages its chain came to."""

    number: int
    trial_id: int
    fingerprints: tuple[str, ...]
    """Of its stages, from the teacher down; empty unless the trial is complete."""
    num_trained: int
    """How many of them, the last ones, were trained for it; the others were there already."""


class StudyNotebook:
    """What the dashboard shows of one study beside its trials; written in bulk, read without the trials' curves."""

    def __init__(self, storage: RDBStorage, study_name: str) -> None:
        """Raises KeyError where there is no such study. `storage`: opened with `place_excerpt`."""
        self._storage = storage
        self.study_id = storage.get_study_id_from_name(study_name)

    def places(self) -> list[TrialPlace]:
        """Return every trial, by number."""
        return [
            TrialPlace(
                number=trial.number,
                trial_id=trial._trial_id,
                fingerprints=tuple(trial.user_attrs.get(_FINGERPRINTS, ())),
                num_trained=int(trial.user_attrs.get(_NUM_TRAINED, 0)),
            )
            for trial in self._storage.get_all_trials(self.study_id, deepcopy=False)
        ]

    def attrs(self) -> dict[str, Any]:
        """Return the study's system attributes."""
        return self._storage.get_study_system_attrs(self.study_id)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set system attributes of the study, and remove those that are None, in one transaction.

        One by one, as Optuna sets them, a thousand notes take minutes. Raises StorageError.
        """
        # In one order: two workers that write the same rows then wait for each other and never both.
        kept = sorted((key, json.dumps(value)) for key, value in changes.items() if value is not None)
        gone = sorted(key for key, value in changes.items() if value is None)
        model = StudySystemAttributeModel
        table = model.__table__.c

        def work(connection: Any) -> None:
            for start in range(0, len(kept), _CHUNK):
                rows = [
                    {"study_id": self.study_id, "key": key, "value_json": text}
                    for key, text in kept[start : start + _CHUNK]
                ]
                query = insert_into(connection, model).values(rows)
                replaced = {"value_json": query.excluded.value_json}
                connection.execute(query.on_conflict_do_update(index_elements=["study_id", "key"], set_=replaced))
            for start in range(0, len(gone), _CHUNK):
                chosen = table.key.in_(gone[start : start + _CHUNK])
                connection.execute(model.__table__.delete().where(table.study_id == self.study_id, chosen))

        write(self._storage.engine, work)


def place_excerpt() -> Excerpt:
    """Return what `StudyNotebook.places` needs of trials."""
    return Excerpt(user_attrs=frozenset({_FINGERPRINTS, _NUM_TRAINED}), curves=False)
