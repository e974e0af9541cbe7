"""One image of somebody's dataset into uint8 pixels, exactly or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tasearch.data.decode import squared, to_rgb
from tasearch.data.kinds import Kind, kind_of

_FORMS = "give PIL images, numpy uint8 (H, W) or (H, W, C), or torch uint8 (C, H, W), with 1, 3 or 4 channels"
_EXACT = 1e-3
"""A float that was a byte is this near a whole number after times 255, whichever way it was divided."""


class UnfitImageError(Exception):
    """An image that cannot be taken exactly; `hint` says what to do."""

    def __init__(self, message: str, *, hint: str = _FORMS) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def to_pixels(image: Any, size: int | None) -> tuple[NDArray[np.uint8], Kind]:
    """Return an image as uint8 (C, H, W) with C = 1 (grey) or 3, and what it was.

    `size`: shorter side resized to it, then the centre; None: as it is. Transparent parts become white, 16-bit grey
    keeps its upper 8 bits, floats must be bytes divided by 255. Raises UnfitImageError for anything else.
    """
    if isinstance(image, Image.Image):
        picture, kind = _from_pil(image)
    elif isinstance(image, Tensor):
        picture, kind = _from_array(_bytes_of(image), channels_first=True)
    elif isinstance(image, np.ndarray):
        picture, kind = _from_array(_bytes_of(_tensor_of(image)), channels_first=False)
    else:
        raise UnfitImageError(f"it is a {type(image).__name__}, not an image")
    if size is not None:
        picture = squared(picture, size)
    pixels = np.asarray(picture)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), kind


def _from_pil(image: Image.Image) -> tuple[Image.Image, Kind]:
    if image.mode == "F":
        raise UnfitImageError("it has floating-point pixels, whose range is not known", hint="convert it to 8 bits")
    kind = kind_of(image)
    if kind is Kind.GREY:
        return image.convert("L"), kind
    picture = to_rgb(image, "")
    return (picture.getchannel(0) if kind is Kind.DEEP else picture), kind


def _from_array(values: Tensor, *, channels_first: bool) -> tuple[Image.Image, Kind]:
    shape = tuple(values.shape)
    if len(shape) == 2:
        values = values[None]
    elif len(shape) == 3:
        values = values if channels_first else values.permute(2, 0, 1)
    channels = values.shape[0] if values.ndim == 3 else 0
    if channels not in (1, 3, 4) or 0 in shape:
        order = "(C, H, W)" if channels_first else "(H, W) or (H, W, C)"
        raise UnfitImageError(f"its shape is {shape}, where {order} with 1, 3 or 4 channels is wanted")
    pixels = values.permute(1, 2, 0).contiguous().numpy()
    if channels == 1:
        return Image.fromarray(pixels[:, :, 0]), Kind.GREY
    if channels == 4:
        return to_rgb(Image.fromarray(pixels), ""), Kind.TRANSPARENT
    return Image.fromarray(pixels), Kind.RGB


def _tensor_of(image: NDArray[Any]) -> Tensor:
    try:
        # A copy: torch warns of arrays that may not be written.
        return torch.from_numpy(np.array(image))
    except TypeError:
        raise UnfitImageError(f"its pixels are {image.dtype}") from None


def _bytes_of(values: Tensor) -> Tensor:
    """Return values as uint8. Raises UnfitImageError where that would change them."""
    if values.dtype is torch.uint8:
        return values.detach().cpu()
    if not values.dtype.is_floating_point:
        raise UnfitImageError(f"its pixels are {str(values.dtype).removeprefix('torch.')}")
    scaled = values.detach().cpu().double() * 255
    whole = scaled.round()
    if not bool(torch.isfinite(scaled).all()) or bool((whole < 0).any() | (whole > 255).any()):
        low, high = float(values.min()), float(values.max())
        raise UnfitImageError(
            f"its pixels go from {low:.4g} to {high:.4g}, outside [0, 1]",
            hint="leave normalisation out: tasearch normalises by the training images. " + _FORMS,
        )
    if bool(((scaled - whole).abs() > _EXACT).any()):
        odd = float((scaled / 255).reshape(-1)[int((scaled - whole).abs().argmax())])
        raise UnfitImageError(
            f"its pixel {odd:.6g} is no byte divided by 255, so it would have to be rounded",
            hint="leave out whatever changes pixels after decoding (normalisation, resizing of floats). " + _FORMS,
        )
    return whole.to(torch.uint8)
