"""Finalists against direct distillation on the test set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasearch.domain.result import FinalRow, Interval, Role
from tasearch.domain.spec import ChainSpec
from tasearch.report.view import StudyView, last_round


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDifference:
    """One finalist against BLKD on the test set."""

    chain: ChainSpec
    difference: Interval
    per_replicate: tuple[float, ...]
    """Test accuracy minus BLKD's on each replicate that both have."""


def finals_info(view: StudyView) -> tuple[ArmDifference, ...]:
    """Return every finalist's difference to BLKD, best mean val accuracy first; empty before the verdict."""
    if view.verdict is None:
        return ()
    rows = last_round(row for row in view.finals if row.test_accuracy is not None)
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
    own = _tests(rows, lambda row: row.role is Role.FINALIST and row.arm == arm)
    direct = _tests(rows, lambda row: row.role is Role.BLKD)
    return tuple(own[replicate] - direct[replicate] for replicate in sorted(own) if replicate in direct)


def _tests(rows: list[FinalRow], wanted: Callable[[FinalRow], bool]) -> dict[int, float]:
    return {row.replicate: row.test_accuracy for row in rows if wanted(row) and row.test_accuracy is not None}
