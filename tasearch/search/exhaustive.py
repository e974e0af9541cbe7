"""Every chain, in an order that shares beginnings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasearch.domain.spec import ChainSpec
from tasearch.search.space import SearchSpace
from tasearch.search.strategy import History


class Exhaustive:
    """Goes through the space chain by chain and stops by itself."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def wanted_stages(self, history: History) -> list[ChainSpec]:
        """Return nothing: trials are all there is."""
        del history
        return []

    def propose(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield all chains in order."""
        del history
        return (self._space.params(chain) for chain in self._space.all_chains())

    def is_done(self, history: History) -> bool:
        """Whether every chain is known."""
        return len(history.known) >= self._space.num_chains
