"""What strategies see of a study, read again and again."""

from __future__ import annotations

import dataclasses
from typing import Any

import optuna
import pytest
from optuna.study import Study

from tasearch.domain.spec import ChainSpec
from tasearch.search.space import SearchSpace
from tasearch.search.strategy import TA_ACCURACIES, History, HistoryReader
from tests.unit.search.test_space import make_space

SPACE = make_space()


def start(study: Study, chain: ChainSpec) -> int:
    study.enqueue_trial(SPACE.params(chain))
    return study.ask(SPACE.distributions).number


def tell(study: Study, number: int, chain: ChainSpec, accuracy: float) -> None:
    trial = optuna.trial.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    trial.set_user_attr(TA_ACCURACIES, dict.fromkeys(chain.tas, accuracy / 2))
    study.tell(number, accuracy)


def chains(count: int, space: SearchSpace = SPACE) -> list[ChainSpec]:
    return [chain for chain in space.all_chains() if len(chain.tas) != 2][:: space.num_chains // (2 * count)][:count]


def fields(history: History) -> dict[str, Any]:
    found = {field.name: getattr(history, field.name) for field in dataclasses.fields(history)}
    return {**found, "accuracies in order": list(history.ta_accuracies.items())}


def make_study() -> Study:
    return optuna.create_study(direction="maximize")


def test_a_history_read_again_is_the_one_read_for_the_first_time() -> None:
    """Trials end in another order than they began, one is passed over, and a chain comes twice."""
    study, reader = make_study(), HistoryReader(SPACE)
    first, second, third, fourth = chains(4)
    for step in (
        lambda: start(study, first),
        lambda: start(study, second),
        lambda: tell(study, 1, second, 0.5),
        lambda: start(study, third),
        lambda: tell(study, 0, first, 0.25),
        lambda: study.tell(study.ask(), state=optuna.trial.TrialState.FAIL),
        lambda: tell(study, 2, third, 0.75),
        lambda: start(study, fourth),
        lambda: tell(study, 4, fourth, 1.0),
        lambda: start(study, first),
    ):
        step()
        assert fields(reader.read(study)) == fields(HistoryReader(SPACE).read(study))
    assert [tried.chain for tried in reader.read(study).tried] == [first, second, third, fourth, first]


def test_the_trial_that_is_asked_for_is_no_part_of_its_history() -> None:
    study, reader = make_study(), HistoryReader(SPACE)
    first, second = chains(2)
    start(study, first)
    start(study, second)
    history = reader.read(study, study.get_trials(deepcopy=False)[1])
    assert (history.known, history.number) == ({first}, 1)


def test_a_reader_that_is_given_another_study_forgets_the_first_one() -> None:
    reader, (first, second) = HistoryReader(SPACE), chains(2)
    for chain in (first, second):
        study = make_study()
        tell(study, start(study, chain), chain, 0.5)
        assert reader.read(study).known == {chain}


def test_reading_on_does_not_change_a_history_that_was_given() -> None:
    study, reader = make_study(), HistoryReader(SPACE)
    first, second = chains(2)
    tell(study, start(study, first), first, 0.5)
    history = reader.read(study)
    tell(study, start(study, second), second, 0.5)
    reader.read(study)
    assert (history.known, len(history.tried), history.num_direct) == ({first}, 1, int(first.is_direct))


@pytest.mark.parametrize(("count", "best"), [(1, [1]), (2, [1, 2]), (9, [1, 2, 0])])
def test_the_best_are_completed_trials_and_the_earlier_one_of_equals(count: int, best: list[int]) -> None:
    study = make_study()
    for chain, accuracy in zip(chains(4), (0.25, 0.75, 0.75, None), strict=True):
        number = start(study, chain)
        if accuracy is not None:
            study.tell(number, accuracy)
    assert [tried.number for tried in HistoryReader(SPACE).read(study).best(count)] == best
