"""Leases on what a study has one worker do: a trial, a run of the finals.

A lease carries an attempt number that grows with each claim. Every change is one conditional UPDATE on owner and
attempt, so a worker that was thought dead and comes back can change nothing. What came out is stored with the end of
the lease, in one step; carrying it over to where it is read (Optuna's trial, the row of the finals) can be repeated by
anyone.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, or_, select, update

from tasearch.domain.errors import LeaseLostError
from tasearch.stores.schema import LeaseTable
from tasearch.stores.transactions import PATIENCE_SECONDS, epoch_now, insert_into, inserted, read, write


class LeaseState(enum.StrEnum):
    """State of a piece of work."""

    HELD = "held"
    RELEASED = "released"
    """Given back unfinished: anyone may claim it."""
    ENDED = "ended"
    """Its outcome is known; nobody claims it again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to say what came out of one piece of work."""

    study_name: str
    subject: str
    owner: str
    attempt: int
    """From 1, counted over all owners."""
    failures: int
    """How often it was given back after an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseRow:
    """A lease as recorded."""

    state: LeaseState
    owner: str | None
    attempt: int
    lease_left: float | None
    """Seconds until it runs out by the database's clock, negative once it has; None unless held."""
    failures: int
    outcome: dict[str, Any] | None
    """What came out; None unless ended."""

    @property
    def has_run_out(self) -> bool:
        """Whether it is held and its time is over."""
        return self.lease_left is not None and self.lease_left < 0


class LeaseRecords:
    """The leases of every study; safe to use from many processes and threads."""

    def __init__(self, engine: Engine, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which an unreachable database is tried again before StorageError."""
        self._engine = engine
        self._patience = patience

    def claim(
        self, study_name: str, subject: str, owner: str, seconds: float, *, dead_owners: Collection[str] = ()
    ) -> Lease | None:
        """Take a piece of work: new, released, run out, or held by one of `dead_owners`.

        Returns None where it has ended or somebody holds it. Of several claimants exactly one wins.
        """
        row = {
            "study_name": study_name,
            "subject": subject,
            "state": LeaseState.HELD,
            "owner": owner,
            "attempt": 1,
            "leased_until": epoch_now() + seconds,
            "failures": 0,
        }
        this = and_(LeaseTable.study_name == study_name, LeaseTable.subject == subject)
        held = LeaseTable.state == LeaseState.HELD
        free = or_(
            LeaseTable.state == LeaseState.RELEASED,
            and_(held, LeaseTable.leased_until < epoch_now()),
            and_(held, LeaseTable.owner.in_(sorted(dead_owners))),
        )
        seize = (
            update(LeaseTable)
            .where(this, free)
            .values(
                state=LeaseState.HELD,
                owner=owner,
                attempt=LeaseTable.attempt + 1,
                leased_until=epoch_now() + seconds,
            )
        )

        def work(connection: Connection) -> Lease | None:
            query = insert_into(connection, LeaseTable).values(row).on_conflict_do_nothing()
            if not inserted(connection, query) and connection.execute(seize).rowcount != 1:
                return None
            # The row is locked by what was just written.
            now = connection.execute(select(LeaseTable.attempt, LeaseTable.failures).where(this)).one()
            return Lease(
                study_name=study_name, subject=subject, owner=owner, attempt=now.attempt, failures=now.failures
            )

        return write(self._engine, work, patience=self._patience)

    def renew(self, lease: Lease, seconds: float) -> None:
        """Extend the lease from now. Raises LeaseLostError."""
        self._settle(lease, {"state": LeaseState.HELD, "leased_until": epoch_now() + seconds})

    def end(self, lease: Lease, outcome: Mapping[str, Any]) -> None:
        """Store what came out, for good. Raises LeaseLostError where another claim has replaced this one."""
        self._settle(lease, {"state": LeaseState.ENDED, "leased_until": None, "outcome": dict(outcome)})

    def release(self, lease: Lease, *, failed: bool = False) -> None:
        """Give the work back unfinished, after an error if `failed`. Raises LeaseLostError."""
        failures = lease.failures + failed
        self._settle(lease, {"state": LeaseState.RELEASED, "owner": None, "leased_until": None, "failures": failures})

    def forget(self, study_name: str, prefix: str) -> None:
        """Remove the leases on all pieces of work whose names begin so, with what came out of them."""
        query = delete(LeaseTable).where(
            LeaseTable.study_name == study_name, LeaseTable.subject.startswith(prefix, autoescape=True)
        )
        write(self._engine, lambda connection: connection.execute(query), patience=self._patience)

    def find_many(self, study_name: str, subjects: Iterable[str]) -> dict[str, LeaseRow]:
        """Return the leases that there are on these pieces of work, by subject."""
        left = (LeaseTable.leased_until - epoch_now()).label("lease_left")
        wanted = sorted(set(subjects))
        query = select(LeaseTable.__table__, left).where(
            LeaseTable.study_name == study_name, LeaseTable.subject.in_(wanted)
        )

        def work(connection: Connection) -> dict[str, LeaseRow]:
            return {row.subject: _lease_row(row) for row in connection.execute(query)}

        return read(self._engine, work, patience=self._patience) if wanted else {}

    def _settle(self, lease: Lease, values: dict[str, Any]) -> None:
        """Change the lease, if it still stands. Raises LeaseLostError."""
        this = and_(LeaseTable.study_name == lease.study_name, LeaseTable.subject == lease.subject)
        ours = and_(
            this,
            LeaseTable.owner == lease.owner,
            LeaseTable.attempt == lease.attempt,
            LeaseTable.state == LeaseState.HELD,
        )
        query = update(LeaseTable).where(ours).values(values)
        tries = 0

        def work(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            if connection.execute(query).rowcount == 1:
                return
            now = connection.execute(
                select(LeaseTable.state, LeaseTable.owner, LeaseTable.attempt).where(this)
            ).one_or_none()
            # A first try may have been committed although the connection broke before it said so.
            if tries > 1 and now is not None and (now.state, now.attempt) == (values["state"], lease.attempt):
                return
            held = "is gone" if now is None else f"is {now.state}, attempt {now.attempt} of {now.owner}"
            raise LeaseLostError(
                f"attempt {lease.attempt} of {lease.owner} no longer holds {lease.subject} of study "
                f"{lease.study_name!r}: it {held}",
                hint="its present owner says what comes out",
            )

        write(self._engine, work, patience=self._patience)


def _lease_row(row: Row[Any]) -> LeaseRow:
    return LeaseRow(
        state=LeaseState(row.state),
        owner=row.owner,
        attempt=row.attempt,
        lease_left=row.lease_left,
        failures=row.failures,
        outcome=row.outcome,
    )
