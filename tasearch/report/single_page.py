"""A page of one question: sentences, one figure, its tables, and how it was measured. One file, no network."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
import plotly.io
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tasearch.domain.errors import StorageError

INK, GRID, MUTED = "#222222", "#e6e6e6", "#767676"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's, told apart with any colour vision."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
HEIGHT = 440
_CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Cells as they are printed."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class SinglePage:
    """What a page says; its figure apart. All of it is text, escaped when it is written."""

    title: str
    lead: str
    sentences: Sequence[str]
    figure_title: str
    figure_caption: str
    tables: Sequence[Table]
    notes: Sequence[str]
    command: str


def base_figure(height: int = HEIGHT) -> go.Figure:
    """Return an empty figure in the style of the pages."""
    axis = {"gridcolor": GRID, "linecolor": MUTED, "showline": True, "zeroline": False, "automargin": True}
    return go.Figure(
        layout={
            "template": None,
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
            "hovermode": "closest",
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        }
    )


def render(page: SinglePage, figure: go.Figure) -> str:
    """Return the page as one self-contained HTML document."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tasearch", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Plotly writes `<`, `>` and `/` of the data as escapes.
    drawn = plotly.io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        include_mathjax=False,
        config=_CONFIG,
        default_height=f"{figure.layout.height}px",
        div_id="figure",
    )
    body, _, rest = drawn.partition("<script")
    return environment.get_template("single.html").render(
        page=page,
        figure=Markup(body + "</div>" * (body.count("<div") - body.count("</div"))),
        script=Markup("<script" + rest.rpartition("</script>")[0] + "</script>"),
        plotly_js=Markup(get_plotlyjs()),
    )


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows of equal keys as CSV with a header; empty where there are none."""
    found = list(rows)
    text = io.StringIO()
    if found:
        writer = csv.DictWriter(text, found[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    return text.getvalue()


def write_files(folder: Path, contents: Mapping[str, str]) -> None:
    """Write files by name, each whole or not at all. Raises StorageError where the folder cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            temporary = folder / f".{name}.{secrets.token_hex(8)}"
            try:
                with temporary.open("x", encoding="utf-8") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(folder / name)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {folder}: {error.strerror or error}",
            hint="choose a folder that you can write to",
        ) from error


def to_json_text(answer: Mapping[str, Any]) -> str:
    """Return an answer as indented JSON."""
    return json.dumps(answer, indent=2, allow_nan=False) + "\n"
