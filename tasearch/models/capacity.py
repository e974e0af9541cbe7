"""How big a model is: parameters and multiply-accumulates."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from tasearch.domain.result import Capacity
from tasearch.domain.spec import ModelSpec
from tasearch.models.inspection import inspect_net
from tasearch.models.names import is_own
from tasearch.models.registry import build_model, check_model, construct


def num_params(spec: ModelSpec) -> int:
    """Return the number of parameters, frozen ones too: they are part of the net in use.

    Raises ModelError where the model cannot be built.
    """
    # What a net of the user's is may change within a process: inspections notice.
    return _own_num_params(spec) if is_own(spec.name) else inspect_net(_checked(spec)).num_params


def capacity(spec: ModelSpec) -> Capacity:
    """Return parameters and multiply-accumulates of one forward pass of one image.

    Counts convolutions and linear layers (of nets that are not ours every matrix product); biases, batch norm and
    ReLU not. Raises ModelError where the model cannot be built.
    """
    if is_own(spec.name):
        return _own_capacity(spec)
    found = inspect_net(_checked(spec))
    return Capacity(num_params=found.num_params, macs=found.macs)


def _checked(spec: ModelSpec) -> ModelSpec:
    check_model(spec)
    return spec


@lru_cache(maxsize=1024)
def _own_num_params(spec: ModelSpec) -> int:
    check_model(spec)
    with torch.device("meta"):
        net = construct(spec)
    return sum(parameter.numel() for parameter in net.parameters())


@lru_cache(maxsize=1024)
def _own_capacity(spec: ModelSpec) -> Capacity:
    net = build_model(spec, seed=0).eval()
    macs = 0

    # Hooks, not torch's FlopCounterMode: they agree, but its first use in a process takes four seconds of imports.
    def count(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        if isinstance(layer, nn.Conv2d | nn.Linear):
            macs += output.numel() * layer.weight[0].numel()

    for layer in net.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        net(torch.zeros(1, spec.in_channels, spec.image_size, spec.image_size))
    return Capacity(num_params=_own_num_params(spec), macs=macs)
