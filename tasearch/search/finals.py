"""Who reaches the finals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

    Ties go to the earlier trial. Where all of them stand on one first TA stage, they share its luck: the last one then
    gives way to the best chain whose first TA is another, or was trained with another pair, if there is one.
    """
    ranked = [
        (trial.chain, trial) for trial in _ranked(trials) if trial.chain is not None and not trial.chain.is_direct
    ]
    best_of_path: dict[tuple[str, ...], tuple[ChainSpec, TrialRow]] = {}
    for chain, trial in ranked:
        best_of_path.setdefault(chain.path, (chain, trial))
    chosen = list(best_of_path.values())[:count]
    first_stages = {_first_stage(chain) for chain, _ in chosen}
    if len(chosen) > 1 and len(first_stages) == 1:
        others = [entry for entry in ranked if _first_stage(entry[0]) not in first_stages]
        chosen = [*chosen[:-1], *(others[:1] or chosen[-1:])]
    return [_arm(Role.FINALIST, trial) for _, trial in chosen]


def _first_stage(chain: ChainSpec) -> tuple[str, float, float]:
    if chain.ta_from == "scratch":
        return chain.path[1], 0.0, 0.0  # Whatever its student's pair.
    return chain.path[1], chain.temperatures[0], chain.kd_weights[0]


def tuned_blkd(trials: Sequence[TrialRow]) -> Arm | None:
    """Return direct distillation with the best pair tried; None before any is complete."""
    direct = _ranked([trial for trial in trials if trial.chain is not None and trial.chain.is_direct])
    return _arm(Role.BLKD, direct[0]) if direct else None


def arms(trials: Sequence[TrialRow], count: int, nokd_val_accuracy: float | None) -> list[Arm]:
    """Return every contender: finalists, tuned BLKD, NOKD; its accuracy is None where it failed in the search."""
    blkd = tuned_blkd(trials)
    nokd = Arm(role=Role.NOKD, label=NOKD_ARM, chain=None, search_val_accuracy=nokd_val_accuracy)
    return [*finalists(trials, count), *([blkd] if blkd else []), nokd]


def enter_round(existing: Sequence[FinalRow], contenders: Sequence[Arm]) -> tuple[int, int]:
    """Return the round in which these contenders meet, and its first replicate.

    The same contenders as in the last round go on with it. Others meet in a new round on replicates that no round has
    seen, because the test set may have been opened on the old.
    """
    last = max((row.round for row in existing), default=0)
    rows = [row for row in existing if row.round == last]
    if last and {row.arm for row in rows} == {arm.label for arm in contenders}:
        return last, min(row.replicate for row in rows)
    return last + 1, 1 + max((row.replicate for row in existing), default=0)


def due_rows(
    number: int, first: int, contenders: Sequence[Arm], due: Callable[[str], int], existing: Sequence[FinalRow]
) -> list[FinalRow]:
    """Return the rows of a round that begins at replicate `first`, those that exist as they are.

    `due`: how many replicates an arm is to have, by its label.
    """
    present = {(row.arm, row.replicate): row for row in existing if row.round == number}
    most = max((due(arm.label) for arm in contenders), default=0)
    return [
        present.get((arm.label, replicate)) or _row(number, arm, replicate)
        for replicate in range(first, first + most)
        for arm in contenders
        if replicate < first + due(arm.label)
    ]


def failed_arms(rows: Iterable[FinalRow]) -> dict[str, FinalRow]:
    """Return the arms of one round of which a run has failed, each with the first such run: they are out of it.

    An arm that fails on fresh replicates is no answer, and leaving out only those replicates would flatter it.
    """
    failed: dict[str, FinalRow] = {}
    for row in rows:
        if row.failure is not None and (row.arm not in failed or row.replicate < failed[row.arm].replicate):
            failed[row.arm] = row
    return failed


def failure_notes(rows: Iterable[FinalRow]) -> list[str]:
    """Say which arms are out of the finals and why, and what that takes from the verdict."""
    notes = []
    for arm, row in failed_arms(rows).items():
        name = {Role.BLKD: f"Direct distillation ({arm})", Role.NOKD: "No distillation (NOKD)"}.get(row.role, arm)
        lost = "" if row.role is Role.FINALIST else ", so nothing is compared with it"
        reason = (row.failure or "").rstrip(".")
        notes.append(f"{name} is out of the finals{lost}: replicate {row.replicate} failed: {reason}.")
    return notes


def fairness_notes(trials: Sequence[TrialRow], rows: Sequence[FinalRow]) -> list[str]:
    """Say where a finalist's path had more pairs tried in the search than direct distillation had."""
    tried = Counter(trial.chain.path for trial in _ranked(trials) if trial.chain is not None)
    direct = sum(count for path, count in tried.items() if len(path) == 2)
    most = max((tried[row.chain.path] for row in rows if row.role is Role.FINALIST and row.chain), default=0)
    if most <= direct:
        return []
    pairs = f"{direct} pair{'s' * (direct != 1)}"
    return [f"Direct distillation had {pairs} tried, the most tuned finalist {most}: not quite fair to it."]


def opening_notes(attrs: Mapping[str, Any]) -> list[str]:
    """Say where test was opened more than once, and where the last round went on after its test was known."""
    opened = len(attrs.get("test_opened", ()))
    if opened < 2:
        return []
    notes = [f"The test set was opened {opened} times; whoever added trials or replicates may have seen it before."]
    rounds = [str(occasion).partition(",")[0] for occasion in attrs.get("test_opened_occasions", ())]
    if rounds[-1:] == rounds[-2:-1]:
        notes.append(
            "The last finals were extended after their test accuracies were known; the error of a false winner "
            "holds for each verdict, not for all of them together."
        )
    return notes


MODEL_REMARKS = "model_remarks"
"""Entry of a study's configuration: what was said of its models before it started."""


def model_notes(remarks: Sequence[str]) -> list[str]:
    """Return what was said of single models as sentences of a verdict."""
    return [f"{remark}." for remark in remarks]


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
