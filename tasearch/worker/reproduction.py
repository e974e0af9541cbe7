"""`tasearch reproduce`: train a trial's stages again, apart from the study, and compare."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tasearch.chain.control import LEASE_SECONDS, Stores
from tasearch.chain.run import StageRunner
from tasearch.domain.errors import ArtifactError, ConfigError, StorageError
from tasearch.domain.result import Environment, EpochResult, StageResult
from tasearch.domain.spec import ChainSpec, StageSpec
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.home import Home
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.owner import current_owner
from tasearch.stores.records import open_records
from tasearch.training.device import configure, resolve_device
from tasearch.training.loop import InterruptedStage
from tasearch.worker.progress import Display
from tasearch.worker.signals import StopFlag
from tasearch.worker.stored_study import StoredStudy, recorded_stage, weights_of
from tasearch.worker.study_config import LIBRARIES, library_versions


@dataclass(frozen=True, kw_only=True, slots=True)
class StageComparison:
    """A stage that was trained again, beside what the study has of it."""

    label: str
    before: StageResult
    after: StageResult

    @property
    def identical(self) -> bool:
        """Whether the weights are the same bits."""
        return self.before.artifact_id == self.after.artifact_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """What came out of training a trial's stages again."""

    stages: tuple[StageComparison, ...]
    """From the teacher down; the teacher only where it was trained too."""
    differences: tuple[str, ...]
    """In which this machine and its libraries differ from what the stages were trained with."""
    metric: str
    """What the accuracies are, of `domain.metric`."""
    chain: ChainSpec

    @property
    def identical(self) -> bool:
        """Whether the weights of every stage are the same bits."""
        return all(stage.identical for stage in self.stages)

    @property
    def student(self) -> StageComparison:
        """The stage of the student."""
        return self.stages[-1]


class RepeatWatcher:
    """Follows the stages that are trained again (a `chain.control.Watcher`)."""

    def __init__(self, display: Display, stop: StopFlag) -> None:
        self._display, self._stop = display, stop

    def poll(self) -> None:
        """Raise InterruptedStage once a signal has asked for an end."""
        if self._stop.is_set:
            raise InterruptedStage

    def stage_started(self, spec: StageSpec) -> None:
        """Say it."""
        self._display.line(f"training {spec.label} again")

    def stage_waits(self, spec: StageSpec, owner: str) -> None:
        """Nothing: the store is this process's own."""

    def epoch_done(self, spec: StageSpec, point: EpochResult) -> None:
        """Nothing."""

    def stage_left(self, spec: StageSpec) -> None:
        """Nothing."""

    def stage_ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """Nothing: the answer says it."""


def reproduce(
    study: StoredStudy,
    chain: ChainSpec,
    *,
    device: torch.device | None,
    home: Home,
    cache_bytes: int,
    watcher: RepeatWatcher,
    with_teacher: bool,
) -> Reproduction:
    """Train the stages of a chain again, each with the threads it was trained with, and compare them with the study's.

    All of it happens in a folder of its own below `home`, which is removed at the end; nothing of the study changes.
    The teacher is the study's, its weights copied, unless it is trained anew `with_teacher`. `device`: None is one of
    the kind that the student was trained on, where this machine has it. Raises StorageError where the study has a stage
    no more, ArtifactError where the teacher's weights cannot be had, InterruptedStage, StageFailedError.
    """
    teacher = study.plan.stages.teacher_stage
    if with_teacher and teacher.given is not None:
        raise ConfigError(
            "--with-teacher: the teacher of this study was given with its weights, so there is nothing to train again",
            hint="leave --with-teacher out",
        )
    specs = [*([teacher] if with_teacher else []), *study.plan.stages.chain(chain)]
    before = [recorded_stage(study, spec).result() for spec in specs]
    if device is None:
        device = resolve_device("cpu" if before[-1].environment.device.startswith("cpu") else "auto")
    given = None if with_teacher else (recorded_stage(study, teacher).result(), _teacher_weights(study, teacher))
    with _runner_of_its_own(study, device, home, cache_bytes, watcher) as (runner, give):
        if given is not None:
            give(teacher, *given)
        stages = []
        for spec, recorded in zip(specs, before, strict=True):
            configure(device, recorded.environment.threads)
            stages.append(StageComparison(label=spec.label, before=recorded, after=runner.run(spec)))
    return Reproduction(
        stages=tuple(stages),
        differences=tuple(_differences(stages, study.row.versions)),
        metric=study.plan.stages.metric,
        chain=chain,
    )


def _teacher_weights(study: StoredStudy, teacher: StageSpec) -> bytes:
    try:
        return weights_of(study, teacher)
    except ArtifactError as error:
        raise ArtifactError(
            error.message, hint=f"{error.hint}; or train the teacher anew with --with-teacher"
        ) from None


Give = Callable[[StageSpec, StageResult, bytes], None]
"""Puts a stage into a store as if it had been trained there."""


@contextlib.contextmanager
def _runner_of_its_own(
    study: StoredStudy, device: torch.device, home: Home, cache_bytes: int, watcher: RepeatWatcher
) -> Iterator[tuple[StageRunner, Give]]:
    """Give a runner on an empty store, and what fills the store; all of it is gone at the end of the block."""
    home.make_root()
    try:
        folder = Path(tempfile.mkdtemp(prefix=".reproduce-", dir=home.root))
    except OSError as error:
        raise StorageError(
            f"cannot write in the folder {home.root}: {error.strerror or error}",
            hint="choose a folder that you may write with --home",
        ) from error
    own, keeper = Home(folder), LeaseKeeper(LEASE_SECONDS / 4)
    try:
        records, artifacts = open_records(own.default_storage_url), ArtifactStore(str(own.artifacts))
        try:
            stores = Stores(
                stages=records.stages,
                artifacts=artifacts,
                checkpoints=CheckpointStore(own.checkpoints),
                tables=LogitTables(own.cache, cache_bytes),
            )
            owner = current_owner()

            def give(spec: StageSpec, result: StageResult, weights: bytes) -> None:
                claim = records.stages.claim(spec, owner, LEASE_SECONDS)
                assert claim is not None
                artifacts.put(weights)
                records.stages.complete(claim, result)

            runner = StageRunner(
                stores,
                study.dataset,
                device,
                owner=owner,
                watcher=watcher,
                # Nothing is left to go on from.
                checkpoint_seconds=float("inf"),
                keeper=keeper,
            )
            yield runner, give
        finally:
            keeper.close()
            records.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _differences(stages: Sequence[StageComparison], versions: Mapping[str, str]) -> list[str]:
    """Return one line for each way in which then and now differ: `threads 2, now 1`."""
    found: dict[str, None] = {}
    for stage in stages:
        then, now = stage.before.environment, stage.after.environment
        for place in then.earlier:
            # It has the bits of neither: each part of it was trained elsewhere.
            begun = f"{stage.label} was begun in another environment than it was finished in"
            found[f"{begun}: {_apart(place, then)}"] = None
        for name, before, after in _fields_apart(then, now):
            found[f"{name} {before}, now {after}"] = None
    versions_now = library_versions()
    for library in LIBRARIES:
        was, is_now = versions.get(library), versions_now.get(library, "not installed")
        # That of torch is recorded with each stage.
        if library != "torch" and was not in (None, is_now):
            found[f"{library} {was}, now {is_now}"] = None
    return list(found)


def _apart(one: Environment, other: Environment) -> str:
    return ", ".join(f"{name} {first}, then {second}" for name, first, second in _fields_apart(one, other))


def _fields_apart(one: Environment, other: Environment) -> list[tuple[str, object, object]]:
    """Return in what two environments differ, in words, with the value of each."""
    names = [field.name for field in dataclasses.fields(Environment) if field.name != "earlier"]
    pairs = [(name.replace("_", " "), getattr(one, name), getattr(other, name)) for name in names]
    return [(name, first, second) for name, first, second in pairs if first != second]
