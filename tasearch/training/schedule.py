"""Learning rates as pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence

SCHEDULES = ("cosine", "step", "constant")


def learning_rate(
    step: int,
    total_steps: int,
    *,
    peak: float,
    schedule: str,
    warmup_fraction: float = 0.05,
    milestones: Sequence[float] = (0.5, 0.75),
) -> float:
    """Return the learning rate of `step` (from 0) of `total_steps`.

    Every schedule rises linearly over the first steps, 5% of them by default: deep ResNets diverge without it
    (He et al. 2016, section 4.2, warm up resnet110). Then `cosine` falls to 0 (Loshchilov and Hutter 2017),
    `step` divides by 10 at each of `milestones` (fractions of the steps), `constant` stays at `peak`.
    """
    warmup = int(total_steps * warmup_fraction)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = step / total_steps
    if schedule == "cosine":
        return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))
    if schedule == "step":
        return float(peak * (1.0, 0.1, 0.01, 0.001)[min(3, sum(progress >= milestone for milestone in milestones))])
    if schedule == "constant":
        return peak
    raise ValueError(f"unknown schedule {schedule!r}, known: {', '.join(SCHEDULES)}")
