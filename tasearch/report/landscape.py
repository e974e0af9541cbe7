"""The report of `tasearch landscape`: which students, how flat each of them lies, and the figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasearch.domain.errors import ConfigError
from tasearch.domain.fingerprint import plain
from tasearch.domain.gap import Series
from tasearch.domain.landscape import Student, by_series
from tasearch.report.figure_data.landscape import DEFINITION, METHOD, LandscapeInfo, lead, sentence
from tasearch.report.figures.landscape import draw_landscape
from tasearch.report.single_page import SinglePage, Table, render, to_csv, to_json_text, write_files
from tasearch.report.view import StudyView
from tasearch.search.finals import NOKD_ARM


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


def page_of(view: LandscapeInfo) -> SinglePage:
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


def to_json(view: LandscapeInfo) -> dict[str, Any]:
    """Return everything the report stands on."""
    answer: dict[str, Any] = plain(view)
    answer |= {"answer": lead(view), "definition": DEFINITION, "method": METHOD}
    for shown, surface in zip(answer["surfaces"], view.surfaces, strict=True):
        shown |= {"centre": surface.centre, "rise": surface.rise}
    for shown, comparison in zip(answer["comparisons"], view.comparisons, strict=True):
        shown |= {"separated": comparison.is_separated, "sentence": sentence(comparison)}
    return answer


def csv_rows(view: LandscapeInfo) -> list[dict[str, Any]]:
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


def write_landscape(view: LandscapeInfo, folder: Path) -> Mapping[str, Path]:
    """Write landscape.html, .csv and .json into a folder, made if absent; return their paths by kind."""
    contents = {
        "landscape.html": render(page_of(view), draw_landscape(view)),
        "landscape.csv": to_csv(csv_rows(view)),
        "landscape.json": to_json_text(to_json(view)),
    }
    write_files(folder, contents)
    return {name.rpartition(".")[2]: folder / name for name in contents}


def to_text(view: LandscapeInfo, page: Path) -> str:
    """Return the answer for a terminal."""
    said = [f"  {sentence(comparison)}" for comparison in view.comparisons]
    return "\n".join([lead(view), *said, DEFINITION, f"Report: {page}"])
