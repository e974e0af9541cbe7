"""The tree of paths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from tasearch.report import wording
from tasearch.report.figure_data.paths import PathNode, PathsInfo
from tasearch.report.figures.look import AMOUNTS, INK, MUTED, NAME_WIDTH, amount, new_figure, path_label, short_name

_ROW = 30
"""Height of a branch's end, pixels."""
_THINNEST, _THICKEST = 1.5, 11.0
"""Widths of a branch that few and that all runs pass, pixels."""
_MOST_ABREAST = 4
"""Columns whose headings stand beside each other."""
_CHARACTERS = 50
"""Of headings beside each other on a phone."""
_BEND = 0.55
"""Part of the way to the next column on which a branch leaves its level."""
_STEPS = 10
"""Pieces of that bend."""


def draw_paths(info: PathsInfo) -> go.Figure:
    """Draw the tree from the teacher (left) to the student (right), one column a model.

    A branch is as wide as runs use it; a node has the colour of its accuracy among the nodes of its model.
    """
    levels = _levels(info)
    rows = max(levels.values(), default=0.0) + 1
    figure = new_figure(height=round(150 + _ROW * rows))
    columns = {name: index for index, name in enumerate(info.columns)}
    most = max((node.runs for node in info.shown if len(node.path) > 1), default=0)
    for node in info.shown:
        if len(node.path) > 1:
            _add_branch(figure, node, columns, levels, most)
    _add_nodes(figure, info, columns, levels)
    _add_key(figure)
    figure.update_xaxes(
        tickvals=list(columns.values()),
        ticktext=_headings(info.columns),
        tickangle=0,
        tickfont={"size": 12},
        range=[-0.12, len(columns) - 0.88],
        showgrid=False,
        showline=False,
        ticks="",
        side="top",
    )
    figure.update_yaxes(
        range=[rows - 0.3, -1.0], showticklabels=False, showgrid=False, showline=False, ticks="", automargin=False
    )
    figure.update_layout(
        showlegend=True, margin={"t": 48 if len(columns) > _MOST_ABREAST else 30, "b": 8, "l": 52, "r": 28}
    )
    return figure


def _headings(names: Sequence[str]) -> list[str]:
    """Return the names of the columns, short enough for a phone; many stand on two levels in turn."""
    staggered = len(names) > _MOST_ABREAST
    width = min(NAME_WIDTH, max(9, _CHARACTERS // len(names) * (2 if staggered else 1)))
    short = [short_name(name, width) for name in names]
    if not staggered:
        return short
    return [f"{name}<br>\u200b" if index % 2 else f"\u200b<br>{name}" for index, name in enumerate(short)]


def _levels(info: PathsInfo) -> dict[tuple[str, ...], float]:
    """Return the level of each node: ends of branches one below the other, others amid what they teach."""
    children: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for node in info.shown:
        children.setdefault(node.path[:-1], []).append(node.path)
    levels: dict[tuple[str, ...], float] = {}
    ends = 0
    for node in info.shown:
        if node.path not in children:
            levels[node.path] = float(ends)
            ends += 1
    for node in reversed(info.shown):
        below = children.get(node.path)
        if below:
            levels[node.path] = (levels[below[0]] + levels[below[-1]]) / 2
    return levels


def _add_branch(
    figure: go.Figure, node: PathNode, columns: dict[str, int], levels: dict[tuple[str, ...], float], most: int
) -> None:
    above, below = node.path[:-1], node.path
    start, end = columns[above[-1]], columns[below[-1]]
    steps = [index / _STEPS for index in range(_STEPS + 1)]
    rise = levels[below] - levels[above]
    share = math.sqrt(node.runs / most) if most else 0.0
    figure.add_scatter(
        x=[*(round(start + _BEND * step, 3) for step in steps), end],
        y=[*(round(levels[above] + rise * step * step * (3 - 2 * step), 3) for step in steps), levels[below]],
        mode="lines",
        line={
            "color": MUTED if node.standing is None else amount(node.standing),
            "width": round(_THINNEST + (_THICKEST - _THINNEST) * share, 1),
            "dash": "solid" if node.runs else "dot",
            # Or Plotly leaves out points and the bend has corners.
            "simplify": False,
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _add_nodes(
    figure: go.Figure, info: PathsInfo, columns: dict[str, int], levels: dict[tuple[str, ...], float]
) -> None:
    nodes = info.shown
    figure.add_scatter(
        x=[columns[node.model] for node in nodes],
        y=[levels[node.path] for node in nodes],
        mode="markers+text",
        text=["" if node.best_val_accuracy is None else wording.percent(node.best_val_accuracy) for node in nodes],
        textposition=["middle left" if len(node.path) == 1 else "top center" for node in nodes],
        textfont={"size": 11, "color": INK},
        cliponaxis=False,
        marker={
            "size": 11,
            "color": [MUTED if node.standing is None else amount(node.standing) for node in nodes],
            "line": {"color": INK, "width": 1},
        },
        hovertext=[_hover(node) for node in nodes],
        hoverinfo="text",
        showlegend=False,
    )


def _add_key(figure: go.Figure) -> None:
    """Explain the colours in the legend."""
    for name, color in (("worst of its column", AMOUNTS[0]), ("in between", AMOUNTS[2]), ("best", AMOUNTS[-1])):
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            marker={"size": 11, "color": color, "line": {"color": INK, "width": 1}},
            hoverinfo="skip",
        )


def _hover(node: PathNode) -> str:
    lines = [path_label(node.path)]
    if node.best_val_accuracy is not None:
        lines.append(f"<b>best val {wording.percent(node.best_val_accuracy)}</b>")
    if node.temperature is not None and node.kd_weight is not None:
        lines.append(f"at temperature {node.temperature:g}, KD weight {node.kd_weight:g}")
    lines.append(f"{wording.plural(node.stages, 'stage')} trained in {wording.duration(node.seconds)}")
    lines.append(f"{wording.plural(node.runs, 'run')} passed here")
    return "<br>".join(lines)
