"""Which run of which arm is worth taking home: chosen on val alone, from what the finals have stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasearch.domain.errors import ConfigError
from tasearch.domain.result import ArmScore, FinalRow, Interval, Role, Verdict
from tasearch.domain.spec import ChainSpec
from tasearch.search.finals import failed_arms
from tasearch.search.verdict import paired_interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One run of a student, and how the arm that it belongs to did."""

    arm: str
    """Label of the chain, or `NOKD`."""
    chain: ChainSpec | None
    """None for NOKD."""
    role: Role | None
    """None for a chain that took no part in the finals."""
    replicate: int
    """0: that of the search."""
    val_accuracy: float
    test_accuracy: float | None
    """None where test was not opened for it."""
    val: Interval | None
    """Mean val accuracy over the replicates of the finals with its 95% interval; None without finals."""
    test: Interval | None
    """The same of test."""
    score: ArmScore | None
    """As the verdict has it; None for an arm that the verdict is not about."""


def winning_run(verdict: Verdict | None, finals: Sequence[FinalRow], study_name: str) -> Choice:
    """Return the best run of the best arm: of those still in the race, BLKD and NOKD, by mean val accuracy.

    Where the verdict names a winner that is the arm. Raises ConfigError where there is no verdict.
    """
    if verdict is None or not verdict.scores:
        raise ConfigError(
            f"study {study_name!r} has no verdict, so there is no winner",
            hint="run the study to its end, or say with --chain N which chain of the ranking is meant",
        )
    in_race = [score for score in verdict.scores if score.dropped_after is None]
    named = [score for score in in_race if score.arm == verdict.winner]
    # The order of equal arms is the verdict's.
    score = named[0] if named else max(in_race, key=lambda arm: arm.val_accuracy)
    last = max(row.round for row in finals)
    rows = [row for row in finals if row.round == last and row.arm == score.arm]
    return _best_of(_first(rows, score.n), score)


def run_of_chain(
    chain: ChainSpec, search_val_accuracy: float, verdict: Verdict | None, finals: Sequence[FinalRow]
) -> Choice:
    """Return the best run of a chain: of its last finals, or where it has none that of the search."""
    rounds = sorted({row.round for row in finals}, reverse=True)
    for number in rounds:
        rows = [row for row in finals if row.round == number]
        own = [row for row in rows if row.chain == chain and row.val_accuracy is not None]
        if own and own[0].arm not in failed_arms(rows):
            scores = [] if verdict is None or number != rounds[0] else verdict.scores
            score = next((score for score in scores if score.chain == chain), None)
            return _best_of(own if score is None else _first(own, score.n), score)
    return Choice(
        arm=chain.label,
        chain=chain,
        role=None,
        replicate=0,
        val_accuracy=search_val_accuracy,
        test_accuracy=None,
        val=None,
        test=None,
        score=None,
    )


def _first(rows: Sequence[FinalRow], count: int) -> list[FinalRow]:
    """Return the rows of the first `count` replicates: those that the verdict looks at."""
    return sorted(rows, key=lambda row: row.replicate)[:count]


def _best_of(rows: Sequence[FinalRow], score: ArmScore | None) -> Choice:
    """Return the run with the best val accuracy, the first of equal ones, from rows that all have one."""
    vals = [float(row.val_accuracy or 0.0) for row in rows]
    tests = [row.test_accuracy for row in rows if row.test_accuracy is not None]
    best = max(rows, key=lambda row: (row.val_accuracy or 0.0, -row.replicate))
    return Choice(
        arm=best.arm,
        chain=best.chain,
        role=best.role,
        replicate=best.replicate,
        val_accuracy=float(best.val_accuracy or 0.0),
        test_accuracy=best.test_accuracy,
        val=paired_interval(vals),
        test=paired_interval(tests) if len(tests) == len(rows) else None,
        score=score,
    )
