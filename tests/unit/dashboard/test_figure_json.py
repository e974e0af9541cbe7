from __future__ import annotations

import json
from typing import Any

from tasearch.dashboard.figure_json import MOST_CHARACTERS, fitting


def fitted(**figure: Any) -> dict[str, Any]:
    kept, left_out = fitting({"capacity": json.dumps(figure)})
    assert left_out == []
    read: dict[str, Any] = json.loads(kept["capacity"])
    return read


def test_a_figure_without_a_title_gets_its_name() -> None:
    layout = fitted(data=[], layout={"margin": {"t": 12}})["layout"]
    assert layout["title"]["text"] == "tasearch: capacity"
    assert layout["margin"]["t"] > 12


def test_buttons_have_room_under_the_title() -> None:
    layouts: dict[str, Any] = {"plain": {}, "switched": {"updatemenus": [{}]}}
    kept, _ = fitting({name: json.dumps({"data": [], "layout": layout}) for name, layout in layouts.items()})
    tops = {name: json.loads(text)["layout"]["margin"]["t"] for name, text in kept.items()}
    assert tops["switched"] > tops["plain"] + 30


def test_a_title_stays() -> None:
    assert fitted(data=[], layout={"title": {"text": "mine"}})["layout"]["title"] == {"text": "mine"}


def test_a_figure_is_no_higher_than_its_card() -> None:
    assert fitted(data=[], layout={"height": 900})["layout"]["height"] == 440
    assert fitted(data=[], layout={"height": 330})["layout"]["height"] == 330


def test_numbers_keep_six_digits() -> None:
    assert fitted(data=[{"x": [70.20000000000001, 1234567.0, 3, None, "0.123456789"]}])["data"][0]["x"] == [
        70.2,
        1234570.0,
        3,
        None,
        "0.123456789",
    ]


def test_a_figure_that_is_too_large_loses_the_texts_of_its_points() -> None:
    data = [{"x": [1, 2], "hovertext": ["x" * MOST_CHARACTERS, "y"], "hoverinfo": "text"}, {"y": [3]}]
    assert fitted(data=data)["data"] == [{"x": [1, 2], "hoverinfo": "x+y"}, {"y": [3]}]


def test_a_figure_that_is_still_too_large_is_left_out() -> None:
    large = json.dumps({"data": [{"x": list(range(MOST_CHARACTERS))}]})
    kept, left_out = fitting({"small": "{}", "large": large})
    assert (list(kept), left_out) == (["small"], ["large"])
