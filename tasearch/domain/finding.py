"""What an examination of an installation found: one line each, and what to do about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Health(enum.StrEnum):
    """How a finding is meant."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong, and it is good to know."""
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    area: str
    """`database`, `artifacts`, `home`, `leases`, `versions` or `device`."""
    health: Health
    text: str
    mend: str = ""
    """What to do; said of everything that is wrong."""


def ok(area: str, text: str) -> Finding:
    """Return a finding of something that is as it should be."""
    return Finding(area=area, health=Health.OK, text=text)


def note(area: str, text: str) -> Finding:
    """Return a finding that is good to know."""
    return Finding(area=area, health=Health.NOTE, text=text)


def wrong(area: str, text: str, mend: str) -> Finding:
    """Return a finding of something that is wrong."""
    return Finding(area=area, health=Health.WRONG, text=text, mend=mend)
