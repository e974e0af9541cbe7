"""The report of `tasearch gap`: read from the database, told in sentences, drawn, tabulated."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from tasearch.domain.fingerprint import plain
from tasearch.domain.gap import GapComparison, GapPoint, GapView, Series, Vary
from tasearch.domain.result import Capacity, FinalRow
from tasearch.report import wording
from tasearch.report.query import find_study, space_of
from tasearch.report.single_page import (
    COLORS,
    MUTED,
    SYMBOLS,
    SinglePage,
    Table,
    base_figure,
    render,
    to_csv,
    to_json_text,
    write_files,
)
from tasearch.search.finals import MODEL_REMARKS, model_notes
from tasearch.search.gap import ROUND, best, comparisons, gap_arms, gap_points
from tasearch.stores.home import REPORT_NAME
from tasearch.stores.records import Records
from tasearch.stores.stages import StageRow

QUESTIONS = {
    Vary.TEACHER: "Does a larger teacher make a better student?",
    Vary.STUDENT: "Which students gain by distillation?",
    Vary.TA: "Which TA helps, and does it have to be distilled itself?",
}
CAPTIONS = {
    Vary.TEACHER: "Test accuracy of the same student under teachers of growing size (Mirzadeh et al. 2020, Fig. 2).",
    Vary.STUDENT: "Test accuracy of students of growing size, alone and under the same teacher (as their Fig. 3).",
    Vary.TA: "Test accuracy of the same student through one TA, by the TA's size and by how the TA was trained.",
}


def gap_view(records: Records, study_name: str) -> GapView:
    """Return a measurement as recorded. Raises ConfigError for an unknown study; one not finished has fewer points."""
    row = find_study(records, study_name)
    vary, space = Vary(row.identity["gap"]), space_of(row.identity)
    finals = [final for final in records.finals.rows(study_name) if final.round == ROUND]
    points = gap_points(finals, gap_arms(space, vary))
    config = row.config
    stages = records.stages.find_many(
        [*config["scratch"].values(), *(final.fingerprint for final in finals if final.fingerprint)]
    )
    teachers = records.stages.find_many(
        [stage.teacher_fingerprint for stage in stages.values() if stage.teacher_fingerprint is not None]
    )
    labels = {name: stages[print_] for name, print_ in config["scratch"].items() if print_ in stages}
    ends = [stage.environment for stage in stages.values() if stage.environment is not None]
    places = {
        f"{place.device}, {wording.plural(place.threads, 'thread')}" for end in ends for place in (end, *end.earlier)
    }
    return GapView(
        study_name=study_name,
        vary=vary,
        teacher=space.teacher,
        student=space.student,
        dataset=config["data"]["name"],
        epochs=config["recipe"]["epochs"],
        capacities={name: Capacity(**size) for name, size in config["capacities"].items()},
        from_labels={name: stage.val_accuracy for name, stage in labels.items() if stage.val_accuracy is not None},
        points=points,
        taught_by=_taught_by(finals, stages, teachers),
        comparisons=comparisons(points, vary),
        replicates=tuple(sorted({final.replicate for final in finals})),
        environment="; ".join(sorted(places)),
        model_notes=tuple(model_notes(config.get(MODEL_REMARKS, ()))),
        command=config["command"],
        versions=row.versions,
        test_opened=tuple(row.attrs.get("test_opened", ())),
    )


def _taught_by(
    finals: Sequence[FinalRow], stages: Mapping[str, StageRow], teachers: Mapping[str, StageRow]
) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in finals:
        student = stages.get(row.fingerprint or "")
        teacher = teachers.get((student and student.teacher_fingerprint) or "")
        if teacher is not None and teacher.val_accuracy is not None:
            found.setdefault(row.arm, []).append(teacher.val_accuracy)
    return {arm: fmean(values) for arm, values in found.items()}


def lead(view: GapView) -> str:
    """Return the answer in one sentence."""
    if not view.points:
        return "Nothing has been measured yet."
    top, n = best(view.points), wording.plural(len(view.replicates), "replicate")
    separated = sum(comparison.is_separated for comparison in view.comparisons)
    return (
        f"Best on val: {top.arm}, test accuracy {wording.percent(top.test.mean)}, n = {n}; "
        f"{separated} of {wording.plural(len(view.comparisons), 'difference')} separated from zero."
    )


def sentence(comparison: GapComparison) -> str:
    """Return what one comparison says: the difference with its interval, and whether it is separated."""
    said = "separated" if comparison.is_separated else "not separated"
    return (
        f"{comparison.arm} minus {comparison.against}: {wording.interval(comparison.difference)} points, "
        f"n = {comparison.difference.n}: {said}."
    )


def page_of(view: GapView) -> SinglePage:
    """Return the text of the report."""
    opened = f"The test set was opened {wording.plural(len(view.test_opened), 'time')}: {', '.join(view.test_opened)}."
    return SinglePage(
        title=QUESTIONS[view.vary],
        lead=lead(view),
        sentences=[sentence(comparison) for comparison in view.comparisons],
        figure_title="Student accuracy against model size",
        figure_caption=CAPTIONS[view.vary] + " Points: single replicates; diamonds with bars: mean and its own 95% "
        "interval; the differences above, which are paired by replicate, decide.",
        tables=[_arm_table(view), _model_table(view)],
        notes=[
            f"{view.dataset}, {wording.plural(view.epochs, 'epoch')} a stage; {view.environment}.",
            "Each teacher was trained once, from labels on replicate 0: the intervals cover the randomness of TAs and "
            "students, for this test set, not that of teachers.",
            f"The {len(view.comparisons)} intervals of the differences cover with 95% all together (Bonferroni).",
            *view.model_notes,
            opened if view.test_opened else "The test set has not been opened.",
            "Versions: " + ", ".join(f"{name} {value}" for name, value in view.versions.items()),
        ],
        command=view.command,
    )


def _arm_table(view: GapView) -> Table:
    return Table(
        title="Arms",
        header=("arm", "varied model", "parameters", "its teacher's val", "val", "test", "n"),
        rows=tuple(
            (
                point.arm,
                point.model,
                f"{view.capacities[point.model].num_params:,}",
                wording.percent(view.taught_by.get(point.arm)),
                wording.percent(fmean(point.val_accuracies)),
                _with_bounds(point),
                str(point.test.n),
            )
            for point in view.points
        ),
    )


def _with_bounds(point: GapPoint) -> str:
    low, high = point.test.low, point.test.high
    bounds = "no interval" if low is None or high is None else f"{wording.percent(low)}, {wording.percent(high)}"
    return f"{wording.percent(point.test.mean)} [{bounds}]"


def _model_table(view: GapView) -> Table:
    return Table(
        title="Models from labels, on the search replicate",
        header=("model", "parameters", "MACs", "val"),
        rows=tuple(
            (name, f"{size.num_params:,}", f"{size.macs:,}", wording.percent(view.from_labels.get(name)))
            for name, size in sorted(view.capacities.items(), key=lambda item: item[1].num_params)
        ),
    )


def draw_gap(view: GapView) -> go.Figure:
    """Draw test accuracy against the parameters of the model that varies, a line for each series."""
    figure = base_figure()
    varied = [point for point in view.points if not _is_reference(point, view)]
    kinds = [kind for kind in Series if any(point.series is kind for point in varied)]
    for kind, color, symbol in zip(kinds, COLORS, SYMBOLS, strict=False):
        points = [point for point in varied if point.series is kind]
        sizes = [view.capacities[point.model].num_params for point in points]
        figure.add_scatter(
            x=[size for size, point in zip(sizes, points, strict=True) for _ in point.test_accuracies],
            y=[100 * value for point in points for value in point.test_accuracies],
            mode="markers",
            showlegend=False,
            marker={"color": color, "size": 6, "opacity": 0.4, "symbol": symbol},
            hovertemplate="%{y:.1f}%<extra>one replicate</extra>",
        )
        figure.add_scatter(
            x=sizes,
            y=[100 * point.test.mean for point in points],
            name=kind.value,
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"color": color, "size": 11, "symbol": "diamond"},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * ((p.test.high or p.test.mean) - p.test.mean) for p in points],
                "arrayminus": [
                    100 * (p.test.mean - (p.test.mean if p.test.low is None else p.test.low)) for p in points
                ],
                "color": color,
                "thickness": 1.5,
                "width": 5,
            },
            hovertext=[f"{html.escape(point.arm)}<br><b>{wording.percent(point.test.mean)}</b>" for point in points],
            hoverinfo="text",
        )
    for point in view.points:
        if _is_reference(point, view):
            figure.add_hline(
                y=100 * point.test.mean,
                line={"color": MUTED, "dash": "dot" if point.series is Series.NOKD else "dash", "width": 1.5},
                annotation={"text": html.escape(f"{point.series} {wording.percent(point.test.mean)}")},
            )
    models = {point.model: view.capacities[point.model].num_params for point in varied}
    figure.update_xaxes(
        type="log",
        title=f"{'TA' if view.vary is Vary.TA else view.vary} (parameters, log scale)",
        tickvals=list(models.values()),
        ticktext=[f"{html.escape(name)}<br>{wording.short_count(size)}" for name, size in models.items()],
    )
    figure.update_yaxes(title="test accuracy of the student (%)")
    return figure


def _is_reference(point: GapPoint, view: GapView) -> bool:
    """Whether an arm stands beside the varied ones, as a line."""
    beside = {Vary.TEACHER: (Series.NOKD,), Vary.STUDENT: (), Vary.TA: (Series.NOKD, Series.BLKD)}
    return point.series in beside[view.vary]


def to_json(view: GapView) -> dict[str, Any]:
    """Return everything the report stands on; accuracies are fractions."""
    answer: dict[str, Any] = plain(view)
    answer["answer"] = lead(view)
    for shown, comparison in zip(answer["comparisons"], view.comparisons, strict=True):
        shown |= {"separated": comparison.is_separated, "sentence": sentence(comparison)}
    return answer


def csv_rows(view: GapView) -> list[dict[str, Any]]:
    """Return a row for every arm and replicate."""
    return [
        {
            "arm": point.arm,
            "series": point.series.value,
            "model": point.model,
            "num_params": view.capacities[point.model].num_params,
            "student": point.student,
            "replicate": replicate,
            "val_accuracy": val,
            "test_accuracy": test,
        }
        for point in view.points
        for replicate, val, test in zip(view.replicates, point.val_accuracies, point.test_accuracies, strict=True)
    ]


def write_gap(view: GapView, folder: Path) -> Mapping[str, Path]:
    """Write report.html, results.csv and results.json into a folder, made if absent; return their paths by kind."""
    contents = {
        REPORT_NAME: render(page_of(view), draw_gap(view)),
        "results.csv": to_csv(csv_rows(view)),
        "results.json": to_json_text(to_json(view)),
    }
    write_files(folder, contents)
    return {name.rpartition(".")[2]: folder / name for name in contents}


def to_text(view: GapView, page: Path) -> str:
    """Return the answer for a terminal."""
    rows = [f"  {point.arm}: test {_with_bounds(point)}" for point in view.points]
    said = [f"  {sentence(comparison)}" for comparison in view.comparisons]
    return "\n".join([lead(view), *rows, *said, f"Report: {page}"])
