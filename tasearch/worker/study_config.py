"""What is stored of a study for those who read it without its data, models or torch."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from tasearch.config.settings import Settings
from tasearch.data.dataset import Dataset
from tasearch.domain.fingerprint import plain
from tasearch.models.names import is_own
from tasearch.search.finals import MODEL_REMARKS
from tasearch.training.device import environment
from tasearch.worker.command import command_of
from tasearch.worker.identity import parts_here
from tasearch.worker.study_plan import StudyPlan

LIBRARIES = ("tasearch", "torch", "torchvision", "timm", "optuna", "sqlalchemy", "numpy")
"""Whose versions are recorded with a study, where they are installed."""


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a result may depend on."""
    found = {}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def study_config(plan: StudyPlan, dataset: Dataset, device: torch.device, said: Settings) -> dict[str, Any]:
    """Return what the report needs to know of a study without loading data, models or torch; `said`: in the call."""
    data, recipe = plan.stages.data, plan.stages.recipe
    return {
        "settings": plan.settings.model_dump(mode="json", exclude={"storage", "home", "artifacts", "data_dir"}),
        "recipe": {**plain(recipe), **_unusual(plan)},
        "data": plain(data),
        "num_test": dataset.num_test,
        "test_hash": plan.test_hash,
        "class_names": list(dataset.class_names),
        "class_counts": plain(dataset.class_counts),
        "data_remarks": list(dataset.remarks),
        MODEL_REMARKS: list(plan.model_remarks),
        "capacities": plain(plan.capacities),
        "environment": plain(environment(device)),
        "command": command_of(said, plan.study_name, plan.precision),
        "num_finalists": plan.num_finalists,
        # By model, to say what differs where a worker has another net; no part of an identity.
        "net_parts": {name: parts_here(plan.stages, name) for name in plan.stages.models if not is_own(name)},
        "scratch": {name: plan.stages.from_labels(name).fingerprint for name in plan.capacities},
    }


def _unusual(plan: StudyPlan) -> dict[str, Any]:
    """Return what of a study's training is neither the student's recipe nor as by default."""
    others, reduction = plan.stages.other_recipes, plan.stages.kl_reduction
    found: dict[str, Any] = {} if reduction == "batchmean" else {"kl_reduction": reduction}
    return found | ({"other_recipes": plain(others)} if others else {})
