"""Training curves of the best chains."""

from __future__ import annotations

import plotly.graph_objects as go

from tasearch.domain.metric import ACCURACY
from tasearch.report.figure_data.curves import CurvesInfo
from tasearch.report.figures.look import (
    BLUE,
    GREEN,
    HEIGHT,
    ORANGE,
    PINK,
    RED,
    SKY,
    label,
    new_figure,
    percents,
    show_range,
)

_STYLES = ((BLUE, "solid"), (RED, "solid"), (GREEN, "solid"), (PINK, "solid"), (SKY, "solid"))


def draw_curves(info: CurvesInfo, measure: str = ACCURACY) -> go.Figure:
    """Draw val accuracy of the student after each epoch, BLKD dashed."""
    curves = info.curves
    figure = new_figure(height=HEIGHT + 28 * len(curves))
    styles = iter(_STYLES)
    for curve in curves:
        color, dash = (ORANGE, "dash") if curve.chain.is_direct else next(styles)
        figure.add_scatter(
            x=list(range(1, len(curve.accuracies) + 1)),
            y=percents(curve.accuracies),
            mode="lines+markers" if len(curve.accuracies) <= 20 else "lines",
            name=label(curve.chain),
            line={"color": color, "width": 2.5, "dash": dash},
            marker={"size": 5},
            hovertemplate="epoch %{x}: %{y:.1f}%<extra></extra>",
        )
    figure.update_xaxes(title_text="epoch of the student's stage", tickformat="d")
    if max((len(curve.accuracies) for curve in curves), default=0) < 10:
        figure.update_xaxes(dtick=1)
    show_range(figure, info.range, measure)
    figure.update_layout(showlegend=True)
    return figure
