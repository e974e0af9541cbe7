"""The answer of a study for a program (`--json`) and for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from tasearch.domain.result import ArmScore, Role, Verdict
from tasearch.domain.spec import ChainSpec
from tasearch.report import wording
from tasearch.report.view import (
    ChainSummary,
    StudyView,
    best,
    counts,
    given_line,
    headline,
    heuristic_line,
    race_looks,
    score_of,
)

WIDTH = 100
"""Columns of the terminal's answer."""
TOP = 8
"""Chains of the search that the terminal lists."""


def to_json(
    view: StudyView, report_path: Path | str | None, stages_trained: int, stages_reused: int
) -> dict[str, object]:
    """Return the answer as JSON types; accuracies and differences are fractions, what does not exist is None.

    `stages_trained` and `stages_reused` are those of the run that reports, not of the whole study.
    """
    count = counts(view.trials)
    ranking = view.ranking
    leader = best(view)
    return {
        "study_name": view.study_name,
        "storage": view.storage,
        "metric": view.metric,
        "trials": {"complete": count.complete, "pruned": count.pruned, "failed": count.failed},
        "best": None if leader is None else _chain_json(leader),
        "baselines": _baselines_json(view),
        "given_teacher": given_line(view),
        "stages": {"trained": stages_trained, "reused": stages_reused},
        "ranking": [_ranked_json(summary) for summary in ranking],
        "verdict": None if view.verdict is None else _verdict_json(view.verdict),
        "report": None if report_path is None else str(report_path),
    }


def _chain_json(summary: ChainSummary) -> dict[str, object]:
    chain = summary.chain
    return {
        "chain": chain.printed_path,
        "temperature": chain.temperature,
        "kd_weight": chain.kd_weight,
        "val_accuracy": summary.val_accuracy,
    }


def _ranked_json(summary: ChainSummary) -> dict[str, object]:
    test = summary.test
    versus = None if test is None else test.versus_blkd
    return {
        "rank": summary.rank,
        **_chain_json(summary),
        "temperatures": list(summary.chain.temperatures),
        "kd_weights": list(summary.chain.kd_weights),
        "test_accuracy": None if test is None else test.test_accuracy,
        "difference": None if versus is None else versus.mean,
        "ci_low": None if versus is None else versus.low,
        "ci_high": None if versus is None else versus.high,
    }


def _baselines_json(view: StudyView) -> dict[str, object]:
    nokd, blkd = score_of(view.verdict, Role.NOKD), view.blkd
    return {
        "nokd": {
            "val_accuracy": view.student.val_accuracy,
            "test_accuracy": None if nokd is None else nokd.test_accuracy,
        },
        "blkd": {
            "val_accuracy": None if blkd is None else blkd.val_accuracy,
            "test_accuracy": None if blkd is None or blkd.test is None else blkd.test.test_accuracy,
            "temperature": None if blkd is None else blkd.chain.temperature,
            "kd_weight": None if blkd is None else blkd.chain.kd_weight,
        },
    }


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    leader = next((score for score in verdict.scores if score.arm == verdict.leader), None)
    nokd = None if leader is None else leader.versus_nokd
    race = verdict.race
    return {
        "text": verdict.text,
        "winner": verdict.winner,
        "difference": verdict.difference,
        "ci_low": verdict.ci_low,
        "ci_high": verdict.ci_high,
        "n": verdict.n,
        "separated": verdict.separated,
        "leader": verdict.leader,
        "nokd": {
            "difference": None if nokd is None else nokd.mean,
            "ci_low": None if nokd is None else nokd.low,
            "ci_high": None if nokd is None else nokd.high,
        },
        "search_optimism": None if leader is None else leader.optimism,
        "replicates_to_separate": None if race is None else race.replicates_to_separate,
        "looks": [] if race is None else list(race.looks),
        "looks_taken": [] if race is None else list(race.taken),
        "level": None if race is None else race.level,
        "dropped": {s.arm: s.dropped_after for s in verdict.scores if s.dropped_after is not None},
        "notes": list(verdict.notes),
    }


def to_text(
    view: StudyView,
    report_path: Path | str | None,
    stages_trained: int | None = None,
    stages_reused: int | None = None,
) -> str:
    """Return the terminal's answer: plain text, no line longer than 100 columns except an unbroken path or URL.

    Give the stage counts of the run that reports; without them those of the whole study are shown.
    """
    parts = [_wrap(headline(view))]
    if view.verdict is not None:
        parts += [_wrap(f"- {note}", indent="  ") for note in view.verdict.notes]
    if view.verdict is not None and view.verdict.scores:
        parts += ["", *_finals_lines(view.verdict.scores, view.measure), *_race_lines(view.verdict)]
    parts += ["", *_search_lines(view), *_baseline_lines(view), "", *_closing_lines(view)]
    parts.append(_stage_line(view, stages_trained, stages_reused))
    if report_path is not None:
        parts.append(f"Report: {report_path}")
    return "\n".join(wording.printable(line).rstrip() for part in parts for line in part.split("\n"))


def _finals_lines(scores: tuple[ArmScore, ...], measure: str) -> list[str]:
    rows = [
        (
            _arm_name(score),
            *_pair(score.chain),
            str(score.n),
            wording.percent(score.val_accuracy),
            wording.MISSING if score.optimism is None else wording.points(score.optimism),
            wording.mean_std(score.test_accuracy, score.test_std),
            wording.interval(score.versus_blkd),
        )
        for score in scores
    ]
    header = ("chain", "temp.", "weight", "n", "val", "search", "test", "vs BLKD [95% CI]")
    title = (
        f"Finals ({measure} on fresh replicates, mean ± std; differences in points; search: val in the search minus "
        "val here)"
    )
    return [_wrap(title), *_table(header, rows)]


def _race_lines(verdict: Verdict) -> list[str]:
    """Tell the race look by look: `5 replicates, 3 in the race: dropped ...`."""
    looks = race_looks(verdict)
    if not looks:
        return []
    told = [f"  {look.replicates} replicates, {look.in_race} in the race: {look.outcome}" for look in looks]
    return ["Race (on val)", *(_wrap(line, indent="    ") for line in told)]


def _search_lines(view: StudyView) -> list[str]:
    ranking = view.ranking
    if not ranking:
        return ["Search: no trial has completed."]
    rows = [
        (
            str(summary.rank),
            summary.chain.printed_path,
            *_pair(summary.chain),
            wording.percent(summary.val_accuracy),
            "in the finals" if summary.test is not None else "",
        )
        for summary in ranking[:TOP]
    ]
    title = f"Search (val {view.measure} on one replicate; {min(TOP, len(ranking))} of {len(ranking)} chains)"
    return [title, *_table(("#", "chain", "temp.", "weight", "val", ""), rows, text=1)]


def _baseline_lines(view: StudyView) -> list[str]:
    blkd = view.blkd
    pair = "" if blkd is None else f" (temperature {blkd.chain.temperature:g}, KD weight {blkd.chain.kd_weight:g})"
    shown = (
        f"Beside them, val {view.measure}: NOKD {wording.percent(view.student.val_accuracy)}, "
        f"BLKD {wording.percent(None if blkd is None else blkd.val_accuracy)}{pair}, "
        f"teacher {view.teacher.name} {wording.percent(view.teacher.val_accuracy)}"
    )
    return [_wrap(shown), *[_wrap(line) for line in (given_line(view), heuristic_line(view)) if line is not None]]


def _closing_lines(view: StudyView) -> list[str]:
    count = counts(view.trials)
    shown = f"Trials: {count.complete} complete, {count.pruned} pruned, {count.failed} failed"
    if count.duplicates:
        shown += f", {count.duplicates} answered from the store"
    return [_wrap(f"Study: {view.study_name}"), _wrap(shown)]


def _stage_line(view: StudyView, trained: int | None, reused: int | None) -> str:
    if trained is None or reused is None:
        spent = wording.duration(view.stage_seconds)
        return f"Stages: {view.stages_trained} trained in {spent}, {view.stages_reused} reused"
    return f"Stages: {trained} trained by this run, {reused} reused"


def _arm_name(score: ArmScore) -> str:
    if score.chain is None:
        return score.arm
    return f"{score.chain.printed_path} (BLKD)" if score.role is Role.BLKD else score.chain.printed_path


def _pair(chain: ChainSpec | None) -> tuple[str, str]:
    if chain is None:
        return wording.MISSING, wording.MISSING
    return wording.settings(chain.temperatures), wording.settings(chain.kd_weights)


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], text: int = 0) -> list[str]:
    """Align columns: the one numbered `text` to the left and folded where the width asks for it, others right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    others = sum(width + 2 for i, width in enumerate(widths) if i != text)
    widths[text] = min(widths[text], max(20, WIDTH - others - 2))
    lines = []
    for row in [header, *rows]:
        folded = textwrap.wrap(row[text], widths[text], break_on_hyphens=False) or [""]
        cells = [f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)]
        for more, part in enumerate(folded):
            shown = [" " * width for width in widths] if more else list(cells)
            shown[text] = f"{part:<{widths[text]}}"
            lines.append("  " + "  ".join(shown))
    return lines
