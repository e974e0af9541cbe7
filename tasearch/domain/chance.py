"""Whether an accuracy is more than guessing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasearch.domain.balance import effective_images
from tasearch.domain.metric import ACCURACY


def is_near_chance(accuracy: float, counts: Sequence[int], metric: str = ACCURACY) -> bool:
    """Whether an accuracy is at most three standard errors above what the same answer to every image reaches.

    `counts`: images of each class. That is the share of the largest class; in the mean over classes 1 / K, known as
    well as by the images that the classes are worth.
    """
    is_mean = metric == ACCURACY
    chance = max(counts) / sum(counts) if is_mean else 1 / len(counts)
    num_images = sum(counts) if is_mean else effective_images(counts)
    return accuracy <= chance + 3 * math.sqrt(chance * (1 - chance) / num_images)
