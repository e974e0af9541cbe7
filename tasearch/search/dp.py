"""Dynamic programming over the ladder: keep the best trained model of each rung, build longer chains on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasearch.domain.spec import ChainSpec
from tasearch.search.calibration import Calibration
from tasearch.search.space import Pair, SearchSpace
from tasearch.search.strategy import History, Strategy


class DynamicProgramming:
    """Rung by rung, largest first: each TA is taught by the teacher and by the best model of every larger rung.

    That is k (k + 1) / 2 stages for k rungs where enumeration has 2^k - 1. The trials are the chains that end in the
    student: first one through the best model of each rung, then TPE chooses rung and pair. The TAs' pair is the
    recommended one at scope `last`, calibrated at scope `stage`; at scope `chain` the rungs are trained at the pair
    nearest to the recommended one, and other pairs are tried on the paths found there.
    """

    def __init__(self, space: SearchSpace, guide: Strategy) -> None:
        """`guide` chooses among rungs and pairs: the last TA and the pair of what it proposes are kept."""
        self._space, self._guide = space, guide
        self._calibration = Calibration(space) if space.scope == "stage" else None

    def wanted_stages(self, history: History) -> list[ChainSpec]:
        """Return what the TAs' pair still needs, or the next rung's untrained stages."""
        if self._calibration is not None:
            missing = self._calibration.missing(history)
            if missing:
                return missing
        pair, space = self._ta_pair(history), self._space
        for rung in space.ladder if space.most_tas else ():
            missing = [edge for edge in self._edges(history, rung, pair) if edge not in history.ta_accuracies]
            if missing:
                return missing
        return []

    def propose(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield the chain through each rung's best model, then what the guide makes of rungs and pairs, then the rest.

        The chain of the smallest rung comes first: it is the one that the others prepare.
        """
        space = self._space
        heads = self._heads(history, self._ta_pair(history))
        for head in reversed(heads.values()):
            yield space.params(self._to_student(head, self._first_pair))
        for params in self._guide.propose(history):
            chain = space.chain(params)
            pair = chain.temperature, chain.kd_weight
            if not chain.tas:
                yield params
            elif chain.tas[-1] in heads:
                yield space.params(self._to_student(heads[chain.tas[-1]], pair), unused=params)
        for pair in space.baseline_pairs(len(space.grid)):
            for head in heads.values():
                yield space.params(self._to_student(head, pair))
            yield space.params(space.build([], *pair))

    def is_done(self, history: History) -> bool:
        """Whether direct distillation and the chain through each rung's best model are known at every pair."""
        space = self._space
        heads = self._heads(history, self._ta_pair(history)).values()
        chains = (self._to_student(head, pair) for head in heads for pair in space.grid)
        direct = (space.build([], *pair) for pair in space.grid)
        return not self.wanted_stages(history) and history.known >= {*chains, *direct}

    @property
    def _first_pair(self) -> Pair:
        return self._space.default_pair

    def _ta_pair(self, history: History) -> Pair:
        if self._calibration is not None:
            return self._calibration.pair(history)
        return self._space.ta_pair if self._space.scope == "last" else self._first_pair

    def _edges(self, history: History, rung: str, pair: Pair) -> list[ChainSpec]:
        """Return the stages that may train a rung: by the teacher, and by the best model of each larger rung.

        Of a larger rung the best one counts that leaves room for another TA.
        """
        space = self._space
        larger = space.ladder[: space.ladder.index(rung)]
        teachers = [self._best(history, other, pair, space.most_tas - 1) for other in larger]
        direct = ChainSpec(path=(space.teacher, rung), temperatures=pair[:1], kd_weights=pair[1:])
        return [direct, *(_taught_by(head, rung, pair) for head in teachers if head is not None)]

    def _best(self, history: History, rung: str, pair: Pair, most_tas: int) -> ChainSpec | None:
        """Return the best trained chain of at most `most_tas` TAs that ends in a rung, all stages at one pair."""
        trained = [
            chain
            for chain in history.ta_accuracies
            if chain.path[-1] == rung
            and len(chain.path) - 1 <= most_tas
            and set(zip(chain.temperatures, chain.kd_weights, strict=True)) == {pair}
        ]
        # The order in which workers finish must not decide between equals.
        return max(trained, key=lambda chain: (history.ta_accuracies[chain], chain.label), default=None)

    def _heads(self, history: History, pair: Pair) -> dict[str, ChainSpec]:
        space = self._space
        found = {rung: self._best(history, rung, pair, space.most_tas) for rung in space.ladder if space.most_tas}
        return {rung: head for rung, head in found.items() if head is not None}

    def _to_student(self, head: ChainSpec, pair: Pair) -> ChainSpec:
        """Return the chain that goes on from a rung's best model to the student."""
        ta_pair = head.temperatures[0], head.kd_weights[0]
        return self._space.build(head.path[1:], *pair, ta_pair=ta_pair)


def _taught_by(head: ChainSpec, rung: str, pair: Pair) -> ChainSpec:
    return ChainSpec(
        path=(*head.path, rung),
        temperatures=(*head.temperatures, pair[0]),
        kd_weights=(*head.kd_weights, pair[1]),
    )
