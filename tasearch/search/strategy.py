"""What a strategy sees and what it answers: it is a pure function of a study's history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
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
    number: int
    """Number of that trial, or of the next one."""
    tried: tuple[Tried, ...]
    """By number."""
    ta_accuracies: Mapping[ChainSpec, float]
    """val accuracy of each trained TA, by the chain that ends in it."""

    @cached_property
    def known(self) -> frozenset[ChainSpec]:
        """Every chain that a trial has."""
        return frozenset(tried.chain for tried in self.tried)

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


def read_history(study: Study, space: SearchSpace, trial: FrozenTrial | None = None) -> History:
    """Return the history of a study without `trial` itself."""
    names = set(space.distributions)
    trials = study.get_trials(deepcopy=False)
    tried, accuracies = [], _recorded_stages(study)
    for other in trials:
        if (trial is not None and other.number == trial.number) or not set(other.params) >= names:
            continue
        chain = space.chain(other.params)
        value = other.value if other.state is TrialState.COMPLETE else None
        tried.append(Tried(number=other.number, chain=chain, val_accuracy=value))
        found = other.user_attrs.get(TA_ACCURACIES, {})
        for stages, ta in enumerate(chain.tas, 1):
            if ta in found:
                accuracies[space.rung(chain, stages)] = float(found[ta])
    return History(
        study=study,
        trial=trial,
        number=len(trials) if trial is None else trial.number,
        tried=tuple(tried),
        ta_accuracies=accuracies,
    )


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
