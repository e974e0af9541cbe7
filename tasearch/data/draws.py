"""Random numbers that are the same on every machine and with every numpy version.

numpy promises the raw stream of PCG64, not what its distributions make of it; so only raw bits are used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasearch.domain.randomness import seed_for


class Draws:
    """A stream of integers for one purpose of one replicate-independent preparation of data."""

    def __init__(self, purpose: str) -> None:
        self._bits = np.random.PCG64(seed_for(0, purpose))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return integers in [low, high], even up to 1 part in 2^32 / (high - low), as int64 of this shape."""
        raw = self._bits.random_raw(int(np.prod(shape))).reshape(shape)
        spread = (raw >> np.uint64(32)) * np.uint64(high - low + 1) >> np.uint64(32)
        return spread.astype(np.int64) + low

    def octets(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return even integers 0..255 as uint8 of this shape."""
        count = int(np.prod(shape))
        raw = self._bits.random_raw((count + 7) // 8).astype("<u8")
        return raw.view(np.uint8)[:count].reshape(shape)

    def permutation(self, count: int) -> NDArray[np.int64]:
        """Return 0..count-1 in random order."""
        return np.argsort(self._bits.random_raw(count), kind="stable")
