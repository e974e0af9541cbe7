"""Stages that fit made-up trials and finals: what each model takes is known, so that sums can be checked by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from tasearch.domain.result import Environment, FinalRow, TrialRow, TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.stores.stage_outcomes import StageDetail
from tasearch.stores.stages import StageState

SECONDS = {"plain10": 60.0, "plain8": 20.0, "plain6": 12.0, "plain4": 8.0, "plain2": 2.0}
TABLE_SECONDS = 5.0
"""What the first stage that a teacher teaches on a replicate takes longer than the others."""
HERE = Environment(device="cpu Test", threads=1, torch_version="2.15", instruction_set="AVX2")
BEGIN = datetime(2025, 6, 1, 12, 1, tzinfo=UTC)
"""A minute after the made-up study was created."""


def fingerprints(chain: ChainSpec, replicate: int = 0) -> tuple[str, ...]:
    """The stages of a chain, the teacher's student first."""
    found = []
    for stages in range(1, len(chain.path)):
        pairs = list(zip(chain.path[1:], chain.temperatures, chain.kd_weights, strict=True))[:stages]
        found.append(f"{replicate} {chain.path[0]} " + " ".join(f"{name} {t:g} {w:g}" for name, t, w in pairs))
    return tuple(found)


def make_stage(fingerprint: str, student: str, **changes: object) -> StageDetail:
    values: dict[str, object] = {
        "teacher_fingerprint": None,
        "temperature": None,
        "kd_weight": None,
        "replicate": 0,
        "roles": ("chain",),
        "state": StageState.COMPLETE,
        "val_accuracy": 0.7,
        "seconds": SECONDS.get(student, 1.0),
        "attempts": 1,
        "environment": HERE,
        "failure": None,
        "finished_at": BEGIN,
        **changes,
    }
    return StageDetail(fingerprint=fingerprint, student=student, **values)  # type: ignore[arg-type]


def make_stages(trials: Iterable[TrialRow], finals: Iterable[FinalRow] = ()) -> tuple[StageDetail, ...]:
    """The teacher, NOKD, and every stage of the completed trials and trained finals, in the order they were needed."""
    stages = {
        "teacher": make_stage("teacher", "plain10", roles=("teacher",), val_accuracy=0.842),
        "nokd": make_stage("nokd", "plain2", roles=("nokd",), val_accuracy=0.655),
    }
    taught: set[tuple[str, int]] = set()

    def add(chain: ChainSpec, replicate: int, role: str, tas: tuple[float, ...], student: float) -> None:
        above = "teacher"
        accuracies = (*tas, *(0.8 for _ in chain.tas[len(tas) :]), student)
        names = fingerprints(chain, replicate)
        for index, fingerprint in enumerate(names):
            if fingerprint not in stages:
                model = chain.path[index + 1]
                first = (above, replicate) not in taught
                taught.add((above, replicate))
                stages[fingerprint] = make_stage(
                    fingerprint,
                    model,
                    teacher_fingerprint=above,
                    temperature=chain.temperatures[index],
                    kd_weight=chain.kd_weights[index],
                    replicate=replicate,
                    roles=(role,),
                    val_accuracy=accuracies[index],
                    seconds=SECONDS.get(model, 1.0) + TABLE_SECONDS * first,
                    finished_at=BEGIN + timedelta(seconds=len(stages)),
                )
            above = fingerprint

    for trial in trials:
        if trial.state is TrialState.COMPLETE and trial.chain is not None and trial.duplicate_of is None:
            add(trial.chain, 0, "chain", trial.ta_accuracies, trial.val_accuracy or 0.0)
    for row in finals:
        if row.chain is not None and row.val_accuracy is not None:
            add(row.chain, row.replicate, "final", (), row.val_accuracy)
    return tuple(stages.values())
