"""What a study is: settings checked against models and data, and the identity that may not change."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasearch.chain.stages import StagePlanner, named_model
from tasearch.config.recipes import PRESETS
from tasearch.config.resolve import flag_of
from tasearch.config.settings import Settings
from tasearch.data.dataset import Dataset
from tasearch.data.registry import default_epochs
from tasearch.domain.balance import effective_images
from tasearch.domain.errors import ConfigError
from tasearch.domain.fingerprint import fingerprint
from tasearch.domain.metric import ACCURACY, in_words
from tasearch.domain.result import Capacity
from tasearch.domain.spec import DataSpec, ModelSpec, Recipe
from tasearch.models.capacity import capacity
from tasearch.models.inspection import identified, inspect_net
from tasearch.models.ladder import default_ladder
from tasearch.models.names import PAPER_RUNGS, family_of, is_own, short
from tasearch.models.names import check_names as check_all_names
from tasearch.models.registry import check_model
from tasearch.search.pruning import Pruner, make_pruner
from tasearch.search.sampler import ChainSampler, calibrates_tas, check_sampler, check_ta_pair
from tasearch.search.space import RECOMMENDED_KD_WEIGHT, RECOMMENDED_TEMPERATURE, Pair, SearchSpace
from tasearch.training.loop import NUMERICS_VERSION
from tasearch.worker.given_teacher import stored_id
from tasearch.worker.identity import identity_of

ADAMW_LEARNING_RATE, ADAMW_WEIGHT_DECAY = 1e-3, 0.05
"""Whatever the recipe: its own numbers are for SGD."""
DEFAULT_FINALISTS = 3
DEFAULT_MAX_REPLICATES = 20
_MAY_CHANGE = ("trials", "timeout", "finalists", "replicates", "max_replicates", "max_retries")


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study ready to run; everything in it has been checked."""

    settings: Settings
    study_name: str
    identity: Mapping[str, Any]
    space: SearchSpace
    stages: StagePlanner
    capacities: Mapping[str, Capacity]
    """Of the teacher, the student and every candidate TA."""
    test_hash: str
    model_remarks: tuple[str, ...]
    """What is to be said of models that are not ours."""
    num_independent_val: int
    """Groups of val images, or val images where each is its own group; for balanced accuracy as many as it is worth."""

    def with_budget(self, stored: Mapping[str, Any]) -> StudyPlan:
        """Return the plan with what may change while a study runs as it is stored by now, `stored` being its config."""
        changed = {name: stored["settings"][name] for name in _MAY_CHANGE if name in stored["settings"]}
        return dataclasses.replace(self, settings=self.settings.model_copy(update=changed))

    @property
    def num_finalists(self) -> int:
        """Finalists asked for, or as many of the default as there are paths with TAs."""
        paths = len(self.space.paths()) - 1
        return min(self.settings.finalists or DEFAULT_FINALISTS, paths)

    @property
    def max_replicates(self) -> int:
        """Most replicates asked for; by default those of the first look where they are more."""
        return self.settings.max_replicates or max(DEFAULT_MAX_REPLICATES, self.settings.replicates)

    @property
    def measure(self) -> str:
        """What every accuracy of the study is called: `accuracy` or `balanced accuracy`."""
        return in_words(self.stages.metric)

    @property
    def grid_size(self) -> int:
        """Number of (temperature, KD weight) pairs."""
        return len(self.space.temperatures) * len(self.space.kd_weights)

    @property
    def precision(self) -> str:
        """`auto` until it is resolved."""
        return self.stages.recipe.precision

    def with_precision(self, precision: str) -> StudyPlan:
        """Return the plan with its precision resolved; its identity keeps what was asked for."""
        return dataclasses.replace(self, stages=self.stages.with_precision(precision))

    def pruner(self) -> Pruner:
        """Return the pruner of the study."""
        return make_pruner(self.settings.pruner, self.stages.recipe.epochs)

    def sampler(self) -> ChainSampler:
        """Return the sampler of the study."""
        return ChainSampler(
            self.space,
            strategy=self.settings.sampler,
            seed=self.settings.seed,
            trials=self.settings.trials,
        )


def check_names(settings: Settings) -> None:
    """Raise ModelError for an unknown model, before any data are loaded."""
    check_all_names((settings.teacher, settings.student, *(settings.tas or ())))


def build_plan(settings: Settings, dataset: Dataset) -> StudyPlan:
    """Check models, ladder and budgets against the data and return the plan, its precision as asked for.

    Raises ModelError or ConfigError before anything is trained or created.
    """
    data = dataset.spec
    settings = _with_one_ta(settings)
    ladder = _ladder(settings, data)
    is_scratch = settings.ta_from == "scratch"
    if (not ladder or is_scratch) and "sampler" not in settings.model_fields_set:
        # The default one searches among TAs and how they are taught.
        settings = settings.model_copy(update={"sampler": "tpe"})
    scope = "scratch" if is_scratch else settings.scope
    names = (settings.teacher, *ladder, settings.student)
    stages = _planner(settings, data, names)
    space = SearchSpace(
        teacher=settings.teacher,
        student=settings.student,
        ladder=ladder,
        max_tas=settings.max_tas,
        temperatures=_distinct(settings.temperatures),
        kd_weights=_distinct(settings.kd_weights),
        scope=scope,
        is_calibrated=calibrates_tas(settings.sampler, scope),
        ta_pair=_ta_pair(settings),
    )
    if "batch_size" in settings.model_fields_set and settings.batch_size > data.num_train:
        raise ConfigError(
            f"--batch-size {settings.batch_size}: there are {data.num_train} training images",
            hint=f"use --batch-size {data.num_train} or less",
        )
    check_sampler(settings.sampler, space)
    paths = len(space.paths()) - 1
    if settings.finalists is not None and settings.finalists > paths:
        raise ConfigError(
            f"--finalists {settings.finalists}: the search space has {paths} paths with TAs",
            hint=f"ask for at most {paths} finalists, or widen --tas or --max-tas"
            if paths
            else "leave --finalists out: only direct distillation can be tuned",
        )
    identity = identity_of(space, stages, settings, dataset.test_hash)
    default_name = f"{short(settings.teacher)}-{short(settings.student)}-{data.name}-{fingerprint(identity)[:8]}"
    return StudyPlan(
        settings=settings,
        study_name=settings.study_name or default_name,
        identity=identity,
        space=space,
        stages=stages,
        capacities={name: capacity(stages.model(name)) for name in names},
        test_hash=dataset.test_hash,
        model_remarks=_model_remarks(stages, (*ladder, settings.student)),
        num_independent_val=_independent_val(dataset, settings.metric),
    )


def _independent_val(dataset: Dataset, metric: str) -> int:
    """Return how many independent val images a val accuracy rests on; in the mean over classes rare ones weigh most."""
    independent = dataset.val.num_independent
    if metric == ACCURACY:
        return independent
    return max(1, effective_images(dataset.class_counts.val) * independent // len(dataset.val))


def _ta_pair(settings: Settings) -> Pair:
    """Return what TAs are taught with at scope `last` where nothing calibrates it. Raises ConfigError."""
    temperature, kd_weight = settings.ta_temperature, settings.ta_kd_weight
    given = {"ta_temperature": temperature, "ta_kd_weight": kd_weight}
    check_ta_pair(
        settings.sampler, settings.scope, [flag_of(name) for name, value in given.items() if value is not None]
    )
    if settings.ta_from == "scratch" and (temperature is not None or kd_weight is not None):
        raise ConfigError(
            "--ta-temperature and --ta-kd-weight with --ta-from scratch: nobody teaches such a TA",
            hint="leave them out, or use --ta-from distilled",
        )
    return (
        RECOMMENDED_TEMPERATURE if temperature is None else temperature,
        RECOMMENDED_KD_WEIGHT if kd_weight is None else kd_weight,
    )


def _with_one_ta(settings: Settings) -> Settings:
    """Return settings that fit TAs from scratch, where they are asked for. Raises ConfigError where they cannot."""
    if settings.ta_from == "distilled":
        return settings
    if "max_tas" in settings.model_fields_set and settings.max_tas > 1:
        raise ConfigError(
            f"--max-tas {settings.max_tas} with --ta-from scratch: a TA that learns from labels is taught by nobody, "
            "so a chain has one",
            hint="use --max-tas 1, or --ta-from distilled",
        )
    if settings.scope != "last":
        raise ConfigError(
            f"--scope {settings.scope} with --ta-from scratch: only the last stage has a temperature and a KD weight",
            hint="leave --scope out",
        )
    return settings.model_copy(update={"max_tas": min(settings.max_tas, 1)})


def _planner(settings: Settings, data: DataSpec, names: Sequence[str]) -> StagePlanner:
    recipes = {name: recipe_of(settings, name) for name in names}
    recipe = recipes[settings.student]
    return StagePlanner(
        teacher=settings.teacher,
        data=data,
        recipe=recipe,
        numerics_version=NUMERICS_VERSION,
        other_recipes={name: other for name, other in recipes.items() if other != recipe},
        kl_reduction=settings.kl_reduction or PRESETS[settings.recipe].kl_reduction,
        metric=settings.metric,
        models=_other_models(settings, data, names),
        teacher_weights=settings.teacher_checkpoint and stored_id(settings.teacher_checkpoint),
    )


def _other_models(settings: Settings, data: DataSpec, names: Sequence[str]) -> dict[str, ModelSpec]:
    """Return the models that are more than their name. Raises ModelError where one has no published weights."""

    def role(name: str) -> str:
        return {settings.teacher: "teacher", settings.student: "student"}.get(name, "tas")

    pretrained = {name for name in names if role(name) in (settings.pretrained or ())}
    if "tas" in (settings.pretrained or ()) and not any(role(name) == "tas" for name in names):
        raise ConfigError("--pretrained tas: there are no TAs", hint="name them with --tas, or leave tas out")
    return {
        name: identified(named_model(name, data), pretrained=name in pretrained)
        for name in names
        if name in pretrained or not is_own(name)
    }


def _model_remarks(stages: StagePlanner, names: Sequence[str]) -> tuple[str, ...]:
    """Return a line for each TA and student whose replicates do not differ in their initial weights."""
    return tuple(
        f"{name}: every replicate starts from the same weights, because its code sets the seed or loads weights; "
        "intervals leave out what other initial weights would change"
        for name in names
        if not is_own(name) and inspect_net(stages.model(name)).starts_alike
    )


def recipe_of(settings: Settings, name: str) -> Recipe:
    """Return what a model is trained with: what a flag says, else what the recipe has for its family."""
    preset = PRESETS[settings.recipe]
    family = preset.of_family(family_of(name))
    is_adamw = settings.optimizer == "adamw"
    rate, decay = (ADAMW_LEARNING_RATE, ADAMW_WEIGHT_DECAY) if is_adamw else (family.learning_rate, family.weight_decay)
    schedule = settings.schedule or family.schedule
    changes: dict[str, Any] = {} if schedule != "step" else {"milestones": family.milestones}
    return Recipe(
        epochs=settings.epochs or preset.epochs or default_epochs(settings.dataset),
        batch_size=settings.batch_size,
        learning_rate=rate if settings.learning_rate is None else settings.learning_rate,
        schedule=schedule,
        momentum=preset.momentum if settings.momentum is None else settings.momentum,
        weight_decay=decay if settings.weight_decay is None else settings.weight_decay,
        precision=settings.precision,
        # AdamW has none: what it does not use must not tell stages apart.
        nesterov=preset.nesterov or is_adamw,
        warmup=preset.warmup,
        decayed=preset.decayed,
        initial_weights=family.initial_weights if is_own(name) else "own",
        optimizer=settings.optimizer,
        **changes,
    )


def augment_of(settings: Settings) -> str | None:
    """Return the augmentation that a flag or the recipe asks for; None: the data's default."""
    return settings.augment or PRESETS[settings.recipe].augment


def _ladder(settings: Settings, data: DataSpec) -> tuple[str, ...]:
    """Return the candidate TAs, largest first, each strictly between student and teacher."""

    def checked(name: str) -> ModelSpec:
        model = named_model(name, data)
        check_model(model)
        return model

    teacher, student = checked(settings.teacher), checked(settings.student)
    above, below = capacity(teacher).num_params, capacity(student).num_params
    if above <= below:
        raise ConfigError(
            f"teacher {teacher.name} ({above:,} parameters) is not larger than student {student.name} ({below:,})",
            hint="swap them, or choose a larger --teacher",
        )
    if settings.max_tas == 0:
        return ()
    if settings.tas is None:
        return tuple(default_ladder(teacher, student))
    sizes: dict[str, int] = {}
    for name in settings.tas:
        sizes[name] = capacity(checked(name)).num_params
        if not below < sizes[name] < above:
            raise ConfigError(
                f"--tas: {name} has {sizes[name]:,} parameters, which is outside the ladder",
                hint=f"a TA lies strictly between {student.name} ({below:,}) and {teacher.name} ({above:,})",
            )
    ladder = tuple(sorted(sizes, key=lambda name: -sizes[name]))
    for larger, smaller in itertools.pairwise(ladder) if settings.max_tas != 1 else ():
        if sizes[larger] == sizes[smaller]:
            raise ConfigError(
                f"--tas: {larger} and {smaller} have {sizes[larger]:,} parameters each: neither can teach the other",
                hint="leave one of them out, or say --max-tas 1",
            )
    return ladder


def no_ladder(plan: StudyPlan) -> str:
    """Return why a study has no candidate TAs."""
    space = plan.space
    if plan.settings.max_tas == 0:
        return "--max-tas 0"
    families = {family_of(space.teacher), family_of(space.student)}
    if len(families) == 1 and families <= set(PAPER_RUNGS):
        return f"no model lies between {space.student} and {space.teacher}"
    return f"{space.teacher} and {space.student} have no family from which they follow; name some with --tas"


def _distinct(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
