from __future__ import annotations

import json

import pytest

from tasearch.domain.gap import Series
from tasearch.domain.landscape import Landscape, Student, Surface, by_series, grid
from tasearch.domain.spec import ChainSpec


def surface(curvature: float, resolution: int = 5, replicate: int = 1, series: Series = Series.NOKD) -> Surface:
    steps = grid(resolution)
    student = Student(series=series, arm=series.value, chain=None, replicate=replicate)
    return Surface(
        student=student,
        steps=steps,
        losses=tuple(tuple(2.0 + curvature * (one**2 + other**2) for other in steps) for one in steps),
    )


def test_an_odd_grid_holds_the_student() -> None:
    assert grid(5) == (-1.0, -0.5, 0.0, 0.5, 1.0)


def test_the_rise_is_the_mean_within_half_a_unit_above_the_student() -> None:
    found = surface(curvature=3.0)
    assert found.centre == 2.0
    # Of the 5 x 5 points the four nearest lie within 0.5: 3 * 0.25 above the centre.
    assert found.rise == pytest.approx(0.75)


def test_a_flatter_minimum_has_a_smaller_number() -> None:
    assert surface(1.0, resolution=15).rise < surface(2.0, resolution=15).rise


def test_surfaces_are_grouped_by_series_and_ordered_by_replicate() -> None:
    found = by_series([surface(1.0, replicate=2), surface(1.0, replicate=1), surface(1.0, series=Series.BLKD)])
    assert [one.student.replicate for one in found[Series.NOKD]] == [1, 2]
    assert list(found) == [Series.NOKD, Series.BLKD]


def test_a_stored_landscape_reads_back_to_six_digits() -> None:
    taught = ChainSpec(path=("a", "b"), temperatures=(4.0,), kd_weights=(0.9,))
    surfaces = tuple(
        Surface(
            student=Student(series=Series.BLKD, arm="a > b", chain=chain, replicate=1), steps=(0.0,), losses=((1 / 3,),)
        )
        for chain in (taught, None)
    )
    stored = Landscape(surfaces=surfaces, num_images=8, command="tasearch landscape s").to_plain()
    found = Landscape.from_plain(json.loads(json.dumps(stored)))
    assert [surface.student for surface in found.surfaces] == [surface.student for surface in surfaces]
    assert found.surfaces[0].losses == ((0.333333,),)
    assert (found.num_images, found.command) == (8, "tasearch landscape s")
