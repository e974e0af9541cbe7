"""Residual networks for small images, after He et al., "Deep Residual Learning" (CVPR 2016), section 4.2."""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (16, 32, 64)
"""Channels of the three groups; each group after the first halves height and width."""
MIN_IMAGE_SIZE = 4
"""Two halvings leave one pixel."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut around them.

    The shortcut is the identity where shapes allow it, else a 1x1 convolution with batch norm.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        total: Tensor = self.relu(self.body(images) + self.shortcut(images))
        return total


class ResNet(nn.Module):
    """A stem, three groups of `blocks_per_group` blocks, global average pooling and one linear layer.

    Depth is 6 * blocks_per_group + 2 layers of weights, not counting the 1x1 shortcuts.
    """

    def __init__(self, *, blocks_per_group: int, in_channels: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, WIDTHS[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        ]
        width = WIDTHS[0]
        for group, next_width in enumerate(WIDTHS):
            for block in range(blocks_per_group):
                stride = 2 if group > 0 and block == 0 else 1
                layers.append(BasicBlock(width, next_width, stride))
                width = next_width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K)."""
        # Not adaptive_avg_pool2d: its CUDA backward adds in no fixed order.
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits


def blocks_per_group(depth: int) -> int | None:
    """Return n where depth = 6n + 2 with n >= 1, else None."""
    blocks, rest = divmod(depth - 2, 6)
    return blocks if rest == 0 and blocks >= 1 else None
