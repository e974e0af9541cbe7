"""Random parts of images, scaled to the images' size, after Szegedy et al. (CVPR 2015), section 6.

The crops are not those of torchvision's `RandomResizedCrop(scale=(0.25, 1))`. Where area and ratio ask for a side
longer than the image, that side is cut to the image here, and torchvision draws again. So crops are larger: their mean
area is 0.617 against 0.565, and 17% of them, against 1%, have a full side.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tasearch.domain.randomness import seed_for

LEAST_AREA = 0.25
"""Of the image that a crop shows; all of it at most. (ImageNet's usual 0.08 needs hundreds of epochs.)"""
MOST_STRETCH = 4 / 3
"""How much wider than high a crop may be, or higher than wide."""


class Crops:
    """Which part of each sample is seen in one epoch of one replicate.

    A crop is computed by itself, number by number, so its bits do not depend on what else is in its batch.
    """

    def __init__(self, num_samples: int, image_size: int, replicate: int, epoch: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(seed_for(replicate, "crop", epoch))
        area, stretch, left, top = torch.rand((4, num_samples), generator=generator, dtype=torch.float64)
        area = LEAST_AREA + (1 - LEAST_AREA) * area
        ratio = torch.exp((2 * stretch - 1) * math.log(MOST_STRETCH))
        width, height = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
        # Scale and centre of each crop in the coordinates of `grid_sample`: -1 and 1 are the edges of the image.
        scales, centres = torch.stack((width, height)), torch.stack((left * (1 - width), top * (1 - height)))
        self._scales = scales.float().to(device)
        self._centres = (2 * centres + scales - 1).float().to(device)
        pixels = torch.arange(image_size, dtype=torch.float64)
        self._pixels = ((2 * pixels + 1) / image_size - 1).float().to(device)

    def cut(self, images: Tensor, indices: Tensor) -> Tensor:
        """Return the crops of whole samples (float32 (B, C, H, W)) at `indices` (int64 (B,)), bilinear, as large."""
        chosen = indices.to(images.device)
        size = len(self._pixels)
        along, down = (
            scale[:, None] * self._pixels + centre[:, None]
            for scale, centre in zip(self._scales[:, chosen], self._centres[:, chosen], strict=True)
        )
        grid = torch.stack((along[:, None, :].expand(-1, size, -1), down[:, :, None].expand(-1, -1, size)), dim=3)
        return F.grid_sample(images.contiguous(), grid, mode="bilinear", padding_mode="border", align_corners=False)
