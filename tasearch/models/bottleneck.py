"""Residual networks of bottleneck blocks for large images, after He et al. (CVPR 2016), Table 1.

`bottleneck50` is their ResNet-50. Mirzadeh et al. (AAAI 2020) teach ResNet-14 by ResNet-50 through ResNet-20 on
ImageNet and print neither plan; (1, 1, 1, 1) is the only one of depth 14 with these groups, (1, 2, 2, 1) is our reading
of 20.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

PLANS: dict[int, tuple[int, int, int, int]] = {
    14: (1, 1, 1, 1),
    20: (1, 2, 2, 1),
    26: (2, 2, 2, 2),
    38: (2, 3, 5, 2),
    50: (3, 4, 6, 3),
}
"""Blocks of each group by depth: three layers a block, the stem and the classifier."""
WIDTHS = (64, 128, 256, 512)
"""Inner channels of each group; a block gives out four times as many."""
MIN_IMAGE_SIZE = 32
"""Five halvings leave one pixel."""


class BottleneckNet(nn.Module):
    """A 7x7 stem with pooling, four groups of bottleneck blocks, global average pooling and one linear layer."""

    def __init__(self, *, depth: int, in_channels: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, WIDTHS[0], 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        width = WIDTHS[0]
        for group, blocks in enumerate(PLANS[depth]):
            inner = WIDTHS[group]
            outer = inner * Bottleneck.expansion
            for block in range(blocks):
                stride = 2 if group > 0 and block == 0 else 1
                shortcut = None
                if stride != 1 or width != outer:
                    shortcut = nn.Sequential(
                        nn.Conv2d(width, outer, 1, stride=stride, bias=False), nn.BatchNorm2d(outer)
                    )
                layers.append(Bottleneck(width, inner, stride, shortcut))
                width = outer
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K)."""
        # Not adaptive_avg_pool2d: its CUDA backward adds in no fixed order.
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits
