"""What a strategy sees and what it answers: it is a pure function of a study's history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from itertools import islice
from typing import Any, Protocol

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tasearch.domain.spec import ChainSpec
from tasearch.search.space import SearchSpace

TA_ACCURACIES = "ta_accuracies"
"""User attribute of a trial: val accuracy of each TA, by name."""
STAGE_PREFIX = "stage "
"""User attributes of a study that begin so hold a stage that was trained outside of trials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A chain that a trial has: running, finished or failed."""

    number: int
    chain: ChainSpec
    val_accuracy: float | None
    """None unless the trial is complete."""


@dataclass(frozen=True, kw_only=True)
class History:
    """All that a strategy may decide by."""

    study: Study
    trial: FrozenTrial | None
    """The trial whose parameters are wanted; None where only stages are asked for."""
    trials: Sequence[FrozenTrial]
    """Every trial of the study, by number."""
    number: int
    """Number of `trial`, or of the next one."""
    tried: Sequence[Tried]
    """By number."""
    known: Set[ChainSpec]
    """Every chain that a trial has."""
    known_tas: Set[ChainSpec]
    """The chains that end in a TA of those."""
    num_direct: int
    """How many of `tried` have no TA."""
    ta_accuracies: Mapping[ChainSpec, float]
    """val accuracy of each trained TA, by the chain that ends in it."""

    def best(self, count: int) -> list[Tried]:
        """Return so many of the best completed trials, the best first; ties go to the earlier one."""
        complete = (tried for tried in self.tried if tried.val_accuracy is not None)
        return nlargest(count, complete, key=lambda tried: tried.val_accuracy or 0.0)

    @cached_property
    def ranked(self) -> tuple[Tried, ...]:
        """Completed trials, the best first; ties go to the earlier one."""
        complete = [tried for tried in self.tried if tried.val_accuracy is not None]
        return tuple(sorted(complete, key=lambda tried: (-(tried.val_accuracy or 0.0), tried.number)))


class Strategy(Protocol):
    """Decides what to try next. The same history and seed give the same answers."""

    def wanted_stages(self, history: History) -> list[ChainSpec]:
        """Return chains that end in a TA which has to be trained before the next trial can be chosen."""

    def propose(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield parameters of chains, the preferred one first, known chains perhaps among them; ends somewhere."""

    def is_done(self, history: History) -> bool:
        """Whether there is nothing left to propose."""


class HistoryReader:
    """Reads the history of a study again and again; trials that have ended are looked at once."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._ended = _Seen(space)

    def read(self, study: Study, trial: FrozenTrial | None = None) -> History:
        """Return the history of a study without `trial` itself."""
        trials = study.get_trials(deepcopy=False)
        if self._ended.trials != trials[: len(self._ended.trials)]:
            # Another study, or the part of one that a pruner lets a trial see.
            self._ended = _Seen(self._space)
        for other in islice(trials, len(self._ended.trials), None):
            if not other.state.is_finished():
                break
            self._ended.add(other)
        seen = self._ended.copy()
        for other in islice(trials, len(seen.trials), None):
            if trial is None or other.number != trial.number:
                seen.add(other)
        return History(
            study=study,
            trial=trial,
            trials=trials,
            number=len(trials) if trial is None else trial.number,
            tried=seen.tried,
            known=seen.known,
            known_tas=seen.known_tas,
            num_direct=seen.num_direct,
            ta_accuracies=_recorded_stages(study) | seen.ta_accuracies,
        )


class _Seen:
    """What some trials say, by number."""

    def __init__(self, space: SearchSpace) -> None:
        self._space, self._names = space, set(space.distributions)
        self.trials: list[FrozenTrial] = []
        self.tried: list[Tried] = []
        self.known: set[ChainSpec] = set()
        self.known_tas: set[ChainSpec] = set()
        self.num_direct = 0
        self.ta_accuracies: dict[ChainSpec, float] = {}

    def add(self, trial: FrozenTrial) -> None:
        """Take note of the next trial; one whose parameters are not all there says nothing."""
        self.trials.append(trial)
        if not set(trial.params) >= self._names:
            return
        chain = self._space.chain(trial.params)
        value = trial.value if trial.state is TrialState.COMPLETE else None
        self.tried.append(Tried(number=trial.number, chain=chain, val_accuracy=value))
        self.known.add(chain)
        self.num_direct += chain.is_direct
        found = trial.user_attrs.get(TA_ACCURACIES, {})
        for stages, ta in enumerate(chain.tas, 1):
            rung = self._space.rung(chain, stages)
            self.known_tas.add(rung)
            if ta in found:
                self.ta_accuracies[rung] = float(found[ta])

    def copy(self) -> _Seen:
        """Return a copy to which more can be added; no chain is hashed again."""
        twin = copy(self)
        twin.trials, twin.tried = self.trials.copy(), self.tried.copy()
        twin.known, twin.known_tas = self.known.copy(), self.known_tas.copy()
        twin.ta_accuracies = self.ta_accuracies.copy()
        return twin


def stage_attr(chain: ChainSpec, val_accuracy: float, failure: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return name and value of the study's attribute that records a stage; `chain` ends in the model it trained."""
    value: dict[str, Any] = {
        "path": list(chain.path),
        "temperatures": list(chain.temperatures),
        "kd_weights": list(chain.kd_weights),
        "val_accuracy": val_accuracy,
    }
    return f"{STAGE_PREFIX}{chain.label}", value if failure is None else {**value, "failure": failure}


def _recorded_stages(study: Study) -> dict[ChainSpec, float]:
    return {
        ChainSpec(
            path=tuple(value["path"]),
            temperatures=tuple(map(float, value["temperatures"])),
            kd_weights=tuple(map(float, value["kd_weights"])),
        ): float(value["val_accuracy"])
        for name, value in study.user_attrs.items()
        if name.startswith(STAGE_PREFIX)
    }
