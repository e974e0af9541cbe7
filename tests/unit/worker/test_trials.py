from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import Trial

from tasearch.domain.errors import LeaseLostError
from tasearch.domain.result import TrialState
from tasearch.search.sampler import BEYOND_BUDGET, ChainSampler
from tasearch.search.study import ChainStudy, Proposal
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.records import Records, open_records
from tasearch.stores.turns import turn
from tasearch.worker.trials import HeldTrial, TrialDesk, forget_trials
from tests.unit.search.test_space import make_space

BUDGET = 3


class Place:
    """One study and any number of workers at its desk."""

    def __init__(self, url: str) -> None:
        self.storage: BaseStorage = InMemoryStorage()
        self.records: Records = open_records(url)
        self.records.studies.create("s", {}, {}, {})
        self.space = make_space()

    def study(self) -> ChainStudy:
        sampler = ChainSampler(self.space, strategy="random", seed=0, trials=BUDGET)
        return ChainStudy(self.storage, "s", self.space, sampler)

    def desk(self, worker: str = "far:1:x", lease_seconds: float = 60.0) -> TrialDesk:
        return TrialDesk(
            study=self.study(),
            records=self.records,
            keeper=LeaseKeeper(60.0),
            worker_id=worker,
            lease_seconds=lease_seconds,
        )

    def states(self) -> list[TrialState]:
        return [row.state for row in self.study().rows()]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(f"sqlite:///{tmp_path / 'studies.db'}")
    yield place
    place.records.close()


def taken(desk: TrialDesk, budget: int = BUDGET) -> HeldTrial:
    trial = desk.take(budget)
    assert trial is not None
    return trial


def test_the_budget_is_that_of_all_workers_together(place: Place) -> None:
    desks = [place.desk("far:1:x"), place.desk("far:2:y")]
    numbers = [taken(desks[turn % 2]).number for turn in range(BUDGET)]
    assert numbers == [0, 1, 2]
    assert [desk.take(BUDGET) for desk in desks] == [None, None]


def test_a_trial_that_ended_is_told_to_optuna(place: Place) -> None:
    desk = place.desk()
    desk.complete(taken(desk), 0.5, {"device": "cpu"})
    trial = optuna.load_study(storage=place.storage, study_name="s").trials[0]
    assert (trial.value, trial.user_attrs["device"]) == (0.5, "cpu")


def test_what_is_given_back_is_taken_up_under_its_number(place: Place) -> None:
    desk = place.desk()
    first = taken(desk)
    desk.give_back(first, failed=True)
    again = taken(place.desk("far:2:y"))
    assert (again.number, again.chain) == (first.number, first.chain)
    assert (again.lease.attempt, again.lease.failures) == (2, 1)


def test_the_trial_of_a_live_worker_is_left_to_it(place: Place) -> None:
    first = taken(place.desk("far:1:x"))
    assert taken(place.desk("far:2:y")).number != first.number


def test_a_trial_whose_lease_ran_out_is_taken_up_in_place(place: Place) -> None:
    first = taken(place.desk("far:1:x", lease_seconds=-1.0))
    assert taken(place.desk("far:2:y")).number == first.number


def test_a_worker_that_lost_its_trial_records_nothing(place: Place) -> None:
    slow = place.desk("far:1:x", lease_seconds=-1.0)
    lost = taken(slow)
    other = place.desk("far:2:y")
    mine = taken(other)
    with pytest.raises(LeaseLostError):
        slow.complete(lost, 0.9, {})
    assert place.states() == [TrialState.RUNNING]
    other.complete(mine, 0.4, {})
    assert [row.val_accuracy for row in place.study().rows()] == [0.4]


def test_the_outcome_of_a_worker_that_died_before_it_told_optuna_is_told_by_the_next(place: Place) -> None:
    desk = place.desk()
    first = taken(desk)
    place.records.leases.end(first.lease, {"state": "complete", "val_accuracy": 0.7, "attrs": {"device": "cpu"}})
    following = taken(place.desk("far:2:y"))
    assert following.number == 1
    assert [row.val_accuracy for row in place.study().rows()] == [0.7, None]


def test_a_trial_that_nobody_ever_held_is_taken_up(place: Place) -> None:
    """Its worker died between Optuna's row and the lease."""
    asked = place.study().ask("far:1:x")
    assert asked is not None
    assert taken(place.desk("far:2:y")).number == asked.number


@pytest.mark.parametrize(("end", "state"), [("fail", TrialState.FAILED), ("prune", TrialState.PRUNED)])
def test_why_a_trial_has_no_value_is_kept(place: Place, end: str, state: TrialState) -> None:
    desk = place.desk()
    getattr(desk, end)(taken(desk), "because")
    row = place.study().rows()[0]
    assert (row.state, row.failure or row.stopped) == (state, "because")


def test_an_outcome_told_twice_stays_as_it_was_told_first(place: Place) -> None:
    desk, study = place.desk(), place.study()
    first = taken(desk)
    desk.complete(first, 0.5, {})
    study.tell_complete(first.number, 0.9, {"device": "other"})
    assert place.study().rows()[0].val_accuracy == 0.5


def test_without_a_budget_only_what_was_left_behind_is_handed_out(place: Place) -> None:
    """How a study whose time is used up gets rid of the trials of dead workers."""
    first = taken(place.desk("far:1:x", lease_seconds=-1.0))
    desk = place.desk("far:2:y")
    assert taken(desk, budget=0).number == first.number
    assert desk.take(0) is None


def test_who_waits_for_its_turn_can_be_stopped(place: Place) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with turn(place.records.studies, "s", "far:3:z"), pytest.raises(KeyboardInterrupt):
        place.desk().take(BUDGET, stop)


def test_a_worker_that_stood_still_in_its_turn_does_not_exceed_the_budget(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one took the turn, and the last trial, between the look at the budget and Optuna's new trial."""
    slow, quick = place.desk("far:1:x"), place.desk("far:2:y")
    begin = slow._study.begin

    def begin_late() -> Trial | None:
        monkeypatch.setattr(slow._study, "begin", begin)
        place.records.studies.update_attrs("s", {"turn": {"owner": "far:1:x", "until": 0.0}})
        assert quick.take(1) is not None
        return begin()

    monkeypatch.setattr(slow._study, "begin", begin_late)
    assert slow.take(1) is None
    assert place.study().num_counted() == 1


def test_what_was_one_too_many_comes_again_with_a_larger_budget(place: Place) -> None:
    study = place.study()
    asked = study.ask("far:1:x")
    assert asked is not None
    study.tell_pruned(asked.number, BEYOND_BUDGET)
    again = taken(place.desk("far:2:y"))
    assert (again.number, again.chain) == (1, asked.chain)


def test_a_worker_that_stood_still_while_it_chose_a_chain_leaves_the_trial_to_whoever_has_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = place.desk("far:1:x", lease_seconds=-1.0), place.desk("far:2:y")
    propose, adopted = slow._study.propose, list[HeldTrial]()

    def propose_late(trial: Trial, worker_id: str, check: Callable[[], None]) -> Proposal | None:
        def checked() -> None:
            if not adopted:
                place.records.studies.update_attrs("s", {"turn": {"owner": "far:1:x", "until": 0.0}})
                adopted.append(taken(quick))
            check()

        return propose(trial, worker_id, checked)

    monkeypatch.setattr(slow._study, "propose", propose_late)
    slow.take(1)
    quick.complete(adopted[0], 0.5, {})
    row = place.study().rows()[adopted[0].number]
    assert (row.chain, row.val_accuracy, row.duplicate_of) == (adopted[0].chain, 0.5, None)


def test_a_trial_that_was_created_twice_does_not_exceed_the_budget(place: Place) -> None:
    """As where the answer to its creation is lost: nobody has a lease on the first one."""
    study = place.study()
    assert study.begin() is not None
    assert study.begin() is not None
    desk = place.desk()
    assert taken(desk, budget=1).number == 1
    assert desk.take(1) is None
    assert place.study().num_counted() == 1


def test_a_trial_that_was_ended_before_its_maker_could_claim_it_is_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, begin = place.desk("far:1:x"), place.study().begin

    def begin_and_stand_still() -> Trial | None:
        monkeypatch.undo()
        trial = begin()
        assert trial is not None
        place.study().tell_pruned(trial.number, BEYOND_BUDGET)
        return trial

    monkeypatch.setattr(slow._study, "begin", begin_and_stand_still)
    assert taken(slow).number == 1
    assert place.states()[0] is TrialState.PRUNED


def test_outcomes_of_trials_that_optuna_has_no_more_are_forgotten(place: Place) -> None:
    desk = place.desk()
    desk.complete(taken(desk), 0.5, {})
    forget_trials(place.records, "s")
    assert place.records.leases.find_many("s", ["trial 0"]) == {}
