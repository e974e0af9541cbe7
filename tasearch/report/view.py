"""Everything a page or a terminal shows of one study, as frozen rows: the report reads nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tasearch.domain.chance import is_near_chance
from tasearch.domain.landscape import Landscape
from tasearch.domain.latency import LatencyTable
from tasearch.domain.metric import ACCURACY, in_words
from tasearch.domain.result import ArmScore, Capacity, FinalRow, Role, TrialRow, TrialState, Verdict
from tasearch.domain.spec import ChainSpec
from tasearch.report.wording import plural
from tasearch.search.heuristic import Midpoint, midpoint
from tasearch.search.importance import Importance
from tasearch.stores.stage_outcomes import StageDetail


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainSummary:
    """One distinct chain (path and pairs), from the complete trial that first ran it."""

    rank: int
    """From 1, best val accuracy first."""
    chain: ChainSpec
    trial_number: int
    val_accuracy: float
    ta_accuracies: tuple[float, ...]
    test: ArmScore | None
    """Its score in the finals; None for a chain that took no part in them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPoint:
    """The teacher or the student without distillation."""

    name: str
    capacity: Capacity
    val_accuracy: float | None
    """Trained from labels; None until it is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialCounts:
    """How the trials of a study ended; a chain answered from the store counts as a duplicate only."""

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int
    duplicates: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceLook:
    """One look at the race of the finals."""

    replicates: int
    in_race: int
    """Finalists that were compared."""
    outcome: str
    """Who was dropped, whether it goes on, how it ended."""


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """One study as the report shows it; accuracies are fractions."""

    study_name: str
    storage: str
    """URL of the database, its password already hidden."""
    created_at: str
    """ISO time."""
    command: str
    """The command line that reproduces the study."""
    teacher: ModelPoint
    student: ModelPoint
    """Its val accuracy is NOKD on the search replicate."""
    ta_capacities: Mapping[str, Capacity]
    """Capacity of every rung of the ladder, so of every TA in a trial."""
    dataset: str
    num_train: int
    num_val: int
    num_test: int
    num_classes: int
    epochs: int
    """Per stage."""
    given_teacher: str | None = None
    """SHA-256 of the teacher's weights where they were given."""
    fresh_teacher: bool = False
    """Whether the finals retrain the teacher too."""
    config: Mapping[str, object]
    """The resolved configuration; may be nested."""
    versions: Mapping[str, str]
    threads: int | None = None
    """CPU threads that every stage was trained with; None where they differ, or on a GPU."""
    environment: str
    """Device and threads that the stages were trained with."""
    num_trials_planned: int
    trials: tuple[TrialRow, ...]
    finals: tuple[FinalRow, ...] = ()
    verdict: Verdict | None = None
    earlier_verdict: str | None = None
    """What the round of finals before the one under way came to."""
    test_opened: tuple[str, ...] = ()
    """ISO times at which the test set was evaluated."""
    stages_trained: int
    """Over the whole study, by any worker."""
    stages_reused: int
    stage_seconds: float
    """Training time of the trained stages."""
    scratch: Mapping[str, float] = field(default_factory=dict)
    """val accuracy from labels of the models that the store has it of."""
    failure: str | None = None
    """Why the teacher or NOKD could not be trained."""
    stages: tuple[StageDetail, ...] = ()
    """Every stage that the study asked for, in the order in which they ended."""
    importances: tuple[Importance, ...] = ()
    """Of the choices that a chain is made of, greatest first."""
    num_retries: int = 0
    """How often a trial or a run of the finals was tried again after an error."""
    landscape: Landscape | None = None
    """The loss around the students, where `tasearch landscape` has measured it."""
    data_hash: str = ""
    """SHA-256 over the images and labels of train and val."""
    metric: str = ACCURACY
    """Of `domain.metric`: what every accuracy here is."""
    latency: LatencyTable | None = None
    """Of all models, in the place where it was measured last; None for studies from before it was."""
    val_counts: tuple[int, ...] | None = None
    """Images of val in each class; None: the study is from before they were kept."""
    data_remarks: tuple[str, ...] = ()
    """What was done to images that were not plain RGB, and how uneven the classes are."""

    def __post_init__(self) -> None:
        used = {ta for trial in self.trials if trial.chain is not None for ta in trial.chain.tas}
        missing = sorted(used - set(self.ta_capacities))
        if missing:
            raise ValueError(f"no capacity given for TA {', '.join(missing)}, which occurs in a trial")

    @property
    def measure(self) -> str:
        """What accuracies are called: `accuracy` or `balanced accuracy`."""
        return in_words(self.metric)

    @cached_property
    def ranking(self) -> tuple[ChainSummary, ...]:
        """All distinct complete chains, BLKD's pairs included, best val accuracy first."""
        return rank_chains(self.trials, self.verdict)

    @property
    def blkd(self) -> ChainSummary | None:
        """The best direct distillation of the search; None until one completes."""
        return next((summary for summary in self.ranking if summary.chain.is_direct), None)


def rank_chains(trials: Iterable[TrialRow], verdict: Verdict | None) -> tuple[ChainSummary, ...]:
    """Return every distinct complete chain, best val accuracy first, earlier trial first where equal."""
    scores = {} if verdict is None else {s.chain: s for s in verdict.scores if s.chain is not None}
    first: dict[ChainSpec, tuple[TrialRow, float]] = {}
    for trial in sorted(trials, key=lambda row: row.number):
        if is_result(trial) and trial.chain is not None and trial.val_accuracy is not None:
            first.setdefault(trial.chain, (trial, trial.val_accuracy))
    ordered = sorted(first.items(), key=lambda item: (-item[1][1], item[1][0].number))
    return tuple(
        ChainSummary(
            rank=rank,
            chain=chain,
            trial_number=trial.number,
            val_accuracy=val_accuracy,
            ta_accuracies=trial.ta_accuracies,
            test=scores.get(chain),
        )
        for rank, (chain, (trial, val_accuracy)) in enumerate(ordered, start=1)
    )


def is_result(trial: TrialRow) -> bool:
    """Return whether the trial completed a chain that no earlier trial had."""
    return trial.state is TrialState.COMPLETE and trial.duplicate_of is None


def best(view: StudyView) -> ChainSummary | None:
    """Return the best chain of the search by val accuracy, BLKD included; None until a trial completes."""
    return next(iter(view.ranking), None)


def counts(trials: Iterable[TrialRow]) -> TrialCounts:
    """Count trials by how they ended."""
    rows = list(trials)
    own = [row.state for row in rows if row.duplicate_of is None]
    return TrialCounts(
        complete=own.count(TrialState.COMPLETE),
        pruned=own.count(TrialState.PRUNED),
        failed=own.count(TrialState.FAILED),
        running=own.count(TrialState.RUNNING),
        waiting=own.count(TrialState.WAITING),
        duplicates=len(rows) - len(own),
    )


def score_of(verdict: Verdict | None, role: Role) -> ArmScore | None:
    """Return the first score of a role, so NOKD's or BLKD's; None without finals."""
    scores = () if verdict is None else verdict.scores
    return next((score for score in scores if score.role is role), None)


def race_looks(verdict: Verdict | None) -> tuple[RaceLook, ...]:
    """Return the looks that were taken; empty before the verdict, and where nothing raced."""
    if verdict is None or verdict.race is None:
        return ()
    finalists = [score for score in verdict.scores if score.role is Role.FINALIST]
    found = []
    for replicates in verdict.race.taken:
        racing = [s for s in finalists if s.dropped_after is None or s.dropped_after >= replicates]
        dropped = [s.arm for s in racing if s.dropped_after == replicates]
        said = [f"dropped {'; '.join(dropped)}"] if dropped else []
        if replicates != verdict.race.taken[-1]:
            said.append("goes on")
        elif not verdict.separated:
            said.append("not separated, no replicates left")
        else:
            said.append("BLKD is ahead of all" if len(dropped) == len(racing) else f"{verdict.leader} is ahead of BLKD")
        found.append(RaceLook(replicates=replicates, in_race=len(racing), outcome=", ".join(said)))
    return tuple(found)


def untrained(view: StudyView) -> list[str]:
    """Return the models whose accuracy from labels the accuracy-midpoint heuristic lacks."""
    return [name for name in (view.teacher.name, *view.ta_capacities, view.student.name) if name not in view.scratch]


def heuristic_ta(view: StudyView) -> Midpoint | None:
    """Return the TA that the accuracy-midpoint heuristic names; None while it is not known, or without TAs."""
    if not view.ta_capacities or untrained(view):
        return None
    candidates = {name: view.scratch[name] for name in view.ta_capacities}
    return midpoint(view.scratch[view.teacher.name], view.scratch[view.student.name], candidates)


def heuristic_line(view: StudyView) -> str | None:
    """Say which TA the accuracy-midpoint heuristic names and whether the leading chain has it; None without TAs."""
    if not view.ta_capacities:
        return None
    named = heuristic_ta(view)
    if named is None:
        missing = ", ".join(untrained(view))
        return (
            "Accuracy-midpoint heuristic (Mirzadeh et al. 2020: take the TA whose accuracy is nearest the mean of "
            f"teacher's and student's): not marked, because {missing} {'was' if len(untrained(view)) == 1 else 'were'} "
            "not trained from labels. “tasearch suggest” with this study's models, data and recipe does that; the next "
            "report then marks it."
        )
    said = (
        f"Accuracy-midpoint heuristic (Mirzadeh et al. 2020): {named.ta}, whose {100 * named.val_accuracy:.1f}% val "
        f"{view.measure} from labels is nearest the mean of teacher and student, {100 * named.target:.1f}%"
    )
    leader = score_of(view.verdict, Role.FINALIST)
    if leader is None or leader.chain is None:
        return f"{said}."
    tas = leader.chain.tas
    hit = "the one TA" if tas == (named.ta,) else "one of the TAs" if named.ta in tas else "not a TA"
    return f"{said}: {hit} of the chain that leads the finals."


def latency_line(view: StudyView) -> str:
    """Say how and where latency was measured, or that it was not."""
    table = view.latency
    if table is None:
        return "Latency was not measured: the same `tasearch optimize` again does it."
    runs = [timing.runs for timings in table.models.values() for timing in timings]
    counted = f"{min(runs)} to {max(runs)}" if runs and min(runs) < max(runs) else f"{max(runs, default=0)}"
    return (
        f"Latency: median of {counted} forward passes after warm-up on {table.device}, CPU threads: {table.threads}, "
        f"in torch {table.torch_version} (eager, float32), without loading and normalising images."
    )


def last_round(rows: Iterable[FinalRow]) -> list[FinalRow]:
    """Return the rows of the latest finals."""
    rows = list(rows)
    latest = max((row.round for row in rows), default=0)
    return [row for row in rows if row.round == latest]


def headline(view: StudyView) -> str:
    """Return the verdict's sentence or, before there is one, how far the study is."""
    if view.verdict is not None:
        return view.verdict.text
    if view.failure is not None:
        return f"No verdict: {view.failure}."
    count = counts(view.trials)
    if view.finals:
        rows = last_round(view.finals)
        trained = sum(row.val_accuracy is not None for row in rows)
        of_round = f" of round {rows[0].round}" if rows[0].round > 1 else ""
        return (
            f"No verdict yet: {trained} of {plural(len(rows), 'finals run')}{of_round} trained, {test_line(view)}."
            + (f" The verdict of the round before: {view.earlier_verdict}" if view.earlier_verdict else "")
        )
    done = f"{count.complete} of {plural(view.num_trials_planned, 'trial')} complete"
    if count.complete:
        return f"No verdict yet: {done}, the finals have not begun."
    if not count.complete and count.failed and not count.running and not count.waiting:
        return f"No verdict: no trial has completed, {_failures(view)}."
    return f"No verdict yet: {done}."


def test_line(view: StudyView) -> str:
    """Say, while finals are being trained, whether anybody may have seen test results of this study."""
    if not view.test_opened:
        return "test set closed"
    return f"test set closed for it (opened before, {', '.join(view.test_opened)})"


def _failures(view: StudyView) -> str:
    failed = [trial for trial in view.trials if trial.state is TrialState.FAILED]
    said = f"{len(failed)} failed"
    reason = failed[-1].failure
    return f"{said}, the last because {reason.rstrip('.')}" if reason else said


def given_line(view: StudyView) -> str | None:
    """Return what is to be said of a teacher whose weights were given, None for another."""
    if view.given_teacher is None:
        return None
    text = f"The teacher was given (weights SHA-256 {view.given_teacher[:12]}) and not trained here."
    accuracy = view.teacher.val_accuracy
    counts = view.val_counts or (max(1, view.num_val // view.num_classes),) * view.num_classes
    if accuracy is not None and is_near_chance(accuracy, counts, view.metric):
        text += (
            f" Its val {view.measure} of {100 * accuracy:.1f}% is near chance: was it trained with another "
            "normalisation (--normalize) or another order of the classes?"
        )
    return text
