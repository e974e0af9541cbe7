"""The definition of a network as text that needs no tasearch: a module of this package as it stands, or an import."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models import bottleneck, plain_cnn, resnet
from tasearch.models.callables import arguments_of, find_callable
from tasearch.models.names import Kind, kind_of, parse_own, short
from tasearch.models.normalised import Normalised
from tasearch.models.registry import check_model
from tasearch.models.zoo import timm_arguments, torchvision_arguments, with_channels


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSource:
    """How a network is built without tasearch."""

    text: str
    """Python that defines or imports it."""
    expression: str
    """Builds it after that text."""
    packages: tuple[str, ...]
    """What has to be installed beside torch and safetensors."""
    own_code: str | None = None
    """The user's function that must be importable too, `module:function`."""


def network_source(spec: ModelSpec) -> NetworkSource:
    """Return how the network is built. Raises ModelError for a function that only a running process knows."""
    check_model(spec)
    kind = kind_of(spec.name)
    if kind is Kind.OWN:
        return _source_of_own(spec)
    if kind is Kind.TORCHVISION:
        arguments = _spelled({"weights": None, **torchvision_arguments(spec)})
        built = f"models.{short(spec.name)}({arguments})"
        text = '"""A network of torchvision."""\n\nfrom torch import nn\nfrom torchvision import models'
        if spec.in_channels != 3:
            text += f"\n\n\n{inspect.getsource(with_channels)}"
            built = f"with_channels({built}, {spec.in_channels})"
        return NetworkSource(text=text, expression=built, packages=("torchvision",))
    if kind is Kind.TIMM:
        text = '"""A network of timm."""\n\nimport timm\nfrom torch import nn'
        arguments = _spelled({"pretrained": False, **timm_arguments(spec)})
        return NetworkSource(
            text=text, expression=f"timm.create_model({short(spec.name)!r}, {arguments})", packages=("timm",)
        )
    if kind is Kind.OBJECT:
        raise ModelError(
            f"{spec.name} cannot be written as a file: its function is known to one process alone",
            hint="use --format torch-export or onnx, or name the function as package.module:function",
        )
    module, _, function = spec.name.partition(":")
    text = f'"""A network of your own code: `{module}` must be importable."""\n\nimport {module}\nfrom torch import nn'
    arguments = _spelled(arguments_of(find_callable(spec.name), spec))
    return NetworkSource(text=text, expression=f"{module}.{function}({arguments})", packages=(), own_code=spec.name)


def _source_of_own(spec: ModelSpec) -> NetworkSource:
    family, depth = parse_own(spec.name)
    shape = f"in_channels={spec.in_channels}, num_classes={spec.num_classes}"
    if family == "plain":
        built = f"PlainCNN(depth={depth}, image_size={spec.image_size}, {shape})"
        return NetworkSource(text=inspect.getsource(plain_cnn), expression=built, packages=())
    if family == "bottleneck":
        built = f"BottleneckNet(depth={depth}, {shape})"
        return NetworkSource(text=inspect.getsource(bottleneck), expression=built, packages=("torchvision",))
    built = f"ResNet(blocks_per_group={resnet.blocks_per_group(depth)}, {shape})"
    return NetworkSource(text=inspect.getsource(resnet), expression=built, packages=())


def _spelled(arguments: dict[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def normalised_source() -> str:
    """Return the text of the class `Normalised`, without its imports (torch, Tensor, nn)."""
    return inspect.getsource(Normalised)
