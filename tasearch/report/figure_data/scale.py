"""Which part of an accuracy axis is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

REACH = 0.75
"""A baseline further from the data than this part of their spread is named at the edge, not drawn."""
MIN_SPREAD = 0.01
"""Least spread of an accuracy axis, a fraction: one point, so that noise does not look like a mountain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyRange:
    """The visible part of an accuracy axis, in fractions."""

    low: float
    high: float

    def shows(self, accuracy: float) -> bool:
        """Return whether the accuracy lies inside."""
        return self.low <= accuracy <= self.high


def accuracy_range(values: Iterable[float], references: Iterable[float] = ()) -> AccuracyRange:
    """Return a range that shows all values readably, and those references that do not squash them."""
    known, beside = sorted(values), sorted(references)
    if not known:
        known = beside or [0.0, 1.0]
    low, high = known[0], known[-1]
    reach = REACH * max(high - low, MIN_SPREAD)
    near = [value for value in beside if low - reach <= value <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    lacking = max(MIN_SPREAD - (high - low), 0) / 2
    margin = 0.12 * max(high - low, MIN_SPREAD)
    return AccuracyRange(low=low - lacking - margin, high=high + lacking + margin)
