"""Which arms show the gap between teacher and student, and which of them are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from tasearch.domain.gap import GapComparison, GapPoint, Series, Vary
from tasearch.domain.result import FinalRow, Role
from tasearch.domain.spec import ChainSpec
from tasearch.search.space import Pair, SearchSpace
from tasearch.search.verdict import TEXTBOOK_LEVEL, paired_interval

ROUND = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class GapArm:
    """A student trained in one way; its pair is still to be chosen."""

    series: Series
    model: str
    """The one whose size varies; for an arm beside the varied ones, the student."""
    path: tuple[str, ...]
    """Teacher first; only the student for NOKD."""

    @property
    def student(self) -> str:
        """The model whose accuracy is measured."""
        return self.path[-1]

    @property
    def role(self) -> Role:
        """Its role among the recorded finals."""
        return {Series.NOKD: Role.NOKD, Series.BLKD: Role.BLKD}.get(self.series, Role.FINALIST)

    def chain(self, pair: Pair) -> ChainSpec | None:
        """Return the chain at one pair throughout; None for NOKD."""
        if self.series is Series.NOKD:
            return None
        stages = len(self.path) - 1
        return ChainSpec(
            path=self.path,
            temperatures=(pair[0],) * stages,
            kd_weights=(pair[1],) * stages,
            ta_from="scratch" if self.series is Series.SCRATCH_TA else "distilled",
        )

    def label(self, pair: Pair) -> str:
        """Return a name that no other arm has."""
        chain = self.chain(pair)
        return f"NOKD {self.student}" if chain is None else chain.label


def gap_arms(space: SearchSpace, vary: Vary) -> tuple[GapArm, ...]:
    """Return every arm, those that vary from the smallest model to the largest. The space has a ladder."""
    teacher, student = space.teacher, space.student
    rungs = space.ladder[::-1]
    nokd, blkd = _nokd(student), _blkd(teacher, student, student)
    if vary is Vary.TEACHER:
        return (nokd, *(_blkd(model, student, model) for model in (*rungs, teacher)))
    if vary is Vary.STUDENT:
        students = (student, *rungs)
        return (*map(_nokd, students), *(_blkd(teacher, model, model) for model in students))
    through = [(teacher, ta, student) for ta in rungs]
    return (
        nokd,
        blkd,
        *(GapArm(series=Series.DISTILLED_TA, model=path[1], path=path) for path in through),
        *(GapArm(series=Series.SCRATCH_TA, model=path[1], path=path) for path in through),
    )


def _nokd(student: str) -> GapArm:
    return GapArm(series=Series.NOKD, model=student, path=(student,))


def _blkd(teacher: str, student: str, model: str) -> GapArm:
    return GapArm(series=Series.BLKD, model=model, path=(teacher, student))


def planned_rows(arms: Mapping[GapArm, Pair], replicates: Sequence[int]) -> list[FinalRow]:
    """Return what is to be measured: each arm at its pair on each replicate."""
    return [
        FinalRow(
            round=ROUND,
            role=arm.role,
            arm=arm.label(pair),
            chain=arm.chain(pair),
            search_val_accuracy=None,
            replicate=replicate,
        )
        for replicate in replicates
        for arm, pair in arms.items()
    ]


def gap_points(rows: Sequence[FinalRow], arms: Sequence[GapArm]) -> tuple[GapPoint, ...]:
    """Return the arms with their results, in order; those with a replicate that is not tested are left out."""
    found = []
    for arm in arms:
        own = sorted((row for row in rows if _belongs(row, arm)), key=lambda row: row.replicate)
        tests = [row.test_accuracy for row in own if row.test_accuracy is not None]
        if not own or len(tests) < len(own):
            continue
        found.append(
            GapPoint(
                arm=own[0].arm,
                series=arm.series,
                model=arm.model,
                student=arm.student,
                chain=own[0].chain,
                val_accuracies=tuple(float(row.val_accuracy or 0.0) for row in own),
                test_accuracies=tuple(tests),
                test=paired_interval(tests),
            )
        )
    return tuple(found)


def _belongs(row: FinalRow, arm: GapArm) -> bool:
    if row.chain is None:
        return arm.series is Series.NOKD and row.arm == f"NOKD {arm.student}"
    is_scratch = arm.series is Series.SCRATCH_TA
    return row.chain.path == arm.path and (row.chain.ta_from == "scratch") == is_scratch


def comparisons(points: Sequence[GapPoint], vary: Vary) -> tuple[GapComparison, ...]:
    """Return what the question compares, with intervals that cover with 95% all together (Bonferroni)."""
    pairs = list(_compared(points, vary))
    return tuple(
        GapComparison(
            arm=one.arm,
            against=other.arm,
            difference=paired_interval(
                [a - b for a, b in zip(one.test_accuracies, other.test_accuracies, strict=True)],
                TEXTBOOK_LEVEL / len(pairs),
            ),
        )
        for one, other in pairs
    )


def _compared(points: Sequence[GapPoint], vary: Vary) -> Iterator[tuple[GapPoint, GapPoint]]:
    of = {(point.series, point.model): point for point in points}
    series = {kind: [point for point in points if point.series is kind] for kind in Series}
    if vary is Vary.TEACHER:
        # Each teacher with the next larger one: where the curve turns. Then each with none at all.
        yield from ((larger, smaller) for smaller, larger in pairwise(series[Series.BLKD]))
        yield from ((point, nokd) for point in series[Series.BLKD] for nokd in series[Series.NOKD])
    elif vary is Vary.STUDENT:
        yield from ((point, of[Series.NOKD, point.model]) for point in series[Series.BLKD])
    else:
        for point in series[Series.DISTILLED_TA]:
            scratch = of[Series.SCRATCH_TA, point.model]
            yield from ((one, blkd) for one in (point, scratch) for blkd in series[Series.BLKD])
            yield point, scratch


def best(points: Sequence[GapPoint]) -> GapPoint:
    """Return the arm with the best mean val accuracy: test is not asked."""
    return max(points, key=lambda point: fmean(point.val_accuracies))
