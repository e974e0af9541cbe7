"""What each look of a race may spend, so that all of them together keep one error.

Looking at several finalists several times announces a false winner in one study of six where each look is an ordinary
5% test. Here the level of a look is calibrated: under "no difference" the joint law of all t statistics of a race
depends only on the number of finalists, the looks and the correlation between finalists, so it can be simulated.
Finalists are taken for independent. They are not (all are compared with the same BLKD, which makes the correlation
about 0.5), but independence is the worst case among correlations >= 0, and it costs only 0.2 replicates a study.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy

ERROR = 0.05
"""Probability of announcing a false winner that may not be exceeded, over all finalists and looks."""
TARGET = 0.048
"""What is aimed at: the rest covers the calibration's own Monte Carlo error."""
_SEED = 20
_MOST_STUDIES, _FEWEST_STUDIES = 200_000, 20_000
_MOST_DRAWS = 20_000_000
"""About a second."""
_CHUNK = 10_000

_TABLE: dict[tuple[int, tuple[int, ...]], tuple[float, float]] = {
    (1, (5, 8, 12, 16, 20)): (0.015496, 0.011928),
    (2, (5, 8, 12, 16, 20)): (0.007216, 0.006472),
    (3, (5, 8, 12, 16, 20)): (0.004642, 0.004387),
    (4, (5, 8, 12, 16, 20)): (0.003389, 0.003288),
    (5, (5, 8, 12, 16, 20)): (0.002666, 0.002627),
    (1, (5, 6, 7, 8, 10)): (0.019342, 0.013935),
    (2, (5, 6, 7, 8, 10)): (0.008940, 0.007739),
    (3, (5, 6, 7, 8, 10)): (0.005704, 0.005267),
    (4, (5, 6, 7, 8, 10)): (0.004153, 0.003965),
    (5, (5, 6, 7, 8, 10)): (0.003256, 0.003164),
    (2, (5,)): (0.024280, 0.016701),
    (3, (5,)): (0.016204, 0.012585),
    (4, (5,)): (0.012188, 0.010109),
    (5, (5,)): (0.009771, 0.008438),
}
"""Levels of usual races, from 2,000,000 simulated studies each: (finalists, looks) to (level, interval level)."""


@cache
def levels(num_finalists: int, looks: tuple[int, ...]) -> tuple[float, float]:
    """Return the one-sided level of each look and finalist, and the level of each side of a reported interval.

    Usual races come from a table, others are simulated with a fixed seed in about a second.
    """
    return _TABLE.get((num_finalists, looks)) or calibrate(num_finalists, looks)


def calibrate(num_finalists: int, looks: tuple[int, ...], studies: int | None = None) -> tuple[float, float]:
    """Return both levels from simulated races without any difference.

    Level: P(any t statistic of any finalist at any look has a one-sided p below it) = TARGET.
    Interval level: let F(b) be that probability for level b. An interval whose sides are at level b lies above the
    truth with probability F(b) at most, whoever is reported and whenever the race stopped; it lies below the truth with
    about b, because a race chooses who is high and stops when someone is. So b solves F(b) + b = ERROR: for one
    finalist and one look the textbook interval (b = 2.5%), wider for any other race.
    """
    if looks[-1] < 2 or (num_finalists, len(looks)) == (1, 1):
        # One replicate decides nothing at any level; a single comparison needs no simulation.
        return ERROR, ERROR / 2
    if studies is None:
        wanted = _MOST_DRAWS // (num_finalists * looks[-1])
        studies = min(_MOST_STUDIES, max(_FEWEST_STUDIES, wanted))
    draw = np.random.default_rng(_SEED)
    parts = [min(_CHUNK, studies - begun) for begun in range(0, studies, _CHUNK)]
    smallest = np.sort(np.concatenate([_smallest_p(draw, part, num_finalists, looks) for part in parts]))
    level = float(np.quantile(smallest, TARGET))
    reached = np.arange(1, studies + 1) / studies
    side = float(smallest[np.searchsorted(reached + smallest, ERROR) - 1])
    return level, min(level, side)


def _smallest_p(draw: np.random.Generator, studies: int, num_finalists: int, looks: tuple[int, ...]) -> np.ndarray:
    """Return the smallest one-sided p value of each study, over finalists and looks: shape (studies,)."""
    noise = draw.standard_normal((studies, num_finalists, looks[-1]))
    total, squares = np.zeros((2, studies, num_finalists))
    smallest, before = np.ones(studies), 0
    for look in looks:
        block = noise[:, :, before:look]
        total, squares, before = total + block.sum(-1), squares + np.square(block).sum(-1), look
        if look >= 2:
            variance = (squares - np.square(total) / look) / (look - 1)
            statistic = total / np.sqrt(look * variance)
            smallest = np.minimum(smallest, scipy.special.stdtr(look - 1, -statistic.max(axis=1)))
    return smallest
