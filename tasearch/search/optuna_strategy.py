"""Optuna's own samplers as strategies: TPE and uniform."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from itertools import islice
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import ChainSpec
from tasearch.search.space import SearchSpace
from tasearch.search.strategy import History

PROPOSALS = 8
"""How often a sampler is asked for a chain that is not known before one is drawn from the rest at random."""
MOST_SEEN = 500
"""Finished trials that TPE models at most: its time grows with them, and it gives old ones little weight anyway."""
_BEST_SEEN = 25
"""The best trials are always among them: so many are what TPE calls good, at most."""
_CANDIDATES = 24
"""Points among which TPE chooses, its own default."""


class OptunaStrategy:
    """Asks a fresh Optuna sampler for every trial, seeded by the study's seed and the trial's number.

    So a study that was interrupted goes on as if it had not been, and workers with the same seed do not propose the
    same points.
    """

    def __init__(self, space: SearchSpace, seed: int, make: Callable[[], Callable[[int, int], BaseSampler]]) -> None:
        """`make` gives, for each trial, what gives a sampler for a seed and the number of the proposal, from 0."""
        self._space, self._seed, self._make = space, seed, make

    def wanted_stages(self, history: History) -> list[ChainSpec]:
        """Return nothing: trials are all it learns from."""
        del history
        return []

    def propose(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield what the sampler proposes with one seed after another."""
        assert history.trial is not None
        space, study, make = self._space.distributions, _SeenStudy(history).as_study, self._make()
        for proposal in range(PROPOSALS):
            seed = seed_for(self._seed, f"trial {history.number}", proposal) % 2**32
            params = make(seed, proposal).sample_relative(study, history.trial, space)
            start = RandomSampler(seed=seed)
            for name, distribution in space.items():
                if name not in params:
                    params[name] = start.sample_independent(study, history.trial, name, distribution)
            yield params

    def is_done(self, history: History) -> bool:
        """Whether every chain is known."""
        return len(history.known) >= self._space.num_chains


def tpe(space: SearchSpace, seed: int) -> OptunaStrategy:
    """Return Optuna's tree-structured Parzen estimator.

    Among 24 candidates it keeps choosing the best chain that it knows: each further proposal chooses among half as
    many, the last ones take what the density of good chains gives.
    """

    def make() -> Callable[[int, int], BaseSampler]:
        models: dict[bool, Any] = {}
        return lambda number, proposal: _SharedTpe(models, number, max(1, _CANDIDATES >> proposal))

    return OptunaStrategy(space, seed, make)


def uniform(space: SearchSpace, seed: int) -> OptunaStrategy:
    """Return uniform sampling of the parameters."""
    return OptunaStrategy(space, seed, lambda: lambda number, _: RandomSampler(seed=number))


class _SharedTpe(TPESampler):
    """TPE for one of several proposals for one trial: they differ in seed and candidates, not in what is modelled."""

    def __init__(self, models: dict[bool, Any], seed: int, candidates: int) -> None:
        """`models`: filled by the first proposal, used by the others; of good trials (True) and of the rest."""
        super().__init__(seed=seed, n_ei_candidates=candidates)
        self._models = models

    def _build_parzen_estimator(
        self,
        study: Study,
        search_space: dict[str, BaseDistribution],
        trials: list[FrozenTrial],
        handle_below: bool,
    ) -> Any:
        if handle_below not in self._models:
            self._models[handle_below] = super()._build_parzen_estimator(study, search_space, trials, handle_below)
        return self._models[handle_below]


def seen(history: History) -> list[FrozenTrial]:
    """Return the trials that TPE models, by number: of finished ones the best and the newest, all that are running."""
    finished = (trial for trial in reversed(history.trials) if trial.state in (TrialState.COMPLETE, TrialState.PRUNED))
    kept = {trial.number for trial in islice(finished, MOST_SEEN - _BEST_SEEN)}
    kept |= {tried.number for tried in history.best(_BEST_SEEN)}
    kept |= {trial.number for trial in islice(finished, MOST_SEEN - len(kept))}
    return [trial for trial in history.trials if trial.number in kept or trial.state is TrialState.RUNNING]


class _SeenStudy:
    """A study as TPE gets to see it: some of its trials, read once, and no notes to other processes.

    TPE notes what it proposes in the database for those who propose at the same time. Here one worker at a time asks,
    and most proposals are not taken.
    """

    def __init__(self, history: History) -> None:
        self._study, self._trials, self._storage = history.study, seen(history), _NoNotes()

    @property
    def as_study(self) -> Study:
        """What a sampler takes."""
        return cast(Study, self)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        del deepcopy, use_cache
        return [trial for trial in self._trials if states is None or trial.state in states]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


class _NoNotes:
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Drop the note."""
