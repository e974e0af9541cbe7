"""What a study cost, and what reuse of stages and stored teacher logits spared it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tasearch.domain.result import Capacity, Environment, TrialState
from tasearch.report.stages import StageRecord, stage_records
from tasearch.report.view import StudyView
from tasearch.stores.stages import StageState


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCost:
    """All stages that trained one model, from whatever teacher, on whatever replicate; times in seconds."""

    model: str
    stages: int
    """Trained in this study."""
    trained_seconds: float
    reused_seconds: float
    """What stages that were there would have taken once more."""
    table_seconds: float | None
    """Estimated: what this model's forward passes as a teacher would have taken, had its logits not been stored."""
    mean_seconds: float | None
    """Of one of its stages; None where all were there before the study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostInfo:
    """What was spent and what was spared, in seconds of training, not of the clock: workers train side by side."""

    models: tuple[ModelCost, ...]
    """Largest first."""
    trained_seconds: float
    reused_seconds: float
    table_seconds: float | None
    """None where no two stages of one model by one teacher tell what storing saves."""
    num_tables_measured: int
    """Teachers (on a replicate) whose forward time was measured; that of others is scaled by their MACs."""
    num_tables: int
    """Teachers (on a replicate) that taught at least two stages, so that storing their logits saved something."""
    failed_stages: int
    failed_trials: int
    pruned_trials: int
    retries: int
    """How often a trial or a run of the finals was tried again after an error."""
    taken_over: int
    """How often a stage was begun again or taken over, after an interruption or from a worker that died."""


def cost_info(view: StudyView) -> CostInfo:
    """Return the costs of a study, summed over its stages.

    Reuse: every completed trial and run of the finals would have trained its whole chain below the teacher.

    Tables: of the stages that one teacher taught on one replicate the first computed its logits and the others read
    them. Where the first and a later one trained the same model, the difference of their times is the teacher's
    forward pass; the median over those, per MAC, estimates it for the other teachers.
    """
    records = [record for record in stage_records(view) if record.is_complete]
    capacities = {
        **view.ta_capacities,
        view.teacher.name: view.teacher.capacity,
        view.student.name: view.student.capacity,
    }
    tables, measured = _table_seconds(records, capacities, _environments(view))
    models = sorted(
        {record.model for record in records}, key=lambda name: -capacities[name].num_params if name in capacities else 0
    )
    costs = tuple(_model_cost(name, records, tables) for name in models)
    states = [trial.state for trial in view.trials if trial.duplicate_of is None]
    everything = stage_records(view)
    return CostInfo(
        models=costs,
        trained_seconds=sum(cost.trained_seconds for cost in costs),
        reused_seconds=sum(cost.reused_seconds for cost in costs),
        table_seconds=None if tables is None else sum(tables.values()),
        num_tables_measured=measured,
        num_tables=len(_taught(records, _environments(view))),
        failed_stages=sum(record.state is StageState.FAILED for record in everything),
        failed_trials=states.count(TrialState.FAILED),
        pruned_trials=states.count(TrialState.PRUNED),
        retries=view.num_retries,
        taken_over=sum(record.attempts - 1 for record in everything),
    )


def _model_cost(name: str, records: Sequence[StageRecord], tables: Mapping[str, float] | None) -> ModelCost:
    own = [record for record in records if record.model == name]
    trained = [record for record in own if not record.is_earlier]
    seconds = sum(record.seconds or 0.0 for record in trained)
    return ModelCost(
        model=name,
        stages=len(trained),
        trained_seconds=seconds,
        reused_seconds=sum((record.seconds or 0.0) * _spared(record) for record in own),
        table_seconds=None if tables is None else tables.get(name, 0.0),
        mean_seconds=seconds / len(trained) if trained else None,
    )


def _spared(record: StageRecord) -> int:
    """Return how often a stage was asked for and not trained; the teacher is given, and asked for once."""
    asked = 1 if record.is_teacher else max(1, record.runs)
    return asked - (not record.is_earlier)


Taught = tuple[str, int, Environment | None]
"""A teacher's stage on a replicate in an environment: what a table of logits belongs to."""


def _taught(
    records: Sequence[StageRecord], environments: Mapping[str, Environment | None]
) -> dict[Taught, list[StageRecord]]:
    """Return the stages that were taught from one table, where there are two or more, in the order they ended."""
    groups: dict[Taught, list[StageRecord]] = {}
    for record in records:
        if record.teacher_fingerprint is not None and not record.is_earlier:
            key = record.teacher_fingerprint, record.replicate, environments.get(record.fingerprint)
            groups.setdefault(key, []).append(record)
    return {key: group for key, group in groups.items() if len(group) > 1}


def _table_seconds(
    records: Sequence[StageRecord],
    capacities: Mapping[str, Capacity],
    environments: Mapping[str, Environment | None],
) -> tuple[dict[str, float] | None, int]:
    """Return the seconds that tables saved by the model that teaches, None where nothing tells, and how many tell."""
    groups = _taught(records, environments)
    measured: dict[Taught, float] = {}
    rates = []
    for key, group in groups.items():
        forward = _forward_seconds(group)
        macs = capacities.get(group[0].path[-2])
        if forward is not None and macs is not None:
            measured[key] = forward
            rates.append(forward / macs.macs)
    if not rates:
        return None, 0
    found: dict[str, float] = {}
    for key, group in groups.items():
        teacher = group[0].path[-2]
        macs = capacities.get(teacher)
        forward = measured.get(key, median(rates) * macs.macs if macs is not None else 0.0)
        found[teacher] = found.get(teacher, 0.0) + forward * (len(group) - 1)
    return found, len(measured)


def _forward_seconds(group: Sequence[StageRecord]) -> float | None:
    """Return how much longer the first stage took than later ones of the same model; None without such."""
    first = group[0]
    later = [record.seconds for record in group[1:] if record.model == first.model and record.seconds is not None]
    return max(0.0, first.seconds - median(later)) if later and first.seconds is not None else None


def _environments(view: StudyView) -> Mapping[str, Environment | None]:
    return {stage.fingerprint: stage.environment for stage in view.stages}
