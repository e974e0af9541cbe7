"""`tasearch stop`: ask the workers of a study to end, and wait until they are gone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tasearch.stores.records import Records
from tasearch.stores.stop_requests import ask_to_stop
from tasearch.worker.snapshot import is_gone

_POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class StopOutcome:
    """What became of the workers that were alive when they were asked."""

    ended: tuple[str, ...]
    left: tuple[str, ...]
    """Still at work when waiting ended."""


def live_workers(records: Records, study_name: str) -> dict[str, float]:
    """Return the seconds since each worker of a study was heard of, without those that are gone."""
    found = records.workers.all(study_name)
    return {worker_id: age for worker_id, _, age in found if not is_gone(worker_id, age)}


def stop_workers(records: Records, study_name: str, wait_seconds: float) -> StopOutcome:
    """Ask every worker of a study to end as after SIGTERM, and wait for them at most `wait_seconds`."""
    asked = set(live_workers(records, study_name))
    ask_to_stop(records.studies, study_name)
    deadline = time.monotonic() + wait_seconds
    left = asked
    while left and time.monotonic() < deadline:
        time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        left = asked & set(live_workers(records, study_name))
    return StopOutcome(ended=tuple(sorted(asked - left)), left=tuple(sorted(left)))


def worker_label(worker_id: str) -> str:
    """Return `process 4711 on host`."""
    host, pid, _ = worker_id.rsplit(":", 2)
    return f"process {pid} on {host.partition('/')[0]}"
