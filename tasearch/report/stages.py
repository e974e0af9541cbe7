"""Every stage of a study with its path and who stands on it: what the tree of paths and the costs are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from tasearch.report.view import StudyView, is_result
from tasearch.stores.stage_outcomes import StageDetail
from tasearch.stores.stages import StageState

TEACHER, RUNG = "teacher", "rung"
SEARCH_REPLICATE = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRecord:
    """One training run of one model."""

    path: tuple[str, ...]
    """From the model that no stage of the study taught, the teacher as a rule, to the model that was trained."""
    temperature: float | None
    """None where it learned from labels, as `kd_weight`."""
    kd_weight: float | None
    replicate: int
    roles: tuple[str, ...]
    state: StageState
    val_accuracy: float | None
    seconds: float | None
    """Training time over all attempts."""
    attempts: int
    runs: int
    """Completed trials and runs of the finals whose chain contains it."""
    is_earlier: bool
    """Whether it was there before the study, which only reused it."""
    failure: str | None
    fingerprint: str
    teacher_fingerprint: str | None

    @property
    def model(self) -> str:
        """The model that was trained."""
        return self.path[-1]

    @property
    def is_teacher(self) -> bool:
        """Whether it is the given teacher, on which every chain stands."""
        return TEACHER in self.roles

    @property
    def is_complete(self) -> bool:
        """Whether it has a result."""
        return self.state is StageState.COMPLETE


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainCost:
    """What the stages of one trial's chain took."""

    training_seconds: float
    """Of all its stages, the teacher not among them."""
    reused_share: float
    """Part of that time which the trial did not spend, because the stages were there: in [0, 1]."""


def stage_records(view: StudyView) -> tuple[StageRecord, ...]:
    """Return the stages of a study in the order in which they ended."""
    by_fingerprint = {stage.fingerprint: stage for stage in view.stages}
    runs: Counter[str] = Counter()
    for run in _runs(view, by_fingerprint):
        runs.update(run)
    created = datetime.fromisoformat(view.created_at) if view.stages else None
    return tuple(
        StageRecord(
            path=_path(stage, by_fingerprint),
            temperature=stage.temperature,
            kd_weight=stage.kd_weight,
            replicate=stage.replicate,
            roles=stage.roles,
            state=stage.state,
            val_accuracy=stage.val_accuracy,
            seconds=stage.seconds,
            attempts=stage.attempts,
            runs=runs[stage.fingerprint],
            is_earlier=created is not None and stage.finished_at is not None and stage.finished_at < created,
            failure=stage.failure,
            fingerprint=stage.fingerprint,
            teacher_fingerprint=stage.teacher_fingerprint,
        )
        for stage in view.stages
    )


def chain_costs(view: StudyView) -> Mapping[int, ChainCost]:
    """Return what the stages of each complete trial took, by its number; without the stages' times nothing.

    A stage is charged to the first trial that has it, unless it was trained outside of trials or before the study.
    """
    stages = {record.fingerprint: record for record in stage_records(view)}
    charged = {record.fingerprint for record in stages.values() if RUNG in record.roles or record.is_earlier}
    found = {}
    for trial in sorted(view.trials, key=lambda row: row.number):
        known = [stages[one] for one in trial.stage_fingerprints if one in stages]
        if not is_result(trial) or not known or len(known) < len(trial.stage_fingerprints):
            continue
        total = sum(record.seconds or 0.0 for record in known)
        reused = sum(record.seconds or 0.0 for record in known if record.fingerprint in charged)
        charged.update(record.fingerprint for record in known)
        found[trial.number] = ChainCost(training_seconds=total, reused_share=reused / total if total else 0.0)
    return found


def _runs(view: StudyView, stages: Mapping[str, StageDetail]) -> Iterator[list[str]]:
    """Yield the stages of every completed trial and every trained run of the finals, the teacher among them."""
    for trial in view.trials:
        if is_result(trial) and trial.stage_fingerprints:
            yield _line(trial.stage_fingerprints[-1], stages)
    for row in view.finals:
        if row.fingerprint is not None:
            yield _line(row.fingerprint, stages)


def _line(fingerprint: str | None, stages: Mapping[str, StageDetail]) -> list[str]:
    """Return a stage and those above it, as far as the study knows them."""
    found: list[str] = []
    while fingerprint is not None and fingerprint in stages:
        found.append(fingerprint)
        fingerprint = stages[fingerprint].teacher_fingerprint
    return found


def _path(stage: StageDetail, stages: Mapping[str, StageDetail]) -> tuple[str, ...]:
    return tuple(stages[one].student for one in reversed(_line(stage.fingerprint, stages)))
