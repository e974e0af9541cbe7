"""TPE gives what Optuna's own gives, from a bounded number of trials, and leaves no notes."""

from __future__ import annotations

from itertools import islice
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import TrialState

from tasearch.domain.randomness import seed_for
from tasearch.search import optuna_strategy
from tasearch.search.optuna_strategy import PROPOSALS, seen, tpe
from tasearch.search.strategy import History, HistoryReader
from tests.unit.search.replayed import accuracy
from tests.unit.search.test_space import make_space

SPACE = make_space()


def study_of(values: list[float | None]) -> Study:
    """Return a study with a trial for each value: completed, or running where it is None."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for value in values:
        trial = study.ask(SPACE.distributions)
        if value is not None:
            study.tell(trial, value + accuracy(SPACE.chain(trial.params)))
    return study


def asked(study: Study) -> History:
    trial = study.ask()
    return HistoryReader(SPACE).read(study, study.get_trials(deepcopy=False)[trial.number])


def proposals(history: History) -> list[dict[str, Any]]:
    return list(islice(tpe(SPACE, 7).propose(history), PROPOSALS))


def test_proposals_are_those_of_optunas_sampler_one_after_another() -> None:
    history = asked(study_of([0.0] * 30 + [None]))
    assert history.trial is not None
    expected = []
    for proposal in range(PROPOSALS):
        seed = seed_for(7, f"trial {history.number}", proposal) % 2**32
        sampler = TPESampler(seed=seed, n_ei_candidates=max(1, 24 >> proposal))
        expected.append(sampler.sample_relative(history.study, history.trial, SPACE.distributions))
    assert proposals(history) == expected


def test_trials_are_modelled_once_for_all_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[bool] = []
    stock = TPESampler._build_parzen_estimator

    def count(self: TPESampler, study: Any, space: Any, trials: Any, handle_below: bool) -> Any:
        built.append(handle_below)
        return stock(self, study, space, trials, handle_below)

    monkeypatch.setattr(TPESampler, "_build_parzen_estimator", count)
    proposals(asked(study_of([0.0] * 12)))
    assert sorted(built) == [False, True]


def test_nothing_is_noted_of_proposals() -> None:
    study = study_of([0.0] * 12)
    history = asked(study)
    proposals(history)
    assert study.get_trials()[history.number].system_attrs == {}


def test_all_trials_are_seen_while_they_are_few() -> None:
    history = asked(study_of([0.0] * 12 + [None]))
    assert [trial.number for trial in seen(history)] == list(range(14))


def test_of_many_trials_the_best_the_newest_and_the_running_ones_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_strategy, "MOST_SEEN", 6)
    monkeypatch.setattr(optuna_strategy, "_BEST_SEEN", 2)
    history = asked(study_of([0.0, 9.0, None, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0]))
    assert [trial.number for trial in seen(history)] == [1, 2, 4, 5, 6, 7, 8, 9]


def test_best_trials_that_are_new_leave_their_place_to_older_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_strategy, "MOST_SEEN", 4)
    monkeypatch.setattr(optuna_strategy, "_BEST_SEEN", 2)
    history = asked(study_of([0.0, 0.0, 0.0, 0.0, 8.0, 9.0]))
    finished = [trial.number for trial in seen(history) if trial.state is not TrialState.RUNNING]
    assert finished == [2, 3, 4, 5]
