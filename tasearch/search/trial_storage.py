"""Optuna's storage, quick at reading a whole study.

Optuna reads the trials of a study as objects of its ORM, with half a dozen queries and every distribution parsed
anew: 12 seconds for 10,000 trials, which every process pays that opens the study. Here they are read as plain columns.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Iterable
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState

_NEVER_READ = -1
"""What Optuna's cache gives for the last finished trial that it knows, where it knows none."""


class TrialStorage(RDBStorage):
    """An `RDBStorage` that reads a study which was not read before in a few large queries."""

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Return a study's trials by id, as Optuna does: all of them, or those that may have changed."""
        if states is not None or trial_id_greater_than > _NEVER_READ:
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        with _create_scoped_session(self.scoped_session) as session:
            models.StudyModel.find_or_raise_by_id(study_id, session)
            return _read_all(session, study_id)


def _read_all(session: Any, study_id: int) -> list[FrozenTrial]:
    """Return all trials of a study by id.

    States are read first: a trial that ends meanwhile is seen as running, never as finished with half of its values.
    """
    trial = models.TrialModel

    def rows_of(model: Any, order: Any, *columns: Any) -> dict[int, list[Any]]:
        """Return rows of a table by the trial that they belong to, in the order that they were written."""
        query = session.query(model.trial_id, *columns).join(trial, trial.trial_id == model.trial_id)
        found: dict[int, list[Any]] = defaultdict(list)
        for row in query.filter(trial.study_id == study_id).order_by(order):
            found[row[0]].append(row)
        return found

    trials = (
        session.query(
            trial.trial_id, trial.number, trial.state, trial._datetime_start_utc, trial._datetime_complete_utc
        )
        .filter(trial.study_id == study_id)
        .order_by(trial.trial_id)
        .all()
    )
    param, user, system = models.TrialParamModel, models.TrialUserAttributeModel, models.TrialSystemAttributeModel
    value, step = models.TrialValueModel, models.TrialIntermediateValueModel
    params = rows_of(param, param.param_id, param.param_name, param.param_value, param.distribution_json)
    users = rows_of(user, user.trial_user_attribute_id, user.key, user.value_json)
    systems = rows_of(system, system.trial_system_attribute_id, system.key, system.value_json)
    values = rows_of(value, value.objective, value.value, value.value_type)
    steps = rows_of(
        step, step.trial_intermediate_value_id, step.step, step.intermediate_value, step.intermediate_value_type
    )
    parse = _Parser()
    return [
        FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=[value.stored_repr_to_value(stored, kind) for _, stored, kind in values.get(trial_id, ())] or None,
            datetime_start=_local(begun),
            datetime_complete=_local(ended),
            **parse.params(params.get(trial_id, ())),
            user_attrs=_attrs(users.get(trial_id, ())),
            system_attrs=_attrs(systems.get(trial_id, ())),
            intermediate_values={
                epoch: step.stored_repr_to_intermediate_value(stored, kind)
                for _, epoch, stored, kind in steps.get(trial_id, ())
            },
            trial_id=trial_id,
        )
        for trial_id, number, state, begun, ended in trials
    ]


class _Parser:
    """Reads parameters; a study's trials have the same few distributions and values."""

    def __init__(self) -> None:
        self._distributions: dict[str, BaseDistribution] = {}
        self._values: dict[tuple[str, float], Any] = {}

    def params(self, rows: Iterable[Any]) -> dict[str, dict[str, Any]]:
        """Return the params and distributions of one trial."""
        params, distributions = {}, {}
        for _, name, stored, text in rows:
            distribution = self._distributions.get(text)
            if distribution is None:
                distribution = self._distributions[text] = json_to_distribution(text)
            key = text, stored
            if key not in self._values:
                self._values[key] = distribution.to_external_repr(stored)
            params[name], distributions[name] = self._values[key], distribution
        return {"params": params, "distributions": distributions}


def _attrs(rows: Iterable[Any]) -> dict[str, Any]:
    return {key: json.loads(text) for _, key, text in rows}


def _local(stored: datetime | None) -> datetime | None:
    """Return a stored time (UTC) as Optuna gives it: local, without a time zone."""
    return None if stored is None else stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
