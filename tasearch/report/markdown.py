"""The report as Markdown, for a pull request or a wiki: the verdict and the tables, without figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tasearch.domain.metric import ACCURACY
from tasearch.domain.result import Role
from tasearch.report import wording
from tasearch.report.figure_data.cost import CostInfo, cost_info
from tasearch.report.figure_data.models import model_rows
from tasearch.report.figure_data.response import response_info
from tasearch.report.ranking import RankedChain, ranked_chains
from tasearch.report.view import StudyView, counts, given_line, headline, heuristic_line, latency_line

RANKED = 12
"""Chains that are listed; CSV has all."""
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def report_markdown(view: StudyView) -> str:
    """Return the report; every name is shown as it is, whatever Markdown or HTML it may look like."""
    ranking = ranked_chains(view)
    parts = [
        f"# {_text(f'Distilling {view.teacher.name} into {view.student.name} on {view.dataset}')}",
        f"**{_text(headline(view))}**",
        *(["\n".join(f"- {_text(note)}" for note in view.verdict.notes)] if view.verdict else []),
        "## What was compared",
        _compared(view),
        *_models(view),
        *_finals(view),
        *_ranking(ranking),
        *_response(view),
        *_cost(view, cost_info(view)),
        "## Provenance",
        _provenance(view),
        wording.from_python(view.command),
        _fenced(view.command),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _compared(view: StudyView) -> str:
    teacher, student, blkd = view.teacher, view.student, view.blkd
    rows = [
        ("teacher", _model(teacher.name, teacher.capacity.num_params), wording.percent(teacher.val_accuracy)),
        ("NOKD: no distillation", _model(student.name, student.capacity.num_params),
         wording.percent(student.val_accuracy)),
        ("BLKD: direct distillation", "not trained yet" if blkd is None else blkd.chain.label,
         wording.percent(None if blkd is None else blkd.val_accuracy)),
    ]  # fmt: skip
    best = view.ranking[:1]
    rows += [("best chain of the search", row.chain.label, wording.percent(row.val_accuracy)) for row in best]
    given = given_line(view)
    table = _table(("", "", f"val {view.measure}"), rows, right=(2,))
    return table + ("" if given is None else f"\n\n{_text(given)}")


def _model(name: str, num_params: int) -> str:
    return f"{name}, {wording.short_count(num_params)} parameters"


def _models(view: StudyView) -> list[str]:
    rows = [
        (
            f"{row.model} ({row.role})",
            f"{row.num_params:,}",
            wording.short_count(row.macs),
            wording.milliseconds(row.latency_1),
            wording.milliseconds(row.latency_64),
            wording.percent(row.from_labels),
            wording.percent(row.distilled),
        )
        for row in model_rows(view)
    ]
    header = ("model", "parameters", "MACs", "1 image, ms", "64 images, ms", "val, from labels", "val, distilled")
    return ["## Models", _table(header, rows, right=range(1, len(header))), _text(latency_line(view))]


def _finals(view: StudyView) -> list[str]:
    if view.verdict is None or not view.verdict.scores:
        return []
    rows = [
        (
            _arm(score.chain.label if score.chain else view.student.name, score.role),
            str(score.n),
            wording.interval(score.versus_blkd),
            wording.mean_std(score.test_accuracy, score.test_std),
            wording.percent(score.val_accuracy),
        )
        for score in view.verdict.scores
    ]
    header = ("chain", "n", "vs BLKD [95% CI], points", "test, mean ± std", "val, mean")
    return ["## Finals", _table(header, rows, right=(1, 2, 3, 4))]


def _arm(label: str, role: Role) -> str:
    return label if role is Role.FINALIST else f"{label} ({role.value.upper()})"


def _ranking(ranking: Sequence[RankedChain]) -> list[str]:
    if not ranking:
        return []
    rows = [
        (
            str(row.rank),
            row.chain.label,
            wording.percent(row.val_accuracy),
            wording.plus_minus(row.test),
            wording.MISSING if row.test is None else str(row.test.n),
            wording.seconds(row.training_seconds),
            wording.MISSING if row.reused_share is None else f"{100 * row.reused_share:.0f}%",
        )
        for row in ranking[:RANKED]
    ]
    header = ("#", "chain", "val", "test ± 95%", "n", "training, s", "reused")
    left = len(ranking) - len(rows)
    return [
        "## Ranking of chains",
        _table(header, rows, right=(0, 2, 3, 4, 5, 6)),
        f"{wording.plural(left, 'chain')} more." if left else "",
        "The best one again:",
        _fenced(ranking[0].command),
    ]


def _response(view: StudyView) -> list[str]:
    info = response_info(view)
    if len(info.cells) < 2:
        return []
    cells = {(cell.num_tas, cell.temperature, cell.kd_weight): cell.best_val_accuracy for cell in info.cells}
    rows = [
        (
            str(num_tas),
            f"{weight:g}",
            *(wording.percent(cells.get((num_tas, temperature, weight))) for temperature in info.temperatures),
        )
        for num_tas in info.nums_tas
        for weight in info.kd_weights
        if any((num_tas, temperature, weight) in cells for temperature in info.temperatures)
    ]
    header = ("TAs", "KD weight", *(f"temperature {temperature:g}" for temperature in info.temperatures))
    return [
        "## Temperature and KD weight",
        f"Best val {view.measure} by the pair of the student's stage.",
        _table(header, rows, right=range(len(header))),
    ]


def _cost(view: StudyView, info: CostInfo) -> list[str]:
    lines = [
        f"- {wording.plural(view.stages_trained, 'stage')} trained in {wording.duration(view.stage_seconds)}, "
        f"reused {wording.plural(view.stages_reused, 'time')}"
    ]
    if info.models:
        lines.append(f"- spared by reuse of stages: {wording.duration(info.reused_seconds)}")
    if info.table_seconds is not None:
        lines.append(f"- spared by stored teacher logits: about {wording.duration(info.table_seconds)} (estimate)")
    lines.append(f"- failed trials: {info.failed_trials}, pruned: {info.pruned_trials}, retries: {info.retries}")
    return ["## Cost", "\n".join(lines)]


def _provenance(view: StudyView) -> str:
    count = counts(view.trials)
    opened = ", ".join(view.test_opened)
    heuristic = heuristic_line(view)
    lines = [
        f"study {view.study_name}, created {view.created_at}, in {view.storage}",
        f"{view.dataset}: {view.num_train:,} training, {view.num_val:,} validation, {view.num_test:,} test images"
        + (f", SHA-256 {view.data_hash}" if view.data_hash else ""),
        *view.data_remarks,
        *([] if view.metric == ACCURACY else [f"every number is {view.measure}, the mean over the classes"]),
        f"{count.complete} complete of {view.num_trials_planned} planned trials, "
        f"{wording.plural(view.epochs, 'epoch')} a stage",
        f"test set: opened {opened}" if opened else "test set: closed",
        f"trained on {view.environment}",
        ", ".join(f"{name} {version}" for name, version in view.versions.items()),
        *([heuristic] if heuristic else []),
    ]
    return "\n".join(f"- {_text(line)}" for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Return a Markdown table; columns named in `right` are aligned to the right."""
    to_right = set(right)
    rule = ["---:" if index in to_right else "---" for index in range(len(header))]
    lines = [[_text(cell) for cell in header], rule, *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Return text that neither Markdown nor HTML reads as anything else; on one line."""
    line = " ".join(wording.printable(text.replace("\n", " ")).split())
    return _SPECIAL.sub(r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")


def _fenced(text: str) -> str:
    """Return a code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{' '.join(text.split())}\n{fence}"
