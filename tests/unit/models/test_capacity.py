"""Sizes equal the published ones (Mirzadeh et al. 2020: layers; He et al. 2016: ResNets)."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.capacity import _own_capacity, capacity, num_params
from tasearch.models.registry import build_model

PUBLISHED = [
    ("resnet8", 10, 78_042, 12.5),
    ("resnet14", 10, 175_258, 26.7),
    ("resnet20", 10, 272_474, 40.8),
    ("resnet26", 10, 369_690, 55.0),
    ("resnet32", 10, 466_906, 69.1),
    ("resnet44", 10, 661_338, 97.4),
    ("resnet56", 10, 855_770, 125.7),
    ("resnet110", 10, 1_730_714, 253.1),
    ("plain2", 10, 13_082, 1.0),
    ("plain4", 10, 37_338, 6.4),
    ("plain6", 10, 82_778, 9.9),
    ("plain8", 10, 327_962, 13.5),
    ("plain10", 10, 2_487_850, 71.8),
    ("plain2", 100, 215_172, 3.5),
    ("plain4", 100, 475_652, 24.9),
    ("plain6", 100, 1_107_204, 39.5),
    ("plain8", 100, 1_246_276, 52.9),
    ("plain10", 100, 2_931_460, 72.2),
]


def cifar(name: str, classes: int) -> ModelSpec:
    return ModelSpec(name=name, in_channels=3, image_size=32, num_classes=classes)


@pytest.mark.parametrize(("name", "classes", "params", "mmacs"), PUBLISHED)
def test_capacity_is_the_published_one(name: str, classes: int, params: int, mmacs: float) -> None:
    found = capacity(cifar(name, classes))
    assert found.num_params == params
    assert found.macs / 1e6 == pytest.approx(mmacs, abs=0.06)


@pytest.mark.parametrize("depth", [8, 14, 20, 26, 32, 44, 56, 110])
def test_hundred_classes_add_only_the_wider_classifier(depth: int) -> None:
    name = f"resnet{depth}"
    assert num_params(cifar(name, 100)) - num_params(cifar(name, 10)) == 90 * 65


@pytest.mark.parametrize("name", ["resnet14", "plain8"])
def test_macs_agree_with_the_flop_counter_of_torch(name: str) -> None:
    spec = ModelSpec(name=name, in_channels=1, image_size=20, num_classes=7)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build_model(spec, 0).eval()(torch.zeros(1, 1, 20, 20))
    assert capacity(spec).macs == counter.get_total_flops() / 2


def test_counting_leaves_the_ambient_generator_alone() -> None:
    before = torch.random.get_rng_state()
    _own_capacity.cache_clear()
    capacity(cifar("plain2", 10))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_unknown_model_has_no_capacity() -> None:
    with pytest.raises(ModelError, match="unknown model"):
        num_params(cifar("plain3", 10))
