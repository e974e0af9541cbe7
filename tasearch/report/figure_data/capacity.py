"""Accuracy of the student against the capacity of the TA that teaches it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasearch.domain.latency import BATCHES
from tasearch.domain.result import FinalRow, Interval, Role
from tasearch.domain.spec import ChainSpec
from tasearch.report.figure_data.scale import AccuracyRange, accuracy_range
from tasearch.report.view import StudyView, heuristic_ta, last_round, score_of
from tasearch.search.verdict import paired_interval

MOST_POINTS = 1_000
"""Chains that are drawn at most: the best ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """Something to compare with, drawn as a line, or as a band where it was trained on several replicates."""

    label: str
    val: Interval
    """Mean and 95% interval over the fresh replicates of the finals; of one run on the search replicate else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityPoint:
    """One complete chain with TAs, at the TA that teaches its student."""

    chain: ChainSpec
    num_params: int
    macs: int
    latency_1: float | None
    latency_64: float | None
    val_accuracy: float
    trial_number: int
    is_best_of_path: bool
    """Whether no other pair on the same path did better."""

    @property
    def num_tas(self) -> int:
        """Number of TAs of the chain."""
        return len(self.chain.tas)


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalPoint:
    """One finalist on the fresh replicates."""

    chain: ChainSpec
    num_params: int
    macs: int
    latency_1: float | None
    latency_64: float | None
    val: Interval
    """Mean val accuracy with its ordinary 95% interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A model of the ladder; latencies are medians in seconds of a forward pass of 1 and of 64 images, if measured."""

    name: str
    num_params: int
    macs: int
    latency_1: float | None
    latency_64: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityInfo:
    """Accuracy of the student against the capacity of its TA."""

    points: tuple[CapacityPoint, ...]
    """Best val accuracy first."""
    num_left_out: int
    """Chains beyond `MOST_POINTS`."""
    finals: tuple[FinalPoint, ...]
    rungs: tuple[Rung, ...]
    """Smallest first."""
    baselines: tuple[Baseline, ...]
    midpoint: str | None
    """The TA that the accuracy-midpoint heuristic names; None while that is not known."""
    range: AccuracyRange


def capacity_info(view: StudyView) -> CapacityInfo:
    """Return every complete chain with TAs at its smallest TA."""
    points: list[CapacityPoint] = []
    paths: set[tuple[str, ...]] = set()
    for summary in view.ranking:
        chain = summary.chain
        if chain.is_direct:
            continue
        capacity = view.ta_capacities[chain.tas[-1]]
        points.append(
            CapacityPoint(
                chain=chain,
                num_params=capacity.num_params,
                macs=capacity.macs,
                **_latencies(view, chain.tas[-1]),
                val_accuracy=summary.val_accuracy,
                trial_number=summary.trial_number,
                is_best_of_path=chain.path not in paths,
            )
        )
        paths.add(chain.path)
    shown, finals, lines = points[:MOST_POINTS], _finals(view), baselines(view)
    named = heuristic_ta(view)
    bounds = [bound for point in finals for bound in _ends(point.val)]
    rungs = (
        Rung(name=name, num_params=capacity.num_params, macs=capacity.macs, **_latencies(view, name))
        for name, capacity in view.ta_capacities.items()
    )
    return CapacityInfo(
        points=tuple(shown),
        num_left_out=len(points) - len(shown),
        finals=finals,
        rungs=tuple(sorted(rungs, key=lambda rung: (rung.num_params, rung.name))),
        baselines=lines,
        midpoint=None if named is None else named.ta,
        range=accuracy_range(
            [*(point.val_accuracy for point in shown), *bounds], [end for line in lines for end in _ends(line.val)]
        ),
    )


def _latencies(view: StudyView, model: str) -> dict[str, float | None]:
    table = view.latency
    return {f"latency_{batch}": None if table is None else table.seconds(model, batch) for batch in BATCHES}


def baselines(view: StudyView) -> tuple[Baseline, ...]:
    """Return what is known of NOKD, the best BLKD and the teacher."""
    blkd = view.blkd
    nokd = _over_replicates(view, Role.NOKD) or _one_run(view.student.val_accuracy)
    direct = _over_replicates(view, Role.BLKD) or _one_run(None if blkd is None else blkd.val_accuracy)
    named = (("NOKD", nokd), ("BLKD", direct), (f"teacher {view.teacher.name}", _one_run(view.teacher.val_accuracy)))
    return tuple(Baseline(label=label, val=val) for label, val in named if val is not None)


def _finals(view: StudyView) -> tuple[FinalPoint, ...]:
    """Return the finalists on their replicates, once there is a verdict."""
    found = []
    for score in () if view.verdict is None else view.verdict.scores:
        chain = score.chain
        if score.role is not Role.FINALIST or chain is None or not chain.tas:
            continue
        values = _values(last_round(view.finals), score.arm)[: score.n]
        capacity = view.ta_capacities.get(chain.tas[-1])
        if values and capacity is not None:
            found.append(
                FinalPoint(
                    chain=chain,
                    num_params=capacity.num_params,
                    macs=capacity.macs,
                    **_latencies(view, chain.tas[-1]),
                    val=paired_interval(values),
                )
            )
    return tuple(found)


def _over_replicates(view: StudyView, role: Role) -> Interval | None:
    score = score_of(view.verdict, role)
    values = [] if score is None else _values(last_round(view.finals), score.arm)[: score.n]
    return paired_interval(values) if values else None


def _values(rows: Iterable[FinalRow], arm: str) -> list[float]:
    """Return the val accuracies of an arm by replicate."""
    own = sorted((row for row in rows if row.arm == arm), key=lambda row: row.replicate)
    return [row.val_accuracy for row in own if row.val_accuracy is not None]


def _one_run(accuracy: float | None) -> Interval | None:
    return None if accuracy is None else Interval(mean=accuracy, low=None, high=None, n=1)


def _ends(interval: Interval) -> list[float]:
    return [end for end in (interval.low, interval.mean, interval.high) if end is not None]
