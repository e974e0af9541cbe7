"""What to try next: direct distillation first and in between, then a strategy, never a known chain twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tasearch.domain.errors import ConfigError
from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import ChainSpec
from tasearch.search.dp import DynamicProgramming
from tasearch.search.exhaustive import Exhaustive
from tasearch.search.optuna_strategy import tpe, uniform
from tasearch.search.space import SearchSpace
from tasearch.search.staged import Staged
from tasearch.search.strategy import History, HistoryReader, Strategy

STRATEGIES = ("tpe", "random", "exhaustive", "dp", "staged")
BASELINE_PAIRS = 6
MOST_EXHAUSTIVE = 2000
"""An exhaustive search of more chains than this is refused: the default space has 504 at scope `last`, 441,516 at
scope `stage`."""


def baseline_quota(trials: int, grid_size: int) -> int:
    """Return how many trials direct distillation gets: 6 pairs, fewer where that is over a third of the budget."""
    return min(BASELINE_PAIRS, grid_size, max(1, trials // 3))


def calibrates_tas(sampler: str, scope: str) -> bool:
    """Whether a sampler finds the TAs' pair by itself where the scope does not search it."""
    return sampler == "staged" and scope == "last"


def check_ta_pair(sampler: str, scope: str, given: Sequence[str]) -> None:
    """Raise ConfigError where a pair for all TAs is given (flags that say so) and would not be what they get."""
    if given and scope != "last":
        raise ConfigError(
            f"{given[0]}: with --scope {scope} the TAs' pair is searched", hint="use --scope last, or leave it out"
        )
    if given and calibrates_tas(sampler, scope):
        raise ConfigError(
            f"{given[0]}: --sampler {sampler} finds the TAs' pair by itself",
            hint="use another sampler, e.g. --sampler tpe, or leave it out",
        )


def make_strategy(name: str, space: SearchSpace, seed: int, trials: int) -> Strategy:
    """Return one of `STRATEGIES`; `trials` is the budget of the study."""
    if name == "exhaustive":
        return Exhaustive(space)
    if name == "random":
        return uniform(space, seed)
    guide = tpe(space, seed)
    if name == "dp":
        return DynamicProgramming(space, guide)
    return Staged(space, guide, trials=trials, seed=seed) if name == "staged" else guide


def check_sampler(name: str, space: SearchSpace) -> None:
    """Raise ConfigError where a space does not allow a sampler."""
    if name in ("dp", "staged") and space.scope == "scratch":
        raise ConfigError(
            f"--sampler {name} builds on how TAs are taught, and with --ta-from scratch nobody teaches them",
            hint="use --sampler tpe, random or exhaustive",
        )
    if name in ("dp", "staged") and not space.most_tas:
        raise ConfigError(
            f"--sampler {name} searches among TAs, and this study has none: only direct distillation can be tuned",
            hint="use --sampler tpe, or give TAs with --tas and --max-tas",
        )
    if name == "exhaustive" and space.num_chains > MOST_EXHAUSTIVE:
        raise ConfigError(
            f"--sampler exhaustive: the search space has {space.num_chains:,} chains, at most {MOST_EXHAUSTIVE:,} "
            "are enumerated",
            hint="use --sampler tpe, or a smaller space: --scope last, fewer --tas, --temperatures or --kd-weights, "
            "a smaller --max-tas",
        )


class ChainSampler(BaseSampler):
    """Optuna sampler of chains: a pure function of (seed, trial number, finished trials, stage accuracies).

    Every second trial is direct distillation until its quota is met, so that the baseline is tuned too; after that it
    never has more than half of the trials while there are chains with TAs to try.
    """

    def __init__(self, space: SearchSpace, *, strategy: str, seed: int, trials: int, quota: int | None = None) -> None:
        """`trials`: budget of the study. `quota`: trials of direct distillation; None: `baseline_quota`.

        Raises ConfigError as `check_sampler` does.
        """
        check_sampler(strategy, space)
        if space.is_calibrated != calibrates_tas(strategy, space.scope):
            raise ValueError(f"a space with is_calibrated={space.is_calibrated} for the sampler {strategy}")
        self.space, self.seed = space, seed
        self.quota = baseline_quota(trials, len(space.grid)) if quota is None else quota
        self._strategy = make_strategy(strategy, space, seed, trials)
        self._reader = HistoryReader(space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole fixed space."""
        del study, trial
        return self.space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return parameters of a chain that no other trial of the study has, while there is one."""
        del search_space
        history = self._reader.read(study, trial)
        due = self._due_baseline(history)
        if due is not None:
            return self.space.params(due)
        with_tas = 2 * history.num_direct > len(history.tried)
        for params in self._strategy.propose(history):
            chain = self.space.chain(params)
            if chain not in history.known and not (with_tas and chain.is_direct):
                return params
        drawn = self.space.draw(history.known, seed_for(self.seed, "unseen chain", trial.number), with_tas=with_tas)
        return self.space.params(drawn or self.space.build([], *self.space.default_pair))

    def wanted_stages(self, study: Study) -> list[ChainSpec]:
        """Return chains that end in a TA which has to be trained before the next trial can be chosen."""
        history = self._reader.read(study)
        return [] if self._due_baseline(history) is not None else self._strategy.wanted_stages(history)

    def is_done(self, study: Study) -> bool:
        """Whether there is nothing left to try."""
        history = self._reader.read(study)
        return self._due_baseline(history) is None and self._strategy.is_done(history)

    def _due_baseline(self, history: History) -> ChainSpec | None:
        """Return the direct chain whose turn it is, if any."""
        if history.num_direct >= self.quota or len(history.tried) < 2 * history.num_direct:
            return None
        chains = (self.space.build([], *pair) for pair in self.space.baseline_pairs(self.quota))
        return next((chain for chain in chains if chain not in history.known), None)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a single parameter at random; only for trials that somebody enqueued with parameters missing."""
        seed = seed_for(self.seed, f"trial {trial.number} {param_name}") % 2**32
        return RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a trial uses up the budget: all but those answered from the store, not begun, or stopped to keep it."""
    attrs = trial.user_attrs
    return trial.state is not TrialState.WAITING and DUPLICATE_OF not in attrs and attrs.get(STOPPED) not in UNCOUNTED


DUPLICATE_OF = "duplicate_of"
STOPPED = "stopped"
"""User attribute of a pruned trial: why."""
OUT_OF_TIME = "out of time"
"""Why a trial was stopped that goes on, under a new number, as soon as the study has time again."""
BEYOND_BUDGET = "one more than the budget"
"""Why a trial was not begun that goes on, under a new number, as soon as the study has more trials to run."""
UNCOUNTED = (OUT_OF_TIME, BEYOND_BUDGET)
"""Why a trial was stopped that uses up no budget."""
