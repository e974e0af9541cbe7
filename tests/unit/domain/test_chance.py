from __future__ import annotations

from tasearch.domain.chance import is_near_chance

EVEN = (100,) * 10


def test_guessing_is_near_chance() -> None:
    assert is_near_chance(0.1, EVEN)
    assert is_near_chance(0.0, EVEN)


def test_a_clear_distance_is_not() -> None:
    assert not is_near_chance(0.2, EVEN)


def test_few_images_say_less() -> None:
    assert is_near_chance(0.2, (2,) * 10)


def test_always_saying_the_largest_class_is_chance() -> None:
    assert is_near_chance(0.95, (950, 50))
    assert not is_near_chance(0.98, (950, 50))


def test_in_the_mean_over_classes_the_largest_class_has_no_more_say() -> None:
    assert is_near_chance(0.5, (950, 50), "balanced-accuracy")
    assert not is_near_chance(0.8, (950, 50), "balanced-accuracy")


def test_a_rare_class_makes_the_mean_over_classes_uncertain() -> None:
    assert is_near_chance(0.7, (990, 10), "balanced-accuracy")
