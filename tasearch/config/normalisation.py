"""`--normalize`: mean and standard deviation of each channel, as text."""

from __future__ import annotations

import math

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and standard deviations, one of each per channel, in units of [0, 1]."""
NAMED: dict[str, Normalisation] = {"imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
"""Those that many published nets were trained with."""


def parse_normalisation(text: str) -> Normalisation:
    """Return what `MEAN,MEAN,.../STD,STD,...` or a name says. Raises ValueError with what is allowed."""
    if text in NAMED:
        return NAMED[text]
    first, slash, second = text.partition("/")
    try:
        means, stds = (tuple(float(part) for part in side.split(",")) for side in (first, second))
    except ValueError:
        means, stds = (), ()
    if not slash or not means or len(means) != len(stds):
        raise ValueError("write one mean and one standard deviation per channel, e.g. 0.49,0.48,0.45/0.25,0.24,0.26")
    if not all(math.isfinite(value) for value in means) or not all(0 < value < math.inf for value in stds):
        raise ValueError("means must be finite and standard deviations above 0")
    if max(means) > 1 or min(means) < 0 or max(stds) > 1:
        raise ValueError("the numbers are in units of [0, 1], not of 0 to 255")
    return means, stds
