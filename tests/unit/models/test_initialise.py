"""Batch norm starts as the identity, and damped where it feeds many features into a linear layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tasearch.domain.spec import ModelSpec
from tasearch.models.initialise import initialise
from tasearch.models.registry import build_model, construct


def norms(name: str, image_size: int) -> list[nn.BatchNorm2d]:
    spec = ModelSpec(name=name, in_channels=3, image_size=image_size, num_classes=10)
    return [module for module in build_model(spec, 0).modules() if isinstance(module, nn.BatchNorm2d)]


def scales(name: str, image_size: int) -> list[float]:
    return [norm.weight[0].item() for norm in norms(name, image_size)]


def test_up_to_256_features_start_at_full_scale() -> None:
    assert scales("plain2", 16) == [1, 1]
    assert set(scales("resnet8", 32)) == {1}


def test_more_features_start_damped_to_the_length_of_256() -> None:
    assert scales("plain2", 32) == pytest.approx([1, 0.5])
    assert scales("plain4", 32) == pytest.approx([1, 1, 1, (256 / 2048) ** 0.5])


def test_every_channel_of_a_norm_has_one_scale() -> None:
    last = norms("plain4", 32)[-1]
    assert torch.equal(last.weight, last.weight[:1].expand_as(last.weight))


def test_biases_start_at_zero() -> None:
    spec = ModelSpec(name="plain8", in_channels=3, image_size=16, num_classes=10)
    biases = [value for name, value in build_model(spec, 0).named_parameters() if name.endswith("bias")]
    assert not any(bias.any() for bias in biases)


def test_linear_weights_stay_inside_their_bound() -> None:
    spec = ModelSpec(name="plain8", in_channels=3, image_size=16, num_classes=10)
    for module in build_model(spec, 0).modules():
        if isinstance(module, nn.Linear):
            assert 0.9 < module.weight.abs().max() * module.in_features**0.5 <= 1


def test_uniform_weights_are_those_of_torch() -> None:
    """Same bounds as `reset_parameters` of the layers, whose draws have the same spread."""
    spec = ModelSpec(name="plain4", in_channels=3, image_size=32, num_classes=10)
    ours, theirs = build_model(spec, 0, "uniform"), construct(spec)
    for name, one in ours.state_dict().items():
        if one.ndim >= 2:
            other = theirs.state_dict()[name]
            assert float(one.abs().max()) == pytest.approx(float(other.abs().max()), rel=0.1), name
            assert float(one.std()) == pytest.approx(float(other.std()), rel=0.15), name
    norms = [module for module in ours.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(bool((norm.weight == 1).all() and (norm.bias == 0).all()) for norm in norms)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="known: he, uniform"):
        initialise(nn.Linear(2, 2), "xavier")
