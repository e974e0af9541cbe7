"""Weights at the start: explicit, so that a library default that changes cannot change a stage."""

from __future__ import annotations

from torch import nn


def initialise(net: nn.Module) -> None:
    """Set every weight of a network of convolutions, batch norms and linear layers, from torch's CPU generator.

    Convolutions: He et al., "Delving Deep into Rectifiers" (ICCV 2015), normal with variance 2 / fan_out.
    Linear layers: uniform in +-1 / sqrt(fan_in) (LeCun et al., "Efficient BackProp", up to a constant), which keeps
    the first logits small. Batch norm starts as the identity; all biases start at zero.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
