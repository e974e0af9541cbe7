"""What came out: stages, trials and finals as plain rows."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tasearch.domain.fingerprint import added_later
from tasearch.domain.spec import ChainSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """How big a model is."""

    num_params: int
    """Frozen parameters count too."""
    macs: int
    """Multiply-accumulates of one forward pass of one image (1 MAC = 2 FLOPs)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochResult:
    """One finished epoch of a stage."""

    epoch: int
    """From 1."""
    train_loss: float
    val_accuracy: float
    """In the metric of its stage, as every accuracy here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where a stage was trained: recorded with it, not part of its identity."""

    device: str
    """Class and name, `cpu Intel(R) Xeon(R)` or `cuda NVIDIA H200`."""
    threads: int
    torch_version: str
    instruction_set: str
    matmul_precision: str = added_later("highest")
    """Of float32 matrix products, as `torch.get_float32_matmul_precision` names it."""
    uses_onednn: bool = added_later(True)
    """Whether oneDNN's kernels are used on the CPU."""
    variables: tuple[str, ...] = added_later(())
    """`NAME=value` of the environment variables that choose kernels, where they are set."""
    earlier: tuple[Environment, ...] = added_later(())
    """Other environments in which a stage was trained before it was continued in this one."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Environment:
        """Return what `fingerprint.plain` wrote."""
        earlier = tuple(cls.from_plain(place) for place in values.get("earlier", ()))
        return cls(**{**values, "variables": tuple(values.get("variables", ())), "earlier": earlier})

    def after(self, earlier: tuple[Environment, ...]) -> Environment:
        """Return this environment as the one in which a stage ended that was trained in `earlier` ones before."""
        return replace(self, earlier=tuple(place for place in earlier if place != self))


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult:
    """A completed stage."""

    fingerprint: str
    artifact_id: str
    """SHA-256 of the safetensors bytes."""
    val_accuracy: float
    """Of the last epoch."""
    curve: tuple[EpochResult, ...]
    seconds: float
    """Training time over all attempts, without waiting."""
    environment: Environment


class TrialState(enum.StrEnum):
    """State of a trial as Optuna names it."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRow:
    """One trial of a study."""

    number: int
    state: TrialState
    chain: ChainSpec | None
    """None until the chain is known (a trial that died before it was written)."""
    val_accuracy: float | None
    curve: tuple[float, ...] = ()
    """val accuracy of the target student after each epoch."""
    ta_accuracies: tuple[float, ...] = ()
    """val accuracy of each TA on the way."""
    duplicate_of: int | None = None
    """Number of the trial that this one repeats; such trials are answered from the store, off the budget."""
    failure: str | None = None
    stopped: str | None = None
    """Why a pruned trial was not finished."""
    seconds: float | None = None
    stage_fingerprints: tuple[str, ...] = ()
    """Of a complete trial's stages, the teacher's student first."""


class Role(enum.StrEnum):
    """Why an arm takes part in the finals."""

    FINALIST = "finalist"
    BLKD = "blkd"
    NOKD = "nokd"


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalRow:
    """One arm of the finals on one replicate."""

    round: int
    """From 1; a new round begins when trials were added after a verdict."""
    role: Role
    arm: str
    """Label of the arm: the chain's label, or `NOKD`."""
    chain: ChainSpec | None
    """None for NOKD."""
    search_val_accuracy: float | None
    """val accuracy in the search, on replicate 0."""
    replicate: int
    """From 1."""
    fingerprint: str | None = None
    """Stage of the student, once known."""
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    """None until the test set is opened, after every replicate is trained."""
    failure: str | None = None
    """Why its stages could not be trained; its arm is out of the finals then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean difference with its two-sided confidence interval."""

    mean: float
    low: float | None
    """None where n < 2."""
    high: float | None
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmScore:
    """One arm of the finals, summarised."""

    role: Role
    arm: str
    chain: ChainSpec | None
    n: int
    search_val_accuracy: float | None
    val_accuracy: float
    """Mean over replicates."""
    test_accuracy: float
    """Mean over replicates."""
    test_std: float | None
    """Sample standard deviation over replicates; None where n < 2."""
    versus_blkd: Interval | None
    """Test accuracy minus BLKD's, paired by replicate; None for BLKD itself."""
    versus_nokd: Interval | None
    """Test accuracy minus NOKD's, paired by replicate; None for NOKD itself."""
    dropped_after: int | None = None
    """Replicates after which a finalist was dropped; None while it is in the race."""

    @property
    def optimism(self) -> float | None:
        """val accuracy in the search minus that in the finals: what the search's choice flattered."""
        return None if self.search_val_accuracy is None else self.search_val_accuracy - self.val_accuracy


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceSummary:
    """How the finals were decided, on val alone."""

    looks: tuple[int, ...]
    """Replicates after which the race was to be looked at, all of them paid for."""
    taken: tuple[int, ...]
    """Looks that were taken until it ended."""
    level: float
    """One-sided error of each look and finalist."""
    interval_level: float
    """Error of each side of a reported interval."""
    error: float
    """Probability of a false winner over all finalists and looks, at most."""
    val_difference: float
    """val accuracy of the leader minus BLKD's, mean over the replicates, a fraction."""
    val_spread: float
    """Sample standard deviation of those differences; 0 where n < 2."""
    replicates_to_separate: int | None
    """Replicates that would likely separate the leader from BLKD; None where it is, or where no number would."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer in one sentence, and what it stands on."""

    text: str
    winner: str | None
    """Label of the winning chain; None where nothing is separated from BLKD."""
    difference: float | None
    """Test accuracy of the leading finalist minus BLKD's, a fraction; None without a finalist."""
    ci_low: float | None
    ci_high: float | None
    n: int
    """Replicates of the leading finalist, BLKD and NOKD; a finalist that was dropped has fewer."""
    separated: bool
    """Whether the race, which sees val only, told the finalists and BLKD apart."""
    scores: tuple[ArmScore, ...] = field(default=())
    """All arms, best mean val accuracy first, finalists that were dropped last."""
    leader: str | None = None
    """Label of the finalist that `difference` is about: the winner, or the best on val of those in the race."""
    race: RaceSummary | None = None
    """None without a finalist or BLKD."""
    notes: tuple[str, ...] = ()
    """What a reader must know to weigh the sentence."""
