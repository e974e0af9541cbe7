"""Structure first, then one stage at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasearch.domain.spec import ChainSpec
from tasearch.search.calibration import Calibration
from tasearch.search.space import Pair, SearchSpace
from tasearch.search.strategy import History, Strategy

LEADERS = 3


class Staged:
    """Calibrates the TAs' pair, searches structure in the first half of the budget, then refines the leaders.

    Structure: TPE proposes, the TAs are held at the calibrated pair; at scope `chain`, where a chain has one pair, the
    whole chain is; at scope `last` the TAs' pair is given and nothing is calibrated. Refining: on the best chain of
    each of the three best paths one stage's pair moves to a neighbour on the grid, the last stage first, because the
    stages before it are then reused. When there is nothing to refine, TPE goes on.
    """

    def __init__(self, space: SearchSpace, guide: Strategy, *, trials: int) -> None:
        """`guide` proposes structures; `trials` is the study's budget."""
        self._space, self._guide, self._trials = space, guide, trials
        self._calibration = None if space.scope == "last" else Calibration(space)

    def wanted_stages(self, history: History) -> list[ChainSpec]:
        """Return what the calibration still needs."""
        return self._calibration.missing(history) if self._calibration is not None else []

    def propose(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield structures in the first half of the budget, then neighbours of the leaders, then what TPE likes."""
        if 2 * len(history.tried) < self._trials:
            yield from self._structures(history)
        yield from (self._space.params(chain) for chain in self._refinements(history))
        yield from self._guide.propose(history)

    def is_done(self, history: History) -> bool:
        """Whether every chain is known."""
        return len(history.known) >= self._space.num_chains

    def _structures(self, history: History) -> Iterator[dict[str, Any]]:
        space = self._space
        if self._calibration is None:
            yield from self._guide.propose(history)
            return
        ta_pair = self._calibration.pair(history)
        for params in self._guide.propose(history):
            chain = space.chain(params)
            last = ta_pair if space.scope == "chain" else (chain.temperature, chain.kd_weight)
            yield space.params(space.build(chain.tas, *last, ta_pair=ta_pair), unused=params)
        if space.scope == "chain":
            yield from (space.params(space.build(tas, *ta_pair)) for tas in space.paths())

    def _refinements(self, history: History) -> Iterator[ChainSpec]:
        """Yield the leaders' neighbours, all that change the last stage first, then those that change the one before.

        Direct distillation is no leader: it has its own quota.
        """
        best: dict[tuple[str, ...], ChainSpec] = {}
        for tried in history.ranked:
            if tried.chain.tas:
                best.setdefault(tried.chain.path, tried.chain)
        leaders = list(best.values())[:LEADERS]
        for back in range(1, self._space.most_tas + 2 if self._space.scope == "stage" else 2):
            for leader in leaders:
                stage = len(leader.path) - 1 - back
                if stage >= 0:
                    yield from self._neighbours(leader, stage)

    def _neighbours(self, chain: ChainSpec, stage: int) -> Iterator[ChainSpec]:
        pairs = list(zip(chain.temperatures, chain.kd_weights, strict=True))
        for pair in self._beside(pairs[stage]):
            changed = (
                [pair] * len(pairs) if self._space.scope == "chain" else [*pairs[:stage], pair, *pairs[stage + 1 :]]
            )
            yield self._space.compose(chain.tas, changed)

    def _beside(self, pair: Pair) -> Iterator[Pair]:
        """Yield the pairs one grid step away."""
        temperatures, kd_weights = self._space.temperatures, self._space.kd_weights
        at, weight = temperatures.index(pair[0]), kd_weights.index(pair[1])
        for step in (1, -1):
            if 0 <= at + step < len(temperatures):
                yield temperatures[at + step], pair[1]
            if 0 <= weight + step < len(kd_weights):
                yield pair[0], kd_weights[weight + step]
