"""Something that happens whenever a stage begins to train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tasearch.domain.spec import StageSpec
from tasearch.training.loop import StageJob, StageRun

_BEGIN = StageRun.__init__


def at_each_beginning(monkeypatch: pytest.MonkeyPatch, act: Callable[[StageSpec], None]) -> None:
    """Have `act` called first; what it raises is what becomes of the stage."""

    def begin(self: StageRun, job: StageJob, *arguments: Any) -> None:
        act(job.spec)
        _BEGIN(self, job, *arguments)

    monkeypatch.setattr(StageRun, "__init__", begin)
