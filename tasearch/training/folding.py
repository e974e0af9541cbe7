"""A trained net with its batch norms folded into the convolutions before them: the same function, fewer passes."""

from __future__ import annotations

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tasearch.models.traits import may_be_merged


def folded(net: nn.Module) -> nn.Module:
    """Return a copy of `net` in eval mode in which no batch norm follows a convolution inside a `Sequential`.

    Its logits are those of `net` up to rounding (Jacob et al. 2018, section 3.2); it cannot be trained. Batch norms
    elsewhere stay as they are, and so does a net whose code may look between its layers.
    """
    if not may_be_merged(net):
        return net
    net = copy.deepcopy(net).eval()
    # A block that runs its layers its own way may look between them.
    blocks = [module for module in net.modules() if isinstance(module, nn.Sequential)]
    for block in [block for block in blocks if type(block).forward is nn.Sequential.forward]:
        for index, (layer, norm) in enumerate(itertools.pairwise(list(block))):
            if type(layer) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
                block[index], block[index + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return net
