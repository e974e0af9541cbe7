from __future__ import annotations

import pytest

from tasearch.stores.records import open_records
from tasearch.stores.stages import StageState
from tests.contract.at_once import at_once
from tests.contract.examples import stage
from tests.contract.racers import STAGES, claim_all

PROCESSES = 6


@pytest.fixture
def race(storage_url: str) -> list[str]:
    """Fingerprints won by six processes that start at once on an empty database."""
    return [fingerprint for won in at_once(claim_all, PROCESSES, storage_url) for fingerprint in won]


def test_processes_that_start_at_once_lose_and_double_nothing(race: list[str], storage_url: str) -> None:
    fingerprints = [stage(replicate=n).fingerprint for n in range(STAGES)]
    assert sorted(race) == sorted(fingerprints), "each stage is claimed exactly once"
    records = open_records(storage_url)
    stages = records.stages.find_many(fingerprints)
    study = records.studies.find("race")
    records.close()
    assert {(row.state, row.attempt) for row in stages.values()} == {(StageState.COMPLETE, 1)}
    assert study is not None
    assert sorted(study.attrs["claimed"]) == list(range(STAGES)), "no append is overwritten"
