"""The plain CNNs compute what the paper's order of layers computes."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from tasearch.domain.spec import ModelSpec
from tasearch.models.plain_cnn import PlainCNN
from tasearch.models.registry import build_model

SPEC = ModelSpec(name="plain4", in_channels=3, image_size=16, num_classes=10)
IMAGES = torch.randn(32, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def paper_order(net: PlainCNN) -> nn.Sequential:
    """Return the features with every pool after its ReLU, sharing the weights of `net`."""
    layers = list(net.features)
    for index, (first, second) in enumerate(itertools.pairwise(layers)):
        if isinstance(first, nn.MaxPool2d) and isinstance(second, nn.ReLU):
            layers[index : index + 2] = [second, first]
    return nn.Sequential(*layers)


def outcome(features: nn.Module) -> tuple[Tensor, list[Tensor]]:
    out = features(IMAGES)
    return out.detach(), list(torch.autograd.grad(out.square().sum(), list(features.parameters())))


def test_pooling_before_the_relu_changes_no_bit_and_no_gradient() -> None:
    net = build_model(SPEC, seed=0)
    assert isinstance(net, PlainCNN)
    net.train()
    reordered = paper_order(net)
    assert [type(layer) for layer in reordered] != [type(layer) for layer in net.features]
    (ours, our_gradients), (theirs, their_gradients) = outcome(net.features), outcome(reordered)
    assert torch.equal(ours, theirs)
    assert all(torch.equal(a, b) for a, b in zip(our_gradients, their_gradients, strict=True))
