"""How many stages a worker trains side by side: `--pack`."""

from __future__ import annotations

import math

import torch

from tasearch.config.settings import Settings
from tasearch.data.dataset import Dataset, Split
from tasearch.domain.errors import ConfigError
from tasearch.models.names import is_own
from tasearch.worker.gpus import gpus_here

MOST = 8
"""More gain nothing on the GPU that was measured (`docs/gpu.md`)."""
STAGE_BYTES = 2 << 30
"""Memory of a GPU that a stage is given; what needs more makes the pack smaller when it is met."""


def pack_size(settings: Settings, dataset: Dataset, device: torch.device, workers: int = 1) -> int:
    """Return how many stages each of some workers trains at once.

    `auto` is 1 on a CPU, on a GPU what its free memory holds, shared with the other workers there; 1 as well where
    steps cannot be recorded: launched kernel by kernel, stages side by side gain nothing.

    Raises ConfigError where several are asked for of images that stay in their files, which are read for one stage.
    """
    is_resident = isinstance(dataset.train, Split)
    if settings.pack != "auto":
        if settings.pack > 1 and not is_resident:
            raise ConfigError(
                f"--pack {settings.pack}: the images stay in their files, which are read for one stage at a time",
                hint="leave --pack out, or allow the images more memory with --memory-gb",
            )
        return settings.pack
    is_recorded = settings.optimizer == "sgd" and is_own(settings.student)
    if device.type != "cuda" or not is_resident or not is_recorded:
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    on_one_gpu = math.ceil(workers / max(1, len(gpus_here(settings, device))))
    share = settings.gpus_per_worker or 1 / on_one_gpu
    return max(1, min(MOST, int(free * share) // STAGE_BYTES))
