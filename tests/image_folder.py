"""A small real image folder for tests: classes that can be told apart, with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("left", "middle", "right")


def make_image_folder(root: Path, *, train: int = 24, test: int = 8, size: int = 16, seed: int = 0) -> Path:
    """Write `train/<class>/*.png` and `test/<class>/*.png`: a brighter band on noise; returns `root`."""
    draws = np.random.default_rng(seed)
    band = size // len(CLASSES)
    for split, count in (("train", train), ("test", test)):
        for place, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 160, (size, size, 3))
                pixels[:, place * band : (place + 1) * band] += 50
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03d}.png")
    return root
