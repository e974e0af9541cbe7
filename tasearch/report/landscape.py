"""The report of `tasearch landscape`: which students, how flat each of them lies, and the figure."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tasearch.domain.errors import ConfigError
from tasearch.domain.fingerprint import plain
from tasearch.domain.gap import GapComparison, Series
from tasearch.domain.landscape import RADIUS, Student, Surface, by_series
from tasearch.domain.result import Interval
from tasearch.report import wording
from tasearch.report.single_page import (
    INK,
    SinglePage,
    Table,
    base_figure,
    render,
    to_csv,
    to_json_text,
    write_files,
)
from tasearch.report.view import StudyView
from tasearch.search.finals import NOKD_ARM
from tasearch.search.verdict import TEXTBOOK_LEVEL, paired_interval

DEFINITION = (
    f"Flatness number: the mean cross-entropy over the points of the plane within {RADIUS:g} of the student, minus the "
    "student's own, in nats. Smaller is flatter."
)
METHOD = (
    "Directions are random and filter-normalised (Li et al. 2018): each filter of a direction has the norm of the "
    "student's filter; biases and batch norms do not move. Batch norms use the statistics of each block of images at "
    "every point, as in training. Students of one replicate move along the same draws."
)


@dataclass(frozen=True, kw_only=True)
class LandscapeView:
    """What the report shows."""

    study_name: str
    dataset: str
    num_images: int
    """Training images that the loss is averaged over, at most."""
    surfaces: tuple[Surface, ...]
    rises: Mapping[Series, Interval]
    """Mean flatness number of each series over its replicates."""
    comparisons: tuple[GapComparison, ...]
    """Flatness number of one series minus another's, paired by replicate; all intervals together cover with 95%."""
    command: str


def students_of(view: StudyView) -> tuple[Student, ...]:
    """Return the NOKD, BLKD and TAKD students to look at: of the finals on every replicate, before them of the search.

    TAKD is the leader of the finals, or the best chain with TAs. Raises ConfigError where a study has none of them yet.
    """
    chosen = _of_finals(view) if view.verdict is not None else ()
    return chosen or _of_search(view)


def _of_finals(view: StudyView) -> tuple[Student, ...]:
    assert view.verdict is not None
    last = max(row.round for row in view.finals)
    series = {
        score.arm: Series[score.role.name] if score.arm != view.verdict.leader else _taught_by_ta(score.chain)
        for score in view.verdict.scores
        if score.arm == view.verdict.leader or score.role.name in ("NOKD", "BLKD")
    }
    rows = [row for row in view.finals if row.round == last and row.arm in series and row.val_accuracy is not None]
    replicates = {row.replicate for row in rows}
    for arm in series:
        replicates &= {row.replicate for row in rows if row.arm == arm}
    return tuple(
        Student(series=series[row.arm], arm=row.arm, chain=row.chain, replicate=row.replicate)
        for row in rows
        if row.replicate in replicates
    )


def _taught_by_ta(chain: Any) -> Series:
    return Series.SCRATCH_TA if chain is not None and chain.ta_from == "scratch" else Series.DISTILLED_TA


def _of_search(view: StudyView) -> tuple[Student, ...]:
    takd = next((summary for summary in view.ranking if not summary.chain.is_direct), None)
    if view.blkd is None or view.student.val_accuracy is None:
        raise ConfigError(
            f"study {view.study_name!r} has no direct distillation yet: there is nothing to compare",
            hint="let `tasearch optimize` complete a few trials first",
        )
    found = [
        Student(series=Series.NOKD, arm=NOKD_ARM, chain=None, replicate=0),
        Student(series=Series.BLKD, arm=view.blkd.chain.label, chain=view.blkd.chain, replicate=0),
    ]
    if takd is not None:
        found.append(Student(series=_taught_by_ta(takd.chain), arm=takd.chain.label, chain=takd.chain, replicate=0))
    return tuple(found)


def landscape_view(study: StudyView, surfaces: Sequence[Surface], *, num_images: int, command: str) -> LandscapeView:
    """Return the record of some surfaces of one study."""
    groups = by_series(surfaces)
    pairs = list(combinations(reversed(list(groups)), 2))
    return LandscapeView(
        study_name=study.study_name,
        dataset=study.dataset,
        num_images=min(num_images, study.num_train),
        surfaces=tuple(surfaces),
        rises={series: paired_interval([surface.rise for surface in group]) for series, group in groups.items()},
        comparisons=tuple(
            GapComparison(
                arm=one.value,
                against=other.value,
                difference=paired_interval(
                    [a.rise - b.rise for a, b in zip(groups[one], groups[other], strict=True)],
                    TEXTBOOK_LEVEL / len(pairs),
                ),
            )
            for one, other in pairs
        ),
        command=command,
    )


def sentence(comparison: GapComparison) -> str:
    """Return one difference of flatness numbers with its interval, and whether it is separated from zero."""
    found = comparison.difference
    bounds = "no interval" if found.low is None or found.high is None else f"{found.low:+.3f}, {found.high:+.3f}"
    said = "separated" if comparison.is_separated else "not separated"
    return f"{comparison.arm} minus {comparison.against}: {found.mean:+.3f} [{bounds}] nats, n = {found.n}: {said}."


def lead(view: LandscapeView) -> str:
    """Return the answer in one sentence."""
    flattest = min(view.rises, key=lambda series: view.rises[series].mean)
    separated = sum(comparison.is_separated for comparison in view.comparisons)
    n = wording.plural(view.rises[flattest].n, "replicate")
    return (
        f"Flattest on average: {flattest} (the loss rises by {view.rises[flattest].mean:.3f} nats), n = {n}; "
        f"{separated} of {wording.plural(len(view.comparisons), 'difference')} separated from zero."
    )


def page_of(view: LandscapeView) -> SinglePage:
    """Return the text of the report."""
    groups = by_series(view.surfaces)
    return SinglePage(
        title="Does a student from a TA lie in a flatter minimum?",
        lead=lead(view),
        sentences=[sentence(comparison) for comparison in view.comparisons],
        figure_title="Loss around one student of each kind",
        figure_caption="Cross-entropy on training images, on a plane through the weights of the students of one "
        "replicate; the student is in the middle, one unit is the norm of its filters. One scale of colours for all.",
        tables=[
            Table(
                title="Flatness numbers",
                header=("student", "loss", "rise (nats)", "n"),
                rows=tuple(
                    (
                        f"{series}: {group[0].student.arm}",
                        f"{sum(surface.centre for surface in group) / len(group):.3f}",
                        f"{view.rises[series].mean:.3f}",
                        str(len(group)),
                    )
                    for series, group in groups.items()
                ),
            )
        ],
        notes=[
            DEFINITION,
            METHOD,
            f"{view.dataset}, {view.num_images:,} training images without augmentation; study {view.study_name}.",
            "Intervals are paired by replicate and cover with 95% all together (Bonferroni); they hold for one plane "
            "a replicate. A smaller number is no proof of a better student.",
        ],
        command=view.command,
    )


def draw_landscape(view: LandscapeView) -> go.Figure:
    """Draw the surfaces of the first replicate side by side as contours, losses capped at the same value."""
    groups = by_series(view.surfaces)
    first = [group[0] for group in groups.values()]
    low = min(loss for surface in first for row in surface.losses for loss in row)
    # The corners of a plane are far away: what lies around the students is to be seen.
    edges = sorted(row[len(row) // 2] for surface in first for row in (surface.losses[0], surface.losses[-1]))
    high = max(edges[len(edges) // 2], low + 1e-6)
    titles = [html.escape(series.value) for series in groups]
    figure = make_subplots(rows=1, cols=len(first), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    figure.update_layout(base_figure().layout)
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
                colorscale="Viridis",
                showscale=column == len(first),
                colorbar={"title": {"text": "loss<br>(nats)"}, "thickness": 12, "tickformat": ".2f"},
                line={"width": 0.7, "color": "white"},
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
        figure.update_xaxes(title="second direction" if column == (len(first) + 1) // 2 else None, row=1, col=column)
    figure.update_yaxes(title="first direction", row=1, col=1)
    return figure


def to_json(view: LandscapeView) -> dict[str, Any]:
    """Return everything the report stands on."""
    answer: dict[str, Any] = plain(view)
    answer |= {"answer": lead(view), "definition": DEFINITION, "method": METHOD}
    for shown, surface in zip(answer["surfaces"], view.surfaces, strict=True):
        shown |= {"centre": surface.centre, "rise": surface.rise}
    for shown, comparison in zip(answer["comparisons"], view.comparisons, strict=True):
        shown |= {"separated": comparison.is_separated, "sentence": sentence(comparison)}
    return answer


def csv_rows(view: LandscapeView) -> list[dict[str, Any]]:
    """Return a row for every point of every surface."""
    return [
        {
            "series": surface.student.series.value,
            "arm": surface.student.arm,
            "replicate": surface.student.replicate,
            "first": one,
            "second": other,
            "loss": loss,
        }
        for surface in view.surfaces
        for one, row in zip(surface.steps, surface.losses, strict=True)
        for other, loss in zip(surface.steps, row, strict=True)
    ]


def write_landscape(view: LandscapeView, folder: Path) -> Mapping[str, Path]:
    """Write landscape.html, .csv and .json into a folder, made if absent; return their paths by kind."""
    contents = {
        "landscape.html": render(page_of(view), draw_landscape(view)),
        "landscape.csv": to_csv(csv_rows(view)),
        "landscape.json": to_json_text(to_json(view)),
    }
    write_files(folder, contents)
    return {name.rpartition(".")[2]: folder / name for name in contents}


def to_text(view: LandscapeView, page: Path) -> str:
    """Return the answer for a terminal."""
    said = [f"  {sentence(comparison)}" for comparison in view.comparisons]
    return "\n".join([lead(view), *said, DEFINITION, f"Report: {page}"])
