"""What the processes of the race do; imported by each of them, so it stays light."""

from __future__ import annotations

import sys
from multiprocessing.synchronize import Barrier

from tasearch.stores.records import open_records
from tests.contract.examples import result_of, stage

STAGES = 60
_gate: list[Barrier] = []


def enter(gate: Barrier) -> None:
    """Initialise a process of the pool."""
    _gate.append(gate)


def claim_all(storage_url: str, owner: str) -> list[str]:
    """Once all processes are up: open the database (empty at first), claim and complete whatever is free."""
    _gate[0].wait(timeout=60)
    records = open_records(storage_url)
    records.studies.create("race", {}, {}, {})
    won = []
    for replicate in range(STAGES):
        spec = stage(replicate=replicate)
        claim = records.stages.claim(spec, owner, lease_seconds=60.0)
        if claim is not None:
            won.append(spec.fingerprint)
            records.stages.complete(claim, result_of(spec))
            records.studies.append_attr("race", "claimed", replicate)
    records.close()
    assert "torch" not in sys.modules, "stores must stay light"
    return won
