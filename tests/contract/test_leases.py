"""Leases on trials and finals, on every database."""

from __future__ import annotations

import pytest

from tasearch.domain.errors import LeaseLostError
from tasearch.stores.leases import Lease, LeaseRow, LeaseState
from tasearch.stores.records import Records

EXPIRED = -1.0
"""A lease that has run out when it begins."""


def claimed(records: Records, owner: str = "ada", seconds: float = 60.0) -> Lease:
    lease = records.leases.claim("s", "trial 3", owner, seconds)
    assert lease is not None
    return lease


def stored(records: Records) -> LeaseRow:
    return records.leases.find_many("s", ["trial 3"])["trial 3"]


def test_new_work_is_claimed(records: Records) -> None:
    assert claimed(records) == Lease(study_name="s", subject="trial 3", owner="ada", attempt=1, failures=0)
    assert (stored(records).state, stored(records).owner) == (LeaseState.HELD, "ada")


def test_held_work_is_not_claimed(records: Records) -> None:
    claimed(records)
    assert records.leases.claim("s", "trial 3", "bob", 60.0) is None


def test_the_same_subject_of_another_study_is_other_work(records: Records) -> None:
    claimed(records)
    assert records.leases.claim("t", "trial 3", "bob", 60.0) is not None


def test_work_that_ran_out_is_claimed_under_the_next_attempt(records: Records) -> None:
    claimed(records, seconds=EXPIRED)
    assert stored(records).has_run_out
    assert claimed(records, "bob").attempt == 2


def test_work_of_an_owner_known_to_be_dead_is_claimed_at_once(records: Records) -> None:
    claimed(records)
    lease = records.leases.claim("s", "trial 3", "bob", 60.0, dead_owners=("ada",))
    assert lease is not None
    assert lease.attempt == 2


def test_an_earlier_claim_of_the_same_owner_no_longer_holds(records: Records) -> None:
    earlier = claimed(records, seconds=EXPIRED)
    claimed(records)
    with pytest.raises(LeaseLostError):
        records.leases.renew(earlier, 60.0)
    with pytest.raises(LeaseLostError):
        records.leases.end(earlier, {"state": "complete"})
    assert (stored(records).state, stored(records).attempt) == (LeaseState.HELD, 2)


def test_renewing_extends_the_lease(records: Records) -> None:
    lease = claimed(records, seconds=EXPIRED)
    records.leases.renew(lease, 60.0)
    assert not stored(records).has_run_out


def test_released_work_is_claimed_again_and_failures_are_counted(records: Records) -> None:
    records.leases.release(claimed(records), failed=True)
    second = claimed(records, "bob")
    records.leases.release(second, failed=False)
    assert (second.attempt, second.failures, claimed(records).failures) == (2, 1, 1)


def test_an_outcome_is_kept_and_the_work_is_over(records: Records) -> None:
    records.leases.end(claimed(records), {"state": "complete", "val_accuracy": 0.1 + 0.2})
    row = stored(records)
    assert (row.state, row.outcome) == (LeaseState.ENDED, {"state": "complete", "val_accuracy": 0.1 + 0.2})
    assert records.leases.claim("s", "trial 3", "bob", 60.0, dead_owners=("ada",)) is None


@pytest.mark.parametrize("change", ["renew", "end", "release"])
def test_who_lost_a_lease_changes_nothing(records: Records, change: str) -> None:
    lost = claimed(records, seconds=EXPIRED)
    claimed(records, "bob")
    changes = {
        "renew": lambda: records.leases.renew(lost, 60.0),
        "end": lambda: records.leases.end(lost, {"state": "failed"}),
        "release": lambda: records.leases.release(lost),
    }
    with pytest.raises(LeaseLostError, match="attempt 1 of ada no longer holds trial 3 of study 's': it is held"):
        changes[change]()
    row = stored(records)
    assert (row.state, row.owner, row.attempt, row.outcome) == (LeaseState.HELD, "bob", 2, None)


def test_leases_go_with_their_study(records: Records) -> None:
    records.studies.create("s", {}, {}, {})
    claimed(records)
    records.studies.delete("s")
    assert records.leases.find_many("s", ["trial 3"]) == {}
