"""How every figure looks: colours, fonts, axes, and names on labels.

Kinds differ in Okabe and Ito's colours (jfly.uni-koeln.de/color), told apart with any colour vision, and by symbol or
dash as well; amounts in one scale of blues, which also differ in lightness. Names reach Plotly as escaped text, because
it reads labels as HTML.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from tasearch.domain.spec import ChainSpec
from tasearch.report import wording
from tasearch.report.figure_data.scale import AccuracyRange

INK, GRID, MUTED, GROUND = "#222222", "#e6e6e6", "#767676", "#ffffff"
VEIL = "rgba(255,255,255,0.85)"
"""Behind a label that stands on data."""
BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
AMOUNTS = ("#c3d9ec", "#9cc6e1", "#66abd4", "#2b7bba", "#08458f")
"""From little to much."""
DARK = {
    INK: "#e6e8eb",
    GRID: "#363c44",
    MUTED: "#9aa3ad",
    GROUND: "#1e2227",
    VEIL: "rgba(30,34,39,0.85)",
    BLUE: "#4aa8e0",
    ORANGE: "#f0b93a",
    GREEN: "#2fc79a",
    PINK: "#e29cc4",
    SKY: "#9ad4f5",
    RED: "#f0803c",
    **dict(zip(AMOUNTS, ("#3a566e", "#3d688c", "#3f7db0", "#6fb0dd", "#c3e3f8"), strict=True)),
}
"""What takes the place of each colour on a dark page."""
BY_NUM_TAS = (
    *((BLUE, "circle"), (RED, "square"), (GREEN, "diamond"), (PINK, "triangle-up")),
    *((SKY, "triangle-down"), (ORANGE, "cross"), (MUTED, "x")),
)
"""Colour and symbol of chains with 1, 2, ... 6, and more TAs."""
HEIGHT = 440
PATH_WIDTH = 46
"""Characters of a path on one line of a label."""
NAME_WIDTH = 21
"""Characters of a model's name on an axis; the whole name is in the hover text."""
HOVER_LENGTH = 160
_AXIS = {
    "gridcolor": GRID,
    "linecolor": MUTED,
    "showline": True,
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": MUTED,
    "automargin": True,
    "title": {"font": {"size": 13}, "standoff": 10},
}


def new_figure(height: int = HEIGHT) -> go.Figure:
    """Return an empty figure of this height in pixels; its width is that of the page."""
    figure = go.Figure()
    # As an update: Plotly's own look, 6 kB in each figure, would stay beside what the constructor is given.
    figure.update_layout(layout(height))
    return figure


def layout(height: int) -> dict[str, Any]:
    """Return the layout that all figures begin with."""
    return {
        "template": None,
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "paper_bgcolor": GROUND,
        "plot_bgcolor": GROUND,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "hoverlabel": {"bgcolor": GROUND, "bordercolor": MUTED, "align": "left", "font": {"size": 12, "color": INK}},
        "hovermode": "closest",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "font": {"size": 12},
            "itemsizing": "constant",
        },
    }


def amounts() -> list[list[float | str]]:
    """Return Plotly's colour scale from little to much."""
    last = len(AMOUNTS) - 1
    return [[index / last, color] for index, color in enumerate(AMOUNTS)]


def amount(share: float) -> str:
    """Return the colour of an amount in [0, 1], one of five."""
    return AMOUNTS[min(len(AMOUNTS) - 1, int(share * len(AMOUNTS)))]


def pair(chain: ChainSpec) -> str:
    """Return `temperature 16 / 4, KD weight 0.5`."""
    return f"temperature {wording.settings(chain.temperatures)}, KD weight {wording.settings(chain.kd_weights)}"


def label(chain: ChainSpec) -> str:
    """Return path and pair on lines of their own, escaped, narrow enough for a phone."""
    return "<br>".join([path_label(chain.printed_models), pair(chain)])


def short_label(chain: ChainSpec) -> str:
    """Return what `label` does, long names without their middles: for places that cannot grow."""
    path = " > ".join(shortened(name) for name in chain.printed_models)
    lines = textwrap.wrap(path, PATH_WIDTH, break_on_hyphens=False)
    return "<br>".join([*map(html.escape, lines), pair(chain)])


def path_label(path: Sequence[str]) -> str:
    """Return a path on as many lines as it needs, escaped."""
    lines = textwrap.wrap(" > ".join(path), PATH_WIDTH, break_on_hyphens=False)
    return "<br>".join(map(html.escape, lines))


def short_name(name: str, width: int = NAME_WIDTH) -> str:
    """Return a model's name for an axis, escaped; one of more characters than `width` loses its middle."""
    return html.escape(shortened(name, width))


def shortened(name: str, width: int = NAME_WIDTH) -> str:
    """Return a name of at most about `width` characters; a longer one loses its middle."""
    half = (width - 1) // 2
    return name if len(name) <= width else f"{name[:half]}…{name[-half:]}"


def hover_text(text: str) -> str:
    """Return a message, escaped and not longer than a hover label can show."""
    return html.escape(text if len(text) <= HOVER_LENGTH else text[: HOVER_LENGTH - 1] + "…")


def percents(values: Sequence[float]) -> list[float]:
    """Return fractions as percentages, to a thousandth of a point: the page holds thousands of them."""
    return [round(100 * value, 3) for value in values]


def show_range(figure: go.Figure, shown: AccuracyRange, measure: str) -> None:
    """Set the axis of accuracies; `measure`: what they are called."""
    figure.update_yaxes(range=[100 * shown.low, 100 * shown.high], title_text=f"validation {measure} (%)")
