"""Which places of a convolution's filter meet pixels, and which only ever meet padding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from types import EllipsisType
from typing import Any

import torch.nn.functional as F
from torch import Tensor

Place = tuple[int, ...]
"""The index of one weight of a filter, in each dimension of the image."""


@dataclass(frozen=True)
class Geometry:
    """How a filter moves over images; one number for every dimension of the image throughout."""

    image: tuple[int, ...]
    """The size of the input."""
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    """On either side."""
    extra: tuple[int, ...]
    """Padding that is only added at the end, for `same` with a filter of even size."""
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    """Read by transposed convolutions only."""
    is_transposed: bool

    @property
    def dims(self) -> int:
        """How many dimensions the images have."""
        return len(self.kernel)

    @cached_property
    def pixels(self) -> tuple[int, ...]:
        """The size of what the filter moves over: the input, or the output of a transposed convolution."""
        if not self.is_transposed:
            return self.image
        spans = zip(self.image, self.stride, self.padding, self._spans, self.output_padding, strict=True)
        return tuple((size - 1) * step - 2 * pad + span + more for size, step, pad, span, more in spans)

    @property
    def is_narrow(self) -> bool:
        """Whether what the filter moves over is smaller than the stride in some dimension."""
        return any(size < step for size, step in zip(self.pixels, self.stride, strict=True))

    @cached_property
    def reached(self) -> tuple[Place, ...] | None:
        """The places of the filter that meet a pixel somewhere; None if all of them do."""
        places = tuple(product(*map(self._reached_in, range(self.dims))))
        return None if len(places) == math.prod(self.kernel) else places

    def padded(self, images: Tensor) -> tuple[Tensor, tuple[slice | EllipsisType, ...]]:
        """Return images with `extra` padding, and the index that cuts it off again."""
        if not any(self.extra):
            return images, (...,)
        ends = [length for more in reversed(self.extra) for length in (0, more)]
        return F.pad(images, ends), (..., *(slice(size) for size in self.image))

    @property
    def _spans(self) -> tuple[int, ...]:
        return tuple(gap * (length - 1) + 1 for gap, length in zip(self.dilation, self.kernel, strict=True))

    def _reached_in(self, dim: int) -> list[int]:
        step, before, size = self.stride[dim], self.padding[dim], self.pixels[dim]
        if self.is_transposed:
            count = self.image[dim]
        else:
            count = (size + 2 * before + self.extra[dim] - self._spans[dim]) // step + 1
        starts = range(-before, count * step - before, step)
        offsets = (place * self.dilation[dim] for place in range(self.kernel[dim]))
        return [k for k, offset in enumerate(offsets) if any(0 <= start + offset < size for start in starts)]


def geometry_of(
    images: tuple[int, ...], weight: tuple[int, ...], given: Mapping[str, Any], *, is_transposed: bool
) -> Geometry:
    """Return how the filter of a call moves.

    Args:
        images: The shape of the input, with or without a batch.
        weight: The shape of the weight.
        given: The arguments of the call by the names that torch gives them.
        is_transposed: Whether it is a transposed convolution.
    """
    dims = len(weight) - 2
    padding = given.get("padding", 0)
    return _geometry(
        images[-dims:],
        weight[2:],
        _each(given.get("stride", 1), dims),
        padding if isinstance(padding, str) else _each(padding, dims),
        _each(given.get("dilation", 1), dims),
        _each(given.get("output_padding", 0), dims),
        is_transposed,
    )


def _each(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """Return the value of every dimension; torch takes one number, alone or in a list, for all of them."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


@lru_cache(maxsize=1024)
def _geometry(
    image: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...] | str,
    dilation: tuple[int, ...],
    output_padding: tuple[int, ...],
    is_transposed: bool,
) -> Geometry:
    extra = (0,) * len(kernel)
    if isinstance(padding, str):
        totals = [gap * (size - 1) if padding == "same" else 0 for gap, size in zip(dilation, kernel, strict=True)]
        padding, extra = tuple(total // 2 for total in totals), tuple(total % 2 for total in totals)
    return Geometry(image, kernel, stride, padding, extra, dilation, output_padding, is_transposed)
