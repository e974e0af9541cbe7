"""Accuracy over temperature and KD weight."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tasearch.report import wording
from tasearch.report.figure_data.response import ResponseCell, ResponseInfo
from tasearch.report.figures.look import amounts, layout

_CELL, _LEAST_CELL = 34, 12
"""Height of a cell in a small and in a large grid, pixels."""
_MOST_HEIGHT = 420
"""Height of a grid at most, while its cells are not at their least."""
_MOST_WRITTEN = 8
"""In a grid with more temperatures than this there is no room for numbers; they are in the hover text."""
_HEADING = 46
"""Height between two grids, pixels."""


def draw_response(info: ResponseInfo) -> go.Figure:
    """Draw a grid of pairs for each number of TAs, one below the other, all in one colour scale."""
    count, rows = len(info.nums_tas), len(info.kd_weights)
    cell_height = max(_LEAST_CELL, min(_CELL, _MOST_HEIGHT // max(rows, 1)))
    inner = count * rows * cell_height + (count - 1) * _HEADING
    written = len(info.temperatures) <= _MOST_WRITTEN and cell_height == _CELL
    figure = make_subplots(
        rows=count,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=_HEADING / inner if count > 1 else 0,
        subplot_titles=[_title(num_tas) for num_tas in info.nums_tas],
    )
    height = inner + 100
    figure.update_layout(layout(height))
    cells = {(cell.num_tas, cell.temperature, cell.kd_weight): cell for cell in info.cells}
    names = [f"{temperature:g}" for temperature in info.temperatures]
    for row, num_tas in enumerate(info.nums_tas, 1):
        grid = [[cells.get((num_tas, t, w)) for t in info.temperatures] for w in info.kd_weights]
        figure.add_heatmap(
            x=names,
            y=[f"{weight:g}" for weight in info.kd_weights],
            z=[[None if cell is None else round(100 * cell.best_val_accuracy, 2) for cell in line] for line in grid],
            text=[["" if cell is None else _text(cell) for cell in line] for line in grid],
            hovertext=[["" if cell is None else _hover(cell) for cell in line] for line in grid],
            texttemplate="%{text}" if written else "",
            textfont={"size": 12},
            hoverinfo="text",
            hoverongaps=False,
            coloraxis="coloraxis",
            xgap=3,
            ygap=3,
            row=row,
            col=1,
        )
    figure.update_xaxes(type="category", showgrid=False, showline=False, ticks="", automargin=True)
    figure.update_yaxes(
        type="category", title_text="KD weight", showgrid=False, showline=False, ticks="", automargin=True
    )
    figure.update_xaxes(title_text="temperature", row=count, col=1)
    figure.update_xaxes(title={"font": {"size": 13}})
    figure.update_yaxes(title={"font": {"size": 13}, "standoff": 10})
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    figure.update_layout(
        margin={"l": 8, "r": 12, "t": 34, "b": 8}, coloraxis={"colorscale": amounts(), "showscale": False}
    )
    return figure


def _title(num_tas: int) -> str:
    return "BLKD: no TA" if num_tas == 0 else wording.plural(num_tas, "TA")


def _text(cell: ResponseCell) -> str:
    return f"{100 * cell.best_val_accuracy:.1f}" + (f" ({cell.chains})" if cell.chains > 1 else "")


def _hover(cell: ResponseCell) -> str:
    return (
        f"{_title(cell.num_tas)}, temperature {cell.temperature:g}, KD weight {cell.kd_weight:g}"
        f"<br><b>best val {wording.percent(cell.best_val_accuracy)}</b>"
        f"<br>mean {wording.percent(cell.mean_val_accuracy)} of {wording.plural(cell.chains, 'chain')}"
    )
