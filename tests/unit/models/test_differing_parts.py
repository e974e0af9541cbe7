"""What is said of a net that differs."""

from __future__ import annotations

import pytest

from tasearch.models.differing_parts import are_computed_values, differing_parts, recorded_parts

PARTS = {
    "file of mynet": "a",
    "function mynet.make": "b",
    "mynet.SCALE": "float 2.0",
    "(net).head": "layer",
    "values of pos": "d",
    "operations of training": "e",
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["file of mynet", "operations of training"], ["the file of module mynet"]),
        (["mynet.SCALE", "function mynet.make"], ["function mynet.make", "value mynet.SCALE"]),
        (["(net).head"], ["layer or attribute head"]),
        (["operations of training"], ["the operations that torch runs (training)"]),
    ],
)
def test_causes_are_named_rather_than_what_follows_from_them(changed: list[str], said: list[str]) -> None:
    now = PARTS | dict.fromkeys(changed, "other")
    assert differing_parts(recorded_parts(PARTS), recorded_parts(now)) == said


def test_a_part_that_is_gone_differs() -> None:
    now = {name: text for name, text in PARTS.items() if name != "mynet.SCALE"}
    assert differing_parts(recorded_parts(PARTS), recorded_parts(now)) == ["value mynet.SCALE"]


def test_computed_values_are_told_from_code() -> None:
    now = recorded_parts(PARTS | {"values of pos": "other"})
    differing = differing_parts(recorded_parts(PARTS), now)
    assert are_computed_values(differing)
    assert not are_computed_values([*differing, "the file of module mynet"])
    assert not are_computed_values([])


def test_the_record_of_a_large_net_is_small_and_still_sees_every_layer() -> None:
    large = PARTS | {f"(net).{number}": "layer" for number in range(10_000)}
    before, now = recorded_parts(large), recorded_parts(large | {"(net).77": "other"})
    assert len(before) < 301
    assert differing_parts(before, now) == ["its layers and their values"]
