from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest

from tasearch.stores.records import open_records
from tasearch.stores.stages import StageState
from tests.contract.examples import stage
from tests.contract.racers import STAGES, claim_all, enter

PROCESSES = 6


@pytest.fixture
def race(storage_url: str) -> Iterator[list[str]]:
    """Fingerprints won by six processes that start at once on an empty database."""
    # Not fork: a child must not inherit the open connections of this process.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tasearch.stores.records"])
    with context.Pool(PROCESSES, enter, (context.Barrier(PROCESSES),)) as pool:
        jobs = [pool.apply_async(claim_all, (storage_url, f"worker-{n}")) for n in range(PROCESSES)]
        yield [fingerprint for job in jobs for fingerprint in job.get(timeout=60)]


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
