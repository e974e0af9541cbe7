"""Optuna's storage, quick at reading a whole study.

Optuna reads the trials of a study as objects of its ORM, with half a dozen queries and every distribution parsed
anew: 12 seconds for 10,000 trials, which every process pays that opens the study. Here they are read as plain columns.
"""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState

_NEVER_READ = -1
"""What Optuna's cache gives for the last finished trial that it knows, where it knows none."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the garbage collector back, which would look through a million new objects again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """What somebody who only reads wants of each trial, beside its params, value, state and times (in UTC)."""

    user_attrs: frozenset[str]
    curves: bool
    """Whether intermediate values are wanted."""


class TrialStorage(RDBStorage):
    """An `RDBStorage` that reads a study which was not read before in a few large queries."""

    def __init__(
        self, url: str, engine_kwargs: dict[str, Any], excerpt: Excerpt | None = None, *, create: bool = True
    ) -> None:
        """`excerpt`: what is read of trials; None for all of it. Versions are for the caller to compare.

        Without `create` the tables must be there, and nothing is written.
        """
        super().__init__(
            url, engine_kwargs=engine_kwargs, skip_compatibility_check=True, skip_table_creation=not create
        )
        self._excerpt = excerpt

    def set_trial_user_attrs(self, trial_id: int, attrs: Mapping[str, Any]) -> None:
        """Set several attributes of a running trial in one transaction: all of them or none."""
        with _create_scoped_session(self.scoped_session, True) as session:
            for key, value in attrs.items():
                self._set_trial_attr_without_commit(session, models.TrialUserAttributeModel, trial_id, key, value)

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
        with _create_scoped_session(self.scoped_session) as session, uncollected():
            models.StudyModel.find_or_raise_by_id(study_id, session)
            return _Reader(session.connection(), study_id).trials(self._excerpt)


class _Reader:
    """Reads all trials of a study."""

    def __init__(self, connection: Any, study_id: int) -> None:
        self._connection, self._study_id = connection, study_id
        self._parser = _Parser()

    def trials(self, excerpt: Excerpt | None) -> list[FrozenTrial]:
        """Return them by id.

        States are read first: a trial that ends meanwhile is seen as running, never as ended with half of its values.
        """
        table = models.TrialModel.__table__.c
        query = models.TrialModel.__table__.select().where(table.study_id == self._study_id).order_by(table.trial_id)
        columns = (table.trial_id, table.number, table.state, table.datetime_start, table.datetime_complete)
        trials = self._connection.execute(query.with_only_columns(*columns)).all()
        params = self._rows(models.TrialParamModel, "param_id", "param_name", "param_value", "distribution_json")
        values = self._rows(models.TrialValueModel, "objective", "value", "value_type")
        wanted = None if excerpt is None else excerpt.user_attrs
        users = self._rows(models.TrialUserAttributeModel, "trial_user_attribute_id", "key", "value_json", keys=wanted)
        systems: dict[int, list[Any]] = {}
        if excerpt is None:
            systems = self._rows(models.TrialSystemAttributeModel, "trial_system_attribute_id", "key", "value_json")
        steps: dict[int, list[Any]] = {}
        if excerpt is None or excerpt.curves:
            steps = self._rows(
                models.TrialIntermediateValueModel,
                "trial_intermediate_value_id",
                "step",
                "intermediate_value",
                "intermediate_value_type",
            )
        return [
            FrozenTrial(
                number=number,
                state=state,
                value=None,
                values=[_value(stored, kind) for _, stored, kind in values.get(trial_id, ())] or None,
                datetime_start=begun if excerpt else _local(begun),
                datetime_complete=ended if excerpt else _local(ended),
                **self._parser.params(params.get(trial_id, ())),
                user_attrs=_attrs(users.get(trial_id, ())),
                system_attrs=_attrs(systems.get(trial_id, ())),
                intermediate_values={
                    step: _intermediate_value(stored, kind) for _, step, stored, kind in steps.get(trial_id, ())
                },
                trial_id=trial_id,
            )
            for trial_id, number, state, begun, ended in trials
        ]

    def _rows(self, model: Any, order: str, *columns: str, keys: frozenset[str] | None = None) -> dict[int, list[Any]]:
        """Return (trial id, columns) of a table's rows, in their order, by trial; `keys`: only of these attributes."""
        table, trial = model.__table__, models.TrialModel.__table__
        query = table.join(trial, trial.c.trial_id == table.c.trial_id).select()
        query = query.where(trial.c.study_id == self._study_id).order_by(table.c[order])
        if keys is not None:
            query = query.where(table.c.key.in_(sorted(keys)))
        query = query.with_only_columns(table.c.trial_id, *(table.c[name] for name in columns))
        found: dict[int, list[Any]] = defaultdict(list)
        for row in self._connection.execute(query).all():
            found[row[0]].append(row)
        return found


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


def _value(stored: float | None, kind: Any) -> float:
    return models.TrialValueModel.stored_repr_to_value(stored, kind)


def _intermediate_value(stored: float | None, kind: Any) -> float:
    return models.TrialIntermediateValueModel.stored_repr_to_intermediate_value(stored, kind)


def _local(stored: datetime | None) -> datetime | None:
    """Return a stored time (UTC) as Optuna gives it: local, without a time zone."""
    return None if stored is None else stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
