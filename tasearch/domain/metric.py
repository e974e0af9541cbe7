"""What a network is judged by, on val and on test: one metric for everything in a study."""

from __future__ import annotations

from typing import Final

ACCURACY: Final = "accuracy"
BALANCED_ACCURACY: Final = "balanced-accuracy"
METRICS = (ACCURACY, BALANCED_ACCURACY)
"""`accuracy`: the share of images that are right; `balanced-accuracy`: its mean over the classes."""


def in_words(metric: str) -> str:
    """Return how a metric is printed: `accuracy`, `balanced accuracy`."""
    return metric.replace("-", " ")
