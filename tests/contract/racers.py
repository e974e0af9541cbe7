"""What the processes of the race do; imported by each of them, so it stays light."""

from __future__ import annotations

import sys

from tasearch.stores.records import open_records
from tests.contract.at_once import wait_for_all
from tests.contract.examples import result_of, stage

STAGES = 60


def claim_all(storage_url: str, owner: str) -> list[str]:
    """Once all processes are up: open the database (empty at first), claim and complete whatever is free."""
    wait_for_all()
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
