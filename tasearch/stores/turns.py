"""One worker of a study at a time: for what several must not do at the same moment, such as taking a trial."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tasearch.stores.owner import is_known_dead
from tasearch.stores.studies import StudyRecords

TURN_SECONDS = 60.0
"""A turn that lasts longer than this may be taken by another worker."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_KEY = "turn"


@contextmanager
def turn(studies: StudyRecords, study_name: str, owner: str, poll: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the turn of a study during the block, waiting for whoever has it; a dead process loses it at once.

    `owner` is unique to this process; `poll` is called again and again while it waits, and may raise. Raises
    StorageError for an unknown study.
    """
    pause = _FIRST_PAUSE
    while not _take(studies, study_name, owner):
        poll()
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(1.5 * pause, _LONGEST_PAUSE)
    try:
        yield
    finally:
        studies.edit_attrs(study_name, lambda attrs, _now: _given_back(attrs, owner))


def _take(studies: StudyRecords, study_name: str, owner: str) -> bool:
    # Looked at before the write lock is asked for: those who wait must not keep the one at work from writing.
    if _is_held(*studies.attrs_at(study_name)):
        return False

    def edit(attrs: dict[str, Any], now: float) -> dict[str, Any]:
        if _is_held(attrs, now):
            return attrs
        return attrs | {_KEY: {"owner": owner, "until": now + TURN_SECONDS}}

    return bool(studies.edit_attrs(study_name, edit)[_KEY]["owner"] == owner)


def _is_held(attrs: dict[str, Any], now: float) -> bool:
    held = attrs.get(_KEY)
    return held is not None and held["until"] > now and not is_known_dead(held["owner"])


def _given_back(attrs: dict[str, Any], owner: str) -> dict[str, Any]:
    held = attrs.get(_KEY)
    if held is None or held["owner"] != owner:
        return attrs
    return {name: value for name, value in attrs.items() if name != _KEY}
