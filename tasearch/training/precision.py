"""Which arithmetic a device is faster in: measured on the models of the study, not guessed from its name."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import nn

from tasearch.domain.spec import ModelSpec
from tasearch.models.ambient import seeded
from tasearch.models.registry import build_model
from tasearch.models.traits import as_input, placed
from tasearch.training.device import autocast

PRECISIONS = ("float32", "bfloat16")
WORTH = 0.85
"""bfloat16 is taken where it needs at most this share of float32's time: less is within what a machine wavers."""
HOPELESS = 1.5
"""A net that takes this many times longer in bfloat16 says that the device only imitates it: no other need be tried."""
_BATCH = 64
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 25
_SECONDS = 1.5
"""Small nets are measured for this long, large ones for the fewest rounds."""


def faster_precision(models: Sequence[ModelSpec], device: torch.device) -> str:
    """Return `bfloat16` where a forward and backward pass of these models is clearly faster in it, else `float32`.

    Takes seconds. Rounds of both alternate and the fastest of each counts, so that a passing load decides nothing.
    Give the smallest model first: where a device only imitates bfloat16, large ones would take minutes.
    """
    with seeded(0, device):
        return _faster(models, device)


def _faster(models: Sequence[ModelSpec], device: torch.device) -> str:
    spent = {precision: [float("inf")] * len(models) for precision in PRECISIONS}
    for number, spec in enumerate(models):
        net = placed(build_model(spec, seed=0), device)
        images = torch.zeros(_BATCH, spec.in_channels, spec.image_size, spec.image_size, device=device)
        images = as_input(images, net)
        for precision in PRECISIONS:
            _pass_seconds(net, images, precision)
        started, rounds = time.perf_counter(), 0
        while rounds < _LEAST_ROUNDS or (rounds < _MOST_ROUNDS and time.perf_counter() - started < _SECONDS):
            rounds += 1
            for precision in PRECISIONS:
                spent[precision][number] = min(spent[precision][number], _pass_seconds(net, images, precision))
        if spent["bfloat16"][number] > HOPELESS * spent["float32"][number]:
            return "float32"
    return "bfloat16" if sum(spent["bfloat16"]) <= WORTH * sum(spent["float32"]) else "float32"


def _pass_seconds(net: nn.Module, images: torch.Tensor, precision: str) -> float:
    _wait(images.device)
    started = time.perf_counter()
    with autocast(images.device, precision):
        logits = net(images)
    logits.float().logsumexp(dim=1).mean().backward()
    _wait(images.device)
    net.zero_grad(set_to_none=True)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
