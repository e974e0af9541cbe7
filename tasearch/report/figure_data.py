"""What each figure shows, as frozen values: tests check these, `figures.py` only draws them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasearch.domain.result import FinalRow, Interval, Role, TrialRow, TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.report.view import StudyView, is_result

TOP_CURVES = 5
"""Chains with TAs whose curves are drawn."""
REACH = 0.75
"""A reference line further from the data than this part of their spread is named at the edge, not drawn."""
MIN_SPREAD = 0.01
"""Least spread of an accuracy axis, a fraction: one point, so that noise does not look like a mountain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A baseline that is drawn as a horizontal line."""

    label: str
    accuracy: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyRange:
    """The visible part of an accuracy axis, in fractions."""

    low: float
    high: float

    def shows(self, accuracy: float) -> bool:
        """Return whether the accuracy lies inside."""
        return self.low <= accuracy <= self.high


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityPoint:
    """One complete chain with TAs, at the TA that teaches its student."""

    chain: ChainSpec
    num_params: int
    macs: int
    val_accuracy: float
    trial_number: int
    best_of_path: bool
    """Whether no other pair on the same path did better."""

    @property
    def num_tas(self) -> int:
        """Number of TAs of the chain."""
        return len(self.chain.tas)


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityInfo:
    """Accuracy of the student against the capacity of its TA."""

    points: tuple[CapacityPoint, ...]
    rungs: tuple[tuple[str, int], ...]
    """Name and num_params of the ladder's models, smallest first."""
    references: tuple[Reference, ...]
    range: AccuracyRange


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDifference:
    """One finalist against BLKD on the test set."""

    chain: ChainSpec
    difference: Interval
    per_replicate: tuple[float, ...]
    """Test accuracy minus BLKD's on each replicate that both have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressPoint:
    """One trial that completed a new chain, with the best of its kind so far."""

    trial_number: int
    chain: ChainSpec
    val_accuracy: float
    best_so_far: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedTrial:
    """A trial without a result."""

    trial_number: int
    state: TrialState
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressInfo:
    """val accuracy over the trials, chains with TAs and BLKD apart."""

    tas: tuple[ProgressPoint, ...]
    blkd: tuple[ProgressPoint, ...]
    ended: tuple[EndedTrial, ...]
    last_trial: int
    """Highest trial number so far, -1 without trials."""
    range: AccuracyRange


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """val accuracy of one student after each epoch."""

    chain: ChainSpec
    accuracies: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvesInfo:
    """Curves of the best chains over the part of the axis where they differ."""

    curves: tuple[Curve, ...]
    """BLKD first, then chains with TAs, best first."""
    range: AccuracyRange
    """Cut off below: the first epochs climb so far that they would flatten everything after."""


def accuracy_range(values: Iterable[float], references: Iterable[Reference] = ()) -> AccuracyRange:
    """Return a range that shows all values readably, and those references that do not squash them."""
    known = sorted(values)
    if not known:
        known = sorted(reference.accuracy for reference in references) or [0.0, 1.0]
    low, high = known[0], known[-1]
    reach = REACH * max(high - low, MIN_SPREAD)
    near = [r.accuracy for r in references if low - reach <= r.accuracy <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    lacking = max(MIN_SPREAD - (high - low), 0) / 2
    margin = 0.12 * max(high - low, MIN_SPREAD)
    return AccuracyRange(low=low - lacking - margin, high=high + lacking + margin)


def references(view: StudyView) -> tuple[Reference, ...]:
    """Return the baselines that are known: NOKD, the best BLKD, the teacher."""
    blkd = view.blkd
    named = (
        ("NOKD", view.student.val_accuracy),
        ("BLKD", None if blkd is None else blkd.val_accuracy),
        (f"teacher {view.teacher.name}", view.teacher.val_accuracy),
    )
    return tuple(Reference(label=label, accuracy=value) for label, value in named if value is not None)


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
                val_accuracy=summary.val_accuracy,
                trial_number=summary.trial_number,
                best_of_path=chain.path not in paths,
            )
        )
        paths.add(chain.path)
    lines = references(view)
    return CapacityInfo(
        points=tuple(points),
        rungs=tuple(
            sorted(
                ((name, capacity.num_params) for name, capacity in view.ta_capacities.items()),
                key=lambda rung: (rung[1], rung[0]),
            )
        ),
        references=lines,
        range=accuracy_range([point.val_accuracy for point in points], lines),
    )


def finals_info(view: StudyView) -> tuple[ArmDifference, ...]:
    """Return every finalist's difference to BLKD, best mean val accuracy first; empty before the verdict."""
    if view.verdict is None:
        return ()
    tested = [row for row in view.finals if row.test_accuracy is not None]
    latest = max((row.round for row in tested), default=0)
    rows = [row for row in tested if row.round == latest]
    return tuple(
        ArmDifference(
            chain=score.chain,
            difference=score.versus_blkd,
            per_replicate=_differences(rows, score.arm)[: score.versus_blkd.n],
        )
        for score in view.verdict.scores
        if score.role is Role.FINALIST and score.chain is not None and score.versus_blkd is not None
    )


def _differences(rows: list[FinalRow], arm: str) -> tuple[float, ...]:
    """Pair an arm with BLKD by replicate."""
    own, direct = (
        {row.replicate: row.test_accuracy for row in rows if wanted(row) and row.test_accuracy is not None}
        for wanted in (
            lambda row: row.role is Role.FINALIST and row.arm == arm,
            lambda row: row.role is Role.BLKD,
        )
    )
    return tuple(own[replicate] - direct[replicate] for replicate in sorted(own) if replicate in direct)


def progress_info(view: StudyView) -> ProgressInfo:
    """Return the trials in the order of their numbers, with the best so far of each kind."""
    rows = sorted(view.trials, key=lambda row: row.number)
    tas = _running_best(row for row in rows if row.chain is not None and not row.chain.is_direct)
    blkd = _running_best(row for row in rows if row.chain is not None and row.chain.is_direct)
    ended = tuple(
        EndedTrial(trial_number=row.number, state=row.state, text=_ended_text(row))
        for row in rows
        if row.state in (TrialState.PRUNED, TrialState.FAILED)
    )
    return ProgressInfo(
        tas=tas,
        blkd=blkd,
        ended=ended,
        last_trial=rows[-1].number if rows else -1,
        range=accuracy_range([point.val_accuracy for point in (*tas, *blkd)]),
    )


def _running_best(rows: Iterable[TrialRow]) -> tuple[ProgressPoint, ...]:
    found: list[ProgressPoint] = []
    for row in rows:
        if not is_result(row) or row.chain is None or row.val_accuracy is None:
            continue
        before = found[-1].best_so_far if found else row.val_accuracy
        found.append(
            ProgressPoint(
                trial_number=row.number,
                chain=row.chain,
                val_accuracy=row.val_accuracy,
                best_so_far=max(before, row.val_accuracy),
            )
        )
    return tuple(found)


def _ended_text(row: TrialRow) -> str:
    if row.state is TrialState.PRUNED:
        return f"pruned after {len(row.curve)} epochs of the student"
    return f"failed: {row.failure or 'no reason recorded'}"


def curves_info(view: StudyView) -> CurvesInfo:
    """Return the curves of the best BLKD and of the best chains with TAs."""
    by_number = {row.number: row.curve for row in view.trials}
    ranking = view.ranking
    direct = [summary for summary in ranking if summary.chain.is_direct][:1]
    tas = [summary for summary in ranking if not summary.chain.is_direct][:TOP_CURVES]
    all_curves = (Curve(chain=s.chain, accuracies=by_number[s.trial_number]) for s in [*direct, *tas])
    curves = tuple(curve for curve in all_curves if curve.accuracies)
    settled = [value for curve in curves for value in curve.accuracies[len(curve.accuracies) // 3 :]]
    return CurvesInfo(curves=curves, range=accuracy_range(settled))
