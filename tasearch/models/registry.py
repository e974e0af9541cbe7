"""Networks by name: `resnet<6n+2>` for every n >= 1, `plain2` to `plain10`, `bottleneck14` to `bottleneck50`."""

from __future__ import annotations

import re

import torch
from torch import nn

from tasearch.domain.errors import ModelError, nearest
from tasearch.domain.spec import ModelSpec
from tasearch.models import bottleneck, plain_cnn, resnet
from tasearch.models.initialise import initialise

PAPER_RUNGS: dict[str, tuple[str, ...]] = {
    "resnet": tuple(f"resnet{depth}" for depth in (110, 56, 44, 32, 26, 20, 14, 8)),
    "plain": tuple(f"plain{depth}" for depth in (8, 6, 4)),
    "bottleneck": ("bottleneck20",),
}
"""The TAs of the paper by family, largest first (resnet110 and resnet8 are its teacher and student)."""

_NAME = re.compile(r"(resnet|plain|bottleneck)([1-9][0-9]{0,5})")
_DEPTHS = {"plain": plain_cnn.DEPTHS, "bottleneck": bottleneck.DEPTHS}
"""Of the families that have a few depths only, smallest first."""


def known_models() -> list[str]:
    """Return the names to show in a hint; any other `resnet<6n+2>` exists as well."""
    few = [f"{family}{depth}" for family, depths in _DEPTHS.items() for depth in depths]
    return few + list(reversed(PAPER_RUNGS["resnet"]))


def family_of(name: str) -> str:
    """Return `resnet`, `plain` or `bottleneck`. Raises ModelError for an unknown model."""
    return _parse(name)[0]


def family_members(name_low: str, name_high: str) -> list[str]:
    """Return all models of one family strictly between two of its models by depth, smallest first.

    Raises ModelError for an unknown model and for models of different families.
    """
    family, low = _parse(name_low)
    other_family, high = _parse(name_high)
    if family != other_family:
        raise ModelError(
            f"{name_low} and {name_high} are of different families ({family}, {other_family}): "
            "no model lies between them",
            hint="choose two models of one family, or name the TAs with --tas",
        )
    low, high = min(low, high), max(low, high)
    if family == "resnet":
        return [f"resnet{depth}" for depth in range(low + 6, high, 6)]
    return [f"{family}{depth}" for depth in _DEPTHS[family] if low < depth < high]


def check_model(spec: ModelSpec) -> None:
    """Raise ModelError where the model is unknown or cannot take the data; builds nothing."""
    family, depth = _parse(spec.name)
    if spec.in_channels < 1:
        raise ModelError(f"{spec.name} cannot take {spec.in_channels} image channels: at least 1 is needed")
    if spec.num_classes < 2:
        raise ModelError(f"{spec.name} cannot tell {spec.num_classes} classes apart: at least 2 are needed")
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

    The ambient random generators are left as they were. Raises ModelError as `check_model` does.
    """
    check_model(spec)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # torch.manual_seed would also reseed the CUDA generators, which are not forked here.
        torch.default_generator.manual_seed(seed)
        net = construct(spec)
        initialise(net, initial_weights)
    return net


def construct(spec: ModelSpec) -> nn.Module:
    """Return the network of a checked `spec` on torch's current default device, its weights not yet set."""
    family, depth = _parse(spec.name)
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


def _parse(name: str) -> tuple[str, int]:
    """Return family and depth. Raises ModelError where no such model exists."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ModelError(
            f"unknown model {name!r}",
            hint=f"{nearest(name, known_models())}, and every resnetN with N = 6n+2",
        )
    family, depth = match[1], int(match[2])
    if family == "resnet" and resnet.blocks_per_group(depth) is None:
        raise ModelError(
            f"unknown model {name!r}: N must be 6n+2 with n >= 1, e.g. 8, 14, 20", hint=_closest_resnets(depth)
        )
    if family in _DEPTHS and depth not in _DEPTHS[family]:
        depths = ", ".join(str(known) for known in _DEPTHS[family])
        kind = {"plain": "plain CNNs", "bottleneck": "bottleneck nets"}[family]
        raise ModelError(f"unknown model {name!r}: {kind} have {depths} layers", hint=nearest(name, known_models()))
    return family, depth


def _closest_resnets(depth: int) -> str:
    below = max(8, depth - (depth - 2) % 6)
    return f"the closest are resnet{below} and resnet{below + 6}"
