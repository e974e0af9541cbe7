"""Settings of a worker that joins a study: what is computed comes from the study, where and how from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasearch.config.resolve import ENVIRONMENT_PREFIX, resolve
from tasearch.config.settings import Settings

OF_THE_WORKER = (
    "study_name",
    "storage",
    "artifacts",
    "home",
    "data_dir",
    "dataset",
    "device",
    "gpus",
    "workers",
    "workers_per_gpu",
    "pack",
    "threads",
    "checkpoint_seconds",
    "cache_gb",
    "memory_gb",
)
"""Settings that each worker has of its own. `dataset`: the same images may lie elsewhere; their hash is compared."""
_OF_THE_CALL = ("launcher", "gpus_per_worker")


def joining_settings(stored: Mapping[str, Any], flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Return the settings of a worker of a study.

    `stored`: the study's settings as recorded; `flags` and `environment` give those of the worker, all others are the
    study's. Raises ConfigError.
    """
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    kept = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if name in defaults and (name not in OF_THE_WORKER or name == "dataset") and name not in _OF_THE_CALL
    }
    # What the study was not told stays a default here: defaults follow the data where what was said is checked.
    said = {name: value for name, value in kept.items() if value != defaults[name]}
    variables = {ENVIRONMENT_PREFIX + name.upper() for name in defaults if name not in OF_THE_WORKER}
    own = {name: value for name, value in environment.items() if name not in variables}
    if flags.get("dataset") is None and own.get(f"{ENVIRONMENT_PREFIX}DATASET"):
        said.pop("dataset", None)
    return resolve({**said, **{name: value for name, value in flags.items() if value is not None}}, own, None)
