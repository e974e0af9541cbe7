"""The plain CNNs of Mirzadeh et al. (AAAI 2020), Table 6: stacked 3x3 convolutions without shortcuts.

The paper has one set of networks for CIFAR-10 and a wider one for CIFAR-100. Here the 10-class book is used for
data with at most 10 classes and the 100-class book for all other data.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Plan:
    """Layers of one plain CNN."""

    groups: tuple[tuple[int, ...], ...]
    """Output channels of the convolutions, one tuple for each stretch between pools."""
    hidden: tuple[int, ...] = ()
    """Widths of the linear layers before the last one."""
    pool_after_last: bool = True
    """Whether the last group ends in a pool as the others do."""

    @property
    def num_pools(self) -> int:
        """How many times height and width are halved."""
        return len(self.groups) - (0 if self.pool_after_last else 1)


TEN_CLASS_BOOK = {
    2: Plan(((16,), (16,))),
    4: Plan(((16, 16), (32, 32))),
    6: Plan(((16, 16), (32, 32), (64, 64))),
    8: Plan(((16, 16), (32, 32), (64, 64), (128, 128)), hidden=(64,)),
    10: Plan(((32, 32), (64, 64), (128, 128), (256, 256, 256, 256)), hidden=(128,)),
}
HUNDRED_CLASS_BOOK = {
    2: Plan(((32,), (32,))),
    4: Plan(((32, 32), (64, 64))),
    6: Plan(((32, 32), (64, 64), (128, 128)), pool_after_last=False),
    8: Plan(((32, 32), (64, 64), (128, 128), (256, 256)), hidden=(64,)),
    10: Plan(((32, 32), (64, 64), (128, 128), (256, 256, 256, 256)), hidden=(512,)),
}


def plan(depth: int, num_classes: int) -> Plan:
    """Return the layers of `plain<depth>`: 10-class book up to 10 classes, 100-class book above."""
    book = TEN_CLASS_BOOK if num_classes <= 10 else HUNDRED_CLASS_BOOK
    return book[depth]


def min_image_size(depth: int, num_classes: int) -> int:
    """Return the smallest height and width that every pool of `plain<depth>` can halve."""
    return 1 << plan(depth, num_classes).num_pools


class PlainCNN(nn.Module):
    """Groups of 3x3 convolution, batch norm and ReLU with 2x2 max pools between, then linear layers.

    Convolutions have a bias although batch norm follows, as the paper's parameter counts have.
    """

    def __init__(self, *, depth: int, in_channels: int, image_size: int, num_classes: int) -> None:
        super().__init__()
        layout = plan(depth, num_classes)
        layers: list[nn.Module] = []
        width = in_channels
        for number, group in enumerate(layout.groups, start=1):
            for next_width in group:
                layers += [
                    nn.Conv2d(width, next_width, 3, padding=1),
                    nn.BatchNorm2d(next_width),
                    nn.ReLU(inplace=True),
                ]
                width = next_width
            if number < len(layout.groups) or layout.pool_after_last:
                # Before the ReLU: the maximum of what it lets through is what it lets through of the maximum, in
                # the same bits and with the same gradients, on a quarter of the values.
                layers.insert(-1, nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

        features = width * (image_size >> layout.num_pools) ** 2
        linears: list[nn.Module] = []
        for hidden in layout.hidden:
            linears += [nn.Linear(features, hidden), nn.ReLU(inplace=True)]
            features = hidden
        self.classifier = nn.Sequential(*linears, nn.Linear(features, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K)."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits
