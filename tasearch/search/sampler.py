"""What to try next: direct distillation first and in between, then Optuna's samplers, never a known chain twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tasearch.domain.randomness import seed_for
from tasearch.search.space import SearchSpace

SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}
BASELINE_PAIRS = 6
PROPOSALS = 16
"""How often a sampler is asked for a chain that is not known before one is drawn from the rest at random."""


def baseline_quota(trials: int, grid_size: int) -> int:
    """Return how many trials direct distillation gets: 6 pairs, fewer where that is over a third of the budget."""
    return min(BASELINE_PAIRS, grid_size, max(1, trials // 3))


class ChainSampler(BaseSampler):
    """Optuna sampler of chains: a pure function of (seed, trial number, finished trials).

    A fresh Optuna sampler is built for every trial from the study's seed and the trial's number, so a study that was
    interrupted goes on as if it had not been, and workers with the same seed do not propose the same points. Every
    second trial is direct distillation until its quota is met, so that the baseline is tuned too.
    """

    def __init__(self, space: SearchSpace, *, strategy: str, seed: int, quota: int) -> None:
        self.space, self.strategy, self.seed, self.quota = space, strategy, seed, quota

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole fixed space."""
        del study, trial
        return self.space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return parameters of a chain that no other trial of the study has, while there is one."""
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number and t.params]
        chains = [self.space.chain(t.params) for t in others if set(t.params) >= set(search_space)]
        known = {chain.key for chain in chains}
        direct = sum(chain.is_direct for chain in chains)
        if direct < self.quota and len(chains) >= 2 * direct:
            for temperature, kd_weight in self.space.baseline_pairs(self.quota):
                chain = self.space.build([], temperature, kd_weight)
                if chain.key not in known:
                    return self.space.params(chain)
        # Direct distillation never has more than half of the trials while there are chains with TAs to try.
        unseen = [chain for chain in self.space.all_chains() if chain.key not in known]
        if 2 * direct > len(chains):
            unseen = [chain for chain in unseen if not chain.is_direct] or unseen
        allowed = {chain.key for chain in unseen}
        params: dict[str, Any] = {}
        for proposal in range(PROPOSALS):
            params = self._propose(study, trial, search_space, proposal)
            if self.space.chain(params).key in allowed:
                return params
        if unseen:
            draw = random.Random(seed_for(self.seed, "unseen chain", trial.number))
            return self.space.params(draw.choice(unseen))
        return params

    def _propose(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution], proposal: int
    ) -> dict[str, Any]:
        seed = seed_for(self.seed, f"trial {trial.number}", proposal) % 2**32
        params = SAMPLERS[self.strategy](seed).sample_relative(study, trial, search_space)
        start = RandomSampler(seed=seed)
        for name, distribution in search_space.items():
            if name not in params:
                params[name] = start.sample_independent(study, trial, name, distribution)
        return params

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a single parameter at random; only for trials that somebody enqueued with parameters missing."""
        seed = seed_for(self.seed, f"trial {trial.number} {param_name}") % 2**32
        return RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a trial uses up the budget: all but those answered from the store and those not begun."""
    return trial.state is not TrialState.WAITING and DUPLICATE_OF not in trial.user_attrs


DUPLICATE_OF = "duplicate_of"
