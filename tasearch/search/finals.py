"""Who reaches the finals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasearch.domain.result import FinalRow, Role, TrialRow, TrialState
from tasearch.domain.spec import ChainSpec

NOKD_ARM = "NOKD"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One contender of the finals."""

    role: Role
    label: str
    chain: ChainSpec | None
    """None for NOKD."""
    search_val_accuracy: float | None


def finalists(trials: Sequence[TrialRow], count: int) -> list[Arm]:
    """Return the best chain of each of the `count` best paths with TAs, by val accuracy in the search.

    Ties go to the earlier trial.
    """
    best_of_path: dict[tuple[str, ...], Arm] = {}
    for trial in _ranked(trials):
        if trial.chain is not None and not trial.chain.is_direct:
            best_of_path.setdefault(trial.chain.path, _arm(Role.FINALIST, trial))
    return list(best_of_path.values())[:count]


def tuned_blkd(trials: Sequence[TrialRow]) -> Arm | None:
    """Return direct distillation with the best pair tried; None before any is complete."""
    direct = [trial for trial in _ranked(trials) if trial.chain is not None and trial.chain.is_direct]
    return _arm(Role.BLKD, direct[0]) if direct else None


def arms(trials: Sequence[TrialRow], count: int, nokd_val_accuracy: float) -> list[Arm]:
    """Return every contender: finalists, tuned BLKD, NOKD."""
    blkd = tuned_blkd(trials)
    nokd = Arm(role=Role.NOKD, label=NOKD_ARM, chain=None, search_val_accuracy=nokd_val_accuracy)
    return [*finalists(trials, count), *([blkd] if blkd else []), nokd]


def plan_rows(existing: Sequence[FinalRow], contenders: Sequence[Arm], replicates: int) -> list[FinalRow]:
    """Return the rows that the finals of these contenders consist of, those that exist included.

    The same contenders as in the last round: that round, extended to `replicates` where it has fewer. Other
    contenders: a new round on replicates that no round has seen, because the test set has been opened on the old.
    """
    last = max((row.round for row in existing), default=0)
    rows = [row for row in existing if row.round == last]
    same = {row.arm for row in rows} == {arm.label for arm in contenders}
    used = max((row.replicate for row in existing), default=0)
    if last and same:
        have = sorted({row.replicate for row in rows})
        fresh = range(used + 1, used + 1 + max(0, replicates - len(have)))
        chosen, number = [*have, *fresh], last
    else:
        chosen, number = list(range(used + 1, used + 1 + replicates)), last + 1
    present = {(row.arm, row.replicate): row for row in rows} if number == last else {}
    return [
        present.get((arm.label, replicate)) or _row(number, arm, replicate)
        for replicate in chosen
        for arm in contenders
    ]


def fairness_notes(trials: Sequence[TrialRow], rows: Sequence[FinalRow]) -> list[str]:
    """Say where a finalist's path had more pairs tried in the search than direct distillation had."""
    tried = Counter(trial.chain.path for trial in _ranked(trials) if trial.chain is not None)
    direct = sum(count for path, count in tried.items() if len(path) == 2)
    most = max((tried[row.chain.path] for row in rows if row.role is Role.FINALIST and row.chain), default=0)
    if most <= direct:
        return []
    return [f"Direct distillation had {direct} pairs tried, the most tuned finalist {most}: not quite fair to it."]


def _row(number: int, arm: Arm, replicate: int) -> FinalRow:
    return FinalRow(
        round=number,
        role=arm.role,
        arm=arm.label,
        chain=arm.chain,
        search_val_accuracy=arm.search_val_accuracy,
        replicate=replicate,
    )


def _arm(role: Role, trial: TrialRow) -> Arm:
    assert trial.chain is not None
    return Arm(role=role, label=trial.chain.label, chain=trial.chain, search_val_accuracy=trial.val_accuracy)


def _ranked(trials: Sequence[TrialRow]) -> list[TrialRow]:
    complete = [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.duplicate_of is None and trial.val_accuracy is not None
    ]
    return sorted(complete, key=lambda trial: (-(trial.val_accuracy or 0.0), trial.number))
