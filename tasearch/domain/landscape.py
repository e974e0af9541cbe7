"""The loss around a trained student: a plane through its weights, and how fast the loss rises there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tasearch.domain.gap import Series
from tasearch.domain.spec import ChainSpec

RADIUS = 0.5
"""Within which the rise is averaged, in units of the filters' norms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Student:
    """A trained student of a study."""

    series: Series
    arm: str
    chain: ChainSpec | None
    """None for NOKD."""
    replicate: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """The loss on a plane through a student's weights, spanned by two random filter-normalised directions."""

    student: Student
    steps: tuple[float, ...]
    """Coordinates along either direction, in units of the filters' norms; the student is at 0."""
    losses: tuple[tuple[float, ...], ...]
    """Cross-entropy in nats, `losses[i][j]` at `steps[i]` along the first and `steps[j]` along the second."""

    @property
    def centre(self) -> float:
        """The loss of the student itself."""
        middle = len(self.steps) // 2
        return self.losses[middle][middle]

    @property
    def rise(self) -> float:
        """The flatness number: mean loss over the points within `RADIUS`, minus the student's own, in nats.

        A flatter minimum has a smaller one.
        """
        inside = [
            loss
            for one, row in zip(self.steps, self.losses, strict=True)
            for other, loss in zip(self.steps, row, strict=True)
            if 0.0 < one**2 + other**2 <= RADIUS**2 + 1e-12
        ]
        return fmean(inside) - self.centre


def grid(resolution: int) -> tuple[float, ...]:
    """Return coordinates from -1 to 1, evenly spaced; 0 is one of them where `resolution` is odd."""
    half = (resolution - 1) / 2
    return tuple((step - half) / half for step in range(resolution))


def by_series(surfaces: Sequence[Surface]) -> dict[Series, list[Surface]]:
    """Return the surfaces of each series by replicate, NOKD first."""
    ordered = sorted(surfaces, key=lambda surface: surface.student.replicate)
    found = {series: [surface for surface in ordered if surface.student.series is series] for series in Series}
    return {series: group for series, group in found.items() if group}
