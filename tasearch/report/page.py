"""The report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tasearch.domain.result import TrialState
from tasearch.report import wording
from tasearch.report.captions import captions
from tasearch.report.figure_data.capacity import capacity_info
from tasearch.report.figure_data.cost import cost_info
from tasearch.report.figure_data.landscape import landscape_info, lead, sentence
from tasearch.report.figure_data.models import model_rows
from tasearch.report.figure_data.paths import paths_info
from tasearch.report.figures import figures
from tasearch.report.figures.look import DARK
from tasearch.report.ranking import ranked_chains, test_interval
from tasearch.report.view import (
    StudyView,
    counts,
    given_line,
    headline,
    last_round,
    latency_line,
    race_looks,
    test_line,
)
from tasearch.report.writing import write_text
from tasearch.stores.home import REPORT_NAME

RANKED_FIRST = 12
"""Chains of the ranking that are shown without unfolding."""
MOST_LISTED = 500
"""Chains that the page lists at most."""


def render_page(view: StudyView) -> str:
    """Return the whole report as one self-contained HTML document."""
    drawn = figures(view)
    cost = cost_info(view)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tasearch", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": wording.percent,
        "interval": wording.interval,
        "plus_minus": wording.plus_minus,
        "points": wording.points,
        "settings": wording.settings,
        "short_count": wording.short_count,
        "duration": wording.duration,
        "number": wording.number,
        "plural": wording.plural,
        "seconds": wording.seconds,
        "milliseconds": wording.milliseconds,
    }
    ranking = ranked_chains(view)
    landscape = None if view.landscape is None else landscape_info(view, view.landscape)
    return environment.get_template("page.html").render(
        view=view,
        headline=headline(view),
        given_line=given_line(view),
        count=counts(view.trials),
        ranking=ranking[:MOST_LISTED],
        num_ranked=len(ranking),
        ranked_first=RANKED_FIRST,
        leader=view.ranking[0] if view.ranking else None,
        test_of=lambda score: test_interval(view, score),
        mean_std=wording.mean_std,
        missing=wording.MISSING,
        from_python=wording.from_python(view.command),
        failed=[trial for trial in view.trials if trial.state is TrialState.FAILED],
        race=race_looks(view.verdict),
        replicates=sorted({row.replicate for row in last_round(view.finals)}),
        unfinished=f"The finals are being trained: {test_line(view)} until every replicate is done.",
        config=list(flat_config(view.config).items()),
        cost=cost,
        landscape=landscape,
        landscape_lead=lead(landscape) if landscape else None,
        landscape_sentences=[sentence(one) for one in landscape.comparisons] if landscape else [],
        models=model_rows(view),
        latency_line=latency_line(view),
        captions=captions(view, capacity_info(view), paths_info(view), cost),
        drawn=list(drawn),
        heights={name: figure.layout.height for name, figure in drawn.items()},
        figure_data=_embedded(drawn),
        plotly_js=Markup(get_plotlyjs()) if drawn else None,
    )


def _embedded(drawn: Mapping[str, go.Figure]) -> Markup:
    """Return figures and dark colours as JSON that cannot end the script element it stands in."""
    text = ",".join(f"{json.dumps(name)}:{figure.to_json()}" for name, figure in drawn.items())
    # In JSON these stand in strings only, where an escape means the same.
    safe = f'{{"figures":{{{text}}},"dark":{json.dumps(DARK)}}}'.replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(safe)


def flat_config(config: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return nested settings as rows, `recipe.epochs` to `10`; lists joined by commas, None as `none`."""
    rows: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows |= flat_config(value, f"{prefix}{key}.")
        else:
            rows[f"{prefix}{key}"] = _setting(value)
    return rows


def _setting(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or "none"
    return str(value)


def write_page(view: StudyView, folder: Path) -> Path:
    """Write `report.html` into the folder, made if absent, and return its path.

    A reader sees the old file or the new one, never a part. Raises StorageError if the folder cannot be used.
    """
    return write_text(folder / REPORT_NAME, render_page(view))
