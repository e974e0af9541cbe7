"""Which GPU each worker process of a call has: planned here, carried out in `local_workers`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU that a call may use."""

    index: int
    """As torch counts in this process: `cuda:<index>`."""
    entry: str
    """What `CUDA_VISIBLE_DEVICES` must be for a process that shall see this GPU alone: a number or a UUID."""


def visible_gpus(environment: Mapping[str, str], count: int) -> tuple[Gpu, ...]:
    """Return the GPUs that torch sees, `count` of them.

    CUDA numbers them in the order of `CUDA_VISIBLE_DEVICES` and reads that list up to its first entry that is no GPU.
    """
    listed = environment.get(VISIBLE)
    entries = [str(index) for index in range(count)] if listed is None else listed.split(",")
    return tuple(Gpu(index, entry.strip()) for index, entry in enumerate(entries[:count]))


def choose_gpus(settings: Settings, device: torch.device, visible: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """Return the GPUs of a call in the order in which workers get them; none where it computes on the CPU.

    Those of `--gpus`, else the one that `--device cuda:N` names, else all that are visible.

    Raises ConfigError where GPUs are asked for that are not there, or for a call on the CPU.
    """
    if device.type != "cuda":
        for flag, value in (("--gpus", settings.gpus), ("--workers-per-gpu", settings.workers_per_gpu)):
            if value is not None:
                raise ConfigError(
                    f"{flag} {_shown(value)}: this call computes on the CPU; torch sees {len(visible)} CUDA devices",
                    hint=f"leave {flag} out" + (", or --device cpu" if visible else ""),
                )
        return ()
    if settings.gpus is None:
        return visible if device.index is None else tuple(gpu for gpu in visible if gpu.index == device.index)
    for index in settings.gpus:
        if index >= len(visible):
            raise ConfigError(
                f"--gpus {_shown(settings.gpus)}: there is no GPU {index}; torch sees {len(visible)} CUDA devices",
                hint="GPUs are counted from 0 among those that CUDA_VISIBLE_DEVICES leaves",
            )
    return tuple(visible[index] for index in settings.gpus)


def workers_on(settings: Settings, gpus: tuple[Gpu, ...]) -> int:
    """Return how many worker processes share these GPUs.

    `--workers auto`, or none said beside `--gpus` or `--workers-per-gpu`: `--workers-per-gpu` on each.

    Raises ConfigError where a number of workers was said that leaves a GPU of `--gpus` idle, or is another than
    `--workers-per-gpu` gives.
    """
    per_gpu = settings.workers_per_gpu or 1
    asked = settings.gpus is not None or settings.workers_per_gpu is not None
    if settings.workers == "auto" or (asked and "workers" not in settings.model_fields_set):
        return len(gpus) * per_gpu
    workers = settings.workers
    if settings.gpus is not None and workers < len(gpus):
        raise ConfigError(
            f"--gpus {_shown(settings.gpus)}: --workers {workers} would leave a GPU idle",
            hint="use --workers auto, or name fewer GPUs",
        )
    if settings.workers_per_gpu is not None and workers != len(gpus) * per_gpu:
        raise ConfigError(
            f"--workers {workers}: {per_gpu} on each of {len(gpus)} GPUs (--workers-per-gpu) are {len(gpus) * per_gpu}",
            hint="say one of the two, or use --workers auto",
        )
    return workers


def assign_gpus(gpus: tuple[Gpu, ...], workers: int) -> tuple[Gpu | None, ...]:
    """Return the GPU of each worker, dealt out in turn so that none has two more than another; None on the CPU."""
    if not gpus:
        return (None,) * workers
    return tuple(gpus[number % len(gpus)] for number in range(workers))


def gpus_here(settings: Settings, device: torch.device) -> tuple[Gpu, ...]:
    """Return `choose_gpus` for what this process sees. Raises ConfigError as it does."""
    return choose_gpus(settings, device, visible_gpus(os.environ, torch.cuda.device_count()))


def on_first_gpu(settings: Settings) -> Settings:
    """Return the settings with the device of the calling process, which is the first worker on the first of `--gpus`.

    It cannot be pinned by `CUDA_VISIBLE_DEVICES`: CUDA may have read that already.

    Raises ConfigError where `--gpus` cannot be had, or names GPUs beside a `--device` that names one.
    """
    if settings.gpus is None:
        return settings
    if settings.device not in ("auto", "cuda"):
        raise ConfigError(
            f"--gpus {_shown(settings.gpus)} and --device {settings.device} both say where to compute",
            hint="leave one of them out",
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return settings.model_copy(update={"device": f"cuda:{gpus_here(settings, device)[0].index}"})


def _shown(value: int | tuple[int, ...]) -> str:
    return str(value) if isinstance(value, int) else ",".join(str(item) for item in value)
