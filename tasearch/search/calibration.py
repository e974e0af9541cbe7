"""Which pair to train TAs with, found on one edge before anything is built on it."""

from __future__ import annotations

from tasearch.domain.spec import ChainSpec
from tasearch.search.space import Pair, SearchSpace
from tasearch.search.strategy import History

CALIBRATION_PAIRS = 6


class Calibration:
    """Trains the smallest TA straight from the teacher, a chain's first edge across the widest gap, at a few pairs.

    The pair whose TA is best on val wins; ties go to the pair nearest to the recommended one.
    """

    def __init__(self, space: SearchSpace, pairs: int = CALIBRATION_PAIRS) -> None:
        """`space` has a ladder; `pairs` of its grid are tried."""
        self.edges: dict[Pair, ChainSpec] = {pair: self._edge(space, pair) for pair in space.baseline_pairs(pairs)}

    @staticmethod
    def _edge(space: SearchSpace, pair: Pair) -> ChainSpec:
        return ChainSpec(path=(space.teacher, space.ladder[-1]), temperatures=pair[:1], kd_weights=pair[1:])

    def missing(self, history: History) -> list[ChainSpec]:
        """Return the stages that have to be trained before the pair is known."""
        return [edge for edge in self.edges.values() if edge not in history.ta_accuracies]

    def pair(self, history: History) -> Pair:
        """Return the best pair among those trained so far, the recommended one's neighbour before any is."""
        return max(self.edges, key=lambda pair: history.ta_accuracies.get(self.edges[pair], 0.0))
