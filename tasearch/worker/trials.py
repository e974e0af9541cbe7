"""Trials and who does them: take one, give it back, say what came out of it, each exactly once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tasearch.chain.control import LEASE_SECONDS
from tasearch.domain.errors import LeaseLostError
from tasearch.domain.result import StageResult
from tasearch.domain.spec import ChainSpec, StageSpec
from tasearch.search.sampler import BEYOND_BUDGET
from tasearch.search.study import ChainStudy, Proposal
from tasearch.stores.keeper import Held, LeaseKeeper
from tasearch.stores.leases import Lease, LeaseRow, LeaseState
from tasearch.stores.owner import is_known_dead
from tasearch.stores.records import Records
from tasearch.stores.turns import turn


@dataclass(kw_only=True)
class HeldTrial:
    """A trial that this worker has the lease on."""

    number: int
    chain: ChainSpec
    lease: Lease
    held: Held
    results: list[StageResult] = field(default_factory=list)
    """Of the chain's stages that are there, from the teacher down."""
    trained: int = 0
    """Stages that this worker trained for it."""
    waits_for: StageSpec | None = None
    """A stage of it that another worker trains."""


class TrialDesk:
    """Hands out the trials of one study to this worker and takes back what came out.

    An outcome is stored with the end of the lease, by one conditional UPDATE, and then told to Optuna. A worker that
    dies in between leaves a trial whose outcome is known: whoever comes next tells it.
    """

    def __init__(
        self,
        *,
        study: ChainStudy,
        records: Records,
        keeper: LeaseKeeper,
        worker_id: str,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._study, self._records, self._keeper, self._worker_id = study, records, keeper, worker_id
        self._lease_seconds = lease_seconds
        self._mine: set[int] = set()

    def take(self, budget: int, poll: Callable[[], None] = lambda: None) -> HeldTrial | None:
        """Return a trial whose worker is gone, else a new one; None where all of the budget is taken or all chains are.

        `budget`: trials of the whole study; `poll` is called while others have their turn, and may raise. One worker
        at a time, or two would share the last trial of the budget.
        """
        if not self._may_have_work(budget):
            return None
        with turn(self._records.studies, self._study.name, self._worker_id, poll) as mine:
            for number, row in self._left_behind():
                if row is None and 0 < budget < self._study.num_counted():
                    # Nobody ever had it: the answer to its creation was lost, and another was created in its place.
                    self._study.tell_pruned(number, BEYOND_BUDGET)
                    continue
                taken = self._adopt(number, row)
                if taken is not None:
                    return taken
            # Renewed: whatever came before may have taken long.
            while mine.renew() and self._study.num_counted() < budget:
                self._study.requeue_stopped()
                trial = self._study.begin()
                if trial is None:
                    return None
                # Before anything is written about it: whoever holds the lease says what becomes of a trial.
                lease = self._claim(trial.number)
                if lease is None:
                    continue
                if not mine.is_held() and self._study.num_counted() > budget:
                    # This process stood still and somebody else has taken the last trial of the budget.
                    self._end_unheld(lease, trial.number, BEYOND_BUDGET)
                    return None
                taken = self._proposed(lease, partial(self._study.propose, trial, self._worker_id))
                if taken is not None:
                    return taken
        return None

    def _end_unheld(self, lease: Lease, number: int, reason: str) -> None:
        """Record a trial that this worker has claimed and not begun."""
        outcome = {"state": "pruned", "reason": reason}
        with contextlib.suppress(LeaseLostError):
            self._records.leases.end(lease, outcome)
            self._tell(number, outcome)

    def _proposed(self, lease: Lease, propose: Callable[[Callable[[], None]], Proposal | None]) -> HeldTrial | None:
        """Return a claimed trial with its chain; None where it was only answered or failed, or the lease is lost."""
        try:
            proposal = propose(lambda: self._records.leases.renew(lease, self._lease_seconds))
        except LeaseLostError:
            # Choosing took longer than the lease: the trial is another worker's by now.
            return None
        if proposal is None:
            with contextlib.suppress(LeaseLostError):
                self._records.leases.release(lease)
            return None
        return self._holding(proposal, lease)

    def complete(self, trial: HeldTrial, val_accuracy: float, attrs: Mapping[str, Any]) -> None:
        """Record a completed trial. Raises LeaseLostError where another worker has it by now."""
        self._end(trial, {"state": "complete", "val_accuracy": val_accuracy, "attrs": dict(attrs)})

    def fail(self, trial: HeldTrial, reason: str) -> None:
        """Record a trial that cannot be completed. Raises LeaseLostError."""
        self._end(trial, {"state": "failed", "reason": reason})

    def prune(self, trial: HeldTrial, reason: str) -> None:
        """Record a trial that is not worth finishing, or not now. Raises LeaseLostError."""
        self._end(trial, {"state": "pruned", "reason": reason})

    def give_back(self, trial: HeldTrial, *, failed: bool = False) -> None:
        """Leave a trial to whoever is next, this worker among them; `failed`: after an error."""
        self._let_go(trial)
        with contextlib.suppress(LeaseLostError):
            self._records.leases.release(trial.lease, failed=failed)

    def forget(self, trial: HeldTrial) -> None:
        """Let go of a trial that another worker has taken over."""
        self._let_go(trial)

    def _may_have_work(self, budget: int) -> bool:
        """Whether a turn is worth asking for."""
        return self._study.num_counted() < budget or any(True for _ in self._left_behind())

    def _left_behind(self) -> Iterator[tuple[int, LeaseRow | None]]:
        """Yield the running trials that no live worker holds."""
        running = [number for number in self._study.running() if number not in self._mine]
        leases = self._records.leases.find_many(self._study.name, map(_subject, running))
        for number in running:
            row = leases.get(_subject(number))
            if row is None or row.state is not LeaseState.HELD or row.has_run_out or self._is_dead(row.owner):
                yield number, row

    def _is_dead(self, owner: str | None) -> bool:
        # A lease of this very process that it does not know of is from an earlier run in it.
        return owner is None or owner == self._worker_id or is_known_dead(owner)

    def _adopt(self, number: int, row: LeaseRow | None) -> HeldTrial | None:
        """Take up a trial in place, or tell what is known of it."""
        if row is not None and row.outcome is not None:
            self._tell(number, row.outcome)
            return None
        lease = self._claim(number, dead_owner=row.owner if row is not None and self._is_dead(row.owner) else None)
        if lease is None:
            return None
        return self._proposed(lease, partial(self._study.resume, number, self._worker_id))

    def _claim(self, number: int, dead_owner: str | None = None) -> Lease | None:
        dead = () if dead_owner is None else (dead_owner,)
        return self._records.leases.claim(
            self._study.name, _subject(number), self._worker_id, self._lease_seconds, dead_owners=dead
        )

    def _holding(self, proposal: Proposal, lease: Lease) -> HeldTrial:
        held = self._keeper.keep(lambda: self._records.leases.renew(lease, self._lease_seconds))
        self._mine.add(proposal.number)
        return HeldTrial(number=proposal.number, chain=proposal.chain, lease=lease, held=held)

    def _let_go(self, trial: HeldTrial) -> None:
        self._keeper.drop(trial.held)
        self._mine.discard(trial.number)

    def _end(self, trial: HeldTrial, outcome: dict[str, Any]) -> None:
        self._let_go(trial)
        self._records.leases.end(trial.lease, outcome)
        self._tell(trial.number, outcome)

    def _tell(self, number: int, outcome: Mapping[str, Any]) -> None:
        """Hand an outcome on to Optuna; told twice, the first stays."""
        if outcome["state"] == "complete":
            self._study.tell_complete(number, outcome["val_accuracy"], outcome["attrs"])
        elif outcome["state"] == "pruned":
            self._study.tell_pruned(number, outcome["reason"])
        else:
            self._study.tell_failed(number, outcome["reason"])


def forget_trials(records: Records, study_name: str) -> None:
    """Remove what is known of trials that Optuna has no more: others will have their numbers."""
    records.leases.forget(study_name, _SUBJECT)


_SUBJECT = "trial "


def _subject(number: int) -> str:
    return f"{_SUBJECT}{number}"
