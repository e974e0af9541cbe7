from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tasearch.config.settings import FREE, Settings
from tasearch.data.dataset import ClassCounts
from tasearch.domain.errors import ConfigError, ModelError
from tasearch.worker.command import command_of
from tasearch.worker.cost import study_cost
from tasearch.worker.finals import expected_finals
from tasearch.worker.identity import NetParts, identity_difference, refuse_changed_identity
from tasearch.worker.study_plan import build_plan, no_ladder
from tests.factories import make_dataset

DATASET = make_dataset()

NOTHING_RECORDED = NetParts(of_study={}, here=lambda name: {})


def settings_of(**changes: Any) -> Settings:
    return Settings(**{"teacher": "plain6", "student": "plain2", "dataset": "cifar10", **changes})


def test_the_ladder_lies_between_student_and_teacher_largest_first() -> None:
    assert build_plan(settings_of(), DATASET).space.ladder == ("plain4",)


def test_candidates_may_be_named_and_are_sorted_by_capacity() -> None:
    plan = build_plan(settings_of(teacher="resnet20", student="plain2", tas="plain4,resnet14"), DATASET)
    assert plan.space.ladder == ("resnet14", "plain4")


def test_a_teacher_that_is_not_larger_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"teacher plain2 .* is not larger than student plain6"):
        build_plan(settings_of(teacher="plain2", student="plain6"), DATASET)


@pytest.mark.parametrize("ta", ["plain2", "plain6", "resnet110"])
def test_a_ta_outside_the_ladder_is_refused(ta: str) -> None:
    with pytest.raises(ConfigError, match=rf"--tas: {ta} has .* parameters, which is outside the ladder"):
        build_plan(settings_of(tas=ta), DATASET)


def test_a_net_that_cannot_take_the_images_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="plain10"):
        build_plan(settings_of(teacher="plain10"), DATASET)


def test_more_finalists_than_paths_are_refused() -> None:
    with pytest.raises(ConfigError, match="--finalists 2: the search space has 1 paths with TAs"):
        build_plan(settings_of(finalists=2), DATASET)


def test_an_empty_ladder_tunes_direct_distillation_only() -> None:
    plan = build_plan(settings_of(teacher="plain4"), DATASET)
    assert (plan.space.ladder, plan.num_finalists) == ((), 0)


def test_the_finals_are_finalists_and_two_baselines_on_every_replicate() -> None:
    assert expected_finals(build_plan(settings_of(replicates=4), DATASET)) == 12


@pytest.mark.parametrize(
    ("changes", "most"),
    [({}, 20), ({"replicates": 30}, 30), ({"replicates": 5, "max_replicates": 5}, 5)],
    ids=str,
)
def test_at_most_20_replicates_are_run_unless_more_are_asked_for(changes: dict[str, Any], most: int) -> None:
    assert build_plan(settings_of(**changes), DATASET).max_replicates == most


def test_a_pair_for_all_tas_can_be_given() -> None:
    plan = build_plan(settings_of(sampler="tpe", ta_temperature=16, ta_kd_weight=0.5), DATASET)
    assert plan.space.build(["plain4"], 8.0, 1.0).temperatures == (16.0, 8.0)
    assert plan.space.build(["plain4"], 8.0, 1.0).kd_weights == (0.5, 1.0)
    assert build_plan(settings_of(sampler="tpe"), DATASET).space.ta_pair == (4.0, 0.9)


def test_a_pair_for_all_tas_is_part_of_the_identity_only_where_it_is_given() -> None:
    assert "ta_pair" not in build_plan(settings_of(), DATASET).identity
    assert build_plan(settings_of(sampler="tpe", ta_kd_weight=1), DATASET).identity["ta_pair"] == [4.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scope": "stage", "sampler": "tpe"}, "--ta-temperature: with --scope stage the TAs' pair is searched"),
        ({"sampler": "staged"}, "--ta-temperature: --sampler staged finds the TAs' pair by itself"),
    ],
    ids=["scope", "sampler"],
)
def test_a_pair_that_tas_would_not_get_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        build_plan(settings_of(ta_temperature=8, **changes), DATASET)


CHANGES: dict[str, Any] = {
    "teacher": "plain8",
    "student": "plain4",
    "tas": "plain4",
    "max_tas": 0,
    "temperatures": "3",
    "kd_weights": "0.1",
    "scope": "chain",
    "sampler": "random",
    "seed": 1,
    "epochs": 3,
    "batch_size": 64,
    "learning_rate": 0.2,
    "schedule": "step",
    "momentum": 0.5,
    "weight_decay": 0.1,
    "precision": "bfloat16",
    "recipe": "paper",
    "kl_reduction": "mean",
    "ta_from": "scratch",
    "metric": "balanced-accuracy",
}


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in ("teacher", "student", "tas")])
def test_a_setting_of_the_identity_changes_the_default_name(name: str) -> None:
    plain, changed = build_plan(settings_of(), DATASET), build_plan(settings_of(**{name: CHANGES[name]}), DATASET)
    assert plain.study_name != changed.study_name


@pytest.mark.parametrize(
    "changes",
    [{"trials": 7}, {"replicates": 2}, {"max_replicates": 9}, {"threads": 1}, {"latency_device": "cpu"}],
    ids=str,
)
def test_a_free_setting_leaves_the_identity_alone(changes: dict[str, Any]) -> None:
    assert set(changes) <= FREE
    assert build_plan(settings_of(**changes), DATASET).identity == build_plan(settings_of(), DATASET).identity


OF_ONE_SIZE = ("tests.nets:medium", "tests.nets:medium_too")


def test_two_tas_of_one_size_cannot_be_in_one_chain() -> None:
    with pytest.raises(ConfigError, match=r"medium_too have [0-9,]+ parameters each: neither can teach the other"):
        build_plan(settings_of(student="tests.nets:small", tas=OF_ONE_SIZE), DATASET)


def test_two_tas_of_one_size_may_take_each_other_s_place() -> None:
    plan = build_plan(settings_of(student="tests.nets:small", tas=OF_ONE_SIZE, max_tas=1), DATASET)
    assert plan.space.ladder == OF_ONE_SIZE


def test_a_difference_names_the_setting_and_both_values() -> None:
    before, now = build_plan(settings_of(), DATASET), build_plan(settings_of(epochs=3), DATASET)
    assert identity_difference(before.identity, now.identity) == ["recipe.epochs 160, now 3"]


def test_an_existing_study_with_another_configuration_is_refused() -> None:
    before, now = build_plan(settings_of(), DATASET), build_plan(settings_of(seed=3), DATASET)
    with pytest.raises(ConfigError, match="study 'mine' exists with another configuration: seed 0, now 3"):
        refuse_changed_identity("mine", before.identity, now.identity, NOTHING_RECORDED)


def test_an_existing_study_with_another_test_set_is_refused() -> None:
    before = build_plan(settings_of(), DATASET)
    now = build_plan(settings_of(), dataclasses.replace(DATASET, test_hash="another"))
    with pytest.raises(ConfigError, match=r"another configuration: data\.test_hash \w+.*, now another"):
        refuse_changed_identity("mine", before.identity, now.identity, NOTHING_RECORDED)


def test_a_study_from_before_the_test_set_belonged_to_its_identity_goes_on() -> None:
    identity = build_plan(settings_of(), DATASET).identity
    data = {name: value for name, value in identity["data"].items() if name != "test_hash"}
    refuse_changed_identity("mine", {**identity, "data": data}, identity, NOTHING_RECORDED)


def test_the_same_configuration_is_accepted() -> None:
    first, again = build_plan(settings_of(), DATASET), build_plan(settings_of(), DATASET)
    refuse_changed_identity("mine", first.identity, again.identity, NOTHING_RECORDED)


def test_the_command_holds_what_is_not_default() -> None:
    settings = settings_of(trials=3, temperatures="2,4", home="/elsewhere")
    assert command_of(settings, "generated", "bfloat16") == (
        "tasearch optimize --teacher plain6 --student plain2 --dataset cifar10 --temperatures 2,4 --trials 3 "
        "--precision bfloat16"
    )


def test_the_command_names_gpus_as_they_were_asked_for() -> None:
    settings = settings_of(gpus="1,0", device="cuda:1")
    assert command_of(settings, "generated", "float32").endswith(" --gpus 1,0")
    assert "--device" not in command_of(settings, "generated", "float32")


def test_the_command_keeps_a_name_that_was_given() -> None:
    assert command_of(settings_of(study_name="my study"), "my study", "float32").endswith("--study-name 'my study'")


def test_a_recipe_has_values_of_its_own_for_each_family() -> None:
    plan = build_plan(settings_of(teacher="resnet20", tas="plain4", recipe="paper"), DATASET)
    teacher, ta = plan.stages.from_labels("resnet20").recipe, plan.stages.from_labels("plain4").recipe
    assert (teacher.learning_rate, teacher.schedule, teacher.weight_decay) == (0.1, "step", 1e-4)
    assert (ta.learning_rate, ta.schedule, ta.weight_decay) == (0.1, "constant", 0.0)
    assert (teacher.epochs, ta.epochs) == (150, 150)


def test_a_flag_wins_over_the_recipe() -> None:
    recipe = build_plan(settings_of(recipe="paper-code", learning_rate=0.3, epochs=7), DATASET).stages.recipe
    assert (recipe.learning_rate, recipe.epochs, recipe.nesterov) == (0.3, 7, False)
    assert recipe.initial_weights == "uniform"


def test_the_released_code_scales_the_kl_term_in_every_taught_stage() -> None:
    plan = build_plan(settings_of(recipe="paper-code"), DATASET)
    chain = plan.space.build(["plain4"], 4.0, 0.9)
    reductions = {spec.distillation.kl_reduction for spec in plan.stages.chain(chain) if spec.distillation}
    assert reductions == {"mean"}


def test_the_default_recipe_said_in_full_is_the_same_study() -> None:
    said = settings_of(recipe="default", learning_rate=0.05, schedule="cosine", momentum=0.9, weight_decay=5e-4)
    assert build_plan(said, DATASET).identity == build_plan(settings_of(), DATASET).identity


def test_the_identity_of_the_default_recipe_names_nothing_that_came_later() -> None:
    assert set(build_plan(settings_of(), DATASET).identity["recipe"]) == {
        *("epochs", "batch_size", "learning_rate", "schedule", "momentum", "weight_decay", "precision")
    }


def test_resolving_the_precision_reaches_every_recipe() -> None:
    plan = build_plan(settings_of(teacher="resnet20", tas="plain4", recipe="paper"), DATASET).with_precision("bfloat16")
    found = {plan.stages.from_labels(name).recipe.precision for name in ("resnet20", "plain4", "plain2")}
    assert found == {"bfloat16"}


def test_tas_from_scratch_are_one_a_chain_and_have_no_pair_of_their_own() -> None:
    plan = build_plan(settings_of(ta_from="scratch"), DATASET)
    assert (plan.space.most_tas, plan.settings.max_tas, plan.settings.sampler) == (1, 1, "tpe")
    assert plan.space.num_chains == 2 * plan.grid_size


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tas": 2}, "--max-tas 2 with --ta-from scratch"),
        ({"scope": "stage"}, "--scope stage with --ta-from scratch"),
        ({"sampler": "dp"}, "--sampler dp builds on how TAs are taught"),
        ({"sampler": "staged"}, "--sampler staged builds on how TAs are taught"),
    ],
    ids=str,
)
def test_what_needs_taught_tas_is_refused_for_those_from_scratch(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_plan(settings_of(ta_from="scratch", **changes), DATASET)


def test_a_ta_from_scratch_costs_no_forward_pass_of_the_teacher() -> None:
    scratch, distilled = (
        study_cost(build_plan(settings_of(ta_from=way, max_tas=1), DATASET)) for way in ("scratch", "distilled")
    )
    images, epochs = DATASET.spec.num_train, 160
    saved = images * epochs * scratch.capacities["plain6"].macs
    assert distilled.trial - scratch.trial == pytest.approx(saved / 2)  # One of the two paths has a TA.


def test_accuracy_as_the_metric_leaves_identities_as_they_were() -> None:
    assert "metric" not in build_plan(settings_of(), DATASET).identity


def test_every_stage_is_measured_in_the_metric_of_the_study() -> None:
    plan = build_plan(settings_of(metric="balanced-accuracy"), DATASET)
    specs = [plan.stages.teacher_stage, *plan.stages.chain(plan.space.build(["plain4"], 4.0, 0.9))]
    assert {spec.metric for spec in specs} == {"balanced-accuracy"}


def test_rare_classes_make_balanced_accuracy_rest_on_fewer_images() -> None:
    counts = ClassCounts(train=(1,) * 4, val=(43, 1, 2, 2), test=(1,) * 4)
    uneven = dataclasses.replace(DATASET, class_counts=counts)
    assert build_plan(settings_of(), uneven).num_independent_val == 48
    assert build_plan(settings_of(metric="balanced-accuracy"), uneven).num_independent_val == 7


def test_nets_of_several_places_lie_on_one_ladder_by_their_parameters() -> None:
    settings = settings_of(teacher="plain6", student="tests.nets:small", tas="tests.nets:large,plain4")
    assert build_plan(settings, DATASET).space.ladder == ("plain4", "tests.nets:large")


def test_nets_without_a_family_have_no_ladder_and_it_is_said_why() -> None:
    plan = build_plan(settings_of(student="tests.nets:small"), DATASET)
    assert plan.space.ladder == ()
    assert "name some with --tas" in no_ladder(plan)
    assert "no model lies between" in no_ladder(build_plan(settings_of(teacher="plain4"), DATASET))


def test_a_net_that_is_not_ours_starts_as_its_code_says() -> None:
    plan = build_plan(settings_of(student="tests.nets:small"), DATASET)
    assert plan.stages.from_labels("tests.nets:small").recipe.initial_weights == "own"
    assert plan.stages.teacher_stage.recipe.initial_weights == "he"


def test_the_name_of_a_study_leaves_out_where_nets_come_from() -> None:
    assert build_plan(settings_of(student="tests.nets:small"), DATASET).study_name.startswith("plain6-small-quadrants-")


def test_other_code_under_the_same_name_is_refused_as_such() -> None:
    identity = build_plan(settings_of(student="tests.nets:small"), DATASET).identity
    other = {**identity, "models": {"tests.nets:small": {"code": "0" * 64}}}
    with pytest.raises(ConfigError, match=r"tests\.nets:small here is not the net of study 's'"):
        refuse_changed_identity("s", other, identity, NOTHING_RECORDED)


def test_adamw_has_numbers_of_its_own() -> None:
    recipe = build_plan(settings_of(optimizer="adamw"), DATASET).stages.recipe
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adamw", 1e-3, 0.05)
    assert build_plan(settings_of(optimizer="adamw", learning_rate=0.01), DATASET).stages.recipe.learning_rate == 0.01


def test_nobody_starts_from_published_weights_that_there_are_not() -> None:
    with pytest.raises(ModelError, match="plain6 has no published weights"):
        build_plan(settings_of(pretrained="teacher"), DATASET)
    with pytest.raises(ConfigError, match="there are no TAs"):
        build_plan(settings_of(teacher="plain4", pretrained="tas"), DATASET)


def test_models_whose_replicates_start_alike_are_named() -> None:
    plan = build_plan(settings_of(teacher="plain6", student="tests.nets:starts_alike", tas="plain2"), DATASET)
    [remark] = plan.model_remarks
    assert remark.startswith("tests.nets:starts_alike: every replicate starts from the same weights")
    assert build_plan(settings_of(), DATASET).model_remarks == ()


def test_a_refused_net_is_said_to_differ_in_a_part() -> None:
    before, now = ({"models": {"mynet:make": {"code": code}}} for code in ("a" * 64, "b" * 64))
    parts = NetParts(of_study={"mynet:make": {"values of pos": "1"}}, here=lambda name: {"values of pos": "2"})
    with pytest.raises(ConfigError, match=r"these differ: the values of pos \(SHA-256 b{12}") as error:
        refuse_changed_identity("mine", before, now, parts)
    assert "load them" in (error.value.hint or "")


def test_a_refused_net_of_a_study_without_parts_is_refused_all_the_same() -> None:
    before, now = ({"models": {"mynet:make": {"code": code}}} for code in ("a" * 64, "b" * 64))
    with pytest.raises(ConfigError, match="its code or its layers differ"):
        refuse_changed_identity("mine", before, now, NOTHING_RECORDED)
