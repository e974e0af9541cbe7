"""What a call says before the work begins."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from tasearch.data.dataset import Dataset
from tasearch.data.memory import in_gigabytes
from tasearch.domain.balance import imbalance
from tasearch.domain.fingerprint import plain
from tasearch.domain.metric import ACCURACY
from tasearch.training.device import environment
from tasearch.worker.study_plan import StudyPlan, no_ladder


def opening_lines(plan: StudyPlan, dataset: Dataset, device: torch.device, workers: int, pack: int) -> list[str]:
    """Return what is said before a search begins: study, data, ladder and budget."""
    space = plan.space
    ladder = " ".join(space.ladder)
    pairs = f"{len(space.temperatures)} temperatures x {len(space.kd_weights)} KD weights"
    first, last = plan.settings.replicates, plan.max_replicates
    finals = f"finalists: {plan.num_finalists}, fresh replicates: {first}" + (f" to {last}" if last > first else "")
    return [
        *_data_lines(plan, dataset, advice=" (--metric balanced-accuracy weighs every class alike)"),
        f"TA candidates: {ladder}, at most {space.most_tas} in a chain"
        if ladder
        else f"no TAs ({no_ladder(plan)}): only direct distillation is tuned",
        f"budget: {plan.settings.trials} trials of {space.num_chains:,} chains ({pairs}), "
        f"{_epochs(plan)} a stage, {finals}",
        _machine_line(plan, device, workers, pack),
    ]


def gap_opening_lines(
    plan: StudyPlan, dataset: Dataset, device: torch.device, workers: int, pack: int, arms: Iterable[str]
) -> list[str]:
    """Return what is said before a measurement of the gap begins: study, data, arms and budget."""
    pairs = len(plan.space.grid)
    tuned = (
        f"each arm at the best of {pairs} pairs"
        if pairs > 1
        else "temperature {:g}, KD weight {:g}".format(*plan.space.grid[0])
    )
    return [
        *_data_lines(plan, dataset),
        f"arms: {', '.join(arms)}",
        f"budget: {plan.settings.replicates} fresh replicates, {tuned}, {_epochs(plan)} a stage",
        _machine_line(plan, device, workers, pack),
    ]


def _data_lines(plan: StudyPlan, dataset: Dataset, advice: str = "") -> list[str]:
    """Return the study, its data with all that is unusual about it, and a recipe that is not the default one.

    Advice is what uneven classes are answered with.
    """
    data, recipe = plan.stages.data, plan.stages.recipe
    large = dataset.too_large
    streamed = large and (
        f"streamed from files: in memory the images would take {in_gigabytes(large.needed_bytes)}, "
        f"more than {in_gigabytes(large.limit_bytes)} (--memory-gb)"
    )
    named = plan.settings.recipe != "default" and (
        f"recipe {plan.settings.recipe}: learning rate {recipe.learning_rate:g} ({recipe.schedule}), weight decay "
        f"{recipe.weight_decay:g}, KL {plan.stages.kl_reduction} for {plan.space.student}"
    )
    is_balanced = plan.stages.metric != ACCURACY
    uneven = imbalance(dataset.class_names, plain(dataset.class_counts))
    return [
        f"study {plan.study_name}",
        f"data {data.name}: {data.num_train:,} train, {data.num_val:,} val, {dataset.num_test:,} test images, "
        f"{data.image_size} x {data.image_size}, {data.num_classes} classes",
        *(f"data: {remark}" for remark in dataset.remarks),
        *([uneven + advice * (not is_balanced)] if uneven else []),
        *(["metric: balanced accuracy, the mean over classes; every accuracy below is that"] if is_balanced else []),
        *([streamed] if streamed else []),
        *([named] if named else []),
        *plan.model_remarks,
    ]


def _epochs(plan: StudyPlan) -> str:
    count = plan.stages.recipe.epochs
    return f"{count} epoch" + "s" * (count != 1)


def _machine_line(plan: StudyPlan, device: torch.device, workers: int, pack: int) -> str:
    beside = f"stages at once: {pack}, " if pack > 1 else ""
    return (
        f"on {environment(device).device}, workers: {workers}, {beside}CPU threads of each: {torch.get_num_threads()}, "
        f"precision: {plan.stages.recipe.precision}"
    )
