"""Real handwritten digits on small cluttered canvases, made in about a second without a download.

The 1,797 scans that ship inside scikit-learn (UCI, "Optical Recognition of Handwritten Digits") are split by scan, so
that no scan is in two splits. Each rendering turns, scales, shears and moves one scan, scatters pieces of other
digits of the same split over it, and adds noise. Integers only, so the same bytes on every machine.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tasearch.data.dataset import DataRequest, Source, Split
from tasearch.data.draws import Draws
from tasearch.domain.errors import DataError

NAME = "cluttered-digits"
DEFAULT_IMAGE_SIZE = 16
IMAGE_SIZES = range(12, 65)
NUM_TRAIN, NUM_VAL, NUM_TEST = 8000, 5000, 5000
VAL_SCANS = TEST_SCANS = 400

# Difficulty at 16 x 16, set so that after 10 epochs of labels on 8,000 images (seed 0) plain2 is right on 67% of test
# and plain10 on 84%: far enough apart that distillation has something to give.
MAX_ROTATION = 30
"""Degrees each way."""
SCALE_PERCENT = (58, 85)
"""Width of the 8 x 8 scan in percent of the canvas; drawn for each axis."""
MAX_SHEAR_PERCENT = 25
MAX_MOVE_PERCENT = 12
"""Move of the centre each way, in percent of the canvas."""
NUM_FRAGMENTS = 3
FRAGMENT_PERCENT = 32
"""Side of a fragment in percent of the canvas."""
INK = (120, 255)
"""Brightness of the digit's full ink, and of each fragment's."""
NOISE = 40
"""Largest noise each way, of 255; its distribution is a triangle."""

_SCAN_SIZE = 8
_SCAN_INK = 16
_FRACTION_BITS = 12
_ONE = 1 << _FRACTION_BITS
_WEIGHT_BITS = 7
_CHUNK_PIXELS = 1 << 17
"""Pixels made at once: their intermediate arrays fit into the processor's cache."""


@dataclass(frozen=True, eq=False)
class _Scans:
    """Scans of one split: uint8 (M, 8, 8) in 0..16, labels int64 (M,), numbers in the source int64 (M,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]


def load(request: DataRequest) -> Source:
    """Return 8,000 / 5,000 / 5,000 renderings of about 1,000 / 400 / 400 scans, uint8 (N, 1, S, S).

    Raises DataError where the image size is not 12..64.
    """
    size = DEFAULT_IMAGE_SIZE if request.image_size is None else request.image_size
    if size not in IMAGE_SIZES:
        raise DataError(
            f"{NAME} cannot be rendered at {size} x {size}: image_size must be {IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]}",
            hint=f"leave --image-size out for {DEFAULT_IMAGE_SIZE}",
        )
    train, val, test = _split_scans()
    return Source(
        train=_render(train, NUM_TRAIN, size, Draws("cluttered-digits train")),
        val=_render(val, NUM_VAL, size, Draws("cluttered-digits val")),
        test=_render(test, NUM_TEST, size, Draws("cluttered-digits test")),
        class_names=tuple(str(digit) for digit in range(10)),
    )


def _split_scans() -> tuple[_Scans, _Scans, _Scans]:
    """Return the scans of train, val and test, stratified by class, in an order that alternates between classes."""
    # Imported here: scikit-learn takes a second, and other datasets do without it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.int64)
    shuffled = Draws("cluttered-digits scans").permutation(len(labels))
    rank = np.empty(len(labels))
    for digit in range(10):
        members = shuffled[labels[shuffled] == digit]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.argsort(rank, kind="stable")
    cuts = (0, VAL_SCANS, VAL_SCANS + TEST_SCANS, len(order))
    val, test, train = (
        _Scans(images[part], labels[part], part) for part in (order[low:high] for low, high in itertools.pairwise(cuts))
    )
    return train, val, test


def _render(scans: _Scans, count: int, size: int, draws: Draws) -> Split:
    """Return `count` renderings, the scans taken in turn."""
    chosen = np.arange(count) % len(scans.labels)
    shapes = _affine_maps(count, size, draws)
    clean = np.empty((count, size, size), dtype=np.uint8)
    chunk = _CHUNK_PIXELS // size**2
    for low in range(0, count, chunk):
        part = slice(low, low + chunk)
        clean[part] = _resample(scans.images, chosen[part], shapes[:, part], size)
    canvas = _with_ink(clean, draws.integers(*INK, (count,)))
    _scatter_fragments(canvas, clean, size, draws)
    _add_noise(canvas, draws)
    return Split(
        images=torch.from_numpy(canvas)[:, None].contiguous(),
        labels=torch.from_numpy(scans.labels[chosen]),
        groups=torch.from_numpy(scans.numbers[chosen]),
    )


def _affine_maps(count: int, size: int, draws: Draws) -> NDArray[np.int32]:
    """Return for each rendering a, b, c, d and the centre x, y: int32 (6, count), fixed point.

    A canvas pixel at (x, y) from the centre shows the scan at (a x + b y, c x + d y) from the scan's centre.
    """
    angles = range(-MAX_ROTATION, MAX_ROTATION + 1)
    table = np.array([[round(turn(math.radians(angle)) * _ONE) for angle in angles] for turn in (math.cos, math.sin)])
    cosine, sine = table[:, draws.integers(0, len(angles) - 1, (count,))]
    # Scan pixels per canvas pixel, along and across the strokes.
    percent = draws.integers(*SCALE_PERCENT, (2, count))
    along, across = (_SCAN_SIZE * 100 * _ONE) // (percent * size)
    shear = draws.integers(-MAX_SHEAR_PERCENT, MAX_SHEAR_PERCENT, (count,))
    a = along * cosine >> _FRACTION_BITS
    b = along * sine >> _FRACTION_BITS
    c = -across * sine >> _FRACTION_BITS
    d = across * cosine >> _FRACTION_BITS
    a, b = a + c * shear // 100, b + d * shear // 100
    reach = size * MAX_MOVE_PERCENT * _ONE // 100
    centre = draws.integers(-reach, reach, (2, count)) + (size - 1) * _ONE // 2
    return np.stack([a, b, c, d, *centre]).astype(np.int32)


def _resample(
    scans: NDArray[np.uint8], chosen: NDArray[np.int64], shapes: NDArray[np.int32], size: int
) -> NDArray[np.uint8]:
    """Return scans `chosen` (B,) under their affine maps, bilinear in fixed point: uint8 (B, size, size), 0..255."""
    margin = 2
    padded = np.pad(scans, ((0, 0), (margin, margin), (margin, margin)))
    side = _SCAN_SIZE + 2 * margin
    a, b, c, d, centre_x, centre_y = shapes[:, :, None, None]
    pixel = np.arange(size, dtype=np.int32) << _FRACTION_BITS
    # Offsets to 1/16 pixel keep the products inside 32 bits.
    x = (pixel[None, None, :] - centre_x) >> (_FRACTION_BITS - 4)
    y = (pixel[None, :, None] - centre_y) >> (_FRACTION_BITS - 4)
    middle = ((side - 1) << _FRACTION_BITS) // 2
    limit = ((side - 1) << _FRACTION_BITS) - 1
    u = np.clip(((a * x + b * y) >> 4) + middle, 0, limit)
    v = np.clip(((c * x + d * y) >> 4) + middle, 0, limit)
    corner = (v >> _FRACTION_BITS) * side + (u >> _FRACTION_BITS)
    corner += (chosen * side * side).astype(np.int32)[:, None, None]
    fraction_u = (u & (_ONE - 1)) >> (_FRACTION_BITS - _WEIGHT_BITS)
    fraction_v = (v & (_ONE - 1)) >> (_FRACTION_BITS - _WEIGHT_BITS)
    flat = padded.reshape(-1).astype(np.int32)
    rows = []
    for below in (0, side):
        left, right = flat[corner + below], flat[corner + (below + 1)]
        rows.append((left << _WEIGHT_BITS) + (right - left) * fraction_u)
    blended = (rows[0] << _WEIGHT_BITS) + (rows[1] - rows[0]) * fraction_v
    levels: NDArray[np.uint8] = (blended * 255 // (_SCAN_INK << 2 * _WEIGHT_BITS)).astype(np.uint8)
    return levels


def _with_ink(images: NDArray[np.uint8], ink: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return images (B, ...) dimmed so that 255 becomes `ink` (B,)."""
    factor = ink.astype(np.uint16).reshape(-1, *[1] * (images.ndim - 1))
    return (images * factor // np.uint16(255)).astype(np.uint8)


def _scatter_fragments(canvas: NDArray[np.uint8], clean: NDArray[np.uint8], size: int, draws: Draws) -> None:
    """Lay square pieces of other renderings over each canvas, in place; the brighter pixel wins."""
    count, side = len(canvas), size * FRAGMENT_PERCENT // 100
    places = count, NUM_FRAGMENTS
    others = (np.arange(count)[:, None] + draws.integers(1, count - 1, places)) % count
    ink = draws.integers(*INK, places)
    offset = np.arange(side)
    within = offset[:, None] * size + offset
    for number in range(NUM_FRAGMENTS):
        # Pieces come from the inner half of their digit, where its strokes are, and go anywhere.
        inner = draws.integers(size // 4, size * 3 // 4 - side // 2, (2, count))
        source = others[:, number] * size * size + inner[0] * size + inner[1]
        goal = draws.integers(0, size - side, (2, count))
        target = np.arange(count) * size * size + goal[0] * size + goal[1]
        pieces = clean.reshape(-1)[source[:, None, None] + within]
        pieces = _with_ink(pieces, ink[:, number])
        at = target[:, None, None] + within
        canvas.reshape(-1)[at] = np.maximum(canvas.reshape(-1)[at], pieces)


def _add_noise(canvas: NDArray[np.uint8], draws: Draws) -> None:
    """Add noise in -NOISE..NOISE to every pixel, in place."""
    first, second = draws.octets(canvas.shape), draws.octets(canvas.shape)
    noise = (first.astype(np.int16) - second) * NOISE // 255
    np.clip(canvas + noise, 0, 255, out=noise)
    canvas[...] = noise
