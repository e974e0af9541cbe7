"""Accuracy of either kind and teacher logits: always eval mode, never a gradient, whatever the caller does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import fsum

import torch
from torch import Tensor, nn

from tasearch.data.views import Views, ViewSource
from tasearch.domain.metric import ACCURACY
from tasearch.models.switches import guarded
from tasearch.models.traits import as_input
from tasearch.training.device import autocast
from tasearch.training.folding import folded

_EVALUATION_BATCHES = {"cpu": 64, "cuda": 1000}
"""On a CPU the activations of 64 images stay in its caches: up to 1.4 times faster than 500 (plain4, 32 x 32)."""
_HALF_MAX = 65504.0


def evaluation_batch(device: torch.device) -> int:
    """Return the images of one forward pass; fixed for a kind of device, as others give other bits (invariant 4)."""
    return _EVALUATION_BATCHES[device.type]


def predictions(
    net: nn.Module, source: ViewSource, *, precision: str, tick: Callable[[], None] = lambda: None
) -> Tensor:
    """Return the predicted class of every sample of a split without augmentation, shape (N,), on the CPU.

    `tick` is called after every block and may raise to stop.
    """
    return _predicted(net, source, precision, tick).cpu()


def accuracy(net: nn.Module, source: ViewSource, *, precision: str, tick: Callable[[], None] = lambda: None) -> float:
    """Return the fraction of a split that the net classifies correctly; `tick` as for `predictions`."""
    return score(net, source, metric=ACCURACY, precision=precision, tick=tick)


def score(
    net: nn.Module, source: ViewSource, *, metric: str, precision: str, tick: Callable[[], None] = lambda: None
) -> float:
    """Return what a metric of `domain.metric` says of the net on a split, a fraction; `tick` as for `predictions`."""
    return share(hits(net, source, precision=precision, tick=tick), source, metric)


def hits(net: nn.Module, source: ViewSource, *, precision: str, tick: Callable[[], None] = lambda: None) -> Tensor:
    """Return which samples the net classifies correctly, bool (N,) on the device: on a GPU only queued so far."""
    return _predicted(net, source, precision, tick) == source.labels


def share(hits: Tensor, source: ViewSource, metric: str) -> float:
    """Return what a metric says of these `hits` on a split, a fraction; waits for a GPU."""
    if metric == ACCURACY:
        return int(hits.sum()) / source.num_samples
    return mean_recall(hits.cpu(), source.labels_on_cpu)


def mean_recall(correct: Tensor, labels: Tensor) -> float:
    """Return the mean over the classes that occur of the share that is right; both (N,), from exact counts."""
    images = torch.bincount(labels).tolist()
    right = torch.bincount(labels[correct], minlength=len(images)).tolist()
    shares = [found / count for found, count in zip(right, images, strict=True) if count]
    return fsum(shares) / len(shares)


def _predicted(net: nn.Module, source: ViewSource, precision: str, tick: Callable[[], None]) -> Tensor:
    found: list[Tensor] = []
    for logits in _forward(net, source.plain_blocks(_order(source)), source.device, precision):
        found.append(logits.argmax(dim=1))
        tick()
    return torch.cat(found)


def first_logits(net: nn.Module, source: ViewSource, *, precision: str) -> Tensor:
    """Return the net's logits on the first block of a split without augmentation, shape (B, K), on the CPU."""
    [logits] = _forward(net, source.plain_blocks(_order(source)[:1]), source.device, precision)
    return logits.float().cpu()


def logits_table(net: nn.Module, views: Views, *, precision: str, tick: Callable[[], None]) -> Tensor:
    """Return the net's logits on every view of an epoch, shape (N, K), float16, on the CPU.

    Computed in the order of the samples and in blocks of `evaluation_batch`, then rounded to the stored type, so
    that a stored table and a fresh one are the same bits (invariant 4). `tick` is called after every block and may
    raise to stop.
    """
    found: list[Tensor] = []
    for logits in _forward(folded(net), views.blocks(_order(views)), views.device, precision):
        found.append(logits.float().clamp(-_HALF_MAX, _HALF_MAX).half())
        tick()
    return torch.cat(found).cpu()


def _order(samples: Views | ViewSource) -> list[Tensor]:
    """Return the indices of all samples, in their order, in blocks of `evaluation_batch`."""
    count, device = samples.num_samples, samples.device
    size = evaluation_batch(device)
    return [torch.arange(start, min(start + size, count), device=device) for start in range(0, count, size)]


def _forward(net: nn.Module, blocks: Iterable[Tensor], device: torch.device, precision: str) -> Iterator[Tensor]:
    """Yield the logits of each block of images; the net's mode is put back at the end."""
    was_training = net.training
    net.eval()
    try:
        for images in blocks:
            with guarded(net), torch.no_grad(), autocast(device, precision):
                logits: Tensor = net(as_input(images, net))
            # Outside the block: a generator must not leave its caller in another mode between two values.
            yield logits
    finally:
        net.train(was_training)
