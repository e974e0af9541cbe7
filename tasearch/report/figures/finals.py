"""Finalists against direct distillation."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from tasearch.domain.metric import ACCURACY
from tasearch.report import wording
from tasearch.report.figure_data.finals import ArmDifference
from tasearch.report.figures.look import BLUE, INK, SKY, label, new_figure, short_label

_LABEL_ROOM = 0.44
"""Part of a row, from its mean upwards, that belongs to the chain's name; the zero line stays out of it."""


def draw_finals(arms: Sequence[ArmDifference], measure: str = ACCURACY) -> go.Figure:
    """Draw each finalist's difference to BLKD with its interval, the single replicates below it."""
    figure = new_figure(height=130 + 100 * len(arms))
    rows = list(range(len(arms), 0, -1))
    figure.add_scatter(
        x=[round(100 * value, 3) for arm in arms for value in arm.per_replicate],
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
            f"{label(arm.chain)}<br><b>{wording.interval(arm.difference)} points</b>, n = {arm.difference.n}"
            for arm in arms
        ],
        hoverinfo="text",
    )
    for row, arm in zip(rows, arms, strict=True):
        figure.add_annotation(
            x=0,
            xref="paper",
            xanchor="left",
            y=row + 0.15,
            yanchor="bottom",
            text=short_label(arm.chain),
            align="left",
            showarrow=False,
            font={"size": 12},
        )
        # In pieces, so that it never runs behind a name.
        figure.add_shape(
            type="line",
            x0=0,
            x1=0,
            y0=row - (1 - _LABEL_ROOM) + 0.15,
            y1=row + 0.1,
            layer="below",
            line={"color": INK, "width": 1.5},
        )
    figure.add_annotation(x=0, y=1, yref="paper", yanchor="bottom", text="BLKD", showarrow=False)
    figure.update_layout(margin={"t": 28}, showlegend=True)
    figure.update_xaxes(title_text=f"test {measure} minus BLKD's<br>(percentage points)")
    figure.update_yaxes(range=[0.5, len(arms) + 0.65], showticklabels=False, ticks="", showgrid=False)
    return figure
