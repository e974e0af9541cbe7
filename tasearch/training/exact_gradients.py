"""Right weight gradients of convolutions in bfloat16 on CPUs, where oneDNN's are not.

oneDNN's bfloat16 kernel for weight gradients reads and leaves memory that nobody has written where a convolution sees
an image that is narrower than its stride (`docs/onednn-bf16-weights-gradient.md`). The places of the filter that only
ever meet padding, whose gradient is exactly zero, then hold arbitrary numbers, up to NaN, and other places can become
NaN. A step would add them to the weights. Here every convolution that is called in a block is looked at:

- Where its image is narrower than its stride, and in three dimensions, the kernel for float32 computes the gradient of
  its weights, from the same images and the same gradient of the output.
- Elsewhere the places that only meet padding get a gradient of exactly zero. oneDNN's were right on all processors
  that were tried, so this changes no bit there; it does not rest on how a kernel is written.

The net is not touched: neither its modules nor its parameters carry anything afterwards. A convolution is recognised by
the function of torch that carries it out (`torch.conv2d` and its like), not by its module. That covers every
convolution class of `torch.nn` and its subclasses, lazy modules, parametrised weights, weights that several calls
share, functional calls, compiled modules, and what activation checkpointing computes again during the backward pass.
Not covered are calls that pass this function by: modules of TorchScript and of `torch.export`, operators that are
called as `torch.ops.aten.*`, and passes that an `autograd.Function` of the user's own or activation checkpointing with
`use_reentrant=True` carries out during the backward pass. Nor are nets that choose bfloat16 themselves in a stage of
precision float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tasearch.models.names import is_own
from tasearch.training.filter_places import Geometry, Place, geometry_of

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


def exact_gradients(model_name: str, precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return a block in which the forward and backward passes of a net give its convolutions right gradients.

    It may be entered again and again. It does nothing in float32, on a GPU, or for the nets of tasearch, which cost
    nothing then: of images that they accept none becomes narrower than a stride.

    Args:
        model_name: The name of the net, which says where the net comes from.
        precision: The precision of the stage.
        device: Where the net is trained.

    Raises:
        ModelError: No model can have this name.
    """
    if device.type != "cpu" or precision == "float32" or is_own(model_name):
        return nullcontext()
    return ExactGradients()


class ExactGradients(TorchFunctionMode):
    """Gives convolutions in bfloat16 on a CPU right weight gradients; to be entered for both passes of a net."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; convolutions whose gradient could be wrong are led another way."""
        names = _PARAMETERS.get(func)
        if names is None:
            return func(*args, **(kwargs or {}))
        given = dict(zip(names, args, strict=False)) | dict(kwargs or {})
        images, weight = given.get("input"), given.get("weight")
        if not (isinstance(images, Tensor) and isinstance(weight, Tensor) and _is_watched(images, weight, func)):
            return func(**given)
        is_transposed = given.get("transposed", names is _TRANSPOSED)
        geometry = geometry_of(tuple(images.shape), tuple(weight.shape), given, is_transposed=is_transposed)
        if geometry.is_narrow or geometry.dims > 2:
            # As autocast would, and so that activation checkpointing finds what it finds without this block.
            tensors = [_in_bfloat16(given.pop(name, None)) for name in ("input", "weight", "bias")]
            return _WithWideGradient.apply(*tensors, geometry, given.get("groups", 1), partial(func, **given))
        reached = geometry.reached
        if reached is not None:
            given["weight"] = _with_zeros(weight, reached)
        return func(**given)


def _is_watched(images: Tensor, weight: Tensor, func: Callable[..., Any]) -> bool:
    """Whether bfloat16 is what the gradient of this weight will be computed in."""
    if not weight.requires_grad or not torch.is_grad_enabled() or weight.device.type != "cpu":
        return False
    # What autocast turns into bfloat16: calls of these functions but the general one, unless in double precision.
    if torch.is_autocast_enabled("cpu") and func is not torch.convolution:
        return torch.get_autocast_dtype("cpu") is torch.bfloat16 and torch.float64 not in (weight.dtype, images.dtype)
    return weight.dtype is torch.bfloat16 and images.dtype is torch.bfloat16


def _in_bfloat16(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(torch.bfloat16)


def _with_zeros(weight: Tensor, reached: Sequence[Place]) -> Tensor:
    """Return the same weight; of what arrives as its gradient only the reached places are passed on, the rest is zero.

    A hook on the weight itself would stay there, and would also hold for calls on larger images.
    """

    def exact(gradient: Tensor) -> Tensor:
        # Copied and not multiplied by a mask: zero times NaN is NaN.
        zeros = torch.zeros_like(gradient)
        for place in reached:
            index: tuple[Any, ...] = (..., *place)
            zeros[index] = gradient[index]
        return zeros

    # The same bytes with the same strides, also in dimensions of size 1: oneDNN's choice of a kernel rests on them.
    seen = weight[...]
    seen.register_hook(exact)  # type: ignore[no-untyped-call]
    return seen


class _WithWideGradient(torch.autograd.Function):
    """A convolution in bfloat16 whose weight and bias get their gradients in float32."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        _geometry: Geometry,
        _groups: int,
        convolve: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    ) -> Tensor:
        """Return what `convolve` gives for these images, this weight and this bias."""
        return convolve(images, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        """Keep what the backward pass reads."""
        images, weight, bias, ctx.geometry, ctx.groups, *_ = inputs
        ctx.save_for_backward(images, weight)
        ctx.has_bias = bias is not None

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of images, weight and bias."""
        images, weight = ctx.saved_tensors
        of_images = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_images = _gradient(0, gradient, images, weight, ctx)
        if ctx.needs_input_grad[1]:
            of_weight = _gradient(1, gradient.float(), images.float(), weight.float(), ctx)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            channels = gradient.ndim - 1 - ctx.geometry.dims
            of_bias = gradient.float().sum([dim for dim in range(gradient.ndim) if dim != channels])
        return of_images, of_weight, of_bias, None, None, None


def _gradient(which: int, gradient: Tensor, images: Tensor, weight: Tensor, ctx: Any) -> Tensor:
    """Return the gradient of the images (0) or of the weight (1)."""
    geometry: Geometry = ctx.geometry
    has_no_batch = images.ndim < weight.ndim
    if has_no_batch:
        gradient, images = gradient.unsqueeze(0), images.unsqueeze(0)
    images, cut = geometry.padded(images)
    found: Tensor = torch.ops.aten.convolution_backward(
        gradient,
        images,
        weight,
        None,
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        geometry.is_transposed,
        geometry.output_padding,
        ctx.groups,
        (which == 0, which == 1, False),
    )[which]
    if which == 1:
        return found
    found = found[cut]
    return found.squeeze(0) if has_no_batch else found
