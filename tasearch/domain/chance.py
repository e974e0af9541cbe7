"""Whether an accuracy is more than guessing."""

from __future__ import annotations

import math


def is_near_chance(accuracy: float, num_classes: int, num_images: int) -> bool:
    """Whether an accuracy is at most three standard errors above guessing among classes of equal size."""
    chance = 1 / num_classes
    return accuracy <= chance + 3 * math.sqrt(chance * (1 - chance) / num_images)
