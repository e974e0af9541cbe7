"""Which models become rungs, and in which order."""

from __future__ import annotations

import itertools
import math

from tasearch.domain.spec import ModelSpec
from tasearch.models.ladder import default_ladder, thin


def cifar(name: str, *, classes: int = 10, size: int = 32) -> ModelSpec:
    return ModelSpec(name=name, in_channels=3, image_size=size, num_classes=classes)


def ladder(teacher: str, student: str) -> list[str]:
    return default_ladder(cifar(teacher), cifar(student))


def test_resnet_ladder_is_the_papers() -> None:
    expected = ["resnet56", "resnet44", "resnet32", "resnet26", "resnet20", "resnet14"]
    assert ladder("resnet110", "resnet8") == expected


def test_plain_ladder_is_the_papers() -> None:
    assert ladder("plain10", "plain2") == ["plain8", "plain6", "plain4"]


def test_free_places_go_to_other_models() -> None:
    assert ladder("resnet56", "resnet8") == [f"resnet{depth}" for depth in (44, 38, 32, 26, 20, 14)]


def test_neighbours_have_an_empty_ladder() -> None:
    assert ladder("plain4", "plain2") == []


def test_smaller_teacher_has_an_empty_ladder() -> None:
    assert ladder("plain2", "plain10") == []


def test_two_families_have_an_empty_ladder() -> None:
    assert ladder("resnet110", "plain2") == []


def test_order_is_by_parameters_where_a_deeper_net_is_smaller() -> None:
    rungs = default_ladder(cifar("plain10", classes=100, size=64), cifar("plain2", classes=100, size=64))
    assert rungs == ["plain6", "plain4", "plain8"]


def test_rung_larger_than_the_teacher_is_left_out() -> None:
    rungs = default_ladder(cifar("plain8", classes=100, size=64), cifar("plain2", classes=100, size=64))
    assert "plain6" not in rungs


def test_without_preference_the_steps_are_as_even_as_any_choice_allows() -> None:
    sizes = {"a": 20, "b": 30, "c": 90, "d": 100, "e": 300, "f": 700, "g": 800}
    bounds = (10, 1000)

    def unevenness(names: tuple[str, ...]) -> float:
        heights = [bounds[0], *sorted(sizes[name] for name in names), bounds[1]]
        return sum(math.log(high / low) ** 2 for low, high in itertools.pairwise(heights))

    best = min(itertools.combinations(sizes, 3), key=unevenness)
    assert thin(sizes, bounds=bounds, limit=3) == sorted(best, key=lambda name: -sizes[name])


def test_preferred_rungs_are_kept_and_the_rest_fills_the_widest_gap() -> None:
    sizes = {"low": 20, "lower": 25, "high": 300}
    assert thin(sizes, bounds=(10, 1000), preferred=["lower"], limit=2) == ["high", "lower"]


def test_too_many_preferred_rungs_leave_no_place_for_others() -> None:
    sizes = {"a": 30, "b": 100, "c": 110, "other": 300}
    assert thin(sizes, bounds=(10, 1000), preferred=["a", "b", "c"], limit=2) == ["c", "a"]


def test_few_candidates_are_all_kept() -> None:
    assert thin({"a": 20, "b": 30}, bounds=(10, 40)) == ["b", "a"]


def test_no_candidates_make_no_ladder() -> None:
    assert thin({}, bounds=(10, 40)) == []
