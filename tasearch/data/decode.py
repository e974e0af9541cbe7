"""One image file into one square of RGB pixels."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasearch.domain.errors import DataError

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for files that are damaged, truncated or no images."""


def decode(path: str, size: int) -> NDArray[np.uint8]:
    """Return the image as uint8 (3, size, size): shorter side resized to `size`, then the centre.

    Resizing averages over the pixels that disappear. A large JPEG is decoded at a fraction of its size, which is
    several times faster; its pixels then differ by a few levels from those of the same file decoded whole, as by a
    dataset of the user's own, so the two have different content hashes and are different data.

    Raises DataError naming the file where it cannot be read.
    """
    try:
        with Image.open(path) as image:
            # JPEG only: decodes at half, quarter or eighth size where that is still large enough.
            image.draft(None, (2 * size, 2 * size))
            pixels = np.asarray(squared(to_rgb(image, path), size))
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    return pixels.transpose(2, 0, 1)


def image_size(path: str) -> tuple[int, int]:
    """Return width and height from the file's header. Raises DataError naming the file where it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.size
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def to_rgb(image: Image.Image, path: str) -> Image.Image:
    """Return the image in mode RGB.

    16-bit grey keeps its upper 8 bits, transparent parts become white. Raises DataError for floating-point
    pixels, whose range is not known.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise DataError(
            f"image {path} has floating-point pixels, whose range is not known", hint="convert it to 8 or 16 bits"
        )
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Image.convert would clip at 255: white almost everywhere.
        upper = np.clip(np.asarray(image), 0, 65535) >> 8
        image = Image.fromarray(upper.astype(np.uint8))
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return image.convert("RGB")


def squared(image: Image.Image, size: int) -> Image.Image:
    """Return the image with its shorter side resized to `size`, then its centre."""
    width, height = image.size
    if (width, height) == (size, size):
        return image
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def unreadable(path: str, error: Exception) -> DataError:
    """Return what is to be raised for a file that Pillow could not read."""
    reason = " ".join(str(error).replace(f" '{path}'", "").split()) or type(error).__name__
    return DataError(f"image {path} cannot be read: {reason}", hint="replace or remove the file")
