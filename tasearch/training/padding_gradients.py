"""Exact gradients of filter places that only ever meet padding, in bfloat16 on CPUs.

Where a strided, padded convolution sees an image that is smaller than its stride, some places of its filter never meet
a pixel: the gradient of their weights is exactly zero. oneDNN's bfloat16 kernel for weight gradients leaves these
places as it found them in memory (`docs/onednn-bf16-weights-gradient.md`), so that a step would add arbitrary numbers
to the weights, up to NaN. Here every convolution that is called in a block is looked at, and where it has such places
their gradient is set to zero. No other gradient changes by a bit, and the net itself is not touched: neither its
modules nor its parameters carry anything afterwards.

A convolution is recognised by the function of torch that carries it out (`torch.conv2d` and its like), not by its
module. That covers every convolution class of `torch.nn` and its subclasses, lazy modules, parametrised weights,
weights that several calls share, functional calls, compiled modules, and what activation checkpointing computes again
during the backward pass. Not covered are calls that pass this function by: modules of TorchScript and of
`torch.export`, operators that are called as `torch.ops.aten.*`, and a backward pass that an `autograd.Function` of
the user's own computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tasearch.models.names import is_own

_FORWARD = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_GENERAL = ("input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups")
_PARAMETERS: dict[Callable[..., Any], tuple[str, ...]] = {
    torch.conv1d: _FORWARD,
    torch.conv2d: _FORWARD,
    torch.conv3d: _FORWARD,
    torch.conv_transpose1d: _TRANSPOSED,
    torch.conv_transpose2d: _TRANSPOSED,
    torch.conv_transpose3d: _TRANSPOSED,
    torch.convolution: _GENERAL,
}
"""The functions that carry out convolutions, with their parameters in order."""
Place = tuple[int, ...]
"""The index of one weight of a filter, in each dimension of the image."""

_NARROW = (torch.bfloat16, torch.float16)


def exact_padding_gradients(model_name: str, device: torch.device) -> AbstractContextManager[object]:
    """Return a block in which the forward and backward passes of a net get exact gradients beside the image.

    It may be entered again and again. It does nothing on a GPU, nor for the nets of tasearch: no size that they accept
    leaves a place of a filter without pixels.

    Args:
        model_name: The name of the net, which says where the net comes from.
        device: Where the net is trained.

    Raises:
        ModelError: No model can have this name.
    """
    if device.type != "cpu" or is_own(model_name):
        return nullcontext()
    return PaddingGradients()


class PaddingGradients(TorchFunctionMode):
    """Gives convolutions in bfloat16 a gradient of exactly zero where their filters only meet padding."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; a convolution with unreached places gets its weight by way of a hook."""
        names = _PARAMETERS.get(func)
        if names is None:
            return func(*args, **(kwargs or {}))
        given = dict(zip(names, args, strict=False)) | dict(kwargs or {})
        weight, images = given.get("weight"), given.get("input")
        if isinstance(weight, Tensor) and isinstance(images, Tensor) and _is_mended(weight, images):
            reached = _reached(given, images, weight, is_transposed=names is _TRANSPOSED)
            if reached is not None:
                given["weight"] = _with_zeros(weight, reached)
        return func(**given)


def _is_mended(weight: Tensor, images: Tensor) -> bool:
    """Whether a gradient of this weight will be computed in a type of half the width, as far as can be told."""
    if not weight.requires_grad or not torch.is_grad_enabled() or weight.device.type != "cpu":
        return False
    return torch.is_autocast_enabled("cpu") or weight.dtype in _NARROW or images.dtype in _NARROW


def _with_zeros(weight: Tensor, reached: Sequence[Place]) -> Tensor:
    """Return the same weight; of what arrives as its gradient only the reached places are passed on, the rest is zero.

    A hook on the weight itself would stay there, and would also hold for calls on larger images.
    """

    def exact(gradient: Tensor) -> Tensor:
        # Copied and not multiplied by a mask: zero times NaN is NaN.
        zeros = torch.zeros_like(gradient)
        for place in reached:
            zeros[(..., *place)] = gradient[(..., *place)]
        return zeros

    # The same bytes with the same strides, also in dimensions of size 1: oneDNN's choice of a kernel rests on them.
    seen = weight[...]
    seen.register_hook(exact)  # type: ignore[no-untyped-call]
    return seen


def _reached(
    given: Mapping[str, Any], images: Tensor, weight: Tensor, *, is_transposed: bool
) -> tuple[Place, ...] | None:
    dims = weight.ndim - 2
    padding = given.get("padding", 0)
    return reached_places(
        tuple(images.shape[-dims:]),
        tuple(weight.shape[2:]),
        stride=_each(given.get("stride", 1), dims),
        padding=padding if isinstance(padding, str) else _each(padding, dims),
        dilation=_each(given.get("dilation", 1), dims),
        output_padding=_each(given.get("output_padding", 0), dims),
        is_transposed=given.get("transposed", is_transposed),
    )


def _each(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """Return the value of every dimension; torch takes one number, alone or in a list, for all of them."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


@lru_cache(maxsize=1024)
def reached_places(
    image: tuple[int, ...],
    kernel: tuple[int, ...],
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...] | str,
    dilation: tuple[int, ...],
    output_padding: tuple[int, ...],
    is_transposed: bool,
) -> tuple[Place, ...] | None:
    """Return which places of a filter meet a pixel of the image somewhere.

    Args:
        image: The size of the input in every dimension, without batch and channels.
        kernel: The size of the filter.
        stride: As of the convolution, one number for every dimension, like all that follow.
        padding: The same, or `valid` or `same`.
        dilation: The same.
        output_padding: The same; only transposed convolutions read it.
        is_transposed: Whether the convolution is a transposed one.

    Returns:
        The places that do, or None if all of them do.
    """
    met = []
    for dim, length in enumerate(kernel):
        span = dilation[dim] * (length - 1) + 1
        before, after = _padding_of(padding, dim, span)
        if is_transposed:
            steps = image[dim]
            limit = (steps - 1) * stride[dim] - before - after + span + output_padding[dim]
        else:
            steps, limit = (image[dim] + before + after - span) // stride[dim] + 1, image[dim]
        starts = range(-before, steps * stride[dim] - before, stride[dim])
        offsets = range(0, span, dilation[dim])
        met.append([k for k, offset in enumerate(offsets) if any(0 <= start + offset < limit for start in starts)])
    places = tuple(product(*met))
    return None if len(places) == math.prod(kernel) else places


def _padding_of(padding: tuple[int, ...] | str, dim: int, span: int) -> tuple[int, int]:
    """Return how much padding lies before and after the image in one dimension; `span`: what the filter covers."""
    if isinstance(padding, tuple):
        return padding[dim], padding[dim]
    total = span - 1 if padding == "same" else 0
    return total // 2, total - total // 2
