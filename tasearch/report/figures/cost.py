"""Where the time went, and what was spared."""

from __future__ import annotations

import plotly.graph_objects as go

from tasearch.report import wording
from tasearch.report.figure_data.cost import CostInfo
from tasearch.report.figures.look import BLUE, ORANGE, SKY, new_figure, short_name

_BAR = 40
_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def draw_cost(info: CostInfo) -> go.Figure:
    """Draw for each model what its stages took, what reuse spared, and what storing its logits spared."""
    figure = new_figure(height=150 + _BAR * len(info.models))
    most = max((m.trained_seconds + m.reused_seconds + (m.table_seconds or 0.0) for m in info.models), default=0.0)
    size, unit = next((pair for pair in _UNITS if most >= 2 * pair[0]), _UNITS[-1])
    names = [short_name(model.model) for model in info.models]
    series = (
        ("trained", BLUE, "", [model.trained_seconds for model in info.models]),
        ("spared by reuse of stages", SKY, "/", [model.reused_seconds for model in info.models]),
        ("spared by stored logits (estimate)", ORANGE, ".", [model.table_seconds or 0.0 for model in info.models]),
    )
    for name, color, shape, seconds in series:
        if any(seconds):
            figure.add_bar(
                x=[round(value / size, 3) for value in seconds],
                y=list(range(len(names))),
                orientation="h",
                name=name,
                marker={"color": color, "pattern": {"shape": shape, "size": 6, "solidity": 0.35}},
                hovertext=[
                    f"{label}: {name}<br><b>{wording.duration(value)}</b>"
                    for label, value in zip(names, seconds, strict=True)
                ],
                hoverinfo="text",
            )
    figure.update_xaxes(title_text=f"training time ({unit})", rangemode="tozero")
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        autorange="reversed",
        showgrid=False,
        showline=False,
        ticks="",
        ticklabelstandoff=6,
    )
    figure.update_layout(barmode="stack", showlegend=True, legend_traceorder="normal", bargap=0.35)
    return figure
