"""Accuracy and teacher logits: always eval mode, never a gradient, whatever the caller does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from tasearch.data.views import Views, ViewSource
from tasearch.training.device import autocast

EVALUATION_BATCH = 500
"""Fixed: another batch size gives other bits (invariant 4)."""


@torch.no_grad()
def predictions(net: nn.Module, source: ViewSource, *, precision: str) -> Tensor:
    """Return the predicted class of every sample of a split without augmentation, shape (N,), on the CPU."""
    was_training = net.training
    net.eval()
    found: list[Tensor] = []
    try:
        for indices in _blocks(source.num_samples, source.device):
            images = source.plain_batch(indices).contiguous(memory_format=torch.channels_last)
            with autocast(source.device, precision):
                found.append(net(images).argmax(dim=1))
    finally:
        net.train(was_training)
    return torch.cat(found).cpu()


def accuracy(net: nn.Module, source: ViewSource, *, precision: str) -> float:
    """Return the fraction of a split that the net classifies correctly."""
    correct = predictions(net, source, precision=precision) == source.labels.cpu()
    return int(correct.sum()) / source.num_samples


@torch.no_grad()
def logits_table(net: nn.Module, views: Views, *, precision: str, tick: Callable[[], None]) -> Tensor:
    """Return the net's logits on every view of an epoch, shape (N, K), float16, on the CPU.

    Computed in the order of the samples and in blocks of `EVALUATION_BATCH`, then rounded to the stored type, so
    that a stored table and a fresh one are the same bits (invariant 4). `tick` is called after every block and may
    raise to stop.
    """
    was_training = net.training
    net.eval()
    found: list[Tensor] = []
    try:
        for indices in _blocks(views.num_samples, views.device):
            images = views.batch(indices).contiguous(memory_format=torch.channels_last)
            with autocast(views.device, precision):
                logits = net(images)
            found.append(logits.float().clamp(-65504.0, 65504.0).half())
            tick()
    finally:
        net.train(was_training)
    return torch.cat(found).cpu()


def _blocks(num_samples: int, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, num_samples, EVALUATION_BATCH):
        yield torch.arange(start, min(start + EVALUATION_BATCH, num_samples), device=device)
