"""A study's configuration in Python."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from torch import nn

import tasearch
from tasearch import StudyConfig, TasearchError
from tasearch.config.resolve import resolve
from tasearch.domain.errors import ConfigError, DataError, ModelError
from tasearch.models.callables import find_callable

PAIR = ([(b"", 0)], [(b"", 0)])


def config(**changes: Any) -> StudyConfig:
    return StudyConfig(**{"teacher": "plain6", "student": "plain2", **changes})


def test_settings_are_those_of_the_command_line() -> None:
    same = resolve({"teacher": "plain6", "student": "plain2", "trials": 3, "tas": "plain4"}, {}, None)
    assert config(trials=3, tas=["plain4"]).settings() == same


def test_only_what_was_said_counts_as_said() -> None:
    assert config(trials=3).settings().model_fields_set == {"teacher", "student", "trials"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": -1}, "trials: got -1, input should be greater than or equal to 1"),
        ({"trails": 3}, "unknown setting `trails`"),
        ({"teacher": 3}, "teacher: got 3, input should be a valid string"),
        ({"metric": "f1"}, "metric: got 'f1'"),
    ],
    ids=str,
)
def test_a_bad_setting_is_an_error_of_tasearch(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(**changes)
    assert message in refused.value.message
    assert refused.value.hint


def tiny(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, num_classes))


def test_functions_are_models_by_their_own_names() -> None:
    found = config(student=tiny, tas=["plain4", tiny])
    assert (found.student, found.tas) == ("object:tiny", ("plain4", "object:tiny"))


def sized(width: int) -> Callable[[int], nn.Module]:
    return lambda num_classes: nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.Linear(width, num_classes))


def test_functions_without_a_name_of_their_own_are_numbered() -> None:
    found = config(teacher=sized(9), student=sized(3), tas=[sized(6), sized(9)])
    assert (found.teacher, found.student) == ("object:sized.lambda", "object:sized.lambda-2")
    assert found.tas == ("object:sized.lambda-3", "object:sized.lambda")


def test_two_functions_on_one_line_are_two_models() -> None:
    found = config(teacher=lambda num_classes: nn.Linear(9, num_classes), student=lambda num_classes: tiny(num_classes))
    assert found.teacher != found.student


def test_a_partial_function_is_known_by_the_name_of_its_function() -> None:
    found = config(teacher=partial(tiny, num_classes=4), student=partial(tiny))
    assert (found.teacher, found.student) == ("object:tiny-2", "object:tiny-3")


def test_a_function_that_is_defined_again_is_the_same_model() -> None:
    def define() -> Callable[[int], nn.Module]:
        def again(num_classes: int) -> nn.Module:
            return tiny(num_classes)

        return again

    assert config(student=define()).student == config(student=define()).student


def test_a_net_in_place_of_a_function_is_refused() -> None:
    with pytest.raises(ModelError, match="is a Linear, not a function that returns a net") as refused:
        config(student=nn.Linear(192, 4))
    assert "the class" in refused.value.hint


def test_another_function_of_a_name_that_is_taken_is_refused() -> None:
    assert tasearch.register_model("mine", tiny) == "object:mine"
    assert tasearch.register_model("mine", tiny) == "object:mine"
    with pytest.raises(ModelError, match="another function is registered as object:mine"):
        tasearch.register_model("mine", sized(3))


def test_datasets_are_kept_beside_their_name() -> None:
    found = config(dataset=PAIR)
    assert (found.dataset, found.objects) == ("object:list", PAIR)


@pytest.mark.parametrize("pair", [(1, 2), ([],), ([], [], [])], ids=str)
def test_what_is_no_pair_of_datasets_is_refused(pair: Any) -> None:
    with pytest.raises(DataError):
        config(dataset=pair)


def test_objects_are_refused_for_several_workers() -> None:
    with pytest.raises(TasearchError, match="object:list is an object of this process"):
        tasearch.forecast(config(dataset=PAIR, workers=2))


def test_the_settings_travel_to_another_process() -> None:
    settings = config(dataset=PAIR).settings()
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_every_name_is_there() -> None:
    assert all(getattr(tasearch, name) for name in tasearch.__all__)
    assert set(tasearch.__all__) <= set(dir(tasearch))
    with pytest.raises(AttributeError, match="no attribute 'optimise'"):
        _ = tasearch.optimise


def test_importing_takes_neither_torch_nor_pydantic() -> None:
    code = "import sys, tasearch; tasearch.TasearchError; sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_function_that_is_defined_again_takes_the_place_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(num_classes: int) -> nn.Module:
        return nn.Linear(3, num_classes)

    first = config(student=tiny)
    again.__qualname__, again.__module__ = tiny.__qualname__, tiny.__module__
    monkeypatch.setitem(tiny.__globals__, "tiny", again)
    assert config(student=again).student == first.student == "object:tiny"
    assert find_callable("object:tiny") is again
    first.settings()
    assert find_callable("object:tiny") is not again


def test_both_in_one_study_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(num_classes: int) -> nn.Module:
        return nn.Linear(3, num_classes)

    before = tiny
    again.__qualname__, again.__module__ = tiny.__qualname__, tiny.__module__
    monkeypatch.setitem(tiny.__globals__, "tiny", again)
    with pytest.raises(ConfigError, match="two functions of this study are called object:tiny"):
        config(teacher=before, student=again)
