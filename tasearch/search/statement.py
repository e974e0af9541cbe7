"""The verdict in words: one plain sentence, and what a reader must know to weigh it."""

from __future__ import annotations

from dataclasses import dataclass

from tasearch.domain.metric import ACCURACY
from tasearch.domain.result import ArmScore, Interval, RaceSummary, Role
from tasearch.search.race import NO_SPREAD
from tasearch.search.standing import Standing


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What the finals gave: the race's decision on val, the scores on test."""

    scores: tuple[ArmScore, ...]
    leader: ArmScore | None
    blkd: ArmScore | None
    nokd: ArmScore | None
    standing: Standing
    measure: str = ACCURACY
    """What accuracies are called: `accuracy`, `balanced accuracy`."""


def sentence(finding: Finding, race: RaceSummary | None) -> str:
    """Return the verdict as one sentence, which names the metric where it is not the usual one."""
    text = _sentence(finding, race)
    return text if finding.measure == ACCURACY or not finding.scores else f"{text} (points of {finding.measure})"


def _sentence(finding: Finding, race: RaceSummary | None) -> str:
    leader, blkd, nokd = finding.leader, finding.blkd, finding.nokd
    versus = None if leader is None else leader.versus_blkd
    if not finding.scores:
        return "the finals give no answer: every arm failed"
    if leader is None or versus is None:
        alone = "no chain with a TA was compared with direct distillation"
        other = None if blkd is None else blkd.versus_nokd
        return f"{alone}, which differs from no distillation by {measured(other)}" if other is not None else alone
    text = _on_blkd(finding, leader, versus, race)
    if nokd is None or nokd.val_accuracy <= leader.val_accuracy:
        return text
    behind = 100 * (nokd.val_accuracy - leader.val_accuracy)
    return f"{text}; but the student without distillation is {behind:.1f} points ahead of that chain on val"


def _on_blkd(finding: Finding, leader: ArmScore, versus: Interval, race: RaceSummary | None) -> str:
    name, now = leader.arm, finding.standing
    if versus.low is None or versus.high is None:
        return f"{name} differs from direct distillation by {measured(versus)}: one replicate proves nothing"
    unconfirmed = f"but test does not confirm it: {name} differs by {measured(versus)}"
    if now.winner is not None:
        if versus.low > 0:
            return f"{name} beats direct distillation by {measured(versus)}"
        return f"{name} is ahead of direct distillation on val, which decides, {unconfirmed}"
    if now.blkd_won:
        if versus.high < 0:
            return f"direct distillation beats every chain: {name}, the best of them, differs by {measured(versus)}"
        return f"direct distillation is ahead of every chain on val, which decides, {unconfirmed}"
    text = f"no chain is separated from direct distillation at this budget: {name} differs by {measured(versus)}"
    if versus.low > 0 or versus.high < 0:
        text += ", which val, the only judge, does not show as clearly"
    return text + _outlook(race)


def _outlook(race: RaceSummary | None) -> str:
    if race is None:
        return ""
    if race.val_spread <= NO_SPREAD:
        return "; the differences on val are all the same, which says nothing of how they vary"
    if race.replicates_to_separate is None:
        return "; on val, which decides, no number of replicates that could be run would likely separate them"
    return f"; on val, which decides, about {race.replicates_to_separate:,} replicates would likely separate them"


def notes_on(finding: Finding, race: RaceSummary | None) -> list[str]:
    """Return what a reader must know to weigh the sentence."""
    leader, blkd = finding.leader, finding.blkd
    notes = []
    if finding.measure != ACCURACY:
        notes.append(f"Every number here is {finding.measure}, the mean over the classes; val was judged by it too.")
    if leader is not None and leader.versus_nokd is not None:
        notes.append(f"{leader.arm} against no distillation: {measured(leader.versus_nokd)}.")
    for score in finding.scores:
        versus = score.versus_blkd
        if score.role is Role.FINALIST and score is not leader and versus is not None and _excludes_zero(versus):
            notes.append(
                f"{score.arm} differs from direct distillation by {measured(versus)}; "
                "val, not test, chooses which chain leads."
            )
    if leader is not None and blkd is not None and blkd.versus_nokd is not None:
        notes.append(f"Direct distillation against no distillation: {measured(blkd.versus_nokd)}.")
    if race is not None:
        notes += _race_notes(finding, race)
    notes.append("Intervals are over training randomness, for this teacher and this test set.")
    return notes


def _race_notes(finding: Finding, race: RaceSummary) -> list[str]:
    notes = []
    finalists = [score for score in finding.scores if score.role is Role.FINALIST]
    leader, now = finding.leader, finding.standing
    if leader is not None and leader.optimism is not None:
        notes.append(
            f"The search had seen {leader.arm} at {100 * (leader.search_val_accuracy or 0.0):.1f}% val "
            f"{finding.measure}, the "
            f"finals at {100 * leader.val_accuracy:.1f}%: its optimism was {signed_points(leader.optimism)} points."
        )
    dropped = [f"{arm} after {after} replicates" for arm, after in now.dropped_after.items()]
    if dropped and not now.blkd_won:
        notes.append(f"Dropped on val: {'; '.join(dropped)}.")
    if now.winner is None and not now.blkd_won and race.replicates_to_separate is not None:
        notes.append(
            f"The number of replicates to separate them supposes that the difference on val, "
            f"{signed_points(race.val_difference)} points, stays as it is; at that number a look would see it "
            "with a probability of 80%."
        )
    comparisons = f"{_count(len(finalists), 'finalist')} and {_count(len(race.looks), 'look')}"
    notes.append(
        f"A false winner over direct distillation has a probability of at most {100 * race.error:.0f}% over "
        f"{comparisons} (on val, one-sided; each look and finalist spends {100 * race.level:.2g}%)."
    )
    if race.interval_level < race.error / 2:
        notes.append(
            f"The 95% intervals are as wide as this rule demands: paired t intervals at "
            f"{100 * (1 - 2 * race.interval_level):.1f}%."
        )
    return notes


def _excludes_zero(interval: Interval) -> bool:
    return interval.low is not None and interval.high is not None and (interval.low > 0 or interval.high < 0)


def measured(interval: Interval) -> str:
    """Return `+0.9 points, 95% CI [0.4, 1.4], n = 5 replicates`."""
    return f"{signed_points(interval.mean)} points, {_range(interval)}"


def _range(interval: Interval) -> str:
    n = f"n = {_count(interval.n, 'replicate')}"
    if interval.low is None or interval.high is None:
        return f"no interval, {n}"
    return f"95% CI [{100 * interval.low:z.1f}, {100 * interval.high:z.1f}], {n}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def signed_points(fraction: float) -> str:
    """Return a difference of accuracies in percentage points with its sign: +0.9."""
    return f"{100 * fraction:+z.1f}"
