"""The report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import jinja2
import plotly.graph_objects as go
import plotly.io
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tasearch.domain.errors import StorageError
from tasearch.domain.result import TrialState
from tasearch.report import wording
from tasearch.report.figures import figures
from tasearch.report.view import StudyView, counts, headline, heuristic_line, race_looks
from tasearch.stores.home import REPORT_NAME

RANKED_FIRST = 12
"""Chains of the ranking that are shown without unfolding."""
FIGURE_TEXTS = {
    "capacity": (
        "Student accuracy against the size of its teacher assistant",
        "Validation accuracy of the student on the search replicate. A chain with several TAs stands at its "
        "smallest one, the TA that teaches the student. Large outlined points are the best pair of each path; "
        "chains with different numbers of TAs are set slightly apart.",
    ),
    "finals": (
        "Finalists against direct distillation",
        "Test accuracy minus BLKD's, paired by replicate. The interval covers training randomness for this "
        "test set; right of the line is better than BLKD.",
    ),
    "progress": (
        "Progress of the search",
        "Validation accuracy of each trial, with the best so far. Pruned and failed trials are marked along "
        "the bottom edge.",
    ),
    "curves": (
        "Training curves of the best chains",
        "Validation accuracy of the student after each epoch, for the best BLKD and the best chains with "
        "TAs. The axis begins where the curves have settled; the first epochs may lie below it.",
    ),
}
"""Title and caption of each figure, in the order of the page."""
PLOTLY_CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}


def render_page(view: StudyView) -> str:
    """Return the whole report as one self-contained HTML document."""
    drawn = figures(view)
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
        "points": wording.points,
        "settings": wording.settings,
        "short_count": wording.short_count,
        "duration": wording.duration,
    }
    return environment.get_template("page.html").render(
        view=view,
        headline=headline(view),
        heuristic=heuristic_line(view),
        count=counts(view.trials),
        ranking=view.ranking,
        ranked_first=RANKED_FIRST,
        mean_std=wording.mean_std,
        missing=wording.MISSING,
        failed=[trial for trial in view.trials if trial.state is TrialState.FAILED],
        race=race_looks(view.verdict),
        replicates=sorted({row.replicate for row in view.finals}),
        config=list(flat_config(view.config).items()),
        figures=[
            {"id": f"figure-{name}", "title": title, "caption": caption, "html": _embedded(name, drawn)}
            for name, (title, caption) in FIGURE_TEXTS.items()
        ],
        plotly_js=Markup(get_plotlyjs()) if drawn else None,
    )


def _embedded(name: str, drawn: Mapping[str, go.Figure]) -> Markup | None:
    """Return a figure's div and script; Plotly writes `<`, `>` and `/` of the data as escapes."""
    if name not in drawn:
        return None
    return Markup(
        plotly.io.to_html(
            drawn[name],
            full_html=False,
            include_plotlyjs=False,
            include_mathjax=False,
            config=PLOTLY_CONFIG,
            default_height=f"{drawn[name].layout.height}px",
            div_id=f"figure-{name}",
        )
    )


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
    page = render_page(view)
    target = folder / REPORT_NAME
    temporary = folder / f".{REPORT_NAME}.{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {target}: {error.strerror or error}",
            hint="choose a folder that you can write to",
        ) from error
    return target
