"""`tasearch suggest`: train every model from labels, or find it in the store, and name the TA half way between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasearch.chain.run import StageRunner
from tasearch.domain.errors import ConfigError
from tasearch.domain.metric import in_words
from tasearch.domain.result import Capacity, EpochResult, StageResult
from tasearch.domain.spec import StageSpec
from tasearch.search.heuristic import Midpoint, midpoint
from tasearch.training.loop import InterruptedStage
from tasearch.worker.progress import Display
from tasearch.worker.signals import StopFlag
from tasearch.worker.study_plan import StudyPlan


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What the accuracy-midpoint heuristic says of one teacher and student."""

    teacher: str
    student: str
    midpoint: Midpoint
    val_accuracies: Mapping[str, float]
    """Of every model from labels: teacher, candidate TAs, student."""
    capacities: Mapping[str, Capacity]
    trained: int
    """Stages that this call trained."""
    reused: int


class SuggestionWatcher:
    """Follows the stages of a suggestion (a `chain.control.Watcher`)."""

    def __init__(self, display: Display, stop: StopFlag) -> None:
        self._display, self._stop = display, stop
        self.trained = self.reused = 0

    def poll(self) -> None:
        """Raise InterruptedStage once a signal has asked for an end."""
        if self._stop.is_set:
            raise InterruptedStage

    def stage_started(self, spec: StageSpec) -> None:
        """Nothing: `stage_ended` says it."""

    def stage_waits(self, spec: StageSpec, owner: str) -> None:
        """Nothing."""

    def epoch_done(self, spec: StageSpec, point: EpochResult) -> None:
        """Nothing."""

    def stage_left(self, spec: StageSpec) -> None:
        """Nothing."""

    def stage_ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """Count the stage and say it."""
        if reused:
            self.reused += 1
            return
        self.trained += 1
        done = "trained" if spec.given is None else "measured"
        self._display.line(f"{done} {spec.label}: val {in_words(spec.metric)} {100 * result.val_accuracy:.1f}%")


def suggest(plan: StudyPlan, runner: StageRunner, watcher: SuggestionWatcher) -> Suggestion:
    """Return the suggestion, training from labels what the store has not.

    Raises ConfigError where no model lies between teacher and student, StageFailedError, InterruptedStage.
    """
    space = plan.space
    if not space.ladder:
        raise ConfigError(
            f"no model lies between {space.student} and {space.teacher}: there is no TA to suggest",
            hint="choose a larger --teacher or a smaller --student, or name TAs with --tas",
        )
    names = (space.teacher, *space.ladder, space.student)
    found = {name: runner.run(plan.stages.from_labels(name)).val_accuracy for name in names}
    return Suggestion(
        teacher=space.teacher,
        student=space.student,
        midpoint=midpoint(found[space.teacher], found[space.student], {name: found[name] for name in space.ladder}),
        val_accuracies=found,
        capacities=plan.capacities,
        trained=watcher.trained,
        reused=watcher.reused,
    )
