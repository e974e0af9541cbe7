from __future__ import annotations

from tasearch.domain.chance import is_near_chance


def test_guessing_is_near_chance() -> None:
    assert is_near_chance(0.1, 10, 1000)
    assert is_near_chance(0.0, 10, 1000)


def test_a_clear_distance_is_not() -> None:
    assert not is_near_chance(0.2, 10, 1000)


def test_few_images_say_less() -> None:
    assert is_near_chance(0.2, 10, 20)
