"""The loss around a trained student: a plane through its weights, and how fast the loss rises there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from tasearch.domain.fingerprint import plain
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Landscape:
    """The surfaces around the students of one study, as they are kept with it."""

    ATTR: ClassVar[str] = "landscape"
    """Under which a study's attrs hold it."""

    surfaces: tuple[Surface, ...]
    num_images: int
    """Training images that the loss is averaged over."""
    command: str

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types; losses have six significant digits."""
        stored: dict[str, Any] = plain(self)
        for surface in stored["surfaces"]:
            surface["losses"] = [[float(f"{loss:.6g}") for loss in row] for row in surface["losses"]]
        return stored

    @classmethod
    def from_plain(cls, stored: Mapping[str, Any]) -> Landscape:
        """Read what `to_plain` wrote."""
        return cls(
            surfaces=tuple(_surface(surface) for surface in stored["surfaces"]),
            num_images=stored["num_images"],
            command=stored["command"],
        )


def _surface(stored: Mapping[str, Any]) -> Surface:
    student, chain = stored["student"], stored["student"]["chain"]
    return Surface(
        student=Student(
            series=Series(student["series"]),
            arm=student["arm"],
            chain=None if chain is None else ChainSpec.from_plain(chain),
            replicate=student["replicate"],
        ),
        steps=tuple(stored["steps"]),
        losses=tuple(tuple(row) for row in stored["losses"]),
    )


def grid(resolution: int) -> tuple[float, ...]:
    """Return coordinates from -1 to 1, evenly spaced; 0 is one of them where `resolution` is odd."""
    half = (resolution - 1) / 2
    return tuple((step - half) / half for step in range(resolution))


def by_series(surfaces: Sequence[Surface]) -> dict[Series, list[Surface]]:
    """Return the surfaces of each series by replicate, NOKD first."""
    ordered = sorted(surfaces, key=lambda surface: surface.student.replicate)
    found = {series: [surface for surface in ordered if surface.student.series is series] for series in Series}
    return {series: group for series, group in found.items() if group}
