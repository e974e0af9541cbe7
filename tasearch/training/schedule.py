"""Learning rates as pure functions of the step."""

from __future__ import annotations

import math

SCHEDULES = ("cosine", "step", "constant")
WARMUP_FRACTION = 0.05


def learning_rate(step: int, total_steps: int, *, peak: float, schedule: str) -> float:
    """Return the learning rate of `step` (from 0) of `total_steps`.

    Every schedule warms up linearly over the first 5% of the steps: deep ResNets diverge without it
    (He et al. 2016, section 4.2, warm up resnet110). Then `cosine` falls to 0 (Loshchilov and Hutter 2017),
    `step` divides by 10 at 1/2 and at 3/4 of the steps, `constant` stays at `peak`.
    """
    warmup = int(total_steps * WARMUP_FRACTION)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = step / total_steps
    if schedule == "cosine":
        return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))
    if schedule == "step":
        return peak * (1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01)
    if schedule == "constant":
        return peak
    raise ValueError(f"unknown schedule {schedule!r}, known: {', '.join(SCHEDULES)}")
