"""The rule of the finals: when to look, who is dropped, when the race ends and who has won.

It sees paired differences of val accuracy and nothing else. Pure arithmetic on arrays over many studies at once, so
that `tests/bench/verdict_simulation.py` measures this very rule; a real study is an array of one.

At a look after n replicates every finalist has t = mean / (sd / sqrt(n)) of its differences to BLKD. A finalist whose t
exceeds the critical value of the look's level has beaten BLKD; the race ends, and of those the one with the best mean
wins. Dropped are finalists that are as clearly below BLKD, or as clearly below the finalist with the best mean. Without
finalists left, BLKD has won. Dropping cannot add false winners: it only takes chances to cross away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from tasearch.search.levels import levels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STEPS = 4
"""Looks after the first, where there is room for them."""
NO_SPREAD = 1e-12
"""Differences that vary by less are all the same: nothing is known of their spread, and nothing is decided."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """When to look and how strictly."""

    looks: tuple[int, ...]
    """Replicates after which the race is looked at, all of them paid for."""
    least: int
    """Looks before this many replicates belong to an earlier, shorter race and decide nothing any more."""
    level: float
    """One-sided, for each look and finalist."""
    interval_level: float
    """Of each side of a reported interval."""

    @classmethod
    def of(cls, num_finalists: int, looks: tuple[int, ...], least: int = 0) -> Rule:
        """Return the rule of a race with its levels; without finalists those of a single comparison."""
        level, interval_level = levels(max(1, num_finalists), looks)
        return cls(looks=looks, least=least, level=level, interval_level=interval_level)

    @classmethod
    def from_plain(cls, stored: Mapping[str, Any]) -> Rule:
        """Read what `plain(rule)` wrote."""
        return cls(
            looks=tuple(stored["looks"]),
            least=stored["least"],
            level=stored["level"],
            interval_level=stored["interval_level"],
        )

    @property
    def deciding(self) -> tuple[int, ...]:
        """The looks that may end the race."""
        return tuple(look for look in self.looks if look >= self.least)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the races of many studies stand; arrays over studies, `dropped_after` over studies and finalists."""

    replicates: Ints
    """At the last look, or at the one that waits for replicates."""
    looks_taken: Ints
    over: Bools
    """False: replicates up to `replicates` are still to be run."""
    winner: Ints
    """Index of the finalist that has beaten BLKD, -1 for none."""
    leader: Ints
    """The winner, or else the finalist still in the race with the best mean."""
    blkd_won: Bools
    """Whether every finalist was dropped."""
    dropped_after: Ints
    """Replicates after which a finalist was dropped, 0 while it is in the race."""


def schedule(replicates: int, max_replicates: int) -> tuple[int, ...]:
    """Return the looks from `replicates` to `max_replicates`: both, and the quarters between, rounded down.

    (5, 20) gives 5, 8, 12, 16, 20; (5, 6) gives 5, 6; (5, 5) gives 5.
    """
    if not 1 <= replicates <= max_replicates:
        raise ValueError(f"no schedule from {replicates} to {max_replicates} replicates")
    way = max_replicates - replicates
    return tuple(sorted({replicates + way * step // STEPS for step in range(STEPS + 1)}))


def run_race(differences: Floats, rule: Rule) -> Outcome:
    """Return how the races stand, from val accuracy minus BLKD's: shape (studies, finalists, replicates).

    NaN: not run (yet). A race stands still where a finalist that is in it lacks a replicate of the next look.
    """
    studies, finalists, _ = differences.shape
    replicates, looks_taken = np.zeros((2, studies), dtype=np.int64)
    over, blkd_won = np.zeros((2, studies), dtype=np.bool_)
    winner, leader = np.full(studies, -1), np.zeros(studies, dtype=np.int64)
    dropped_after = np.zeros((studies, finalists), dtype=np.int64)
    going = np.arange(studies)
    for look in rule.deciding:
        replicates[going] = look
        missing = np.isnan(differences[going, :, :look]).any(axis=2) & (dropped_after[going] == 0)
        going = going[~missing.any(axis=1)] if differences.shape[2] >= look else going[:0]
        seen, running = differences[going, :, :look], dropped_after[going] == 0
        mean, statistic = mean_and_t(seen)
        critical = critical_t(look, rule.level)
        best = np.where(running, mean, -np.inf).argmax(axis=1)
        ahead = running & (statistic > critical)
        won = ahead.any(axis=1)
        first = np.where(won, np.where(ahead, mean, -np.inf).argmax(axis=1), best)
        _, lag = mean_and_t(seen[np.arange(len(going)), best][:, None] - seen)
        dropped = running & ~won[:, None] & ((statistic < -critical) | (lag > critical))
        alone = ~won & (dropped | ~running).all(axis=1)
        looks_taken[going] += 1
        leader[going], winner[going], blkd_won[going] = first, np.where(won, first, -1), alone
        dropped_after[going] = np.where(dropped, look, dropped_after[going])
        over[going] = won | alone | (look == rule.deciding[-1])
        going = going[~over[going]]
    return Outcome(
        replicates=replicates,
        looks_taken=looks_taken,
        over=over,
        winner=winner,
        leader=leader,
        blkd_won=blkd_won,
        dropped_after=dropped_after,
    )


def mean_and_t(differences: Floats) -> tuple[Floats, Floats]:
    """Return mean and t statistic over the last axis; t is 0 where there is one value or none of them differ."""
    n = differences.shape[-1]
    mean = differences.mean(axis=-1)
    if n < 2:
        return mean, np.zeros_like(mean)
    spread = differences.std(axis=-1, ddof=1)
    known = spread > NO_SPREAD
    return mean, np.where(known, mean * np.sqrt(n) / np.where(known, spread, 1.0), 0.0)


def critical_t(n: int, level: float) -> float:
    """Return the value that Student's t of n differences exceeds with probability `level`; infinite for n < 2."""
    return float(scipy.special.stdtrit(n - 1, 1 - level)) if n >= 2 else float("inf")


def half_width(differences: Floats, level: float) -> Floats:
    """Return half the width of the t interval over the last axis whose sides are each at `level`; needs n >= 2."""
    n = differences.shape[-1]
    width: Floats = critical_t(n, level) / np.sqrt(n) * differences.std(axis=-1, ddof=1)
    return width


def replicates_to_separate(mean: float, spread: float, level: float, *, power: float = 0.8) -> int | None:
    """Return after how many replicates a look would see a difference, with probability `power`, if it stays as it is.

    `mean`, `spread`: of the paired differences, `spread` > 0. None where the answer is above 10,000.
    """
    effect, reserve = abs(mean) / spread, float(scipy.special.ndtri(power))
    low, high = 1, 10_000
    if effect * high**0.5 < critical_t(high, level) + reserve:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = effect * middle**0.5 >= critical_t(middle, level) + reserve
        low, high = (low, middle) if enough else (middle, high)
    return high
