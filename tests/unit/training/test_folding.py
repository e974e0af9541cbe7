from __future__ import annotations

import pytest
import torch
from torch import nn

from tasearch.domain.spec import ModelSpec
from tasearch.models.registry import build_model
from tasearch.training.folding import folded

IMAGES = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def trained(name: str) -> nn.Module:
    """Return a net whose batch norms are not the identity any more."""
    net = build_model(ModelSpec(name=name, in_channels=3, image_size=16, num_classes=10), seed=0)
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.add_(torch.rand(tensor.shape, generator=generator))
    return net


@pytest.mark.parametrize("name", ["plain10", "resnet14"])
def test_the_logits_are_those_of_the_net(name: str) -> None:
    net = trained(name).eval()
    with torch.no_grad():
        torch.testing.assert_close(folded(net)(IMAGES), net(IMAGES), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["plain10", "resnet14"])
def test_no_batch_norm_is_left(name: str) -> None:
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(trained(name)).modules())


def test_the_net_itself_is_left_alone() -> None:
    net = trained("plain4").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    folded(net)
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
