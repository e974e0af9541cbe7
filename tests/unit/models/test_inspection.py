"""Nets that are not ours: what is refused before anything is queued, and what they are found to be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models import inspection
from tasearch.models.callables import register_model
from tasearch.models.capacity import capacity, num_params
from tasearch.models.inspection import identified, inspect_net
from tasearch.models.registry import build_model, construct
from tasearch.models.traits import may_be_merged, memory_format
from tests import nets


def spec_of(name: str, *, channels: int = 3, size: int = 8, classes: int = 4) -> ModelSpec:
    return ModelSpec(name=name, in_channels=channels, image_size=size, num_classes=classes)


SMALL = spec_of("tests.nets:small")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "raised ValueError: no net for 4 ("),
        ("no_net", "returned a dict, not a torch.nn.Module"),
        ("takes_nothing", "does not take num_classes"),
        ("needs_more", "needs depth as well"),
        ("one_class_too_many", "gives (1, 5) for 1 images"),
        ("probabilities", "gives probabilities, not logits"),
        ("two_outputs", "gives a tuple in training mode"),
        ("drops_in_eval", "gives different logits each time in eval mode"),
        ("nothing_to_train", "has no parameters that can be trained"),
        ("not_finite", "logits that are not finite"),
        ("another_each_time", "does not build the same net twice"),
        ("smal", "has no 'smal'"),
        ("F", "is a module, not a function"),
    ],
)
def test_what_cannot_be_trained_is_refused(name: str, said: str) -> None:
    with pytest.raises(ModelError) as error:
        inspect_net(spec_of(f"tests.nets:{name}"))
    assert said in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("projects_by_attribute", "part of its random state is not in its state dict"),
        ("projects_by_lost_buffer", "part of its random state is not in its state dict"),
        ("scrambled", "part of its random state is not in its state dict"),
        ("draws_by_itself", "draws from a random generator of its own in training mode (generator)"),
        ("running_scale", "different logits in training mode from the same weights and the same random state"),
        ("counts_for_eval", "passes in training mode change more than its state dict holds"),
        ("StandardisedOnce", "gives different logits in training mode"),
        ("CountsToFive", "gives different logits in training mode"),
        ("BehindZeros", "in training mode from the same weights and the same random state"),
        ("DrawsRarely", "draws from a random generator of its own in training mode (generators['drop'])"),
        ("Remembers", "does not fit another: size mismatch for seen"),
        ("FailsLater", "cannot be trained (tried on 8 batches of 2 random images): ValueError: no third pass"),
        ("with_sparse", "has a sparse tensor in its state dict (kept, torch.sparse_coo)"),
        ("with_expanded", "has an expanded tensor in its state dict (kept)"),
        ("the_same_net_each_time", "hands out the same layers each time"),
    ],
)
def test_what_could_not_be_rebuilt_or_resumed_is_refused(name: str, said: str) -> None:
    with pytest.raises(ModelError) as error:
        inspect_net(spec_of(f"tests.nets:{name}", channels=1))
    assert said in error.value.message
    assert error.value.hint


@pytest.mark.parametrize("name", ["projects_by_buffer", "small", "late_draws", "with_float8", "with_nan"])
def test_random_state_in_the_state_dict_is_taken(name: str) -> None:
    assert not inspect_net(spec_of(f"tests.nets:{name}", channels=1)).starts_alike


def test_a_generator_that_a_buffer_seeds_in_each_pass_is_taken() -> None:
    assert inspect_net(spec_of("tests.nets:SeedsItsGenerator", channels=1)).num_params == 65 * 4


def test_a_net_whose_code_sets_the_seed_is_found_to_start_alike() -> None:
    assert inspect_net(spec_of("tests.nets:starts_alike", channels=1)).starts_alike


def test_what_a_module_draws_while_it_is_imported_is_no_part_of_its_nets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "draws_on_import.py").write_text(
        "from torch import nn\nextra = nn.Linear(9, 9)\ndef make(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert inspect_net(spec_of("draws_on_import:make", channels=1)).num_params == 65 * 4


def test_a_function_that_takes_no_channels_is_refused_for_grey_images() -> None:
    with pytest.raises(ModelError, match="cannot take images of 1 x 32 x 32"):
        inspect_net(spec_of("torchvision.models:mobilenet_v3_small", channels=1, size=32))


def test_a_function_is_told_the_channels_where_it_names_them() -> None:
    assert num_params(spec_of("tests.nets:small", channels=1)) < num_params(SMALL)


def test_weights_follow_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build_model(SMALL, 5).state_dict()
    torch.manual_seed(2)
    second, other = build_model(SMALL, 5).state_dict(), build_model(SMALL, 6).state_dict()
    assert torch.equal(first["conv.weight"], second["conv.weight"])
    assert not torch.equal(first["conv.weight"], other["conv.weight"])


def test_the_ambient_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    inspection._KNOWN.clear()
    build_model(SMALL, 5)
    inspect_net(spec_of("torchvision:squeezenet1_1", size=32))
    assert torch.equal(torch.get_rng_state(), before)


def test_lazy_layers_get_their_shapes_from_the_seed_too() -> None:
    first, second = (build_model(spec_of("tests.nets:lazy"), 5).state_dict() for _ in range(2))
    assert first["4.weight"].shape == (4, 144)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_net_whose_code_reads_rows_gets_images_that_lie_in_rows() -> None:
    assert memory_format(build_model(SMALL, 0)) is torch.contiguous_format
    assert memory_format(build_model(spec_of("tests.nets:lazy"), 0)) is torch.channels_last


def test_layers_are_merged_only_where_the_code_is_known() -> None:
    assert not may_be_merged(build_model(SMALL, 0))
    assert may_be_merged(build_model(spec_of("torchvision:squeezenet1_1", size=32), 0))


def test_multiply_accumulates_are_counted_as_for_nets_of_ours() -> None:
    spec = spec_of("resnet8", size=16)
    net = construct(spec).eval()
    found = inspection._inspection(
        net, torch.zeros(2, 3, 16, 16), spec_of("torchvision:resnet18"), code="", is_contiguous=False
    )
    assert (found.macs, found.num_params) == (capacity(spec).macs, num_params(spec))


@pytest.mark.parametrize(
    ("name", "published"), [("resnet50", 25_557_032), ("mobilenet_v3_small", 2_542_856), ("vit_b_32", 88_224_232)]
)
def test_torchvision_nets_have_their_published_number_of_parameters(name: str, published: int) -> None:
    assert num_params(spec_of(f"torchvision:{name}", size=224, classes=1000)) == published


def test_resnet50_has_its_published_multiply_accumulates() -> None:
    assert capacity(spec_of("torchvision:resnet50", size=224, classes=1000)).macs == pytest.approx(4.09e9, rel=0.01)


def test_transposed_convolutions_spread_each_input_value() -> None:
    with inspection._MacCounter() as counter, torch.no_grad():
        nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1)(torch.zeros(1, 3, 8, 8))
    assert counter.macs == 8 * 8 * 3 * 5 * 4 * 4


def test_recurrent_layers_are_counted_at_every_step() -> None:
    assert capacity(spec_of("tests.nets:recurrent")).macs == 8 * 4 * 16 * (8 + 16) + 16 * 4


def test_a_net_that_needs_numbers_to_be_built_is_built_with_numbers() -> None:
    assert num_params(spec_of("torchvision:regnet_y_400mf", size=32, classes=1000)) == 4_344_144


def test_what_a_function_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    inspect_net(spec_of("tests.nets:talks"))
    out, err = capsys.readouterr()
    assert (out, "building" in err) == ("", True)


def test_torchvision_nets_take_grey_images() -> None:
    net = build_model(spec_of("torchvision:squeezenet1_1", channels=1, size=32), 0).eval()
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 4)


def test_timm_nets_are_built_for_the_images() -> None:
    net = build_model(spec_of("timm:vit_tiny_patch16_224", channels=1, size=32), 0).eval()
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("torchvision:squeezenet1_1", 8, "cannot take images of 3 x 8 x 8"),
        ("torchvision:vit_b_16", 30, "cannot be built for images of 3 x 30 x 30"),
        ("torchvision:resnet19", 32, "unknown model"),
        ("timm:resnet19x", 32, "unknown model"),
    ],
)
def test_what_a_library_cannot_build_is_refused(name: str, size: int, said: str) -> None:
    with pytest.raises(ModelError, match=said) as error:
        inspect_net(spec_of(name, size=size))
    assert error.value.hint


def test_without_timm_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ModelError, match="needs timm") as error:
        build_model(spec_of("timm:resnet34", size=32), 0)
    assert "tasearch[timm]" in error.value.hint


def test_a_net_of_ours_is_its_name() -> None:
    assert identified(spec_of("plain2")) == spec_of("plain2")


def test_another_net_is_its_code_too() -> None:
    small = identified(SMALL)
    assert len(small.code) == 64
    assert small.code != identified(spec_of("tests.nets:large")).code


def test_a_registered_function_is_a_model() -> None:
    name = register_model("linear", lambda num_classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes)))
    assert num_params(spec_of(name)) == 192 * 4 + 4


def test_a_name_that_is_taken_stays_with_its_function() -> None:
    register_model("taken", nets.small)
    with pytest.raises(ModelError, match="another function"):
        register_model("taken", nets.large)


def test_what_was_not_registered_is_refused() -> None:
    with pytest.raises(ModelError, match="no function is registered"):
        inspect_net(spec_of("object:nobody"))


def test_code_is_part_of_the_fingerprint_only_where_there_is_some() -> None:
    from tasearch.domain.fingerprint import fingerprint

    bare = spec_of("plain2")
    assert fingerprint(bare) == fingerprint({"name": "plain2", "in_channels": 3, "image_size": 8, "num_classes": 4})
    assert fingerprint(dataclasses.replace(SMALL, code="a")) != fingerprint(dataclasses.replace(SMALL, code="b"))
