"""Every chain of the search in order, with all that is known of it: the table of the report."""

from __future__ import annotations

from dataclasses import dataclass

from tasearch.domain.result import ArmScore, Interval
from tasearch.domain.spec import ChainSpec
from tasearch.report.reproduction import reproduction
from tasearch.report.stages import chain_costs
from tasearch.report.view import ChainSummary, StudyView, last_round
from tasearch.search.verdict import paired_interval


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedChain:
    """One distinct chain; accuracies and differences are fractions."""

    rank: int
    """From 1, best val accuracy first."""
    chain: ChainSpec
    temperature: float
    """Of the student's stage, as `kd_weight`."""
    kd_weight: float
    trial_number: int
    val_accuracy: float
    """On the search replicate."""
    ta_accuracies: tuple[float, ...]
    test: Interval | None
    """Mean test accuracy over the replicates of the finals with its ordinary 95% interval; None without finals."""
    versus_blkd: Interval | None
    """Test accuracy minus BLKD's, paired, with the interval that the finals' rule demands."""
    training_seconds: float | None
    """Of all its stages below the teacher; None where that is not known."""
    reused_share: float | None
    """Part of them that was there when its trial came."""
    command: str
    """Trains it anew."""
    is_alone: bool
    """Whether that command trains little else."""


def ranked_chains(view: StudyView) -> tuple[RankedChain, ...]:
    """Return every distinct complete chain, direct distillation included, best val accuracy first."""
    costs = chain_costs(view)
    found = []
    for summary in view.ranking:
        cost = costs.get(summary.trial_number)
        again = reproduction(view.command, summary.chain, summary.test, threads=view.threads)
        found.append(
            RankedChain(
                rank=summary.rank,
                chain=summary.chain,
                temperature=summary.chain.temperature,
                kd_weight=summary.chain.kd_weight,
                trial_number=summary.trial_number,
                val_accuracy=summary.val_accuracy,
                ta_accuracies=summary.ta_accuracies,
                test=_test(view, summary),
                versus_blkd=None if summary.test is None else summary.test.versus_blkd,
                training_seconds=None if cost is None else cost.training_seconds,
                reused_share=None if cost is None else cost.reused_share,
                command=again.command,
                is_alone=again.is_alone,
            )
        )
    return tuple(found)


def _test(view: StudyView, summary: ChainSummary) -> Interval | None:
    return None if summary.test is None else test_interval(view, summary.test)


def test_interval(view: StudyView, score: ArmScore) -> Interval | None:
    """Return the mean test accuracy of an arm with its ordinary 95% interval over the replicates that it ran."""
    rows = sorted((row for row in last_round(view.finals) if row.arm == score.arm), key=lambda row: row.replicate)
    tests = [row.test_accuracy for row in rows if row.test_accuracy is not None][: score.n]
    return paired_interval(tests) if tests else None
