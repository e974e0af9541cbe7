"""Rows and counts of a study that is read again and again."""

from __future__ import annotations

from collections.abc import Callable

import optuna

from tasearch.domain.result import TrialState
from tasearch.search.sampler import OUT_OF_TIME
from tasearch.search.study import ChainStudy
from tests.unit.search.replayed import open_study, tell
from tests.unit.search.test_space import make_space

SPACE = make_space()


def test_what_was_read_before_is_what_a_fresh_reader_finds() -> None:
    """Trials end in another order than they began, in every way there is, and one is answered from the study."""
    storage = optuna.storages.InMemoryStorage()
    study = open_study(SPACE, "tpe", storage=storage)
    asked = []
    for _ in range(4):
        proposal = study.ask("worker")
        assert proposal is not None
        asked.append(proposal)
    outside = optuna.load_study(storage=storage, study_name="study")
    steps: tuple[Callable[[], object], ...] = (
        lambda: tell(study, asked[1]),
        lambda: study.tell_pruned(asked[2].number, OUT_OF_TIME),
        lambda: tell(study, asked[0]),
        lambda: outside.enqueue_trial(SPACE.params(asked[0].chain)),
        lambda: study.ask("worker"),
        lambda: study.tell_failed(asked[3].number, "broke"),
        study.requeue_stopped,
    )
    for step in steps:
        step()
        fresh = ChainStudy(storage, "study", SPACE, create=False)
        assert (study.rows(), study.num_counted()) == (fresh.rows(), fresh.num_counted())
    assert [row.state for row in study.rows()] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAILED,
        TrialState.COMPLETE,
        TrialState.RUNNING,
        TrialState.WAITING,
    ]
    assert (study.rows()[4].duplicate_of, study.num_counted()) == (0, 4)


def test_chains_that_were_stopped_are_queued_once_however_often_it_is_asked() -> None:
    study = open_study(SPACE, "tpe", storage=optuna.storages.InMemoryStorage())
    for _ in range(2):
        proposal = study.ask("worker")
        assert proposal is not None
        study.tell_pruned(proposal.number, OUT_OF_TIME)
    study.requeue_stopped()
    study.requeue_stopped()
    assert [row.state for row in study.rows()].count(TrialState.WAITING) == 2
    assert study.ask("worker") is not None
    study.requeue_stopped()
    assert [row.state for row in study.rows()].count(TrialState.WAITING) == 1


def test_a_study_whose_maker_died_before_it_was_marked_is_marked_by_whoever_comes_next() -> None:
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="study", direction="maximize")
    study = open_study(SPACE, "tpe", storage=storage)
    assert study.ask("worker") is not None
    assert open_study(SPACE, "tpe", storage=storage).rows()
