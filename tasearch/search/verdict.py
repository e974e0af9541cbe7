"""What the finals prove: the race's decision on val, and on test paired differences with intervals that fit it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev

import numpy as np

from tasearch.domain.metric import ACCURACY
from tasearch.domain.result import ArmScore, FinalRow, Interval, RaceSummary, Role, Verdict
from tasearch.search.finals import failed_arms, failure_notes
from tasearch.search.levels import ERROR
from tasearch.search.race import NO_SPREAD, Rule, half_width, replicates_to_separate
from tasearch.search.standing import Standing, standing, val_differences
from tasearch.search.statement import Finding, notes_on, sentence

TEXTBOOK_LEVEL = ERROR / 2
"""Of each side of an ordinary 95% interval."""


def paired_interval(differences: Sequence[float], level: float = TEXTBOOK_LEVEL) -> Interval:
    """Return the mean of paired differences with its Student t interval; no interval where n < 2.

    `level`: of each side. That of a race's rule makes the interval cover 95% for the finalist that the race reports.
    """
    n, mean = len(differences), fmean(differences)
    if n < 2:
        return Interval(mean=mean, low=None, high=None, n=n)
    half = float(half_width(np.asarray(differences), level))
    return Interval(mean=mean, low=mean - half, high=mean + half, n=n)


def judge(
    rows: Sequence[FinalRow],
    rule_of: Callable[[int], Rule | None] = lambda _number: None,
    notes: Sequence[str] = (),
    *,
    measure: str = ACCURACY,
) -> Verdict | None:
    """Return the verdict on the last round of finals; None while its race goes on or a test accuracy is missing.

    `measure`: what the accuracies of the rows are called.
    `rule_of`: the rule of a round by its number; None for a round that was to be looked at once, with all its rows.
    Who leads, who was dropped and who has won is the race's decision, on val; its difference to BLKD is measured on
    test, paired by replicate, and test has no say in anything.
    """
    last = max((row.round for row in rows), default=0)
    rows = [row for row in rows if row.round == last]
    if not rows:
        return None
    rule = rule_of(last) or _one_look(rows)
    now = standing(rows, rule)
    first = min(row.replicate for row in rows)
    failed, notes = failed_arms(rows), [*failure_notes(rows), *notes]
    rows = [row for row in rows if row.arm not in failed and row.replicate < first + now.due(row.arm)]
    if not now.over or any(row.val_accuracy is None or row.test_accuracy is None for row in rows):
        return None
    scores = _scores(rows, now, rule)
    leader = next((score for score in scores if score.arm == now.leader), None)
    blkd, nokd = _of(scores, Role.BLKD), _of(scores, Role.NOKD)
    finding = Finding(scores=tuple(scores), leader=leader, blkd=blkd, nokd=nokd, standing=now, measure=measure)
    race = None if leader is None else _summary(rows, rule, now, first)
    versus = leader.versus_blkd if leader is not None else None
    return Verdict(
        text=sentence(finding, race),
        winner=_winner(finding),
        difference=versus.mean if versus else None,
        ci_low=versus.low if versus else None,
        ci_high=versus.high if versus else None,
        n=now.replicates,
        separated=now.winner is not None or now.blkd_won,
        scores=tuple(scores),
        leader=now.leader,
        race=race,
        notes=(*notes_on(finding, race), *notes),
    )


def _one_look(rows: Sequence[FinalRow]) -> Rule:
    num_finalists = len({row.arm for row in rows if row.role is Role.FINALIST})
    return Rule.of(num_finalists, (len({row.replicate for row in rows}),))


def _of(scores: Sequence[ArmScore], role: Role) -> ArmScore | None:
    return next((score for score in scores if score.role is role), None)


def _winner(finding: Finding) -> str | None:
    """Return the arm that the race puts ahead; None where it decides nothing, or NOKD is better on val."""
    ahead = finding.leader if finding.standing.winner is not None else None
    if finding.standing.blkd_won:
        ahead = finding.blkd
    if ahead is None:
        return None
    return None if finding.nokd is not None and finding.nokd.val_accuracy > ahead.val_accuracy else ahead.arm


def _summary(rows: Sequence[FinalRow], rule: Rule, now: Standing, first: int) -> RaceSummary:
    names, differences = val_differences(rows, now.replicates, first)
    own = differences[names.index(now.leader or "")][: now.due(now.leader or "")]
    mean, spread = float(own.mean()), float(own.std(ddof=1)) if len(own) > 1 else 0.0
    open_question = now.winner is None and not now.blkd_won and spread > NO_SPREAD
    return RaceSummary(
        looks=rule.looks,
        taken=rule.deciding[: now.looks_taken],
        level=rule.level,
        interval_level=rule.interval_level,
        error=ERROR,
        val_difference=mean,
        val_spread=spread,
        replicates_to_separate=replicates_to_separate(mean, spread, rule.level) if open_question else None,
    )


def _scores(rows: Sequence[FinalRow], now: Standing, rule: Rule) -> list[ArmScore]:
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
            versus_blkd=_difference(tests, arm, reference[Role.BLKD], rule),
            versus_nokd=_difference(tests, arm, reference[Role.NOKD], rule),
            dropped_after=now.dropped_after.get(arm),
        )
        for arm, found in by_arm.items()
    ]
    return sorted(scores, key=lambda score: (score.dropped_after is not None, -score.val_accuracy))


def _difference(tests: Mapping[str, Mapping[int, float]], arm: str, other: str | None, rule: Rule) -> Interval | None:
    if other is None or other == arm:
        return None
    shared = sorted(set(tests[arm]) & set(tests[other]))
    return paired_interval([tests[arm][r] - tests[other][r] for r in shared], rule.interval_level)
