"""How many stages a worker trains side by side: `--pack`."""

from __future__ import annotations

import torch

from tasearch.config.settings import Settings
from tasearch.data.dataset import Dataset, Split
from tasearch.domain.errors import ConfigError

MOST = 8
"""More gain nothing on the GPU that was measured (`docs/gpu.md`)."""
STAGE_BYTES = 2 << 30
"""Memory of a GPU that a stage is given; what needs more makes the pack smaller when it is met."""


def pack_size(settings: Settings, dataset: Dataset, device: torch.device) -> int:
    """Return how many stages each worker trains at once; `auto` is 1 on a CPU, on a GPU what its free memory holds.

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
    if device.type != "cuda" or not is_resident:
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    share = settings.gpus_per_worker or 1 / (settings.workers_per_gpu or 1)
    return max(1, min(MOST, int(free * share) // STAGE_BYTES))
