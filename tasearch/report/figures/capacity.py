"""Accuracy against TA capacity."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from tasearch.domain.metric import ACCURACY
from tasearch.report import wording
from tasearch.report.figure_data.capacity import Baseline, CapacityInfo, CapacityPoint, FinalPoint, Rung
from tasearch.report.figure_data.scale import AccuracyRange
from tasearch.report.figures.look import (
    BY_NUM_TAS,
    GREEN,
    GROUND,
    INK,
    MUTED,
    ORANGE,
    label,
    new_figure,
    percents,
    short_name,
    show_range,
)

_LINES = {"NOKD": (MUTED, "dot"), "BLKD": (ORANGE, "dash")}
"""Colour and dash of baselines; the teacher's is another."""
_EDGE = 0.15
"""How far the axis goes beyond the ladder, in powers of ten."""
_TICK_WIDTH = 11
"""Characters of a name on the axis, where names stand side by side."""
_STEP = 0.04
"""Most that chains at one TA are set apart, in powers of ten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measure:
    """One of the ways to say how big a model is."""

    name: str
    title: str
    of: Callable[[Rung | CapacityPoint | FinalPoint], float | None]
    written: Callable[[float], str]


_MEASURES = (
    _Measure(
        name="parameters",
        title="parameters",
        of=lambda model: model.num_params,
        written=lambda size: wording.short_count(int(size)),
    ),
    _Measure(
        name="MACs",
        title="multiply-accumulates of one image",
        of=lambda model: model.macs,
        written=lambda size: wording.short_count(int(size)),
    ),
    _Measure(
        name="latency, 1 image",
        title="milliseconds of a forward pass of 1 image",
        of=lambda model: _milliseconds(model.latency_1),
        written=lambda size: f"{size:.3g} ms",
    ),
    _Measure(
        name="latency, 64 images",
        title="milliseconds of a forward pass of 64 images",
        of=lambda model: _milliseconds(model.latency_64),
        written=lambda size: f"{size:.3g} ms",
    ),
)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def draw_capacity(info: CapacityInfo, measure: str = ACCURACY) -> go.Figure:
    """Draw the student's accuracy against the size of its TA (log), one point a chain.

    Buttons switch between parameters, MACs and, where they were measured for all TAs, latencies. `measure`: what the
    accuracies are called.
    """
    figure = new_figure(height=500)
    kinds = sorted({point.num_tas for point in info.points})
    sizes = [size for size in _MEASURES if all(size.of(rung) for rung in info.rungs)]
    axes = [_Axis(info, size, kinds) for size in sizes]
    first, rows = axes[0], []
    for baseline in info.baselines:
        rows += _add_baseline(figure, baseline, info.range, axes)
    if info.midpoint is not None:
        rows.append([axis.midpoint(info.midpoint) for axis in axes])
        figure.add_scatter(
            x=rows[-1][0],
            y=percents([info.range.low, info.range.high]),
            mode="lines",
            name=f"accuracy midpoint: {short_name(info.midpoint)}",
            line={"color": GREEN, "width": 1.5, "dash": "dashdot"},
            hoverinfo="skip",
        )
    for num_tas in kinds:
        chosen = [point for point in info.points if point.num_tas == num_tas]
        rows.append([axis.points(chosen) for axis in axes])
        _add_points(figure, chosen, rows[-1][0], num_tas)
    if info.finals:
        rows.append([axis.finals(info.finals) for axis in axes])
        _add_finals(figure, info.finals, rows[-1][0])
    figure.update_layout({f"xaxis.{key}": value for key, value in first.settings.items()})
    show_range(figure, info.range, measure)
    figure.update_layout(showlegend=True, updatemenus=[_switch(axes, rows)])
    return figure


def _switch(axes: Sequence[_Axis], rows: Sequence[Sequence[list[float]]]) -> dict[str, Any]:
    """Return buttons that put all traces on the other axis."""
    return {
        "type": "buttons",
        "direction": "right",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "bgcolor": GROUND,
        "bordercolor": MUTED,
        "buttons": [
            {
                "label": axis.measure.name,
                "method": "update",
                "args": [
                    {"x": [row[index] for row in rows]},
                    {f"xaxis.{key}": value for key, value in axis.settings.items()},
                ],
            }
            for index, axis in enumerate(axes)
        ],
    }


def _rounded(size: float) -> float:
    """Return a size to six digits: the page holds thousands of them."""
    return float(f"{size:.6g}")


class _Axis:
    """Where everything stands on the axis of one measure."""

    def __init__(self, info: CapacityInfo, measure: _Measure, kinds: Sequence[int]) -> None:
        self.measure, self._kinds = measure, list(kinds)
        self._rungs = {rung.name: self._size(rung) for rung in info.rungs}
        sizes = sorted(math.log10(size) for size in self._rungs.values())
        gaps = [upper - lower for lower, upper in itertools.pairwise(sizes) if upper > lower]
        # Within a quarter of the way to the next rung.
        self._step = min([_STEP, *(gap / (4 * (len(kinds) + 1)) for gap in gaps)])
        self._ends = sizes[0] - _EDGE, sizes[-1] + _EDGE

    def _size(self, model: Rung | CapacityPoint | FinalPoint) -> float:
        size = self.measure.of(model)
        assert size is not None
        return size

    @property
    def settings(self) -> dict[str, Any]:
        """What Plotly's axis is set to."""
        return {
            "type": "log",
            "title.text": f"smallest TA of the chain<br>({self.measure.title}, log scale)",
            "tickvals": list(self._rungs.values()),
            "ticktext": [
                f"{short_name(name, _TICK_WIDTH)}<br>{self.measure.written(size)}" for name, size in self._rungs.items()
            ],
            "range": [round(end, 4) for end in self._ends],
        }

    def whole(self) -> list[float]:
        """Return both ends."""
        return [_rounded(10**end) for end in self._ends]

    def midpoint(self, name: str) -> list[float]:
        """Return both ends of an upright line."""
        return [float(self._rungs[name])] * 2

    def points(self, points: Sequence[CapacityPoint]) -> list[float]:
        """Return the places of chains; those with another number of TAs stand beside."""
        return [self._beside(self._size(point), self._kinds.index(point.num_tas)) for point in points]

    def finals(self, points: Sequence[FinalPoint]) -> list[float]:
        """Return the places of finalists: beside all chains, and beside each other."""
        found = []
        for index, point in enumerate(points):
            same = sum(self._size(other) == self._size(point) for other in points[:index])
            found.append(self._beside(self._size(point), len(self._kinds) + 0.8 * same))
        return found

    def _beside(self, size: float, place: float) -> float:
        return _rounded(10 ** (math.log10(size) + (place - (len(self._kinds) - 1) / 2) * self._step))


def _add_baseline(
    figure: go.Figure, baseline: Baseline, shown: AccuracyRange, axes: Sequence[_Axis]
) -> list[list[list[float]]]:
    """Draw a baseline as a line, in a band where it has an interval; return where its traces stand on each axis.

    One beyond the axis is only named, with an arrow, in the legend.
    """
    val = baseline.val
    color, dash = _LINES.get(baseline.label, (INK, "longdashdot"))
    text = f"{short_name(baseline.label)} {wording.percent(val.mean)}"
    inside = shown.shows(val.mean)
    if not inside:
        text += " (above the axis)" if val.mean > shown.high else " (below the axis)"
    rows = [[axis.whole() for axis in axes]]
    figure.add_scatter(
        x=rows[0][0],
        y=percents([val.mean] * 2) if inside else [None, None],
        mode="lines",
        name=text,
        legendgroup=baseline.label,
        line={"color": color, "width": 2, "dash": dash},
        hoverinfo="skip",
    )
    if val.low is not None and val.high is not None and val.low < shown.high and val.high > shown.low:
        low, high = max(val.low, shown.low), min(val.high, shown.high)
        rows.append([[*axis.whole(), *reversed(axis.whole())] for axis in axes])
        figure.add_scatter(
            x=rows[1][0],
            y=percents([low, low, high, high]),
            mode="none",
            fill="toself",
            fillcolor=color,
            opacity=0.14,
            legendgroup=baseline.label,
            showlegend=False,
            hoverinfo="skip",
        )
    return rows


def _add_points(figure: go.Figure, chosen: Sequence[CapacityPoint], x: list[float], num_tas: int) -> None:
    color, symbol = BY_NUM_TAS[min(num_tas, len(BY_NUM_TAS)) - 1]
    figure.add_scatter(
        x=x,
        y=percents([point.val_accuracy for point in chosen]),
        mode="markers",
        name=wording.plural(num_tas, "TA"),
        hovertext=[_hover(point) for point in chosen],
        hoverinfo="text",
        marker={
            "symbol": symbol,
            "color": color,
            "size": [12 if point.is_best_of_path else 8 for point in chosen],
            "opacity": [0.95 if point.is_best_of_path else 0.45 for point in chosen],
            "line": {"color": INK, "width": [1.5 if point.is_best_of_path else 0 for point in chosen]},
        },
    )


def _hover(point: CapacityPoint) -> str:
    return f"{label(point.chain)}<br><b>val {wording.percent(point.val_accuracy)}</b>, trial {point.trial_number}"


def _add_finals(figure: go.Figure, finals: Sequence[FinalPoint], x: list[float]) -> None:
    figure.add_scatter(
        x=x,
        y=percents([point.val.mean for point in finals]),
        mode="markers",
        name="finals: mean and 95% interval",
        marker={"symbol": "diamond-tall", "color": GROUND, "size": 11, "line": {"color": INK, "width": 2}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": percents([0.0 if p.val.high is None else p.val.high - p.val.mean for p in finals]),
            "arrayminus": percents([0.0 if p.val.low is None else p.val.mean - p.val.low for p in finals]),
            "color": INK,
            "thickness": 1.5,
            "width": 5,
        },
        hovertext=[
            f"{label(point.chain)}<br><b>finals: val {wording.percent(point.val.mean)}</b>, "
            f"n = {point.val.n}<br>{wording.percents(point.val.low, point.val.high)}"
            for point in finals
        ],
        hoverinfo="text",
    )
