"""Networks by name: ours (`resnet<6n+2>`, `plain2` to `plain10`, `bottleneck14` to `bottleneck50`) and others
(`torchvision:NAME`, `timm:NAME`, `package.module:function`)."""

from __future__ import annotations

import torch
from torch import nn

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models import bottleneck, plain_cnn, resnet
from tasearch.models.initialise import initialise
from tasearch.models.inspection import construct_other, inspect_net
from tasearch.models.names import Kind, is_own, kind_of, parse_own
from tasearch.models.traits import keep_contiguous, keep_layers
from tasearch.models.zoo import load_pretrained, pretrained_hash


def check_model(spec: ModelSpec) -> None:
    """Raise ModelError where the model is unknown or cannot take the data; builds nothing of ours."""
    if spec.in_channels < 1:
        raise ModelError(f"{spec.name} cannot take {spec.in_channels} image channels: at least 1 is needed")
    if spec.num_classes < 2:
        raise ModelError(f"{spec.name} cannot tell {spec.num_classes} classes apart: at least 2 are needed")
    if not is_own(spec.name):
        inspect_net(spec)
        return
    family, depth = parse_own(spec.name)
    smallest = bottleneck.MIN_IMAGE_SIZE if family == "bottleneck" else resnet.MIN_IMAGE_SIZE
    if family == "plain":
        smallest = plain_cnn.min_image_size(depth, spec.num_classes)
    if spec.image_size < smallest:
        raise ModelError(
            f"{spec.name} halves its input too often for images of {spec.image_size} x {spec.image_size}: "
            f"it needs at least {smallest} x {smallest}",
            hint=f"use --image-size {smallest} or more where the data allow it, or a model with fewer pools",
        )


def build_model(spec: ModelSpec, seed: int, initial_weights: str = "he") -> nn.Module:
    """Return the network of `spec` on the CPU, its weights a pure function of `seed` and of the scheme they follow.

    A net that is not ours starts as its own code says, or from the published weights that `spec` names. The ambient
    random generators are left as they were. Raises ModelError as `check_model` does.
    """
    check_model(spec)
    if not is_own(spec.name):
        return _build_other(spec, seed)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # torch.manual_seed would also reseed the CUDA generators, which are not forked here.
        torch.default_generator.manual_seed(seed)
        net = construct(spec)
        initialise(net, initial_weights)
    return net


def _build_other(spec: ModelSpec, seed: int) -> nn.Module:
    net = construct_other(spec, seed)
    found = inspect_net(spec)
    if found.is_contiguous:
        keep_contiguous(net)
    # Nets of torchvision and timm have parts where code of the user's has a part in them.
    if kind_of(spec.name) in (Kind.CALLABLE, Kind.OBJECT) or found.parts:
        keep_layers(net)
    if spec.pretrained:
        if pretrained_hash(spec.name, spec.in_channels) != spec.pretrained:
            raise ModelError(
                f"the published weights of {spec.name} here are not those that the stage starts from",
                hint="remove them from torch's cache, so that they are loaded again",
            )
        load_pretrained(net, spec)
    return net


def construct(spec: ModelSpec) -> nn.Module:
    """Return a checked network of ours on torch's current default device, its weights not yet set."""
    family, depth = parse_own(spec.name)
    if family == "plain":
        return plain_cnn.PlainCNN(
            depth=depth,
            in_channels=spec.in_channels,
            image_size=spec.image_size,
            num_classes=spec.num_classes,
        )
    if family == "bottleneck":
        return bottleneck.BottleneckNet(depth=depth, in_channels=spec.in_channels, num_classes=spec.num_classes)
    return resnet.ResNet(blocks_per_group=(depth - 2) // 6, in_channels=spec.in_channels, num_classes=spec.num_classes)
