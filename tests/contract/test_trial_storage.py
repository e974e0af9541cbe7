"""A study read in bulk is the study that Optuna's own storage gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial

from tasearch.search.storage import close_storage, open_storage
from tasearch.search.study import row_excerpt
from tasearch.search.trial_storage import Excerpt
from tasearch.stores.engine import engine_kwargs, tune, url_text


@contextmanager
def opened(url: str, excerpt: Excerpt | None = None) -> Iterator[RDBStorage]:
    storage = open_storage(url_text(url), engine_kwargs(url), tune, excerpt=excerpt)
    try:
        yield storage
    finally:
        close_storage(storage)


def fill(storage: BaseStorage) -> None:
    """Make trials of every state, with values that are not finite, beside another study."""
    space = {"ta": IntDistribution(0, 3), "temperature": CategoricalDistribution((2.0, 4.0))}
    optuna.create_study(storage=storage, study_name="other").ask(space)
    study = optuna.create_study(storage=storage, study_name="study", direction="maximize")
    for value in (0.5, float("inf"), float("-inf")):
        trial = study.ask(space)
        for epoch, accuracy in ((2, 0.25), (1, float("nan")), (3, float("inf"))):
            trial.report(accuracy, epoch)
        trial.set_user_attr("ta_accuracies", {"plain4": 0.25})
        trial.set_user_attr("worker", "host:1:2")
        trial.storage.set_trial_system_attr(trial._trial_id, "note", [1, "two"])
        study.tell(trial, value)
    study.tell(study.ask(space), state=optuna.trial.TrialState.FAIL)
    study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
    study.ask(space).set_user_attr("worker", "host:1:2")
    study.enqueue_trial({"ta": 1, "temperature": 2.0}, user_attrs={"why": "asked"})


def trials_of(storage: BaseStorage) -> list[FrozenTrial]:
    return optuna.load_study(storage=storage, study_name="study").get_trials(deepcopy=False)


def text_of(trial: FrozenTrial) -> str:
    """Return all of a trial as text, because a value that is no number does not equal itself."""
    fields = vars(trial)
    return repr({name: sorted(value.items()) if isinstance(value, dict) else value for name, value in fields.items()})


@pytest.fixture
def filled(storage_url: str) -> str:
    with opened(storage_url) as storage:
        fill(storage)
    return storage_url


def test_trials_are_those_of_optunas_own_storage(filled: str) -> None:
    stock = RDBStorage(url_text(filled), engine_kwargs=engine_kwargs(filled))
    expected = trials_of(stock)
    close_storage(stock)
    with opened(filled) as storage:
        assert list(map(text_of, trials_of(storage))) == list(map(text_of, expected))


def test_what_changes_after_the_first_reading_is_seen(filled: str) -> None:
    with opened(filled) as mine, opened(filled) as theirs:
        study = optuna.load_study(storage=mine, study_name="study")
        before = study.get_trials(deepcopy=False)
        other = optuna.load_study(storage=theirs, study_name="study")
        other.tell(5, 0.75)
        assert (before[5].value, study.get_trials(deepcopy=False)[5].value) == (None, 0.75)


def test_an_excerpt_has_the_attributes_that_rows_need(filled: str) -> None:
    with opened(filled, row_excerpt(curves=False)) as storage:
        first = trials_of(storage)[0]
    assert (first.user_attrs, first.intermediate_values) == ({"ta_accuracies": {"plain4": 0.25}}, {})


def test_an_excerpt_with_curves_has_every_epoch(filled: str) -> None:
    with opened(filled, row_excerpt(curves=True)) as storage:
        assert sorted(trials_of(storage)[0].intermediate_values) == [1, 2, 3]
