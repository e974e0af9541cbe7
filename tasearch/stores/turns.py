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


class Turn:
    """The turn while it is held. A process that stalls may lose it without noticing, so it asks."""

    def __init__(self, studies: StudyRecords, study_name: str, owner: str) -> None:
        self._studies, self._study_name, self._owner = studies, study_name, owner

    def renew(self) -> bool:
        """Hold it for as long again from now; False where it is lost."""
        return _take(self._studies, self._study_name, self._owner, renews=True)

    def is_held(self) -> bool:
        """Whether nobody has taken it meanwhile."""
        attrs, _ = self._studies.attrs_at(self._study_name)
        return bool(attrs.get(_KEY, {}).get("owner") == self._owner)


@contextmanager
def turn(studies: StudyRecords, study_name: str, owner: str, poll: Callable[[], None] = lambda: None) -> Iterator[Turn]:
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
        yield Turn(studies, study_name, owner)
    finally:
        studies.edit_attrs(study_name, lambda attrs, _now: _given_back(attrs, owner))


def _take(studies: StudyRecords, study_name: str, owner: str, *, renews: bool = False) -> bool:
    # Looked at before the write lock is asked for: those who wait must not keep the one at work from writing.
    if not renews and _is_held(*studies.attrs_at(study_name)):
        return False

    def edit(attrs: dict[str, Any], now: float) -> dict[str, Any]:
        held = attrs.get(_KEY)
        is_mine = held is not None and held["owner"] == owner
        if not is_mine if renews else _is_held(attrs, now):
            return attrs
        return attrs | {_KEY: {"owner": owner, "until": now + TURN_SECONDS}}

    return bool(studies.edit_attrs(study_name, edit).get(_KEY, {}).get("owner") == owner)


def _is_held(attrs: dict[str, Any], now: float) -> bool:
    held = attrs.get(_KEY)
    return held is not None and held["until"] > now and not is_known_dead(held["owner"])


def _given_back(attrs: dict[str, Any], owner: str) -> dict[str, Any]:
    held = attrs.get(_KEY)
    if held is None or held["owner"] != owner:
        return attrs
    return {name: value for name, value in attrs.items() if name != _KEY}
