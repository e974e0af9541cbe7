from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet50

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.capacity import capacity
from tasearch.models.ladder import default_ladder
from tasearch.models.registry import build_model, check_model


def spec(name: str, image_size: int = 32, num_classes: int = 1000) -> ModelSpec:
    return ModelSpec(name=name, in_channels=3, image_size=image_size, num_classes=num_classes)


def test_bottleneck50_is_resnet50() -> None:
    theirs = resnet50()
    ours = build_model(spec("bottleneck50"), seed=0)
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_resnet50_has_its_published_size() -> None:
    found = capacity(spec("bottleneck50", image_size=224))
    assert found.num_params == 25_557_032
    assert found.macs == pytest.approx(4.09e9, rel=0.01)


def test_the_papers_ta_lies_between_its_teacher_and_its_student() -> None:
    assert "bottleneck20" in default_ladder(spec("bottleneck50"), spec("bottleneck14"))


def test_small_images_are_refused() -> None:
    with pytest.raises(ModelError, match="at least 32 x 32"):
        check_model(spec("bottleneck14", image_size=31))


def test_a_depth_without_a_plan_is_refused() -> None:
    with pytest.raises(ModelError, match="bottleneck nets have 14, 20, 26, 38, 50 layers"):
        check_model(spec("bottleneck18"))
