"""A study of chains in Optuna's storage: ask, report, tell, and the plain rows that others read."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from tasearch.domain.errors import ConfigError
from tasearch.domain.result import TrialRow, TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.search.sampler import DUPLICATE_OF, STOPPED, UNCOUNTED, ChainSampler, is_counted
from tasearch.search.space import SearchSpace
from tasearch.search.storage import close_storage
from tasearch.search.strategy import TA_ACCURACIES, stage_attr
from tasearch.search.trial_storage import Excerpt, TrialStorage, uncollected

_STATES = {
    optuna.trial.TrialState.WAITING: TrialState.WAITING,
    optuna.trial.TrialState.RUNNING: TrialState.RUNNING,
    optuna.trial.TrialState.COMPLETE: TrialState.COMPLETE,
    optuna.trial.TrialState.PRUNED: TrialState.PRUNED,
    optuna.trial.TrialState.FAIL: TrialState.FAILED,
}
OBJECTIVE = "val_accuracy"
MARK = "made_by_tasearch"
"""Attr of every Optuna study that tasearch made."""
_FAILURE = "failure"
_STAGES = "stage_fingerprints"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A trial that is to be run."""

    number: int
    chain: ChainSpec


def row_excerpt(*, curves: bool) -> Excerpt:
    """Return what `ChainStudy.rows` needs of trials; without `curves` rows have neither curves nor stages."""
    stages = {_STAGES} if curves else set()
    return Excerpt(user_attrs=frozenset({TA_ACCURACIES, DUPLICATE_OF, _FAILURE, STOPPED, *stages}), curves=curves)


class EndedTrials:
    """The trials before the first one of a study that has not ended, read once."""

    def __init__(self) -> None:
        self.rows: list[TrialRow] = []
        self.by_chain: dict[ChainSpec, list[TrialRow]] = {}
        self.num_counted = 0

    def add(self, row: TrialRow, *, counted: bool) -> None:
        """Add the next one; `counted`: whether it uses up budget."""
        self.rows.append(row)
        self.num_counted += counted
        if row.chain is not None:
            self.by_chain.setdefault(row.chain, []).append(row)


class ChainStudy:
    """One Optuna study whose trials are chains; val accuracy of the student is the objective."""

    def __init__(
        self,
        storage: BaseStorage,
        study_name: str,
        space: SearchSpace,
        sampler: ChainSampler | None = None,
        pruner: BasePruner | None = None,
        *,
        create: bool = True,
    ) -> None:
        """Open the study, creating it where it is missing, unless `create` is False: then KeyError is raised.

        A study without a `sampler` can be read, not asked.
        """
        self.space, self.name, self._storage, self._sampler = space, study_name, storage, sampler
        self._ended = EndedTrials()
        self._inside: dict[tuple[str, Any], bool] = {}
        pruner = pruner or NopPruner()
        if not create:
            self._study = optuna.load_study(storage=storage, study_name=study_name, sampler=sampler)
            return
        try:
            self._study = optuna.create_study(
                storage=storage, study_name=study_name, direction="maximize", sampler=sampler, pruner=pruner
            )
        except DuplicatedStudyError:
            self._study = optuna.load_study(storage=storage, study_name=study_name, sampler=sampler, pruner=pruner)
            self._refuse_foreign()
        if MARK not in self._study.user_attrs:
            # Whoever made it may have died before this.
            with warnings.catch_warnings():
                # The dashboard shows the name; Optuna calls the method experimental.
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study.set_metric_names([OBJECTIVE])
            self._study.set_user_attr(MARK, True)

    def use(self, sampler: ChainSampler) -> None:
        """Ask another sampler from now on."""
        self._sampler = self._study.sampler = sampler

    def close(self) -> None:
        """Close the study's storage."""
        if isinstance(self._storage, RDBStorage):
            close_storage(self._storage)

    def _refuse_foreign(self) -> None:
        """Raise ConfigError where somebody else's Optuna study has this name."""
        marked = MARK in self._study.user_attrs
        if self._study.direction is not StudyDirection.MAXIMIZE or (not marked and self._study.trials):
            raise ConfigError(
                f"this database has an Optuna study {self.name!r} that tasearch did not make",
                hint="choose another --study-name or another --storage",
            )

    def ask(self, worker_id: str) -> Proposal | None:
        """Start a new trial and return it, or None where the sampler has nothing left to try.

        A completed chain that comes again (somebody enqueued it) is answered from the study, one that is running is
        refused; neither uses up budget, and the next one is asked for.
        """
        while (trial := self.begin()) is not None:
            proposal = self.propose(trial, worker_id)
            if proposal is not None:
                return proposal
        return None

    def begin(self) -> optuna.trial.Trial | None:
        """Start a new trial that has no parameters yet, or return None where the sampler has nothing left to try."""
        if not self._has_waiting() and self._asked.is_done(self._study):
            return None
        return self._study.ask()

    def propose(
        self, trial: optuna.trial.Trial, worker_id: str, check: Callable[[], None] = lambda: None
    ) -> Proposal | None:
        """Give a trial its chain; None where it was only to be answered or failed.

        `check` is called between choosing and recording, and may raise: what a worker has not got must be left alone.
        None as well for a trial that somebody else has ended meanwhile.
        """
        try:
            self._suggest(trial)
            check()
            return self._proposal(trial, worker_id)
        except UpdateFinishedTrialError:
            return None

    def _suggest(self, trial: optuna.trial.Trial) -> None:
        with warnings.catch_warnings():
            # Optuna only warns where an enqueued value is out of range; `_proposal` fails that trial.
            warnings.simplefilter("ignore", UserWarning)
            for name, distribution in self.space.distributions.items():
                if isinstance(distribution, IntDistribution):
                    trial.suggest_int(name, distribution.low, distribution.high)
                elif isinstance(distribution, CategoricalDistribution):
                    trial.suggest_categorical(name, distribution.choices)

    def wanted_stages(self) -> list[ChainSpec]:
        """Return chains that end in a TA which the sampler wants trained before the next trial."""
        return [] if self._has_waiting() else self._asked.wanted_stages(self._study)

    def record_stage(self, chain: ChainSpec, val_accuracy: float, failure: str | None = None) -> None:
        """Store what a wanted stage came to; one that failed has accuracy 0, so that nothing is built on it."""
        self._study.set_user_attr(*stage_attr(chain, val_accuracy, failure))

    @property
    def _asked(self) -> ChainSampler:
        if self._sampler is None:
            raise ValueError(f"study {self.name!r} was opened for reading")
        return self._sampler

    def resume(self, number: int, worker_id: str, check: Callable[[], None] = lambda: None) -> Proposal | None:
        """Take up a trial whose worker is gone, in place; None and `check` as for `propose`."""
        return self.propose(optuna.trial.Trial(self._study, self._frozen(number)._trial_id), worker_id, check)

    def _proposal(self, trial: optuna.trial.Trial, worker_id: str) -> Proposal | None:
        chain = self._known_chain(trial.params)
        if chain is None:
            self.tell_failed(trial.number, f"parameters outside the search space: {trial.params}")
            return None
        self._set_attrs(trial.number, chain_attrs(chain) | {"worker": worker_id})
        for other in self._rows_of(chain):
            if other.chain != chain or other.number == trial.number or other.duplicate_of is not None:
                continue
            if other.state is TrialState.COMPLETE:
                trial.set_user_attr(DUPLICATE_OF, other.number)
                self._study.tell(trial.number, other.val_accuracy)
                return None
            if other.state is TrialState.RUNNING:
                trial.set_user_attr(DUPLICATE_OF, other.number)
                self.tell_failed(trial.number, f"trial {other.number} is running this chain")
                return None
        return Proposal(number=trial.number, chain=chain)

    def report(self, number: int, epoch: int, val_accuracy: float) -> None:
        """Store the target student's val accuracy after an epoch; an epoch that is known stays as it is."""
        frozen = self._frozen(number)
        if epoch not in frozen.intermediate_values and not frozen.state.is_finished():
            with contextlib.suppress(UpdateFinishedTrialError):
                optuna.trial.Trial(self._study, frozen._trial_id).report(val_accuracy, epoch)

    def should_prune(self, number: int) -> bool:
        """Whether the study's pruner would stop a running trial after what it has reported."""
        return optuna.trial.Trial(self._study, self._frozen(number)._trial_id).should_prune()

    def tell_complete(self, number: int, val_accuracy: float, attrs: Mapping[str, Any]) -> None:
        """Finish a trial."""
        self._finish(number, attrs, state=optuna.trial.TrialState.COMPLETE, values=val_accuracy)

    def tell_failed(self, number: int, reason: str) -> None:
        """Finish a trial that cannot be completed; the reason is kept."""
        self._finish(number, {_FAILURE: reason}, state=optuna.trial.TrialState.FAIL)

    def tell_pruned(self, number: int, reason: str) -> None:
        """Finish a trial that is not worth finishing, or not now; the reason is kept."""
        self._finish(number, {STOPPED: reason}, state=optuna.trial.TrialState.PRUNED)

    def _finish(self, number: int, attrs: Mapping[str, Any], **told: Any) -> None:
        """Tell, once: a trial that has ended stays as it is, somebody else has told the same."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self._set_attrs(number, attrs)
            self._study.tell(number, **told, skip_if_finished=True)

    def requeue_stopped(self) -> None:
        """Queue again every chain that was stopped to keep the budget and that no later trial has taken up."""
        rows = self.rows()
        if not any(row.stopped in UNCOUNTED for row in rows):
            return
        waiting = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        queued = [trial.system_attrs.get("fixed_params") for trial in waiting]
        last = {row.chain: row for row in rows if row.chain is not None}
        for row in last.values():
            if row.chain is None or row.stopped not in UNCOUNTED:
                continue
            params = self.space.params(row.chain)
            if params not in queued:
                self._study.enqueue_trial(params)

    def set_attr(self, name: str, value: Any) -> None:
        """Store an attribute of the study, for the dashboard."""
        self._study.set_user_attr(name, value)

    def num_counted(self) -> int:
        """Return how many trials of the budget are used up, running ones included."""
        rest = self._after_ended()
        return self._ended.num_counted + sum(map(is_counted, rest))

    def running(self) -> list[int]:
        """Return the numbers of the trials that have begun and not ended."""
        running = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        return [trial.number for trial in running]

    def rows(self) -> list[TrialRow]:
        """Return every trial, by number."""
        rest = self._after_ended()
        return [*self._ended.rows, *map(self._row, rest)]

    def _rows_of(self, chain: ChainSpec) -> list[TrialRow]:
        """Return every trial that may have a chain, by number."""
        rest = self._after_ended()
        return [*self._ended.by_chain.get(chain, ()), *map(self._row, rest)]

    def _after_ended(self) -> list[FrozenTrial]:
        """Return the trials from the first one on that has not ended; those before it never change again."""
        trials = self._study.get_trials(deepcopy=False)
        with uncollected():
            for trial in islice(trials, len(self._ended.rows), None):
                if not trial.state.is_finished():
                    break
                self._ended.add(self._row(trial), counted=is_counted(trial))
        return trials[len(self._ended.rows) :]

    def _row(self, trial: FrozenTrial) -> TrialRow:
        attrs = trial.user_attrs
        return TrialRow(
            number=trial.number,
            state=_STATES[trial.state],
            chain=self._known_chain(trial.params),
            val_accuracy=trial.value if trial.state is optuna.trial.TrialState.COMPLETE else None,
            curve=tuple(value for _, value in sorted(trial.intermediate_values.items())),
            ta_accuracies=tuple(attrs.get(TA_ACCURACIES, {}).values()),
            duplicate_of=attrs.get(DUPLICATE_OF),
            failure=attrs.get(_FAILURE),
            stopped=attrs.get(STOPPED),
            seconds=trial.duration.total_seconds() if trial.duration is not None else None,
            stage_fingerprints=tuple(attrs.get(_STAGES, ())),
        )

    def _known_chain(self, params: Mapping[str, Any]) -> ChainSpec | None:
        """Return the chain of a full set of parameters inside the space, None otherwise."""
        distributions = self.space.distributions
        if not set(params) >= set(distributions):
            return None
        inside = all(self._is_inside(name, params[name]) for name in distributions)
        return self.space.chain(params) if inside else None

    def _is_inside(self, name: str, value: Any) -> bool:
        """Whether a parameter may have this value; the few there are come again in every trial."""
        if (name, value) not in self._inside:
            distribution = self.space.distributions[name]
            self._inside[name, value] = distribution._contains(distribution.to_internal_repr(value))
        return self._inside[name, value]

    def _has_waiting(self) -> bool:
        return any(trial.state is optuna.trial.TrialState.WAITING for trial in self._after_ended())

    def _set_attrs(self, number: int, attrs: Mapping[str, Any]) -> None:
        trial_id = self._frozen(number)._trial_id
        if isinstance(self._storage, TrialStorage):
            self._storage.set_trial_user_attrs(trial_id, attrs)
            return
        for name, value in attrs.items():
            self._storage.set_trial_user_attr(trial_id, name, value)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def chain_attrs(chain: ChainSpec) -> dict[str, Any]:
    """Return what a browser of the study wants to read of a chain."""
    return {"chain": chain.printed_path, "tas": list(chain.tas), "stages": len(chain.path) - 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignStudy:
    """An Optuna study that tasearch did not make."""

    study_name: str
    params: tuple[str, ...]
    """Names of the parameters that its trials have, sorted."""


def foreign_studies(storage: BaseStorage, ours: Collection[str]) -> list[ForeignStudy]:
    """Return the Optuna studies that are not among `ours`, oldest first."""
    found = []
    for study in sorted(storage.get_all_studies(), key=lambda study: study._study_id):
        if study.study_name not in ours:
            trials = storage.get_all_trials(study._study_id, deepcopy=False)
            params = sorted({name for trial in trials for name in trial.params})
            found.append(ForeignStudy(study_name=study.study_name, params=tuple(params)))
    return found
