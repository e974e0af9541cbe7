"""How long one forward pass takes: measured, and valid for one place only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BATCHES = (1, 64)
"""Images of one pass: alone, as on a device in use, and as many as fill it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Forward passes of one model with one number of images, in seconds for the whole pass."""

    batch: int
    median: float
    low: float
    """Lower quartile of the passes, as `high` is the upper one."""
    high: float
    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyTable:
    """Forward passes of the models of a study in one place: eager PyTorch, float32, images already on the device."""

    device: str
    """Class and name, `cpu Intel(R) Xeon(R)` or `cuda NVIDIA H200`."""
    threads: int
    torch_version: str
    models: Mapping[str, tuple[Timing, ...]]
    """One timing for each of `BATCHES`, fewer where memory was too small."""

    @property
    def place(self) -> tuple[str, int, str]:
        """What a time is valid for."""
        return self.device, self.threads, self.torch_version

    def timing(self, model: str, batch: int) -> Timing | None:
        """Return the timing of a model with this number of images, if it was taken."""
        return next((one for one in self.models.get(model, ()) if one.batch == batch), None)

    def seconds(self, model: str, batch: int) -> float | None:
        """Return the median time of one pass, if it was measured."""
        found = self.timing(model, batch)
        return None if found is None else found.median


ATTR = "latencies"
"""Of a study: its tables, the latest last."""


def latency_tables(attrs: Mapping[str, Any]) -> list[LatencyTable]:
    """Return what was measured for a study, the latest place last; `attrs`: its stored attributes."""
    return [_table(stored) for stored in attrs.get(ATTR, ())]


def _table(stored: Mapping[str, Any]) -> LatencyTable:
    """Read what `fingerprint.plain` made of a table."""
    models = {name: tuple(Timing(**timing) for timing in timings) for name, timings in stored["models"].items()}
    return LatencyTable(**{**stored, "models": models})
