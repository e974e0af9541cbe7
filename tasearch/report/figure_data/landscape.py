"""The loss around a study's students: how flat each kind lies, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from tasearch.domain.gap import GapComparison, Series
from tasearch.domain.landscape import RADIUS, Landscape, Surface, by_series
from tasearch.domain.result import Interval
from tasearch.report import wording
from tasearch.report.view import StudyView
from tasearch.search.verdict import TEXTBOOK_LEVEL, paired_interval

DEFINITION = (
    f"Flatness number: the mean cross-entropy over the points of the plane within {RADIUS:g} of the student, minus the "
    "student's own, in nats. Smaller is flatter."
)
METHOD = (
    "Directions are random and filter-normalised (Li et al. 2018): each filter of a direction has the norm of the "
    "student's filter; biases and batch norms do not move. Batch norms use the statistics of each block of images at "
    "every point, as in training. Students of one replicate move along the same draws."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Flatness:
    """How flat one student lies."""

    series: Series
    arm: str
    replicate: int
    loss: float
    """Of the student itself, nats."""
    rise: float
    """Its flatness number, nats."""


@dataclass(frozen=True, kw_only=True)
class LandscapeInfo:
    """What the report shows."""

    study_name: str
    dataset: str
    num_images: int
    """Training images that the loss is averaged over, at most."""
    surfaces: tuple[Surface, ...]
    rises: Mapping[Series, Interval]
    """Mean flatness number of each series over its replicates."""
    comparisons: tuple[GapComparison, ...]
    """Flatness number of one series minus another's, paired by replicate; all intervals together cover with 95%."""
    command: str

    @property
    def flatness(self) -> tuple[Flatness, ...]:
        """A row for every student, by series and replicate."""
        return tuple(
            Flatness(
                series=series,
                arm=surface.student.arm,
                replicate=surface.student.replicate,
                loss=surface.centre,
                rise=surface.rise,
            )
            for series, group in by_series(self.surfaces).items()
            for surface in group
        )


def landscape_info(study: StudyView, landscape: Landscape) -> LandscapeInfo:
    """Return the record of the surfaces around one study's students."""
    groups = by_series(landscape.surfaces)
    pairs = list(combinations(reversed(list(groups)), 2))
    return LandscapeInfo(
        study_name=study.study_name,
        dataset=study.dataset,
        num_images=landscape.num_images,
        surfaces=landscape.surfaces,
        rises={series: paired_interval([surface.rise for surface in group]) for series, group in groups.items()},
        comparisons=tuple(
            GapComparison(
                arm=one.value,
                against=other.value,
                difference=paired_interval(
                    [a.rise - b.rise for a, b in zip(groups[one], groups[other], strict=True)],
                    TEXTBOOK_LEVEL / len(pairs),
                ),
            )
            for one, other in pairs
        ),
        command=landscape.command,
    )


def sentence(comparison: GapComparison) -> str:
    """Return one difference of flatness numbers with its interval, and whether it is separated from zero."""
    found = comparison.difference
    bounds = "no interval" if found.low is None or found.high is None else f"{found.low:+.3f}, {found.high:+.3f}"
    said = "separated" if comparison.is_separated else "not separated"
    return f"{comparison.arm} minus {comparison.against}: {found.mean:+.3f} [{bounds}] nats, n = {found.n}: {said}."


def lead(info: LandscapeInfo) -> str:
    """Return the answer in one sentence."""
    flattest = min(info.rises, key=lambda series: info.rises[series].mean)
    separated = sum(comparison.is_separated for comparison in info.comparisons)
    n = wording.plural(info.rises[flattest].n, "replicate")
    return (
        f"Flattest on average: {flattest} (the loss rises by {info.rises[flattest].mean:.3f} nats), n = {n}; "
        f"{separated} of {wording.plural(len(info.comparisons), 'difference')} separated from zero."
    )
