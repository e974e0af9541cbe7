"""What became of a study, as typed records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasearch.domain.latency import LatencyTable
from tasearch.domain.result import ArmScore, Verdict
from tasearch.domain.spec import ChainSpec
from tasearch.report.figure_data.models import ModelRow, model_rows
from tasearch.report.ranking import RankedChain, ranked_chains
from tasearch.report.view import StudyView, headline


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """The results of a study, finished or under way; accuracies and differences are fractions, in `metric`."""

    study_name: str
    storage: str
    """URL of the database, its password hidden."""
    metric: str
    """`accuracy` or `balanced-accuracy`."""
    headline: str
    """The verdict's sentence or, before there is one, how far the study is."""
    verdict: Verdict | None
    """None until the finals have ended."""
    winner: ChainSpec | None
    """The chain that beats direct distillation; None where none is separated from it, or before the verdict."""
    ranking: tuple[RankedChain, ...]
    """Every distinct complete chain of the search, best val accuracy first, direct distillation included."""
    finals: tuple[ArmScore, ...]
    """Finalists, direct distillation and no distillation with their intervals, best mean val accuracy first."""
    models: tuple[ModelRow, ...]
    """Teacher, candidate TAs and student: capacity, latency, accuracy; largest first."""
    latency: LatencyTable | None
    """Where and how latency was measured."""
    report: Path | None
    """The report as a page, where it has been written."""
    command: str
    """The command line that repeats the study; objects that were handed over in Python are not in it."""
    view: StudyView
    """All rows that the report is made of: trials, stages, curves."""


def results_of(view: StudyView, report: Path | None) -> StudyResults:
    """Return the results of a study that was read with its curves."""
    verdict = view.verdict
    scores = () if verdict is None else verdict.scores
    winner = None if verdict is None else next((s.chain for s in scores if s.arm == verdict.winner), None)
    return StudyResults(
        study_name=view.study_name,
        storage=view.storage,
        metric=view.metric,
        headline=headline(view),
        verdict=verdict,
        winner=winner,
        ranking=ranked_chains(view),
        finals=scores,
        models=model_rows(view),
        latency=view.latency,
        report=report,
        command=view.command,
        view=view,
    )
