from __future__ import annotations

import threading

import pytest

from tasearch.domain.errors import LeaseLostError, StorageError
from tasearch.stores.keeper import LeaseKeeper


class Renewals:
    """Counts renewals; the first ones fail as told."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.count = list(errors), 0
        self.enough = threading.Event()

    def __call__(self) -> None:
        self.count += 1
        if self.count >= 4:
            self.enough.set()
        if self.errors:
            raise self.errors.pop(0)


def test_what_is_held_is_renewed_again_and_again() -> None:
    renew, keeper = Renewals(), LeaseKeeper(0.01)
    with keeper.hold(renew) as held:
        assert renew.enough.wait(20)
        held.check()
    keeper.close()


@pytest.mark.parametrize("error", [StorageError("away"), RuntimeError("driver"), OSError("network")])
def test_the_thread_outlives_errors_of_the_database(error: Exception) -> None:
    renew, keeper = Renewals(error, error), LeaseKeeper(0.01)
    with keeper.hold(renew) as held:
        assert renew.enough.wait(20)
        held.check()
    keeper.close()


def test_a_lost_lease_is_told_and_renewed_no_more() -> None:
    renew, keeper = Renewals(LeaseLostError("bob has it")), LeaseKeeper(60.0)
    with keeper.hold(renew) as held:
        held.renew()
        with pytest.raises(LeaseLostError, match="bob has it"):
            held.check()
        held.renew()
    assert renew.count == 1


def test_what_was_let_go_is_renewed_no_more() -> None:
    renew, keeper = Renewals(), LeaseKeeper(60.0)
    held = keeper.keep(renew)
    keeper.drop(held)
    held.renew()
    assert renew.count == 0


def test_several_leases_are_kept_at_once() -> None:
    first, second, keeper = Renewals(), Renewals(), LeaseKeeper(0.01)
    with keeper.hold(first), keeper.hold(second):
        assert first.enough.wait(20)
        assert second.enough.wait(20)
    keeper.close()
