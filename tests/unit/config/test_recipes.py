from __future__ import annotations

from typing import get_args

from tasearch.config.recipes import PRESETS
from tasearch.config.settings import Settings
from tasearch.domain.spec import KL_REDUCTIONS


def test_every_recipe_can_be_asked_for() -> None:
    assert list(get_args(Settings.model_fields["recipe"].annotation)) == list(PRESETS)


def test_every_recipe_has_a_known_kl_reduction() -> None:
    assert {preset.kl_reduction for preset in PRESETS.values()} <= set(KL_REDUCTIONS)


def test_a_family_that_no_recipe_names_is_trained_as_the_resnets() -> None:
    preset = PRESETS["paper"]
    assert preset.of_family("bottleneck") == preset.of_family("resnet")
