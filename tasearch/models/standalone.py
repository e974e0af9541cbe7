"""The definition of a network as text that needs nothing but torch: the modules of this package, as they stand."""

from __future__ import annotations

import inspect

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models import plain_cnn, resnet
from tasearch.models.names import family_of
from tasearch.models.normalised import Normalised
from tasearch.models.registry import check_model


def network_source(spec: ModelSpec) -> tuple[str, str]:
    """Return the text of the module that defines the network, and the expression that builds it there.

    Raises ModelError for a model whose definition is not of this package.
    """
    check_model(spec)
    family = family_of(spec.name)
    depth = spec.name.removeprefix(family)
    if family == "plain":
        shape = f"in_channels={spec.in_channels}, image_size={spec.image_size}, num_classes={spec.num_classes}"
        return inspect.getsource(plain_cnn), f"PlainCNN(depth={int(depth)}, {shape})"
    if family == "resnet":
        blocks = resnet.blocks_per_group(int(depth))
        shape = f"in_channels={spec.in_channels}, num_classes={spec.num_classes}"
        return inspect.getsource(resnet), f"ResNet(blocks_per_group={blocks}, {shape})"
    raise ModelError(
        f"the definition of {spec.name} cannot be written into one file", hint="use --format torch-export or onnx"
    )


def normalised_source() -> str:
    """Return the text of the class `Normalised`, without its imports (torch, Tensor, nn)."""
    return inspect.getsource(Normalised)
