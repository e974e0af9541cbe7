"""Images of somebody's dataset become the same bytes, or are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tasearch.data.kinds import Kind
from tasearch.data.pixels import UnfitImageError, to_pixels

RGB = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
GREY = np.arange(16, dtype=np.uint8).reshape(4, 4)
CHW = torch.from_numpy(RGB.transpose(2, 0, 1).copy())


@pytest.mark.parametrize(
    ("image", "expected", "kind"),
    [
        (Image.fromarray(RGB), RGB.transpose(2, 0, 1), Kind.RGB),
        (Image.fromarray(GREY), GREY[None], Kind.GREY),
        (RGB, RGB.transpose(2, 0, 1), Kind.RGB),
        (GREY, GREY[None], Kind.GREY),
        (GREY[:, :, None], GREY[None], Kind.GREY),
        (CHW, RGB.transpose(2, 0, 1), Kind.RGB),
        (torch.from_numpy(GREY), GREY[None], Kind.GREY),
        (CHW.float() / 255, RGB.transpose(2, 0, 1), Kind.RGB),
        (CHW.double().numpy().transpose(1, 2, 0) / 255, RGB.transpose(2, 0, 1), Kind.RGB),
        (np.ascontiguousarray(RGB[:, ::-1])[:, ::-1], RGB.transpose(2, 0, 1), Kind.RGB),
        (Image.fromarray(GREY.astype(np.uint16) * 257), GREY[None], Kind.DEEP),
    ],
    ids=["pil", "pil-grey", "hwc", "hw", "hw1", "chw", "torch-hw", "float32", "float64", "strided", "pil-16"],
)
def test_every_form_gives_the_same_bytes(image: Any, expected: Any, kind: Kind) -> None:
    pixels, found = to_pixels(image, None)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, expected)
    assert found is kind


@pytest.mark.parametrize("as_tensor", [False, True])
def test_transparent_parts_become_white(as_tensor: bool) -> None:
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0, 0, 3] = 255
    pixels, kind = to_pixels(torch.from_numpy(rgba.transpose(2, 0, 1).copy()) if as_tensor else rgba, None)
    assert kind is Kind.TRANSPARENT
    assert pixels[:, 0, 0].tolist() == [0, 0, 0]
    assert pixels[:, 1, 1].tolist() == [255, 255, 255]


def test_a_palette_is_converted_and_counted() -> None:
    assert to_pixels(Image.fromarray(RGB).convert("P"), None)[1] is Kind.CONVERTED


def test_a_size_resizes_the_shorter_side_and_takes_the_centre() -> None:
    assert to_pixels(np.zeros((8, 20, 3), dtype=np.uint8), 4)[0].shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("cat.png", "it is a str, not an image"),
        (RGB.astype(np.int64), "its pixels are int64"),
        (np.array([["a"]]), "its pixels are <U1"),
        (np.zeros((3, 5, 5), np.uint8), "(3, 5, 5), where (H, W) or (H, W, C)"),
        (torch.zeros(5, 5, 3, dtype=torch.uint8), "(5, 5, 3), where (C, H, W)"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), "with 1, 3 or 4 channels"),
        (torch.zeros(3, 0, 4, dtype=torch.uint8), "its shape is (3, 0, 4)"),
        (CHW.float() - 20.0, "its pixels go from -20 to 27, outside [0, 1]"),
        (torch.full((3, 4, 4), float("nan")), "outside [0, 1]"),
        (torch.full((3, 4, 4), 0.301), "its pixel 0.301 is no byte divided by 255"),
        (Image.fromarray(GREY.astype(np.float32)), "floating-point pixels"),
    ],
)
def test_what_would_have_to_be_changed_is_refused(image: Any, message: str) -> None:
    with pytest.raises(UnfitImageError) as refused:
        to_pixels(image, None)
    assert message in refused.value.message
    assert refused.value.hint
