"""History of the search: val accuracy over its trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasearch.domain.result import TrialRow, TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.report.figure_data.scale import AccuracyRange, accuracy_range
from tasearch.report.view import StudyView, is_result


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
