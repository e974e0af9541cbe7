"""What the dashboard says of a study and of each of its trials, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasearch.dashboard.markdown import escaped, table
from tasearch.domain.metric import ACCURACY
from tasearch.domain.result import TrialRow, TrialState
from tasearch.domain.spec import ChainSpec, spelled
from tasearch.search.browsing import TrialPlace

_MISSING = "–"
_COLUMNS = (
    ("value, `val_accuracy`", "validation accuracy of the student, a fraction, on the replicate of the search"),
    ("`num_tas`, `ta0`, `ta1`, …", "how many TA slots are used, and the rung of each on the ladder (0 is the largest)"),
    (
        "`temperature`, `kd_weight`",
        "of the last stage, which trains the student; `ta_…`, or `ta0_…` and so on where each has its own, of those "
        "before it",
    ),
    (
        "`chain`, `tas`",
        "the models of the chain, and its TAs alone, largest first: slots sorted by capacity, repeats and unused ones "
        "dropped",
    ),
    ("`ta_accuracies`", "validation accuracy of each TA of the chain"),
    ("`smallest_ta_num_params`", "parameters of the TA that teaches the student"),
    ("`stages`", "stages of the chain below the teacher"),
    ("`stages_trained`, `stages_reused`", "stages that were trained for this trial, and those that were there already"),
    ("`stage_fingerprints`", "identity of each stage in the store"),
    ("`duplicate_of`", "the trial that had this chain before; such a trial takes nothing from the budget"),
    ("`failure`, `stopped`", "why a trial failed or was not finished"),
    ("`worker`, `device`", "process that had the trial last (host:process:start), and what it computed on"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFacts:
    """What is known of a study when its search or its finals have ended."""

    study_name: str
    headline: str
    """The verdict's sentence or, before there is one, how far the study is."""
    remarks: tuple[str, ...] = ()
    """What a reader must know to weigh it."""
    teacher: str
    student: str
    ladder: tuple[str, ...]
    """Candidate TAs, largest first: the rung of `ta0` and the others counts from 0."""
    dataset: str
    command: str
    """The command line that reproduces the study."""
    trials: tuple[TrialRow, ...]
    measure: str = ACCURACY
    """What accuracies are called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageFacts:
    """What is known of a stage."""

    val_accuracy: float | None
    seconds: float | None
    """Training time over all attempts."""


def study_note(facts: StudyFacts, *, num_noted: int, left_out: Sequence[str] = ()) -> str:
    """Return the note of a study.

    `num_noted`: how many trials have a note, the best ones; `left_out`: figures that were too large.
    """
    rungs = ", ".join(f"{rung} = {escaped(name)}" for rung, name in enumerate(facts.ladder)) or "none"
    ended = sum(_has_ended(row) for row in facts.trials)
    paragraphs = [
        f"# {escaped(facts.study_name)}",
        f"**{escaped(facts.headline)}**",
        *(["\n".join(f"- {escaped(remark)}" for remark in facts.remarks)] if facts.remarks else []),
        f"Teacher {escaped(facts.teacher)}, student {escaped(facts.student)}, data {escaped(facts.dataset)}. "
        f"Rungs of the ladder: {rungs}.",
        "The best trial shown here is the best on validation data in one replicate, chosen among many, which flatters "
        "it. The sentence above comes from the finals instead: the best chains, direct distillation (BLKD) and no "
        "distillation (NOKD) again on fresh replicates. Finals are no trials; `tasearch report` shows them in full.",
        *([f"Every accuracy is {facts.measure}, the mean over the classes."] if facts.measure != ACCURACY else []),
        "## How to read the columns",
        table(("column", "meaning"), _COLUMNS).replace("--:", "---"),
        "The figures of the report are on this study's first page, and the note of a trial shows its chain by stages.",
    ]
    if num_noted < ended:
        paragraphs.append(f"Of {ended:,} trials that have ended the {num_noted:,} best have a note.")
    if left_out:
        names = ", ".join(map(escaped, left_out))
        paragraphs.append(f"Left out here because too large for a database: {names}; the report has them.")
    paragraphs.append(f"Reproduce with: {escaped(facts.command)}")
    return "\n\n".join(paragraphs)


def trial_note(row: TrialRow, place: TrialPlace, stages: Mapping[str, StageFacts], measure: str = ACCURACY) -> str:
    """Return the note of a trial that has ended: its chain, and what its stages came to."""
    if row.chain is None:
        paragraphs = ["No chain of the search space."]
    else:
        paragraphs = [f"**{_path(row.chain.printed_models)}**", _stage_table(row, row.chain, place, stages)]
    if row.val_accuracy is not None:
        paragraphs.append(f"Validation {measure} of the student: **{_percent(row.val_accuracy)}**")
    if row.duplicate_of is not None:
        paragraphs.append(f"Trial {row.duplicate_of} had this chain before: answered from there, nothing was trained.")
    if row.stopped is not None:
        paragraphs.append(f"Not finished: {escaped(row.stopped)}")
    if row.failure is not None:
        paragraphs.append(f"Failed: {escaped(row.failure)}")
    return "\n\n".join(paragraphs)


def noted_trials(rows: Sequence[TrialRow], most: int) -> list[TrialRow]:
    """Return the trials that get a note: those that have ended, the best `most` where there are more."""
    ended = [row for row in rows if _has_ended(row)]
    if len(ended) <= most:
        return ended
    by_value = sorted(ended, key=lambda row: (-(row.val_accuracy or 0.0), row.number))
    return sorted(by_value[:most], key=lambda row: row.number)


def _stage_table(row: TrialRow, chain: ChainSpec, place: TrialPlace, stages: Mapping[str, StageFacts]) -> str:
    reached = (*row.ta_accuracies, row.val_accuracy)
    first_trained = len(place.fingerprints) - place.num_trained
    lines = []
    from_labels = 0 if chain.ta_from == "scratch" else None
    for index, (above, below) in enumerate(zip(chain.path, chain.path[1:], strict=False)):
        found = stages.get(place.fingerprints[index]) if index < len(place.fingerprints) else None
        accuracy = found.val_accuracy if found else reached[index] if len(reached) == len(chain.path) - 1 else None
        how = _MISSING if not place.fingerprints else "trained" if index >= first_trained else "reused"
        lines.append(
            (
                f"{escaped(below)} from labels" if index == from_labels else _path((above, below)),
                _MISSING if index == from_labels else spelled(chain.temperatures[index]),
                _MISSING if index == from_labels else spelled(chain.kd_weights[index]),
                _percent(accuracy),
                f"{found.seconds:.1f}" if found and found.seconds is not None else _MISSING,
                how,
            )
        )
    header = ("stage", "temperature", "KD weight", "val", "seconds", "trained or reused")
    return table(header, lines)


def _has_ended(row: TrialRow) -> bool:
    return row.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


def _path(models: Sequence[str]) -> str:
    return " > ".join(map(escaped, models))


def _percent(accuracy: float | None) -> str:
    return _MISSING if accuracy is None else f"{100 * accuracy:.1f}%"
