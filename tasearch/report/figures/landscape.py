"""Contours of the loss around one student of each kind."""

from __future__ import annotations

import html

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tasearch.domain.landscape import by_series
from tasearch.report.figure_data.landscape import LandscapeInfo
from tasearch.report.figures.look import GROUND, INK, amounts, layout

_HEIGHT = 380


def draw_landscape(info: LandscapeInfo) -> go.Figure:
    """Draw the surfaces of the first replicate side by side as contours, losses capped at the same value."""
    groups = by_series(info.surfaces)
    first = [group[0] for group in groups.values()]
    low = min(loss for surface in first for row in surface.losses for loss in row)
    # The corners of a plane are far away: what lies around the students is to be seen.
    edges = sorted(row[len(row) // 2] for surface in first for row in (surface.losses[0], surface.losses[-1]))
    high = max(edges[len(edges) // 2], low + 1e-6)
    titles = [html.escape(series.value) for series in groups]
    figure = make_subplots(rows=1, cols=len(first), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    figure.update_layout(layout(_HEIGHT))
    for column, surface in enumerate(first, start=1):
        figure.add_trace(
            go.Contour(
                x=list(surface.steps),
                y=list(surface.steps),
                z=[[min(loss, high) for loss in row] for row in surface.losses],
                customdata=[list(row) for row in surface.losses],
                zmin=low,
                zmax=high,
                contours={"start": low, "end": high, "size": (high - low) / 14},
                colorscale=amounts(),
                showscale=column == len(first),
                colorbar={
                    "title": {"text": "loss (nats)", "side": "top"},
                    "orientation": "h",
                    "thickness": 10,
                    "len": 0.8,
                    "y": -0.1,
                    "yanchor": "top",
                    "tickformat": ".2f",
                    "nticks": 5,
                },
                line={"width": 0.7, "color": GROUND},
                hovertemplate="%{x:.2f}, %{y:.2f}: %{customdata:.3f} nats<extra></extra>",
            ),
            row=1,
            col=column,
        )
        figure.add_scatter(
            x=[0],
            y=[0],
            mode="markers",
            marker={"color": INK, "symbol": "x", "size": 8},
            showlegend=False,
            row=1,
            col=column,
            hoverinfo="skip",
        )
    return figure
