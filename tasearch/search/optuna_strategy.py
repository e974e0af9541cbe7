"""Optuna's own samplers as strategies: TPE and uniform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import ChainSpec
from tasearch.search.space import SearchSpace
from tasearch.search.strategy import History

PROPOSALS = 8
"""How often a sampler is asked for a chain that is not known before one is drawn from the rest at random."""
_CANDIDATES = 24
"""Points among which TPE chooses, its own default."""


class OptunaStrategy:
    """Asks a fresh Optuna sampler for every trial, seeded by the study's seed and the trial's number.

    So a study that was interrupted goes on as if it had not been, and workers with the same seed do not propose the
    same points.
    """

    def __init__(self, space: SearchSpace, seed: int, make: Callable[[int, int], BaseSampler]) -> None:
        """`make` gives a sampler for a seed and the number of the proposal, from 0."""
        self._space, self._seed, self._make = space, seed, make

    def wanted_stages(self, history: History) -> list[ChainSpec]:
        """Return nothing: trials are all it learns from."""
        del history
        return []

    def propose(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield what the sampler proposes with one seed after another."""
        assert history.trial is not None
        space = self._space.distributions
        for proposal in range(PROPOSALS):
            seed = seed_for(self._seed, f"trial {history.number}", proposal) % 2**32
            params = self._make(seed, proposal).sample_relative(history.study, history.trial, space)
            start = RandomSampler(seed=seed)
            for name, distribution in space.items():
                if name not in params:
                    params[name] = start.sample_independent(history.study, history.trial, name, distribution)
            yield params

    def is_done(self, history: History) -> bool:
        """Whether every chain is known."""
        return len(history.known) >= self._space.num_chains


def tpe(space: SearchSpace, seed: int) -> OptunaStrategy:
    """Return Optuna's tree-structured Parzen estimator.

    Among 24 candidates it keeps choosing the best chain that it knows: each further proposal chooses among half as
    many, the last ones take what the density of good chains gives.
    """
    return OptunaStrategy(
        space, seed, lambda number, proposal: TPESampler(seed=number, n_ei_candidates=max(1, _CANDIDATES >> proposal))
    )


def uniform(space: SearchSpace, seed: int) -> OptunaStrategy:
    """Return uniform sampling of the parameters."""
    return OptunaStrategy(space, seed, lambda number, _: RandomSampler(seed=number))
