"""Names, what a network can take, and weights that follow from the seed alone."""

from __future__ import annotations

import pytest
import torch

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.bottleneck import PLANS
from tasearch.models.names import DEPTHS, PAPER_RUNGS, family_members, family_of, known_models
from tasearch.models.plain_cnn import TEN_CLASS_BOOK
from tasearch.models.registry import build_model, check_model


def spec_of(name: str, *, channels: int = 3, size: int = 32, classes: int = 10) -> ModelSpec:
    return ModelSpec(name=name, in_channels=channels, image_size=size, num_classes=classes)


def test_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(1)
    first = build_model(spec_of("plain2"), 5).state_dict()
    torch.manual_seed(2)
    second = build_model(spec_of("plain2"), 5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_other_weights() -> None:
    first, second = (dict(build_model(spec_of("resnet8"), seed).named_parameters()) for seed in (5, 6))
    assert not torch.equal(first["classifier.weight"], second["classifier.weight"])
    assert not torch.equal(first["features.0.weight"], second["features.0.weight"])


def test_building_leaves_the_ambient_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    build_model(spec_of("resnet8"), 5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_building_reseeds_no_other_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    build_model(spec_of("plain2"), 5)
    assert seeded == []


def test_weights_are_on_the_cpu_whatever_the_default_device() -> None:
    with torch.device("meta"):
        net = build_model(spec_of("plain2"), 5)
    assert {parameter.device.type for parameter in net.parameters()} == {"cpu"}


def test_convolutions_start_with_the_variance_of_he() -> None:
    weight = dict(build_model(spec_of("plain10"), 0).named_parameters())["features.24.weight"]
    fan_out = weight.shape[0] * 9
    assert weight.var().item() == pytest.approx(2 / fan_out, rel=0.02)


@pytest.mark.parametrize("name", ["resnet8", "resnet14", "resnet26"])
def test_every_resnet_maps_images_to_logits(name: str) -> None:
    net = build_model(spec_of(name, channels=1, size=9, classes=3), 0)
    assert net(torch.zeros(2, 1, 9, 9)).shape == (2, 3)


@pytest.mark.parametrize("classes", [10, 11])
@pytest.mark.parametrize("size", [16, 19])
@pytest.mark.parametrize("name", ["plain2", "plain4", "plain6", "plain8", "plain10"])
def test_every_plain_cnn_maps_images_to_logits(name: str, size: int, classes: int) -> None:
    net = build_model(spec_of(name, channels=2, size=size, classes=classes), 0)
    assert net(torch.zeros(2, 2, size, size)).shape == (2, classes)


@pytest.mark.parametrize("name", ["resnet8", "plain4"])
def test_bfloat16_channels_last_trains(name: str) -> None:
    net = build_model(spec_of(name, size=16), 0)
    images = torch.rand(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(images)
    logits.float().sum().backward()
    assert logits.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", ["resnet8", "resnet14", "resnet50", "resnet1202", "plain2", "plain10"])
def test_known_model_is_accepted(name: str) -> None:
    check_model(spec_of(name))


@pytest.mark.parametrize("name", ["resnet7", "resnet2", "resnet18", "resnet0"])
def test_impossible_resnet_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(ModelError, match=name) as error:
        check_model(spec_of(name))
    assert "6n+2" in error.value.message + error.value.hint


def test_impossible_resnet_names_its_neighbours() -> None:
    with pytest.raises(ModelError) as error:
        check_model(spec_of("resnet18"))
    assert error.value.hint == "the closest are resnet14 and resnet20"


def test_impossible_plain_names_the_depths() -> None:
    with pytest.raises(ModelError, match="2, 4, 6, 8, 10 layers"):
        check_model(spec_of("plain3"))


@pytest.mark.parametrize("name", ["resnt20", "resnet020", "ResNet20", "resnet20x", "vgg", ""])
def test_unknown_model_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        check_model(spec_of(name))


def test_unknown_model_hints_at_the_nearest() -> None:
    with pytest.raises(ModelError) as error:
        check_model(spec_of("resnt20"))
    assert error.value.hint.startswith("did you mean `resnet20`?")


def test_small_image_is_refused_with_the_smallest_possible() -> None:
    with pytest.raises(ModelError, match=r"plain10 .* 8 x 8: it needs at least 16 x 16"):
        check_model(spec_of("plain10", size=8))


@pytest.mark.parametrize(
    ("name", "classes", "smallest"),
    [("plain2", 10, 4), ("plain6", 10, 8), ("plain6", 100, 4), ("plain10", 100, 16), ("resnet20", 10, 4)],
)
def test_smallest_image_is_exact(name: str, classes: int, smallest: int) -> None:
    net = build_model(spec_of(name, size=smallest, classes=classes), 0).eval()
    assert net(torch.zeros(1, 3, smallest, smallest)).shape == (1, classes)
    with pytest.raises(ModelError, match="needs at least"):
        check_model(spec_of(name, size=smallest - 1, classes=classes))


def test_no_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="0 image channels"):
        check_model(spec_of("plain2", channels=0))


def test_one_class_is_refused() -> None:
    with pytest.raises(ModelError, match="1 classes"):
        check_model(spec_of("plain2", classes=1))


def test_build_refuses_what_check_refuses() -> None:
    with pytest.raises(ModelError):
        build_model(spec_of("plain10", size=8), 0)


def test_family_is_the_name_without_depth() -> None:
    assert (family_of("resnet44"), family_of("plain4")) == ("resnet", "plain")


def test_members_are_strictly_between() -> None:
    assert family_members("plain2", "plain10") == ["plain4", "plain6", "plain8"]
    assert family_members("resnet8", "resnet32") == ["resnet14", "resnet20", "resnet26"]


def test_members_do_not_depend_on_the_order_of_the_ends() -> None:
    assert family_members("resnet32", "resnet8") == family_members("resnet8", "resnet32")


def test_neighbours_have_no_member_between() -> None:
    assert family_members("plain4", "plain6") == []


def test_members_of_two_families_are_refused() -> None:
    with pytest.raises(ModelError, match="different families"):
        family_members("plain2", "resnet20")


def test_known_models_and_paper_rungs_exist() -> None:
    for name in [*known_models(), *PAPER_RUNGS["resnet"], *PAPER_RUNGS["plain"]]:
        check_model(spec_of(name))


def test_names_and_nets_have_the_same_depths() -> None:
    assert (DEPTHS["plain"], DEPTHS["bottleneck"]) == (tuple(TEN_CLASS_BOOK), tuple(PLANS))
