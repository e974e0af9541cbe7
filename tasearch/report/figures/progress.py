"""History of the search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from tasearch.domain.metric import ACCURACY
from tasearch.domain.result import TrialState
from tasearch.report import wording
from tasearch.report.figure_data.progress import ProgressInfo, ProgressPoint
from tasearch.report.figures.look import BLUE, MUTED, ORANGE, hover_text, label, new_figure, percents, show_range

MOST_NAMED = 2_000
"""Points of one kind whose chains are named when they are pointed at."""


def draw_progress(info: ProgressInfo, measure: str = ACCURACY) -> go.Figure:
    """Draw val accuracy by trial number with the best so far; trials without a result along the bottom edge."""
    figure = new_figure()
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
                hovertext=[f"trial {trial.trial_number}<br>{hover_text(trial.text)}" for trial in ended],
                hoverinfo="text",
            )
    figure.update_xaxes(title_text="trial", range=[-0.7, max(info.last_trial, 1) + 0.7], tickformat="d")
    if info.last_trial < 10:
        figure.update_xaxes(dtick=1)
    show_range(figure, info.range, measure)
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
        y=percents([*best, best[-1]]),
        mode="lines",
        name=f"{name}, best so far",
        line={"color": color, "width": 2, "shape": "hv", "dash": dash},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[point.trial_number for point in points],
        y=percents([point.val_accuracy for point in points]),
        mode="markers",
        name=name,
        marker={"symbol": symbol, "color": color, "size": 9, "opacity": 0.85},
        **_hover(points),
    )


def _hover(points: Sequence[ProgressPoint]) -> dict[str, Any]:
    """Return what is shown of a point; of very many their chains are left out, which would fill the page."""
    if len(points) > MOST_NAMED:
        return {"hovertemplate": "trial %{x}<br><b>val %{y:.1f}%</b><extra></extra>"}
    texts = [
        f"trial {point.trial_number}<br>{label(point.chain)}<br><b>val {wording.percent(point.val_accuracy)}</b>"
        for point in points
    ]
    return {"hovertext": texts, "hoverinfo": "text"}
