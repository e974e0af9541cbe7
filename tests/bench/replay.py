"""A search replayed on a landscape: real samplers and studies, accuracies from a table instead of from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from optuna.storages import InMemoryStorage

from tasearch.domain.spec import ChainSpec
from tasearch.search.sampler import ChainSampler, calibrates_tas
from tasearch.search.space import SearchSpace
from tasearch.search.strategy import TA_ACCURACIES
from tasearch.search.study import ChainStudy
from tests.bench.landscapes import Landscape


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a search stands after a number of trials."""

    trials: int
    """Budget; the search may have ended by itself before."""
    trials_run: int
    regret: float
    """True mean of the best chain whose TAs share a pair minus that of the chain with the best observed accuracy."""
    stages: int
    """Distinct stages trained, those outside of trials included; teacher and NOKD are not counted."""
    whole_chains: int
    """Stages that training each distinct trial's chain from the teacher down would have taken."""

    @property
    def saving(self) -> float:
        """How many times fewer stages were trained."""
        return self.whole_chains / self.stages


class Replay:
    """One search by one strategy on one landscape."""

    def __init__(self, landscape: Landscape, scope: str, strategy: str, *, seed: int, trials: int) -> None:
        """`trials`: the budget that the sampler is told."""
        self._landscape, self._trials = landscape, trials
        self.space: SearchSpace = landscape.space(scope, is_calibrated=calibrates_tas(strategy, scope))
        sampler = ChainSampler(self.space, strategy=strategy, seed=seed, trials=trials)
        self.study = ChainStudy(InMemoryStorage(), "replay", self.space, sampler)
        self.trained: set[ChainSpec] = set()
        self.observed: dict[ChainSpec, float] = {}
        """val accuracy of each chain tried, by the order of trials."""

    def run(self, budgets: Sequence[int]) -> list[Point]:
        """Search until the largest budget is used up and return a point for each, ascending."""
        points = []
        for budget in sorted(budgets):
            while len(self.observed) < min(budget, self._trials) and self._step():
                pass
            points.append(self._point(budget))
        return points

    def _step(self) -> bool:
        """Train what is wanted, then run one trial; False where the search has ended by itself."""
        while wanted := self.study.wanted_stages():
            for chain in wanted:
                self._train(chain)
                self.study.record_stage(chain, self._landscape.observe(chain))
        proposal = self.study.ask("replay")
        if proposal is None:
            return False
        chain = proposal.chain
        self._train(chain)
        rungs = (self.space.rung(chain, stages) for stages in range(1, len(chain.path) - 1))
        accuracies = {rung.path[-1]: self._landscape.observe(rung) for rung in rungs}
        self.observed[chain] = self._landscape.observe(chain)
        self.study.tell_complete(proposal.number, self.observed[chain], {TA_ACCURACIES: accuracies})
        return True

    def _train(self, chain: ChainSpec) -> None:
        self.trained |= {self.space.rung(chain, stages) for stages in range(1, len(chain.path))}

    @cached_property
    def _best(self) -> float:
        return self._landscape.best

    def _point(self, budget: int) -> Point:
        chosen = max(self.observed, key=lambda chain: self.observed[chain])
        return Point(
            trials=budget,
            trials_run=len(self.observed),
            regret=self._best - self._landscape.truth(chosen),
            stages=len(self.trained),
            whole_chains=sum(len(chain.path) - 1 for chain in self.observed),
        )
