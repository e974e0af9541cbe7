"""Latency of a network: forward passes timed as somebody who deploys it would meet them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median, quantiles

import torch
from torch import nn

from tasearch.domain.latency import BATCHES, LatencyTable, Timing
from tasearch.domain.spec import ModelSpec
from tasearch.models.registry import build_model
from tasearch.training.device import environment

_WARM_UP = 2
_LEAST_RUNS, _MOST_RUNS = 5, 50
_SECONDS = 0.1
"""Small nets are timed `_MOST_RUNS` times, large ones for this long or `_LEAST_RUNS` times."""

logger = logging.getLogger(__name__)


def latencies(
    models: Sequence[ModelSpec], device: torch.device, tick: Callable[[], None] = lambda: None
) -> LatencyTable:
    """Return the times of every model on a device, with the CPU threads of this process.

    Weights are random: they do not change the time. Takes seconds for large models. A batch that memory is too small
    for is left out. `tick` is called after every pass and may raise to stop.
    """
    place = environment(device)
    return LatencyTable(
        device=place.device,
        threads=place.threads,
        torch_version=place.torch_version,
        models={spec.name: tuple(_timings(spec, device, tick)) for spec in models},
    )


def _timings(spec: ModelSpec, device: torch.device, tick: Callable[[], None]) -> Iterator[Timing]:
    net: nn.Module = build_model(spec, seed=0).to(device).eval()
    for batch in BATCHES:
        images = torch.zeros(batch, spec.in_channels, spec.image_size, spec.image_size, device=device)
        try:
            with torch.inference_mode(), _as_deployed():
                passes = _passes(net, images, tick)
        except (torch.cuda.OutOfMemoryError, MemoryError):
            logger.warning("%s with %d images does not fit into memory: its latency is not measured", spec.name, batch)
            continue
        low, _, high = quantiles(passes, n=4)
        yield Timing(batch=batch, median=median(passes), low=low, high=high, runs=len(passes))


def _passes(net: nn.Module, images: torch.Tensor, tick: Callable[[], None]) -> list[float]:
    for _ in range(_WARM_UP):
        _seconds(net, images)
        tick()
    found: list[float] = []
    began = time.perf_counter()
    while len(found) < _LEAST_RUNS or (len(found) < _MOST_RUNS and time.perf_counter() - began < _SECONDS):
        found.append(_seconds(net, images))
        tick()
    return found


def _seconds(net: nn.Module, images: torch.Tensor) -> float:
    _wait(images.device)
    started = time.perf_counter()
    net(images)
    _wait(images.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def _as_deployed() -> Iterator[None]:
    """Let torch choose its fastest kernels: training keeps to deterministic ones, which nobody deploys with."""
    deterministic, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
