"""The figures of a report: each module draws one value of `figure_data`."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from tasearch.report.figure_data.capacity import capacity_info
from tasearch.report.figure_data.cost import cost_info
from tasearch.report.figure_data.curves import curves_info
from tasearch.report.figure_data.finals import finals_info
from tasearch.report.figure_data.landscape import landscape_info
from tasearch.report.figure_data.paths import paths_info
from tasearch.report.figure_data.progress import progress_info
from tasearch.report.figure_data.response import response_info
from tasearch.report.figures.capacity import draw_capacity
from tasearch.report.figures.cost import draw_cost
from tasearch.report.figures.curves import draw_curves
from tasearch.report.figures.finals import draw_finals
from tasearch.report.figures.importance import draw_importance
from tasearch.report.figures.landscape import draw_landscape
from tasearch.report.figures.paths import draw_paths
from tasearch.report.figures.progress import draw_progress
from tasearch.report.figures.response import draw_response
from tasearch.report.view import StudyView


def figures(view: StudyView) -> Mapping[str, go.Figure]:
    """Return the figures that the study has data for, by name, in the order of the report."""
    capacity, paths, finals = capacity_info(view), paths_info(view), finals_info(view)
    response, progress = response_info(view), progress_info(view)
    curves, cost = curves_info(view), cost_info(view)
    drawn: dict[str, go.Figure] = {}
    if capacity.points:
        drawn["capacity"] = draw_capacity(capacity, view.measure)
    if paths.shown:
        drawn["paths"] = draw_paths(paths)
    if finals:
        drawn["finals"] = draw_finals(finals, view.measure)
    if response.cells:
        drawn["response"] = draw_response(response)
    if view.importances:
        drawn["importance"] = draw_importance(view.importances)
    if progress.tas or progress.blkd or progress.ended:
        drawn["progress"] = draw_progress(progress, view.measure)
    if curves.curves:
        drawn["curves"] = draw_curves(curves, view.measure)
    if view.landscape is not None:
        drawn["landscape"] = draw_landscape(landscape_info(view, view.landscape))
    if cost.models:
        drawn["cost"] = draw_cost(cost)
    return drawn
