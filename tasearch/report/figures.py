"""The four figures of a report: each draws one value of `figure_data.py`.

Colours are Okabe and Ito's (jfly.uni-koeln.de/color), told apart with any colour vision; kinds differ by symbol
or dash as well. Names reach Plotly as escaped text, because it reads labels as HTML.
"""

from __future__ import annotations

import html
import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from tasearch.domain.result import TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.report import wording
from tasearch.report.figure_data import (
    AccuracyRange,
    ArmDifference,
    CapacityInfo,
    CapacityPoint,
    CurvesInfo,
    ProgressInfo,
    ProgressPoint,
    Reference,
    capacity_info,
    curves_info,
    finals_info,
    progress_info,
)
from tasearch.report.view import StudyView

INK, GRID, MUTED = "#222222", "#e6e6e6", "#767676"
BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
BY_NUM_TAS = ((BLUE, "circle"), (RED, "square"), (GREEN, "diamond"), (PINK, "triangle-up"))
"""Colour and symbol of chains with 1, 2, 3 and more TAs."""
CURVE_STYLES = ((BLUE, "solid"), (RED, "solid"), (GREEN, "solid"), (PINK, "solid"), (SKY, "solid"))
LINE_PIXELS = 20
"""Height of a line of text in a figure."""
REFERENCE_DASH = {"NOKD": "dot", "BLKD": "dash"}
VAL_TITLE = "validation accuracy (%)"
HEIGHT = 440
PATH_WIDTH = 46
"""Characters of a path on one line of a label."""


def figures(view: StudyView) -> Mapping[str, go.Figure]:
    """Return the figures that the study has data for, by name: capacity, finals, progress, curves."""
    capacity, finals, progress = capacity_info(view), finals_info(view), progress_info(view)
    curves = curves_info(view)
    drawn: dict[str, go.Figure] = {}
    if capacity.points:
        drawn["capacity"] = draw_capacity(capacity)
    if finals:
        drawn["finals"] = draw_finals(finals)
    if progress.tas or progress.blkd:
        drawn["progress"] = draw_progress(progress)
    if curves.curves:
        drawn["curves"] = draw_curves(curves)
    return drawn


def _figure(height: int = HEIGHT) -> go.Figure:
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": MUTED,
        "automargin": True,
    }
    return go.Figure(
        layout={
            "template": None,
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
            "hoverlabel": {"bgcolor": "white", "align": "left", "font": {"size": 12}},
            "hovermode": "closest",
            "xaxis": axis,
            "yaxis": axis,
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
    )


def _pair(chain: ChainSpec) -> str:
    return f"temperature {wording.settings(chain.temperatures)}, KD weight {wording.settings(chain.kd_weights)}"


def _label(chain: ChainSpec) -> str:
    """Return path and pair on lines of their own, narrow enough for a phone."""
    path = textwrap.wrap(chain.printed_path, PATH_WIDTH, break_on_hyphens=False)
    return "<br>".join([*map(html.escape, path), _pair(chain)])


def _percents(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _show_range(figure: go.Figure, shown: AccuracyRange) -> None:
    figure.update_yaxes(range=[100 * shown.low, 100 * shown.high], title=VAL_TITLE)


def draw_capacity(info: CapacityInfo) -> go.Figure:
    """Draw the student's accuracy against the num_params of its TA (log), one point a chain."""
    figure = _figure()
    kinds = sorted({point.num_tas for point in info.points})
    for num_tas in kinds:
        chosen = [point for point in info.points if point.num_tas == num_tas]
        color, symbol = BY_NUM_TAS[min(num_tas, len(BY_NUM_TAS)) - 1]
        figure.add_scatter(
            x=[_beside(point, kinds, info) for point in chosen],
            y=_percents([point.val_accuracy for point in chosen]),
            mode="markers",
            name=wording.plural(num_tas, "TA"),
            hovertext=[_capacity_hover(point) for point in chosen],
            hoverinfo="text",
            marker={
                "symbol": symbol,
                "color": color,
                "size": [13 if point.best_of_path else 8 for point in chosen],
                "opacity": [0.95 if point.best_of_path else 0.45 for point in chosen],
                "line": {
                    "color": INK,
                    "width": [1.5 if point.best_of_path else 0 for point in chosen],
                },
            },
        )
    logs = [math.log10(num_params) for _, num_params in info.rungs]
    figure.update_xaxes(
        type="log",
        title="smallest TA of the chain<br>(parameters, log scale)",
        tickvals=[num_params for _, num_params in info.rungs],
        ticktext=[f"{html.escape(name)}<br>{wording.short_count(size)}" for name, size in info.rungs],
        range=[min(logs) - 0.15, max(logs) + 0.15],
    )
    _show_range(figure, info.range)
    figure.update_layout(showlegend=True)
    off_scale = {True: 0, False: 0}
    for reference in info.references:
        above = reference.accuracy > info.range.high
        _add_reference(figure, reference, info.range, below_others=off_scale[above])
        off_scale[above] += not info.range.shows(reference.accuracy)
    return figure


def _beside(point: CapacityPoint, kinds: list[int], info: CapacityInfo) -> float:
    """Set chains of equal x but different number of TAs slightly apart, within a quarter of a rung."""
    logs = [math.log10(num_params) for _, num_params in info.rungs]
    gaps = [upper - lower for lower, upper in itertools.pairwise(logs) if upper > lower]
    step = min([0.04, *(gap / 8 for gap in gaps)])
    place = kinds.index(point.num_tas) - (len(kinds) - 1) / 2
    return float(10 ** (math.log10(point.num_params) + place * step))


def _capacity_hover(point: CapacityPoint) -> str:
    ta = html.escape(point.chain.tas[-1])
    return (
        f"{_label(point.chain)}<br><b>val accuracy {wording.percent(point.val_accuracy)}</b>"
        f"<br>{ta}: {point.num_params:,} parameters, {wording.short_count(point.macs)} MACs"
        f"<br>trial {point.trial_number}"
    )


def _add_reference(figure: go.Figure, reference: Reference, shown: AccuracyRange, below_others: int) -> None:
    """Draw a baseline as a line with its name; one beyond the axis runs along the edge and says so.

    `below_others`: how many baselines beyond the same edge have their names there already.
    """
    text = f"{html.escape(reference.label)} {wording.percent(reference.accuracy)}"
    look = {"showarrow": False, "font": {"size": 12, "color": INK}, "bgcolor": "rgba(255,255,255,0.75)"}
    if shown.shows(reference.accuracy):
        left = reference.label == "NOKD"
        at: dict[str, Any] = {"y": 100 * reference.accuracy, "yref": "y"}
        place: dict[str, Any] = {"x": 0 if left else 1, "xanchor": "left" if left else "right", "yanchor": "bottom"}
    else:
        above = reference.accuracy > shown.high
        at = {"y": 1 if above else 0, "yref": "paper"}
        # In the middle, where the names of the other baselines are not.
        shift = LINE_PIXELS * below_others * (-1 if above else 1)
        place = {"x": 0.5, "xanchor": "center", "yanchor": "top" if above else "bottom", "yshift": shift}
        text = f"{'↑' if above else '↓'} {text}, off the scale"
    figure.add_shape(
        type="line",
        xref="paper",
        yref=at["yref"],
        x0=0,
        x1=1,
        y0=at["y"],
        y1=at["y"],
        layer="below",
        line={"color": MUTED, "width": 1.5, "dash": REFERENCE_DASH.get(reference.label, "longdashdot")},
    )
    figure.add_annotation(text=text, xref="paper", **at, **place, **look)


def draw_finals(arms: Sequence[ArmDifference]) -> go.Figure:
    """Draw each finalist's difference to BLKD with its interval, the single replicates below it."""
    figure = _figure(height=130 + 100 * len(arms))
    rows = list(range(len(arms), 0, -1))
    figure.add_scatter(
        x=[100 * value for arm in arms for value in arm.per_replicate],
        y=[row - 0.2 for row, arm in zip(rows, arms, strict=True) for _ in arm.per_replicate],
        mode="markers",
        name="one replicate",
        marker={"color": SKY, "size": 8, "opacity": 0.75, "symbol": "circle"},
        hovertemplate="%{x:+.1f} points<extra>one replicate</extra>",
    )
    bounds = [arm.difference for arm in arms]
    figure.add_scatter(
        x=[100 * bound.mean for bound in bounds],
        y=rows,
        mode="markers",
        name="mean with 95% interval" if any(bound.low is not None for bound in bounds) else "mean",
        marker={"color": BLUE, "size": 12, "symbol": "diamond"},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [0 if b.high is None else 100 * (b.high - b.mean) for b in bounds],
            "arrayminus": [0 if b.low is None else 100 * (b.mean - b.low) for b in bounds],
            "color": BLUE,
            "thickness": 2,
            "width": 6,
        },
        hovertext=[
            f"{_label(arm.chain)}<br><b>{wording.interval(arm.difference)} points</b>, n = {arm.difference.n}"
            for arm in arms
        ],
        hoverinfo="text",
    )
    for row, arm in zip(rows, arms, strict=True):
        figure.add_annotation(
            x=0,
            xref="paper",
            xanchor="left",
            y=row + 0.14,
            yanchor="bottom",
            text=_label(arm.chain),
            align="left",
            showarrow=False,
            font={"size": 12},
            bgcolor="rgba(255,255,255,0.8)",
        )
    figure.add_shape(
        type="line", x0=0, x1=0, yref="paper", y0=0, y1=1, layer="above", line={"color": INK, "width": 1.5}
    )
    figure.add_annotation(x=0, y=1, yref="paper", yanchor="bottom", text="BLKD", showarrow=False)
    figure.update_layout(margin={"t": 28})
    figure.update_xaxes(title="test accuracy minus BLKD's<br>(percentage points)")
    figure.update_yaxes(range=[0.55, len(arms) + 0.65], showticklabels=False, ticks="", showgrid=False)
    return figure


def draw_progress(info: ProgressInfo) -> go.Figure:
    """Draw val accuracy by trial number with the best so far; trials without a result along the bottom edge."""
    figure = _figure()
    for name, points, color, symbol, dash in (
        ("chains with TAs", info.tas, BLUE, "circle", "solid"),
        ("BLKD", info.blkd, ORANGE, "square", "dash"),
    ):
        if points:
            _add_progress(figure, points, info.last_trial, name, color, symbol, dash)
    for state, symbol in ((TrialState.PRUNED, "line-ns-open"), (TrialState.FAILED, "x-thin-open")):
        ended = [trial for trial in info.ended if trial.state is state]
        if ended:
            figure.add_scatter(
                x=[trial.trial_number for trial in ended],
                y=[100 * info.range.low] * len(ended),
                mode="markers",
                cliponaxis=False,
                name=state.value,
                marker={"symbol": symbol, "color": MUTED, "size": 10, "line": {"width": 2}},
                hovertext=[f"trial {trial.trial_number}<br>{_hover_text(trial.text)}" for trial in ended],
                hoverinfo="text",
            )
    figure.update_xaxes(title="trial", range=[-0.7, max(info.last_trial, 1) + 0.7], tickformat="d")
    if info.last_trial < 10:
        figure.update_xaxes(dtick=1)
    _show_range(figure, info.range)
    figure.update_layout(showlegend=True)
    return figure


def _add_progress(
    figure: go.Figure,
    points: Sequence[ProgressPoint],
    last_trial: int,
    name: str,
    color: str,
    symbol: str,
    dash: str,
) -> None:
    best = [point.best_so_far for point in points]
    figure.add_scatter(
        x=[*(point.trial_number for point in points), last_trial],
        y=_percents([*best, best[-1]]),
        mode="lines",
        name=f"{name}, best so far",
        line={"color": color, "width": 2, "shape": "hv", "dash": dash},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[point.trial_number for point in points],
        y=_percents([point.val_accuracy for point in points]),
        mode="markers",
        name=name,
        marker={"symbol": symbol, "color": color, "size": 9, "opacity": 0.85},
        hovertext=[
            f"trial {point.trial_number}<br>{_label(point.chain)}"
            f"<br><b>val accuracy {wording.percent(point.val_accuracy)}</b>"
            for point in points
        ],
        hoverinfo="text",
    )


def _hover_text(text: str, length: int = 160) -> str:
    return html.escape(text if len(text) <= length else text[: length - 1] + "…")


def draw_curves(info: CurvesInfo) -> go.Figure:
    """Draw val accuracy of the student after each epoch, BLKD dashed."""
    curves = info.curves
    figure = _figure(height=HEIGHT + 28 * len(curves))
    styles = iter(CURVE_STYLES)
    for curve in curves:
        color, dash = (ORANGE, "dash") if curve.chain.is_direct else next(styles)
        figure.add_scatter(
            x=list(range(1, len(curve.accuracies) + 1)),
            y=_percents(curve.accuracies),
            mode="lines+markers" if len(curve.accuracies) <= 20 else "lines",
            name=_label(curve.chain),
            line={"color": color, "width": 2.5, "dash": dash},
            marker={"size": 5},
            hovertemplate="epoch %{x}: %{y:.1f}%<extra></extra>",
        )
    figure.update_xaxes(title="epoch of the student's stage", tickformat="d")
    if max((len(curve.accuracies) for curve in curves), default=0) < 10:
        figure.update_xaxes(dtick=1)
    _show_range(figure, info.range)
    figure.update_layout(showlegend=True)
    return figure
