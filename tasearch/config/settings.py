"""Every setting of a study, once: the flags, environment variables and study-file keys are its field names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationInfo, field_validator

from tasearch.config.normalisation import parse_normalisation


def _comma_separated(value: Any) -> Any:
    """Accept `2,4,8` or a single number where a list is wanted; flags and environment variables are text."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


MAX_TEMPERATURE = 1000.0
"""Beyond it float32 has too few digits for the softened distributions: at 1e6 gradients are wrong."""
Temperature = Annotated[FiniteFloat, Field(gt=0, le=MAX_TEMPERATURE)]
KdWeight = Annotated[FiniteFloat, Field(ge=0, le=1)]
Temperatures = Annotated[tuple[Temperature, ...], BeforeValidator(_comma_separated), Field(min_length=1)]
KdWeights = Annotated[tuple[KdWeight, ...], BeforeValidator(_comma_separated), Field(min_length=1)]
GpuIndex = Annotated[int, Field(ge=0)]
GpuIndices = Annotated[tuple[GpuIndex, ...], BeforeValidator(_comma_separated), Field(min_length=1)]
Roles = Annotated[
    tuple[Literal["teacher", "tas", "student"], ...], BeforeValidator(_comma_separated), Field(min_length=1)
]
Names = Annotated[tuple[str, ...], BeforeValidator(_comma_separated), Field(min_length=1)]

FREE = frozenset(
    {
        "trials",
        "finalists",
        "replicates",
        "max_replicates",
        "device",
        "latency_device",
        "threads",
        "workers",
        "checkpoint_seconds",
        "max_retries",
    }
    | {"cache_gb", "memory_gb", "timeout"}
    | {"gpus", "workers_per_gpu", "launcher", "gpus_per_worker", "pack"}
    | {"study_name", "home", "storage", "artifacts", "data_dir"}
)
"""Settings that may differ from one call of the same study to the next; all others are its identity."""


class Settings(BaseModel):
    """What `tasearch optimize` can be told. None: a default that depends on the data or the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _has_value(cls, value: Any) -> Any:
        """Refuse what pydantic would take for 1, 0 or the current folder."""
        if isinstance(value, bool) or value == "":
            raise ValueError("no setting is true, false or empty")
        return value

    @field_validator("normalize")
    @classmethod
    def _is_per_channel(cls, value: str | None) -> str | None:
        if value is not None:
            parse_normalisation(value)
        return value

    @field_validator("max_replicates")
    @classmethod
    def _is_not_below_replicates(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("replicates")
        if value is not None and least is not None and value < least:
            raise ValueError(f"less than --replicates {least}")
        return value

    @field_validator("gpus")
    @classmethod
    def _names_each_once(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a GPU is named twice; --workers-per-gpu puts several workers on one")
        return value

    @field_validator("launcher")
    @classmethod
    def _places_workers(cls, value: str, info: ValidationInfo) -> str:
        if value == "ray" and info.data.get("workers") == "auto":
            raise ValueError("a cluster grows and shrinks: say --workers N")
        if value == "ray" and (info.data.get("gpus") or info.data.get("workers_per_gpu")):
            raise ValueError("Ray chooses the GPUs: --gpus-per-worker takes the place of --gpus and --workers-per-gpu")
        return value

    @field_validator("gpus_per_worker")
    @classmethod
    def _is_for_ray(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("launcher") == "local":
            raise ValueError("only --launcher ray gives out GPUs; on this machine use --gpus and --workers-per-gpu")
        return value

    teacher: str = Field(
        description="Large model that is to be imitated: resnet110, plain10, torchvision:resnet50, timm:NAME, or "
        "package.module:function, which is called with num_classes and returns a net."
    )
    student: str = Field(description="Small model that is wanted, named like the teacher, e.g. resnet8 or plain2.")
    teacher_checkpoint: str | None = Field(
        None,
        min_length=1,
        description="File with the weights of a teacher that is trained already: state dict, safetensors, or a "
        "checkpoint with an entry model or state_dict. [none: it is trained]",
    )
    pretrained: Roles | None = Field(
        None,
        description="Nets of torchvision or timm that start from published weights: any of teacher,tas,student. [none]",
    )
    dataset: str = Field(
        "cluttered-digits", description="cluttered-digits, cifar10, cifar100, folder:PATH or a callable MODULE:NAME."
    )
    data_dir: Path | None = Field(None, description="Where datasets are kept or downloaded to. [HOME/data]")
    image_size: int | None = Field(None, ge=1, description="Height and width in pixels. [by dataset]")
    limit_train: int | None = Field(None, ge=1, description="Train on a stratified subset of N images.")
    augment: Literal["none", "shift", "shift+flip", "crop-flip"] | None = Field(
        None,
        description="Random views in training: none, shift, shift+flip, or crop-flip (random parts, scaled; for larger "
        "images). [by recipe and dataset]",
    )

    normalize: str | None = Field(
        None,
        description="Mean and standard deviation of each channel, in [0, 1], e.g. 0.49,0.48,0.45/0.25,0.24,0.26 or "
        "imagenet. [of the training images]",
    )

    metric: Literal["accuracy", "balanced-accuracy"] = Field(
        "accuracy",
        description="What everything is judged by and reported in: accuracy, or balanced-accuracy (its mean over the "
        "classes, for imbalanced data).",
    )

    tas: Names | None = Field(
        None, description="Candidate TAs, comma separated. [resnetN, plainN: same family, at most 6]"
    )
    max_tas: int = Field(3, ge=0, description="Most TAs in one chain.")
    ta_from: Literal["distilled", "scratch"] = Field(
        "distilled",
        description="Whether TAs are distilled from what is above them, or learn from labels alone (scratch) before "
        "they teach; then a chain has one TA.",
    )
    temperatures: Temperatures = Field(
        (2.0, 4.0, 8.0, 16.0), description="Temperatures to search, each > 0 and at most 1000."
    )
    kd_weights: KdWeights = Field((0.5, 0.9, 1.0), description="KD weights to search, each in [0, 1].")
    scope: Literal["last", "chain", "stage"] = Field(
        "last",
        description="What is searched: the last stage's pair (TAs at temperature 4, KD weight 0.9, or calibrated by "
        "staged), one pair for the whole chain, or a pair per stage.",
    )
    ta_temperature: Temperature | None = Field(
        None, description="Temperature that every TA is taught at, with --scope last. [4, or calibrated by staged]"
    )
    ta_kd_weight: KdWeight | None = Field(
        None, description="KD weight that every TA is taught with, with --scope last. [0.9, or calibrated by staged]"
    )
    sampler: Literal["tpe", "random", "exhaustive", "dp", "staged"] = Field(
        "staged",
        description="Who proposes chains: staged (TAs' pair, then structure, then one stage at a time; tpe where there "
        "are no TAs), tpe, random, exhaustive (all) or dp (longer chains on the best model per rung).",
    )
    seed: int = Field(0, ge=0, description="Seed of the sampler.")
    pruner: Literal["none", "median", "halving", "hyperband"] = Field(
        "none", description="Who stops a student early: none, median, halving or hyperband; never direct distillation."
    )
    trials: int = Field(40, ge=1, description="Chains to train in the whole study, direct distillation included.")
    max_retries: int = Field(
        2, ge=0, description="How often a trial is tried again after an error that may pass (memory, disk, network)."
    )
    timeout: FiniteFloat | None = Field(
        None, gt=0, description="Most seconds of search in the whole study; baselines and finals come on top. [none]"
    )
    finalists: int | None = Field(None, ge=1, description="Best paths that are re-run on fresh replicates. [3]")
    replicates: int = Field(5, ge=1, description="Fresh replicates of each finalist, BLKD and NOKD, at first.")
    max_replicates: int | None = Field(
        None, ge=1, description="Most replicates, for finalists not yet separated. [20, or --replicates if more]"
    )

    recipe: Literal["default", "paper", "paper-code"] = Field(
        "default",
        description="How stages are trained: default (ours), paper (as the TAKD paper says) or paper-code (as its "
        "released code does); the flags below win over it.",
    )
    epochs: int | None = Field(None, ge=1, description="Epochs of each stage. [by recipe and dataset]")
    batch_size: int = Field(128, ge=2, description="Images per step.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd or adamw.")
    learning_rate: FiniteFloat | None = Field(
        None, gt=0, description="Peak learning rate. [by recipe: 0.05; 0.001 with adamw]"
    )
    schedule: Literal["cosine", "step", "constant"] | None = Field(
        None, description="Learning rate over the steps: cosine, step or constant. [by recipe: cosine after a warm-up]"
    )
    momentum: FiniteFloat | None = Field(
        None, ge=0, lt=1, description="Momentum of SGD, beta1 of AdamW. [by recipe: 0.9]"
    )
    weight_decay: FiniteFloat | None = Field(
        None, ge=0, description="Weight decay, on kernels and matrices. [by recipe: 0.0005; 0.05 with adamw]"
    )
    kl_reduction: Literal["batchmean", "mean"] | None = Field(
        None,
        description="The KL term averaged over the batch (batchmean) or over batch and classes (mean, as in the "
        "paper's released code). [by recipe: batchmean]",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="float32, bfloat16 (autocast), or auto: the faster one, measured when a study is created."
    )

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        1,
        description="Worker processes; auto, and beside --gpus: one per core on a CPU, --workers-per-gpu on each GPU.",
    )
    gpus: GpuIndices | None = Field(
        None, description="GPUs to use, e.g. 0,1, counted among the visible ones; each worker sees one. [all visible]"
    )
    workers_per_gpu: int | None = Field(None, ge=1, description="Worker processes on each GPU. [1]")
    launcher: Literal["local", "ray"] = Field(
        "local", description="Where the workers are: local (this machine) or ray (actors on a running Ray cluster)."
    )
    gpus_per_worker: FiniteFloat | None = Field(
        None, gt=0, le=1, description="The GPU, or the part of one, that Ray gives each worker, e.g. 0.125. [none]"
    )
    latency_device: Literal["cpu", "cuda"] | None = Field(
        None, description="Where the models' latency is measured: cpu or cuda. [where the study is trained]"
    )
    pack: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Stages that each worker trains side by side, each with the result it has alone; auto: 1 on a CPU, "
        "on a GPU as many as its memory holds, at most 8.",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of each worker. [all cores, shared evenly]")
    checkpoint_seconds: FiniteFloat = Field(60.0, gt=0, description="How often a stage under way is saved.")
    cache_gb: FiniteFloat = Field(10.0, ge=0, description="Most disk that stored teacher logits may take.")
    memory_gb: FiniteFloat | None = Field(
        None,
        ge=0,
        description="Most memory that images may take; above it, a folder's stay in files. [half of what is free]",
    )

    study_name: str | None = Field(
        None, min_length=1, max_length=200, description="Name of the study. [made from its configuration]"
    )
    home: Path = Field(Path("tasearch-data"), description="Folder of everything that is written.")
    storage: str | None = Field(None, repr=False, description="Database URL. [sqlite:///HOME/studies.db]")
    artifacts: str | None = Field(
        None, repr=False, description="Folder or URL of the trained weights. [HOME/artifacts]"
    )
