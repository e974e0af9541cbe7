"""What the finals prove: paired differences with t intervals, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from scipy import special

from tasearch.domain.result import ArmScore, FinalRow, Interval, Role, Verdict

CONFIDENCE = 0.95


def paired_interval(differences: Sequence[float]) -> Interval:
    """Return the mean of paired differences with its two-sided 95% Student t interval; no interval where n < 2."""
    n, mean = len(differences), fmean(differences)
    if n < 2:
        return Interval(mean=mean, low=None, high=None, n=n)
    half = float(special.stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * stdev(differences) / math.sqrt(n)
    return Interval(mean=mean, low=mean - half, high=mean + half, n=n)


def judge(rows: Sequence[FinalRow], notes: Sequence[str] = ()) -> Verdict | None:
    """Return the verdict on the last round of finals, or None while val or test of any row is missing.

    The leading finalist is the one with the best mean val accuracy; its difference to BLKD is measured on test,
    paired by replicate, and test has no say in who leads.
    """
    last = max((row.round for row in rows), default=0)
    rows = [row for row in rows if row.round == last]
    if not rows or any(row.val_accuracy is None or row.test_accuracy is None for row in rows):
        return None
    scores = _scores(rows)
    by_role = {role: next((score for score in scores if score.role is role), None) for role in Role}
    leader, blkd, nokd = by_role[Role.FINALIST], by_role[Role.BLKD], by_role[Role.NOKD]
    interval = leader.versus_blkd if leader is not None else None
    return Verdict(
        text=_sentence(scores, leader, blkd, interval) + _beaten_by_nokd(leader, nokd),
        winner=_winner(leader, blkd, nokd, interval),
        difference=interval.mean if interval else None,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        n=scores[0].n,
        separated=_excludes_zero(interval),
        scores=tuple(scores),
        notes=(*_notes(scores, leader, blkd), *notes),
    )


def _excludes_zero(interval: Interval | None) -> bool:
    return (
        interval is not None
        and interval.low is not None
        and interval.high is not None
        and (interval.low > 0 or interval.high < 0)
    )


def _winner(
    leader: ArmScore | None, blkd: ArmScore | None, nokd: ArmScore | None, interval: Interval | None
) -> str | None:
    """Return the arm that the interval puts ahead; None where it decides nothing, or NOKD is better on val."""
    if leader is None or blkd is None or interval is None or not _excludes_zero(interval):
        return None
    ahead = leader if interval.mean > 0 else blkd
    return None if nokd is not None and nokd.val_accuracy > ahead.val_accuracy else ahead.arm


def _beaten_by_nokd(leader: ArmScore | None, nokd: ArmScore | None) -> str:
    if leader is None or nokd is None or nokd.val_accuracy <= leader.val_accuracy:
        return ""
    behind = 100 * (nokd.val_accuracy - leader.val_accuracy)
    return f"; but the student without distillation is {behind:.1f} points ahead of that chain on val"


def _scores(rows: Sequence[FinalRow]) -> list[ArmScore]:
    by_arm: dict[str, list[FinalRow]] = {}
    for row in sorted(rows, key=lambda row: row.replicate):
        by_arm.setdefault(row.arm, []).append(row)
    tests = {arm: {r.replicate: float(r.test_accuracy or 0.0) for r in found} for arm, found in by_arm.items()}
    reference = {role: next((r.arm for r in rows if r.role is role), None) for role in (Role.BLKD, Role.NOKD)}
    scores = [
        ArmScore(
            role=found[0].role,
            arm=arm,
            chain=found[0].chain,
            n=len(found),
            search_val_accuracy=found[0].search_val_accuracy,
            val_accuracy=fmean(float(row.val_accuracy or 0.0) for row in found),
            test_accuracy=fmean(tests[arm].values()),
            test_std=stdev(tests[arm].values()) if len(found) > 1 else None,
            versus_blkd=_difference(tests, arm, reference[Role.BLKD]),
            versus_nokd=_difference(tests, arm, reference[Role.NOKD]),
        )
        for arm, found in by_arm.items()
    ]
    return sorted(scores, key=lambda score: -score.val_accuracy)


def _difference(tests: Mapping[str, Mapping[int, float]], arm: str, other: str | None) -> Interval | None:
    if other is None or other == arm:
        return None
    shared = sorted(set(tests[arm]) & set(tests[other]))
    return paired_interval([tests[arm][r] - tests[other][r] for r in shared])


def _sentence(
    scores: Sequence[ArmScore], leader: ArmScore | None, blkd: ArmScore | None, interval: Interval | None
) -> str:
    if leader is None or blkd is None or interval is None:
        alone = "no chain with a TA was compared with direct distillation"
        versus = None if blkd is None else blkd.versus_nokd
        if versus is None:
            return alone
        return f"{alone}, which differs from no distillation by {signed_points(versus.mean)} points, {_range(versus)}"
    measured = f"{signed_points(interval.mean)} points, {_range(interval)}"
    if interval.low is None or interval.high is None:
        return f"{leader.arm} differs from direct distillation by {measured}: one replicate proves nothing"
    if interval.low > 0:
        return f"{leader.arm} beats direct distillation by {measured}"
    if interval.high < 0:
        return f"direct distillation beats the leading chain: {leader.arm} differs from it by {measured}"
    if any(_excludes_zero(score.versus_blkd) for score in scores if score.role is Role.FINALIST):
        return f"the leading chain is not separated from direct distillation: {leader.arm} differs by {measured}"
    return f"no chain is separated from direct distillation at this budget: {leader.arm} differs by {measured}"


def _notes(scores: Sequence[ArmScore], leader: ArmScore | None, blkd: ArmScore | None) -> list[str]:
    notes = []
    for score in scores:
        versus = score.versus_blkd
        if score.role is Role.FINALIST and score is not leader and versus is not None and _excludes_zero(versus):
            notes.append(
                f"{score.arm} differs from direct distillation by {signed_points(versus.mean)} points, "
                f"{_range(versus)}; val, not test, chooses which chain leads."
            )
    compared = sum(score.role is Role.FINALIST for score in scores)
    if compared and blkd is not None and blkd.versus_nokd is not None:
        versus = blkd.versus_nokd
        notes.append(
            f"Direct distillation against no distillation: {signed_points(versus.mean)} points, {_range(versus)}."
        )
    if compared > 1:
        notes.append(
            f"Each interval is an ordinary paired 95% t interval; it is not widened for comparing {compared} finalists."
        )
    notes.append("Intervals are over training randomness, for this teacher and this test set.")
    return notes


def _range(interval: Interval) -> str:
    n = f"n = {interval.n} replicate{'s' if interval.n != 1 else ''}"
    if interval.low is None or interval.high is None:
        return f"no interval, {n}"
    return f"95% CI [{100 * interval.low:.1f}, {100 * interval.high:.1f}], {n}"


def signed_points(fraction: float) -> str:
    """Return a difference of accuracies in percentage points with its sign: +0.9."""
    return f"{100 * fraction:+.1f}"
