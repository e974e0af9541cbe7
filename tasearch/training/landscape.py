"""The loss of a net on a plane through its weights (Li et al., "Visualizing the Loss Landscape", NeurIPS 2018)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from tasearch.data.views import ViewSource, batch_order
from tasearch.models.traits import as_input

BLOCK = 256
"""Images that share the statistics of a batch norm."""


def filter_normalised_direction(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return a random direction for each kernel and matrix of a net, a pure function of shapes, weights and `seed`.

    Each filter (of a linear layer: each row) of the direction has the norm of the net's own filter, so that nets whose
    weights differ in scale can be compared. Biases and batch norms do not move, as in Li et al., section 4.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name, weight in net.named_parameters():
        if weight.ndim < 2:
            continue
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        axes = tuple(range(1, weight.ndim))
        norms = torch.linalg.vector_norm(weight.detach(), dim=axes, keepdim=True)
        direction[name] = drawn * norms / torch.linalg.vector_norm(drawn, dim=axes, keepdim=True).clamp_min(1e-12)
    return direction


def loss_plane(
    net: nn.Module,
    source: ViewSource,
    directions: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    steps: Sequence[float],
    *,
    num_images: int,
    tick: Callable[[], None] = lambda: None,
) -> tuple[tuple[float, ...], ...]:
    """Return the cross-entropy with the labels (nats) at every pair of steps along two directions, float32.

    Over the first `num_images` images of a fixed order, or all, without augmentation, in blocks of up to `BLOCK`; a
    rest that fills no block is left out. At every point batch norms use the statistics of each block, as in training:
    the stored ones belong to the centre and would add a rise that is no property of the weights. `net` stays as it is;
    `tick` is called at every point and may raise to stop.
    """
    # Only batch norms as in training: dropout would draw anew at every point.
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
            module.momentum = 0.0  # The statistics of a block are used and not kept.
    count = min(num_images, source.num_samples)
    size = min(BLOCK, count)
    order = batch_order(source.num_samples, 0, 0)[: count // size * size].to(source.device)
    blocks = order.view(-1, size)
    images = [as_input(block, net) for block in source.plain_blocks(list(blocks.unbind(0)))]
    weights = {name: weight.detach() for name, weight in net.named_parameters()}
    one, other = directions

    def loss_at(along_one: float, along_other: float) -> float:
        tick()
        moved = {name: weights[name] + along_one * one[name] + along_other * other[name] for name in one}
        with torch.no_grad():
            losses = [
                F.cross_entropy(functional_call(net, moved, (block,)).float(), source.labels[indices])
                for block, indices in zip(images, blocks, strict=True)
            ]
        return float(torch.stack(losses).mean())

    return tuple(tuple(loss_at(along_one, along_other) for along_other in steps) for along_one in steps)
