from __future__ import annotations

import dataclasses

import pytest

from tasearch.domain.fingerprint import canonical_json, fingerprint, plain
from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import ChainSpec, Distillation, StageSpec, spelled
from tests.factories import make_dataset, make_recipe, make_stage

DATASET = make_dataset()
TEACHER = make_stage(DATASET, "plain4")
STAGE = make_stage(DATASET, teacher=TEACHER)
TAUGHT_BY = Distillation(teacher=TEACHER, temperature=4.0, kd_weight=0.9)


@pytest.mark.parametrize(
    "other",
    [
        make_stage(DATASET, "plain4", teacher=make_stage(DATASET, "plain6")),
        make_stage(DATASET),
        make_stage(DATASET, teacher=TEACHER, temperature=2.0),
        make_stage(DATASET, teacher=TEACHER, kd_weight=1.0),
        make_stage(DATASET, teacher=TEACHER, replicate=1),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(epochs=3)),
        make_stage(DATASET, teacher=make_stage(DATASET, "plain4", replicate=1)),
        make_stage(make_dataset(shift=0), teacher=TEACHER),
        dataclasses.replace(STAGE, numerics_version=2),
        dataclasses.replace(STAGE, metric="balanced-accuracy"),
        dataclasses.replace(STAGE, distillation=dataclasses.replace(TAUGHT_BY, kl_reduction="mean")),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(nesterov=False)),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(warmup=0.0)),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(milestones=(0.75,))),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(decayed="all")),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(initial_weights="uniform")),
    ],
)
def test_whatever_changes_the_result_changes_the_fingerprint(other: StageSpec) -> None:
    assert other.fingerprint != STAGE.fingerprint


def test_equal_specs_have_equal_fingerprints() -> None:
    assert make_stage(make_dataset(), teacher=make_stage(make_dataset(), "plain4")).fingerprint == STAGE.fingerprint


def test_a_stage_of_the_first_recipe_keeps_its_fingerprint_for_ever() -> None:
    """Committed databases hold it; fields that were added later must not change it while they are at their defaults."""
    assert TEACHER.fingerprint == "91b8d26e9a3efdfec3af4d4c02d515d9ce78d791a55b4d31b771de89fc8da752"
    assert STAGE.fingerprint == "130033927a2ac2083684a83d35531aaa2f0577086bd0bc44dfec0804de3d2c36"


def test_a_whole_temperature_and_its_float_are_the_same_stage() -> None:
    assert make_stage(DATASET, teacher=TEACHER, temperature=4).fingerprint == STAGE.fingerprint


def test_a_stage_names_teacher_student_and_pair() -> None:
    assert STAGE.label == "plain4 > plain2, temperature 4, KD weight 0.9, replicate 0"


def test_a_chain_prints_its_path() -> None:
    chain = ChainSpec(path=("plain10", "plain6", "plain2"), temperatures=(4.0, 8.0), kd_weights=(0.9, 0.5))
    assert chain.printed_path == "plain10 > plain6 > plain2"
    assert chain.label == "plain10 > plain6 > plain2 (temperature 4 / 8, KD weight 0.9 / 0.5)"


def test_a_chain_with_one_pair_names_it_once() -> None:
    chain = ChainSpec(path=("plain10", "plain6", "plain2"), temperatures=(4.0, 4.0), kd_weights=(0.9, 0.9))
    assert chain.label == "plain10 > plain6 > plain2 (temperature 4, KD weight 0.9)"


def test_a_chain_needs_a_pair_for_every_stage() -> None:
    with pytest.raises(ValueError, match="has 2 stages, got 1 temperatures"):
        ChainSpec(path=("a", "b", "c"), temperatures=(4.0,), kd_weights=(0.9, 0.9))


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": 1, "a": (2.0, None)}) == canonical_json({"a": [2.0, None], "b": 1})


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no canonical form for object"):
        fingerprint(object())


def test_seeds_differ_by_replicate_purpose_and_epoch() -> None:
    seeds = {seed_for(r, p, e) for r in range(3) for p in ("order", "shift") for e in range(3)}
    assert len(seeds) == 18


def test_a_seed_is_the_same_for_ever() -> None:
    """Changing it would change every stored stage's result under an unchanged fingerprint."""
    assert seed_for(0, "order", 1) == 8346785841640978647


@pytest.mark.parametrize(
    ("value", "text"), [(4.0, "4"), (0.9, "0.9"), (0.0123456789, "0.0123456789"), (1e-05, "1e-05")]
)
def test_numbers_are_spelled_shortly_and_exactly(value: float, text: str) -> None:
    assert spelled(value) == text
    assert float(text) == value


def test_a_chain_through_a_ta_from_scratch_names_no_teacher() -> None:
    chain = ChainSpec(
        path=("plain10", "plain6", "plain2"), temperatures=(4.0, 4.0), kd_weights=(0.9, 0.9), ta_from="scratch"
    )
    assert chain.label == "plain6 from labels > plain2 (temperature 4, KD weight 0.9)"


def test_two_tas_from_scratch_are_no_chain() -> None:
    with pytest.raises(ValueError, match="only one can teach"):
        ChainSpec(path=("a", "b", "c", "d"), temperatures=(4.0,) * 3, kd_weights=(0.9,) * 3, ta_from="scratch")


def test_a_chain_of_distilled_tas_is_written_as_before_there_were_others() -> None:
    chain = ChainSpec(path=("a", "b", "c"), temperatures=(4.0, 4.0), kd_weights=(0.9, 0.9))
    assert set(plain(chain)) == {"path", "temperatures", "kd_weights"}


def test_where_own_images_lie_is_no_part_of_a_stage() -> None:
    here, there = (dataclasses.replace(STAGE.data, name=name) for name in ("folder:here", "folder:there"))
    assert here.identity() == there.identity()
    assert here.identity() != dataclasses.replace(here, content_hash="other").identity()
    assert STAGE.data.identity()["name"] == STAGE.data.name
