"""Training curves of the best chains."""

from __future__ import annotations

from dataclasses import dataclass

from tasearch.domain.spec import ChainSpec
from tasearch.report.figure_data.scale import AccuracyRange, accuracy_range
from tasearch.report.view import StudyView

TOP_CURVES = 5
"""Chains with TAs whose curves are drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """val accuracy of one student after each epoch."""

    chain: ChainSpec
    accuracies: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvesInfo:
    """Curves of the best chains over the part of the axis where they differ."""

    curves: tuple[Curve, ...]
    """BLKD first, then chains with TAs, best first."""
    range: AccuracyRange
    """Cut off below: the first epochs climb so far that they would flatten everything after."""


def curves_info(view: StudyView) -> CurvesInfo:
    """Return the curves of the best BLKD and of the best chains with TAs."""
    by_number = {row.number: row.curve for row in view.trials}
    ranking = view.ranking
    direct = [summary for summary in ranking if summary.chain.is_direct][:1]
    tas = [summary for summary in ranking if not summary.chain.is_direct][:TOP_CURVES]
    all_curves = (Curve(chain=s.chain, accuracies=by_number[s.trial_number]) for s in [*direct, *tas])
    curves = tuple(curve for curve in all_curves if curve.accuracies)
    settled = [value for curve in curves for value in curve.accuracies[len(curve.accuracies) // 3 :]]
    return CurvesInfo(curves=curves, range=accuracy_range(settled))
