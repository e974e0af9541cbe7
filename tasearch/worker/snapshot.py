"""A worker's state at one moment, and how it reads; without torch, so that `tasearch status` answers at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasearch.stores.owner import is_known_dead

FIRST_PHASE = "teacher and baseline"
WORKER_TIMEOUT_SECONDS = 60.0
"""A worker that has not published for this long is taken for gone."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A worker's state at one moment."""

    study_name: str
    phase: str
    """`teacher and baseline`, `search`, `finals`, `test` or `done`."""
    trials_done: int
    trials_total: int
    finals_done: int
    finals_total: int
    best_chain: str | None
    best_val_accuracy: float | None
    blkd_val_accuracy: float | None
    nokd_val_accuracy: float | None
    stage: str | None
    epoch: int
    epochs: int
    stages_trained: int
    stages_reused: int
    elapsed_seconds: float
    left_seconds: float | None
    """A rough guess; None before the first epoch is done."""

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Snapshot:
        """Read what `dataclasses.asdict` wrote, unknown keys of other versions left out."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in payload.items() if name in names})


def is_gone(worker_id: str, seconds_since_update: float) -> bool:
    """Whether a worker that has not signed off is taken for dead: its process is, or it has been silent too long."""
    return is_known_dead(worker_id) or seconds_since_update >= WORKER_TIMEOUT_SECONDS


def panel_rows(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Return the state as (name, value) pairs for a panel or for lines."""
    found = [
        ("study", f"{snapshot.study_name} ({snapshot.phase})"),
        ("trials", f"{snapshot.trials_done} of {snapshot.trials_total}"),
        ("finals", f"{snapshot.finals_done} of {snapshot.finals_total}"),
        ("best chain", _scored(snapshot.best_chain, snapshot.best_val_accuracy)),
        ("BLKD / NOKD", f"{_percent(snapshot.blkd_val_accuracy)} / {_percent(snapshot.nokd_val_accuracy)}"),
    ]
    if snapshot.stage:
        epochs = f", {snapshot.epoch} of {snapshot.epochs} epochs done" if snapshot.epochs else ""
        found.append(("now", f"{snapshot.stage}{epochs}"))
    found.append(("stages", f"{snapshot.stages_trained} trained, {snapshot.stages_reused} reused"))
    left = f", about {duration(snapshot.left_seconds)} left" if snapshot.left_seconds is not None else ""
    found.append(("time", f"{duration(snapshot.elapsed_seconds)}{left}"))
    return found


def duration(seconds: float) -> str:
    """Return `45 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _scored(chain: str | None, val_accuracy: float | None) -> str:
    return f"{chain}: {_percent(val_accuracy)} val" if chain else "none with a TA yet"


def _percent(fraction: float | None) -> str:
    return "not yet" if fraction is None else f"{100 * fraction:.1f}%"
