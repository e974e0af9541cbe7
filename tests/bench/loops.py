"""Three ways to write a distillation stage by hand, to be compared with tasearch on the same views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from tasearch.data.views import ViewSource, batch_order
from tasearch.domain.spec import ModelSpec
from tasearch.models.registry import build_model
from tasearch.training.loss import kd_loss

BATCH = 128
CPU = torch.device("cpu")
TEMPERATURE, KD_WEIGHT = 4.0, 0.9


class _PerSample(TorchDataset[tuple[Tensor, int]]):
    """Images that are cropped, mirrored and normalised one by one, as torchvision's CIFAR classes do it."""

    def __init__(self, images: Tensor, labels: Tensor, shift: int) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        self.labels = labels.tolist()
        self.transform: Callable[[Image.Image], Tensor] = transforms.Compose(
            [
                transforms.RandomCrop(images.shape[-1], padding=shift),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def paper_loop(
    teacher: ModelSpec,
    student: ModelSpec,
    images: Tensor,
    labels: Tensor,
    shift: int,
    device: torch.device = CPU,
) -> Iterator[None]:
    """As the paper's code does it: a DataLoader with 2 workers, the teacher's forward inside autograd."""
    net, guide, optimizer = _models(teacher, student, device)
    loader = DataLoader(
        _PerSample(images, labels, shift), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True
    )
    divergence = nn.KLDivLoss(reduction="mean")
    while True:
        for inputs, targets in loader:
            inputs, targets = inputs.to(device), targets.to(device)
            logits, soft = net(inputs), guide(inputs)
            loss = (1 - KD_WEIGHT) * F.cross_entropy(logits, targets) + KD_WEIGHT * TEMPERATURE**2 * divergence(
                F.log_softmax(logits / TEMPERATURE, dim=1), F.softmax(soft / TEMPERATURE, dim=1)
            )
            _step(optimizer, loss)
            yield


def tidy_loop(teacher: ModelSpec, student: ModelSpec, source: ViewSource) -> Iterator[None]:
    """Data in memory, teacher without gradient, float32, contiguous."""
    return _in_memory(teacher, student, source, precision=torch.float32, layout=torch.contiguous_format)


def tuned_loop(teacher: ModelSpec, student: ModelSpec, source: ViewSource, precision: torch.dtype) -> Iterator[None]:
    """As the tidy loop, with channels_last and autocast to the faster type."""
    return _in_memory(teacher, student, source, precision=precision, layout=torch.channels_last)


def _in_memory(
    teacher: ModelSpec, student: ModelSpec, source: ViewSource, *, precision: torch.dtype, layout: Any
) -> Iterator[None]:
    net, guide, optimizer = _models(teacher, student, source.device)
    net, guide = net.to(memory_format=layout), guide.to(memory_format=layout)
    epoch = 0
    while True:
        epoch += 1
        views, order = source.views(0, epoch), batch_order(source.num_samples, 0, epoch).to(source.device)
        for start in range(0, source.num_samples // BATCH * BATCH, BATCH):
            indices = order[start : start + BATCH]
            inputs = views.batch(indices).contiguous(memory_format=layout)
            with torch.autocast(source.device.type, dtype=precision, enabled=precision is not torch.float32):
                with torch.no_grad():
                    soft = guide(inputs)
                logits = net(inputs)
            targets = source.labels[indices]
            loss = kd_loss(logits.float(), soft.float(), targets, temperature=TEMPERATURE, kd_weight=KD_WEIGHT)
            _step(optimizer, loss)
            yield


def _models(
    teacher: ModelSpec, student: ModelSpec, device: torch.device
) -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    net, guide = build_model(student, seed=0).train().to(device), build_model(teacher, seed=1).eval().to(device)
    return net, guide, torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
