"""What a study still costs, in multiply-accumulates: for the time left before the first trial has been timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from tasearch.domain.result import Capacity
from tasearch.domain.spec import ChainSpec, StageSpec
from tasearch.worker.study_plan import StudyPlan


@dataclass(frozen=True, kw_only=True)
class StudyCost:
    """Expected MACs of the parts of a study, nothing reused."""

    capacities: Mapping[str, Capacity]
    baselines: float
    """Teacher and NOKD."""
    trial: float
    """A chain, on average over the paths of the search space."""

    def of_epoch(self, spec: StageSpec) -> float:
        """Return the MACs of one epoch of a stage."""
        teacher = None if spec.distillation is None else spec.distillation.teacher.student.name
        return _epoch(self.capacities, spec.student.name, teacher, spec.data.num_train)


def study_cost(plan: StudyPlan) -> StudyCost:
    """Return the expected cost of a study."""
    images, epochs = plan.stages.data.num_train, plan.stages.recipe.epochs

    def stage(student: str, teacher: str | None) -> float:
        return epochs * _epoch(plan.capacities, student, teacher, images)

    def chain(spec: ChainSpec) -> float:
        if spec.ta_from == "scratch":
            return stage(spec.path[1], None) + stage(spec.path[2], spec.path[1])
        return sum(stage(student, teacher) for teacher, student in zip(spec.path[:-1], spec.path[1:], strict=True))

    pair = plan.space.default_pair
    return StudyCost(
        capacities=plan.capacities,
        baselines=(0 if plan.stages.is_teacher_given else stage(plan.space.teacher, None))
        + stage(plan.space.student, None),
        trial=fmean(chain(plan.space.build(list(tas), *pair)) for tas in plan.space.paths()),
    )


def _epoch(capacities: Mapping[str, Capacity], student: str, teacher: str | None, images: int) -> float:
    """A student's forward and backward pass cost about three forward passes; its teacher only goes forward."""
    return images * (3.0 * capacities[student].macs + (capacities[teacher].macs if teacher else 0))
