"""Structure first, then one stage at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import ChainSpec
from tasearch.search.calibration import CALIBRATION_PAIRS, Calibration
from tasearch.search.space import Pair, SearchSpace
from tasearch.search.strategy import History, Strategy

LEADERS = 3
CHOICE = 8
"""Among so many new chains that TPE proposes, the one is taken that needs the fewest new stages."""


class Staged:
    """Calibrates the TAs' pair, searches structure in the first half of the budget, then refines the leaders.

    Structure: TPE proposes, the TAs are held at the calibrated pair; at scope `chain`, where a chain has one pair, the
    whole chain is. Of a few proposals the one is taken that shares most with what is trained. Refining: on the best
    chain of each of the three best paths one stage's pair moves to a neighbour on the grid, the last stage first,
    because the stages before it are then reused. When there is nothing to refine, TPE goes on.
    """

    def __init__(self, space: SearchSpace, guide: Strategy, *, trials: int, seed: int) -> None:
        """`guide` proposes structures; `trials` is the study's budget, a twentieth of which calibrates."""
        self._space, self._guide, self._trials, self._seed = space, guide, trials, seed
        self._calibration = Calibration(space, min(CALIBRATION_PAIRS, max(2, trials // 20)))

    def wanted_stages(self, history: History) -> list[ChainSpec]:
        """Return what the calibration still needs."""
        return self._calibration.missing(history)

    def propose(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield structures in the first half of the budget, then neighbours of the leaders, then what TPE likes."""
        if 2 * len(history.tried) < self._trials:
            yield from self._structures(history)
        yield from (self._space.params(chain) for chain in self._refinements(history))
        yield from self._guided(history)
        if self._space.scope == "last":
            yield from self._rest(history)

    def is_done(self, history: History) -> bool:
        """Whether every chain is known."""
        if len(history.known) < self._space.num_chains:
            return False
        known = sum(self._is_inside(chain, history) for chain in history.known)
        return known >= self._space.num_chains and not self.wanted_stages(history)

    def _is_inside(self, chain: ChainSpec, history: History) -> bool:
        """Whether a chain is one of the space's once the TAs' pair is known; somebody may have queued others."""
        if self._space.scope != "last":
            return True
        pair = self._calibration.pair(history)
        return all(used == pair for used in zip(chain.temperatures[:-1], chain.kd_weights[:-1], strict=True))

    def _structures(self, history: History) -> Iterator[dict[str, Any]]:
        yield from self._guided(history)
        if self._space.scope == "chain":
            ta_pair = self._calibration.pair(history)
            yield from (self._space.params(self._space.build(tas, *ta_pair)) for tas in self._space.paths())

    def _guided(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield what the guide proposes with the TAs at the calibrated pair, of the first few new ones the cheapest."""
        space, ta_pair = self._space, self._calibration.pair(history)

        def proposals() -> Iterator[tuple[ChainSpec, dict[str, Any]]]:
            for params in self._guide.propose(history):
                chain = space.chain(params)
                last = ta_pair if space.scope == "chain" else (chain.temperature, chain.kd_weight)
                chain = space.build(chain.tas, *last, ta_pair=ta_pair)
                if chain not in history.known:
                    yield chain, space.params(chain, unused=params)

        found = proposals()
        first = list(islice(found, CHOICE))
        # Direct distillation is never dear: where TPE puts it first it stays there, elsewhere it is no bargain.
        if first and first[0][0].tas:
            first.sort(key=lambda proposal: self._share_new(proposal[0], history))
        yield from (params for _, params in (*first, *found))

    def _rest(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield the cheapest of a few unseen chains with TAs, drawn at random."""
        space, draw = (
            self._space.at(self._calibration.pair(history)),
            random.Random(seed_for(self._seed, "rest", history.number)),
        )
        unseen = [chain for chain in space.all_chains() if chain.tas and chain not in history.known]
        drawn = draw.sample(unseen, min(CHOICE, len(unseen)))
        yield from map(space.params, sorted(drawn, key=lambda chain: self._share_new(chain, history)))

    def _share_new(self, chain: ChainSpec, history: History) -> float:
        """Return the share of a chain's stages that nobody has trained or tries, the student's among them."""
        tas = [self._space.rung(chain, stages) for stages in range(1, len(chain.path) - 1)]
        new = sum(ta not in history.ta_accuracies and ta not in history.known_tas for ta in tas)
        return (1 + new) / (1 + len(tas))

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
