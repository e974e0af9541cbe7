"""What the best chains have in common."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from tasearch.report.figures.look import BLUE, new_figure
from tasearch.search.importance import Importance

_BAR = 34


def draw_importance(shares: Sequence[Importance]) -> go.Figure:
    """Draw a bar for each choice, the most important one on top."""
    figure = new_figure(height=80 + _BAR * len(shares))
    figure.add_bar(
        x=[round(100 * one.share, 2) for one in shares],
        y=[one.choice for one in shares],
        orientation="h",
        marker={"color": BLUE},
        text=[f"{100 * one.share:.0f}%" for one in shares],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1f}%<extra></extra>",
    )
    most = max((one.share for one in shares), default=1.0)
    figure.update_xaxes(title_text="importance (%)", range=[0, 112 * most], rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False, ticks="", ticklabelstandoff=6)
    figure.update_layout(showlegend=False, bargap=0.35)
    return figure
