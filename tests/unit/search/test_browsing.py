from __future__ import annotations

from collections.abc import Callable, Iterator

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from tasearch.search.browsing import StudyNotebook, cached, study_state
from tasearch.search.storage import close_storage, open_storage
from tasearch.stores.engine import engine_kwargs, forbid_writes, tune, url_text


@pytest.fixture
def storage(storage_url: str) -> Iterator[RDBStorage]:
    opened = open_storage(url_text(storage_url), engine_kwargs(storage_url), tune)
    yield opened
    close_storage(opened)


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    optuna.create_study(storage=storage, study_name="other").set_user_attr("a", 1)
    return optuna.create_study(storage=storage, study_name="study", direction="maximize")


def notebook(storage: RDBStorage) -> StudyNotebook:
    return StudyNotebook(storage, "study")


def test_attributes_are_set_replaced_and_removed_at_once(storage: RDBStorage, study: optuna.Study) -> None:
    notebook(storage).update({"a": "1", "b": [2], "c": None})
    assert notebook(storage).attrs() == {"a": "1", "b": [2]}
    notebook(storage).update({"a": None, "b": 3, "d": "ä|'\""})
    assert storage.get_study_system_attrs(study._study_id) == {"b": 3, "d": "ä|'\""}


def test_other_studies_keep_theirs(storage: RDBStorage, study: optuna.Study) -> None:
    other = storage.get_study_id_from_name("other")
    storage.set_study_system_attr(other, "a", "theirs")
    notebook(storage).update({"a": "ours"})
    notebook(storage).update({"a": None})
    assert storage.get_study_system_attrs(other)["a"] == "theirs"


def test_thousands_are_set_and_removed(storage: RDBStorage, study: optuna.Study) -> None:
    many = {f"key {number}": str(number) for number in range(2500)}
    notebook(storage).update(many)
    assert notebook(storage).attrs() == many
    notebook(storage).update(dict.fromkeys(many))
    assert notebook(storage).attrs() == {}


def test_places_of_trials(storage: RDBStorage, study: optuna.Study) -> None:
    trial = study.ask()
    trial.set_user_attr("stage_fingerprints", ["aa", "bb"])
    trial.set_user_attr("stages_trained", 1)
    study.tell(trial, 0.5)
    study.ask()
    first, second = notebook(storage).places()
    assert (first.number, first.trial_id, first.fingerprints, first.num_trained) == (
        0,
        trial._trial_id,
        ("aa", "bb"),
        1,
    )
    assert (second.number, second.fingerprints, second.num_trained) == (1, (), 0)


def test_an_unknown_study_has_no_notebook(storage: RDBStorage) -> None:
    with pytest.raises(KeyError):
        StudyNotebook(storage, "absent")


def test_an_unknown_study_has_no_state(storage: RDBStorage) -> None:
    assert study_state(cached(storage), 77) is None


@pytest.mark.parametrize("change", ["ask", "report", "tell", "user attribute", "system attribute"])
def test_every_change_shows_in_the_state(storage: RDBStorage, study: optuna.Study, change: str) -> None:
    trial = study.ask()
    reader = cached(storage)
    before = study_state(reader, study._study_id)
    assert before == study_state(reader, study._study_id)
    changes: dict[str, Callable[[], object]] = {
        "ask": study.ask,
        "report": lambda: trial.report(0.5, 1),
        "tell": lambda: study.tell(trial, 0.5),
        "user attribute": lambda: study.set_user_attr("a", 1),
        "system attribute": lambda: storage.set_study_system_attr(study._study_id, "a", 1),
    }
    changes[change]()
    assert before != study_state(reader, study._study_id)


def test_a_connection_that_may_not_write_refuses(storage: RDBStorage, study: optuna.Study, storage_url: str) -> None:
    reader = open_storage(url_text(storage_url), engine_kwargs(storage_url), forbid_writes)
    assert reader.get_study_name_from_id(study._study_id) == "study"
    with pytest.raises(StorageInternalError):
        reader.set_study_user_attr(study._study_id, "a", 1)
    close_storage(reader)
    assert "a" not in study.user_attrs
