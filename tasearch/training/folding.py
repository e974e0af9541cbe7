"""A trained net with its batch norms folded into the convolutions before them: the same function, fewer passes."""

from __future__ import annotations

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(net: nn.Module) -> nn.Module:
    """Return a copy of `net` in eval mode in which no batch norm follows a convolution inside a `Sequential`.

    Its logits are those of `net` up to rounding (Jacob et al. 2018, section 3.2); it cannot be trained. Batch norms
    elsewhere stay as they are.
    """
    net = copy.deepcopy(net).eval()
    for block in [module for module in net.modules() if isinstance(module, nn.Sequential)]:
        for index, (layer, norm) in enumerate(itertools.pairwise(list(block))):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[index], block[index + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return net
