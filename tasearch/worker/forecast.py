"""What a study would do and how long it would take: `tasearch optimize --dry-run`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from tasearch.data.dataset import Dataset
from tasearch.data.views import normalisation_of
from tasearch.domain.result import Capacity
from tasearch.domain.spec import ChainSpec, StageSpec
from tasearch.search.rehearsal import rehearse
from tasearch.training.timing import ModelSpeed, speed_of
from tasearch.worker.study_plan import StudyPlan, no_ladder


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The plan of a study before anything is created."""

    study_name: str
    capacities: Mapping[str, Capacity]
    """Teacher, candidate TAs and student."""
    num_paths: int
    num_chains: int
    trials: int
    """Trials of the budget, fewer where the space has fewer chains."""
    search_stages: int
    """Distinct stages of the search, teacher and NOKD included."""
    search_stages_unshared: int
    """Stages if every trial trained its whole chain, the teacher and NOKD once."""
    finals_stages: int
    """Distinct stages of the finals' first look."""
    search_seconds: float
    finals_seconds: float
    """Of the first look; every further replicate costs its share again."""
    workers: int
    no_ladder: str | None
    """Why there are no candidate TAs, where there are none."""

    @property
    def seconds(self) -> float:
        """Predicted time until the verdict, if the first look decides."""
        return self.search_seconds + self.finals_seconds


def forecast(plan: StudyPlan, dataset: Dataset, device: torch.device, workers: int) -> Forecast:
    """Time each model on this device and add up what the real sampler would train; nothing is created.

    Which chains the search tries is a sample (accuracies are made up), finalists are those with most TAs: long, so
    that the forecast is not too short.
    """
    rehearsed = rehearse(plan.space, plan.sampler(), plan.settings.trials)
    chains = (*rehearsed.trials, *rehearsed.rungs)
    baselines = [plan.stages.teacher_stage, plan.stages.from_labels(plan.space.student)]
    search = _distinct(baselines, chains, plan, (0,))
    paths = sorted({chain.path: chain for chain in rehearsed.trials}.values(), key=lambda chain: -len(chain.path))
    direct = [chain for chain in rehearsed.trials if chain.is_direct][:1]
    finalists = [chain for chain in paths if not chain.is_direct][: plan.num_finalists]
    replicates = tuple(range(1, plan.settings.replicates + 1))
    nokd = [plan.stages.from_labels(plan.space.student, replicate) for replicate in replicates]
    finals = _distinct(nokd, [*finalists, *direct], plan, replicates)
    used = {spec.student.name for spec in (*search, *finals)} | {plan.space.teacher}
    speeds = _speeds(used, plan, dataset, device)
    return Forecast(
        study_name=plan.study_name,
        capacities=plan.capacities,
        num_paths=len(plan.space.paths()),
        num_chains=plan.space.num_chains,
        trials=len(rehearsed.trials),
        search_stages=len(search),
        search_stages_unshared=len(baselines) + sum(len(chain.path) - 1 for chain in chains),
        finals_stages=len(finals),
        search_seconds=_seconds(search, speeds) / workers,
        finals_seconds=_seconds(finals, speeds) / workers,
        workers=workers,
        no_ladder=None if plan.space.ladder else no_ladder(plan),
    )


def predicted_seconds(stages: Sequence[StageSpec], plan: StudyPlan, dataset: Dataset, device: torch.device) -> float:
    """Time the models of some distinct stages on this device and add up what training them takes, one after another.

    Whatever teaches one of them must be among them.
    """
    return _seconds(stages, _speeds({spec.student.name for spec in stages}, plan, dataset, device))


def _speeds(names: Iterable[str], plan: StudyPlan, dataset: Dataset, device: torch.device) -> dict[str, ModelSpeed]:
    statistics = normalisation_of(dataset.spec, dataset.train)
    return {name: speed_of(plan.stages.from_labels(name), dataset, statistics, device) for name in sorted(names)}


def _distinct(
    stages: Iterable[StageSpec], chains: Iterable[ChainSpec], plan: StudyPlan, replicates: Iterable[int]
) -> list[StageSpec]:
    """Return the given stages and those of the chains on each replicate, each once."""
    found = {spec.fingerprint: spec for spec in stages}
    for replicate in replicates:
        for chain in chains:
            found |= {spec.fingerprint: spec for spec in plan.stages.chain(chain, replicate)}
    return list(found.values())


def _seconds(stages: Iterable[StageSpec], speeds: Mapping[str, ModelSpeed]) -> float:
    """Return the time of some distinct stages: training, val, and each teacher's logits once per replicate."""
    total = 0.0
    tables: set[tuple[str, int]] = set()
    for spec in stages:
        if spec.given is not None:
            continue
        speed, epochs = speeds[spec.student.name], spec.recipe.epochs
        total += epochs * (spec.data.num_train * speed.train + spec.data.num_val * speed.forward)
        if spec.distillation is None:
            continue
        teacher = spec.distillation.teacher
        if (teacher.fingerprint, spec.replicate) not in tables:
            tables.add((teacher.fingerprint, spec.replicate))
            total += epochs * spec.data.num_train * speeds[teacher.student.name].forward
    return total


def forecast_lines(found: Forecast) -> list[str]:
    """Return the forecast for people."""
    models = ", ".join(f"{name} {size.num_params:,}" for name, size in found.capacities.items())
    saved = found.search_stages_unshared / found.search_stages
    workers = "" if found.workers == 1 else f" with {found.workers} workers"
    return [
        f"study {found.study_name}: nothing was created",
        f"models (parameters): {models}",
        *([] if found.no_ladder is None else [f"no TAs ({found.no_ladder}): only direct distillation is tuned"]),
        f"search space: {found.num_paths} paths, {found.num_chains:,} chains",
        f"search: {found.trials} trials, about {found.search_stages} distinct stages "
        f"({saved:.1f} times fewer than {found.search_stages_unshared} without reuse)",
        f"finals: about {found.finals_stages} stages until the first look",
        f"predicted time{workers}: search {_minutes(found.search_seconds)}, finals "
        f"{_minutes(found.finals_seconds)} until the first look, together {_minutes(found.seconds)}",
    ]


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
