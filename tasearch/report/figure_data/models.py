"""Teacher, TAs and student side by side: how big, how fast, how accurate."""

from __future__ import annotations

from dataclasses import dataclass

from tasearch.domain.latency import BATCHES, Timing
from tasearch.report.view import StudyView

SEARCH_REPLICATE = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRow:
    """One model of a study; times are seconds of one forward pass of 1 and of 64 images."""

    model: str
    role: str
    """`teacher`, `TA` (a candidate) or `student`."""
    num_params: int
    macs: int
    latency_1: float | None
    """Median; None where it was not measured."""
    latency_64: float | None
    runs_1: int | None
    runs_64: int | None
    from_labels: float | None
    """val accuracy without a teacher, on the search replicate, if it was trained so."""
    distilled: float | None
    """Best val accuracy at the end of a stage that taught it, on the search replicate."""


def model_rows(view: StudyView) -> tuple[ModelRow, ...]:
    """Return the models of a study, largest first."""
    sized = [
        ("teacher", view.teacher.name, view.teacher.capacity),
        *(("TA", name, capacity) for name, capacity in view.ta_capacities.items()),
        ("student", view.student.name, view.student.capacity),
    ]
    known = {**view.scratch}
    for point in (view.teacher, view.student):
        if point.val_accuracy is not None:
            known[point.name] = point.val_accuracy
    found = []
    for role, name, capacity in sorted(sized, key=lambda one: -one[2].num_params):
        one, many = (_timing(view, name, batch) for batch in BATCHES)
        found.append(
            ModelRow(
                model=name,
                role=role,
                num_params=capacity.num_params,
                macs=capacity.macs,
                latency_1=None if one is None else one.median,
                latency_64=None if many is None else many.median,
                runs_1=None if one is None else one.runs,
                runs_64=None if many is None else many.runs,
                from_labels=known.get(name),
                distilled=_distilled(view, name),
            )
        )
    return tuple(found)


def _timing(view: StudyView, name: str, batch: int) -> Timing | None:
    return None if view.latency is None else view.latency.timing(name, batch)


def _distilled(view: StudyView, name: str) -> float | None:
    values = [
        stage.val_accuracy
        for stage in view.stages
        if stage.student == name
        and stage.teacher_fingerprint is not None
        and stage.replicate == SEARCH_REPLICATE
        and stage.val_accuracy is not None
    ]
    return max(values, default=None)
