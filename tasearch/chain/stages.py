"""From a chain to its stages: pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasearch.domain.metric import ACCURACY
from tasearch.domain.spec import ChainSpec, DataSpec, Distillation, ModelSpec, Recipe, StageSpec

SEARCH_REPLICATE = 0
"""The search and the teacher live on this replicate; finals use 1, 2, ..."""


@dataclass(frozen=True, kw_only=True)
class StagePlanner:
    """Turns chains into stages for one study: same data, loss and numerics throughout."""

    teacher: str
    data: DataSpec
    recipe: Recipe
    """Of the student, and of every model that `other_recipes` does not name."""
    numerics_version: int
    other_recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """By model, where a recipe has other values for another family of nets."""
    kl_reduction: str = "batchmean"
    metric: str = ACCURACY
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    """By name, those that are more than a name: nets that are not ours."""
    teacher_weights: str | None = None
    """SHA-256 of the teacher's weights where they were given."""

    def recipe_of(self, name: str) -> Recipe:
        """Return what a model is trained with."""
        return self.other_recipes.get(name, self.recipe)

    @property
    def is_teacher_given(self) -> bool:
        """Whether the teacher's weights were given."""
        return self.teacher_weights is not None

    def with_precision(self, precision: str) -> StagePlanner:
        """Return the planner with every recipe at this precision."""
        others = {name: dataclasses.replace(recipe, precision=precision) for name, recipe in self.other_recipes.items()}
        recipe = dataclasses.replace(self.recipe, precision=precision)
        return dataclasses.replace(self, recipe=recipe, other_recipes=others)

    def model(self, name: str) -> ModelSpec:
        """Return the model with the shapes of the data."""
        return self.models.get(name) or named_model(name, self.data)

    def from_labels(self, name: str, replicate: int = SEARCH_REPLICATE) -> StageSpec:
        """Return the stage that trains a model without a teacher; the teacher's own where its weights were given."""
        if self.teacher_weights is not None and name == self.teacher:
            given = self._stage(name, None, SEARCH_REPLICATE)
            return dataclasses.replace(given, given=self.teacher_weights)
        return self._stage(name, None, replicate)

    @property
    def teacher_stage(self) -> StageSpec:
        """The given teacher: its weights given, or trained once, on the search replicate (invariant 9)."""
        return self.from_labels(self.teacher)

    def chain(self, chain: ChainSpec, replicate: int = SEARCH_REPLICATE) -> tuple[StageSpec, ...]:
        """Return the stages of a chain, teacher's student first; every one but the teacher is on `replicate`.

        A TA from scratch is the first stage, and the teacher has no part in the chain.
        """
        stages: list[StageSpec] = []
        above, taught = self.teacher_stage, slice(0, None)
        if chain.ta_from == "scratch":
            above, taught = self.from_labels(chain.tas[0], replicate), slice(1, None)
            stages.append(above)
        steps = zip(chain.path[1:], chain.temperatures, chain.kd_weights, strict=True)
        for name, temperature, kd_weight in list(steps)[taught]:
            distillation = Distillation(
                teacher=above, temperature=temperature, kd_weight=kd_weight, kl_reduction=self.kl_reduction
            )
            above = self._stage(name, distillation, replicate)
            stages.append(above)
        return tuple(stages)

    def _stage(self, name: str, distillation: Distillation | None, replicate: int) -> StageSpec:
        return StageSpec(
            student=self.model(name),
            distillation=distillation,
            recipe=self.recipe_of(name),
            data=self.data,
            replicate=replicate,
            numerics_version=self.numerics_version,
            metric=self.metric,
        )


def named_model(name: str, data: DataSpec) -> ModelSpec:
    """Return a model with the shapes of the data."""
    return ModelSpec(name=name, in_channels=data.channels, image_size=data.image_size, num_classes=data.num_classes)
