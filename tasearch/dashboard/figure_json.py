"""Figures as the dashboard can take them: titled, and small enough to be sent with every answer about their study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST_CHARACTERS = 150_000
"""Of a figure: all of them travel with every poll of every visitor."""
_MOST_HEIGHT = 440
"""Pixels of a card."""
_TITLE_SPACE = 56
"""Pixels above the plot."""
_BUTTON_SPACE = 36
"""Pixels that buttons need between them."""


def fitting(figures: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the figures (Plotly JSON by name) that fit, and the names of those that do not.

    One that is too large is tried again without the texts of its points.
    """
    kept: dict[str, str] = {}
    left_out: list[str] = []
    for name, text in figures.items():
        figure = _rounded(json.loads(text))
        _fit_card(name, figure)
        small = _dumps(figure)
        if len(small) > MOST_CHARACTERS:
            small = _dumps(_without_point_texts(figure))
        if len(small) > MOST_CHARACTERS:
            left_out.append(name)
        else:
            kept[name] = small
    return kept, left_out


def _fit_card(name: str, figure: dict[str, Any]) -> None:
    """Give a figure a title, and a height that optuna-dashboard does not cut off."""
    layout = figure.setdefault("layout", {})
    layout["height"] = min(layout.get("height") or _MOST_HEIGHT, _MOST_HEIGHT)
    if layout.get("title"):
        return
    words = name.replace("_", " ").replace("-", " ")
    layout["title"] = {"text": f"tasearch: {words}", "x": 0.01, "xanchor": "left", "y": 0.98, "yanchor": "top"}
    margin = layout.setdefault("margin", {})
    # Buttons stand on the plot's upper edge, under the title.
    space = _TITLE_SPACE + (_BUTTON_SPACE if layout.get("updatemenus") else 0)
    margin["t"] = max(margin.get("t", 0), space)


def _without_point_texts(figure: dict[str, Any]) -> dict[str, Any]:
    traces = []
    for trace in figure.get("data", []):
        bare = {key: value for key, value in trace.items() if key not in ("hovertext", "customdata")}
        traces.append(bare if len(bare) == len(trace) else bare | {"hoverinfo": "x+y"})
    return figure | {"data": traces}


def _rounded(value: Any) -> Any:
    """Return JSON with six significant digits, more than anybody sees."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def _dumps(figure: Mapping[str, Any]) -> str:
    return json.dumps(figure, separators=(",", ":"))
