"""The time a study has spent searching, over all its calls and workers, against `--timeout`."""

from __future__ import annotations

import math
import time
from typing import Any

from tasearch.stores.studies import StudyRecords
from tasearch.training.loop import InterruptedStage

_KEY = "search_clock"
_TICK_SECONDS, _LAZY_TICK_SECONDS = 1.0, 10.0
"""How often a worker counts, with and without a limit."""
_GAP_SECONDS = 30.0
"""Longer between two ticks of any worker, and nobody was searching meanwhile."""


class OutOfTime(InterruptedStage):
    """The study has searched for as long as it may; the stage under way is saved."""


class SearchClock:
    """Counts, by the database's clock, the time during which at least one worker of a study searches."""

    def __init__(self, studies: StudyRecords, study_name: str, limit_seconds: float | None) -> None:
        """`limit_seconds`: None for no limit; the time is counted all the same, for a later call that has one."""
        self._studies, self._study_name, self._limit = studies, study_name, limit_seconds
        self._tick_seconds = _LAZY_TICK_SECONDS if limit_seconds is None else _TICK_SECONDS
        self._ticked_at = -math.inf
        self._spent = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the study has used up its time, as of now."""
        self._tick()
        return self._limit is not None and self._spent + time.monotonic() - self._ticked_at >= self._limit

    def check(self) -> None:
        """Raise OutOfTime once the time is used up."""
        if self.is_over:
            raise OutOfTime

    def _tick(self) -> None:
        if time.monotonic() - self._ticked_at < self._tick_seconds:
            return
        attrs = self._studies.edit_attrs(self._study_name, _ticked)
        self._ticked_at, self._spent = time.monotonic(), float(attrs[_KEY]["spent"])


def _ticked(attrs: dict[str, Any], now: float) -> dict[str, Any]:
    """Add the time since the last tick of any worker, unless nobody was there."""
    clock = attrs.get(_KEY, {"spent": 0.0, "seen": now})
    passed = max(0.0, now - clock["seen"])
    return attrs | {_KEY: {"spent": clock["spent"] + (passed if passed <= _GAP_SECONDS else 0.0), "seen": now}}
