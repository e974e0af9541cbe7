"""What can be asked for: models, data, stages and chains as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasearch.domain.fingerprint import added_later, fingerprint, plain
from tasearch.domain.metric import ACCURACY

KL_REDUCTIONS = ("batchmean", "mean")
"""How the KL term is averaged: over the batch, or over batch and classes (smaller by the number of classes)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A network by name, with the shape of what goes in and comes out."""

    name: str
    """`resnet20`, `plain4`, `torchvision:resnet50`, `package.module:function`, ..."""
    in_channels: int
    image_size: int
    """Height and width in pixels."""
    num_classes: int
    code: str = added_later("")
    """SHA-256 over architecture and source of a net that is not ours."""
    pretrained: str = added_later("")
    """SHA-256 over the published weights that it starts from; empty: from random ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """Everything about the data that changes what a stage learns."""

    name: str
    content_hash: str
    """SHA-256 over the images and labels of train and val (test cannot change a stage)."""
    image_size: int
    channels: int
    num_classes: int
    num_train: int
    num_val: int
    shift: int
    """Random shift of a training view, at most this many pixels each way; 0 = none."""
    flip: bool
    """Whether training views are mirrored at random."""
    crop: bool = added_later(False)
    """Whether a training view is a random part of the image, scaled to its size."""
    mean: tuple[float, ...] = added_later(())
    """Of each channel, in units of [0, 1], for normalisation; empty: that of the training images."""
    std: tuple[float, ...] = added_later(())
    """Standard deviations beside `mean`."""

    def identity(self) -> dict[str, object]:
        """Return the spec as JSON types, without the place where images of one's own lie: only their content counts."""
        whole: dict[str, object] = plain(self)
        return whole | {"name": "own"} if ":" in self.name else whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a stage is trained; every field changes the result."""

    epochs: int
    batch_size: int
    learning_rate: float
    """Peak learning rate."""
    schedule: str
    """`cosine`, `step` or `constant`."""
    momentum: float
    """Of SGD; of AdamW its beta1."""
    weight_decay: float
    precision: str
    """`float32` or `bfloat16` (autocast), resolved when the study is created."""
    nesterov: bool = added_later(True)
    """Whether the momentum is Nesterov's."""
    warmup: float = added_later(0.05)
    """Fraction of the steps over which the learning rate rises to its peak."""
    milestones: tuple[float, ...] = added_later((0.5, 0.75))
    """Fractions of the steps after which the schedule `step` divides the learning rate by 10."""
    decayed: str = added_later("kernels")
    """What weight decay acts on: `kernels` (of convolutions and matrices), or `all` parameters."""
    initial_weights: str = added_later("he")
    """Scheme of the weights at the start: `he` or `uniform`, as `models/initialise.py` describes them, or `own`: as the
    code of a net that is not ours sets them."""
    optimizer: str = added_later("sgd")
    """`sgd`, or `adamw` with beta2 0.999 (Loshchilov and Hutter, ICLR 2019)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation:
    """Who teaches a stage, and how strongly."""

    teacher: StageSpec
    temperature: float
    """Softens both softmaxes, > 0."""
    kd_weight: float
    """Weight on the distillation term, in [0, 1]."""
    method: str = "kd"
    kl_reduction: str = "batchmean"
    """One of `KL_REDUCTIONS`; while it is `batchmean` the fingerprint is what it was before there was another."""


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One training run of one student by one teacher or by none."""

    student: ModelSpec
    distillation: Distillation | None
    """None: labels only; a temperature without a teacher cannot exist."""
    recipe: Recipe
    data: DataSpec
    replicate: int
    numerics_version: int
    metric: str = ACCURACY
    """What its result is measured in, on val and on test; while it is `accuracy` the fingerprint is what it was before
    there was another. The weights do not depend on it."""
    given: str | None = None
    """SHA-256 of the weights where they were given: nothing is trained then."""

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the stage: the hash of everything that changes its result."""
        return fingerprint(self.to_plain())

    def to_plain(self) -> dict[str, object]:
        """Return the spec as JSON types; the teacher is replaced by its fingerprint."""
        distillation = None
        if self.distillation is not None:
            distillation = {
                "teacher": self.distillation.teacher.fingerprint,
                "temperature": float(self.distillation.temperature),
                "kd_weight": float(self.distillation.kd_weight),
                "method": self.distillation.method,
            }
            if self.distillation.kl_reduction != "batchmean":
                distillation["kl_reduction"] = self.distillation.kl_reduction
        given = {} if self.given is None else {"given": self.given}
        return {
            **given,
            "student": plain(self.student),
            "distillation": distillation,
            "recipe": plain(self.recipe),
            "data": self.data.identity(),
            "replicate": self.replicate,
            "numerics_version": self.numerics_version,
            **({} if self.metric == ACCURACY else {"metric": self.metric}),
        }

    @property
    def label(self) -> str:
        """Readable name for messages: `plain10 > plain4, temperature 4, KD weight 0.9, replicate 0`."""
        if self.given is not None:
            return f"{self.student.name} as given (weights {self.given[:12]})"
        if self.distillation is None:
            return f"{self.student.name} from labels, replicate {self.replicate}"
        kd = self.distillation
        return (
            f"{kd.teacher.student.name} > {self.student.name}, temperature {spelled(float(kd.temperature))}, "
            f"KD weight {spelled(float(kd.kd_weight))}, replicate {self.replicate}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainSpec:
    """A path of models with the temperature and KD weight of each stage."""

    path: tuple[str, ...]
    """Teacher first, student last."""
    temperatures: tuple[float, ...]
    """One per stage: `len(path) - 1`."""
    kd_weights: tuple[float, ...]
    """One per stage: `len(path) - 1`."""
    ta_from: str = added_later("distilled")
    """`scratch`: the one TA learns from labels alone before it teaches; the pair of its stage has no meaning then."""

    def __post_init__(self) -> None:
        stages = len(self.path) - 1
        if stages < 1 or len(self.temperatures) != stages or len(self.kd_weights) != stages:
            raise ValueError(
                f"a path of {len(self.path)} models has {max(stages, 0)} stages, got {len(self.temperatures)} "
                f"temperatures and {len(self.kd_weights)} KD weights"
            )
        if self.ta_from == "scratch" and stages != 2:
            raise ValueError(f"a TA from scratch is taught by nobody: only one can teach, got {self.path}")

    @classmethod
    def from_plain(cls, stored: Mapping[str, Any]) -> ChainSpec:
        """Read the JSON form of a chain."""
        return cls(
            path=tuple(stored["path"]),
            temperatures=tuple(stored["temperatures"]),
            kd_weights=tuple(stored["kd_weights"]),
            ta_from=stored.get("ta_from", "distilled"),
        )

    @property
    def tas(self) -> tuple[str, ...]:
        """The teacher assistants, largest first."""
        return self.path[1:-1]

    @property
    def is_direct(self) -> bool:
        """Whether the teacher teaches the student without a TA (BLKD)."""
        return len(self.path) == 2

    @property
    def printed_models(self) -> tuple[str, ...]:
        """The models of the chain from the one that nobody in it taught."""
        if self.ta_from == "scratch":
            return (f"{self.path[1]} from labels", self.path[2])
        return self.path

    @property
    def printed_path(self) -> str:
        """`plain10 > plain6 > plain2`; `plain6 from labels > plain2` where the TA was not taught."""
        return " > ".join(self.printed_models)

    @property
    def temperature(self) -> float:
        """Temperature of the last stage, the one that trains the student."""
        return self.temperatures[-1]

    @property
    def kd_weight(self) -> float:
        """KD weight of the last stage, the one that trains the student."""
        return self.kd_weights[-1]

    @property
    def label(self) -> str:
        """`plain10 > plain6 > plain2 (temperature 4, KD weight 0.9)`; one value per stage where they differ.

        Distinct chains have distinct labels.
        """
        return f"{self.printed_path} (temperature {_once(self.temperatures)}, KD weight {_once(self.kd_weights)})"

    @property
    def key(self) -> str:
        """Identity of the chain inside a study."""
        return fingerprint(self)


def _once(values: tuple[float, ...]) -> str:
    shown = values[:1] if len(set(values)) == 1 else values
    return " / ".join(spelled(value) for value in shown)


def spelled(value: float) -> str:
    """Return the shortest text that reads back as the same number: 4, 0.9, 1e-05."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
