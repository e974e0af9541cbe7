"""Convolutions whose weight gradients are computed beside the backward pass instead of in it.

A weight gradient in a fixed order of addition keeps few of a GPU's processors busy for long, and nothing in the
backward pass waits for it. On a stream of their own all of them run beside what does; the kernels, and so the bits, are
those of `torch.nn.Conv2d`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SideGradients:
    """The weight gradients of a net's convolutions, computed on a stream of their own."""

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        """Have the convolutions of `net` (groups of 1, zero padding) leave their gradients here."""
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._gradients: list[tuple[nn.Parameter, Tensor]] = []
        for module in net.modules():
            if isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros":
                self._lead_away(module)

    def _lead_away(self, module: nn.Conv2d) -> None:
        sinks = [torch.zeros_like(parameter) for parameter in (module.weight, module.bias) if parameter is not None]
        self._gradients += zip(module.parameters(), sinks, strict=True)

        def forward(images: Tensor) -> Tensor:
            out: Tensor = _Convolution.apply(images, module.weight, module.bias, module, sinks, self.stream)
            return out

        module.forward = forward  # type: ignore[method-assign, assignment]

    def collect(self) -> None:
        """Put the gradients where the optimizer looks for them; to be called between backward and its step."""
        torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)
        for parameter, gradient in self._gradients:
            parameter.grad = gradient


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        module: nn.Conv2d,
        sinks: list[Tensor],
        side: torch.cuda.Stream,
    ) -> Tensor:
        """Return what `module` would, in autocast's type where it is on."""
        kind = images.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else images.dtype
        ctx.module, ctx.sinks, ctx.side = module, sinks, side
        ctx.images_dtype = images.dtype
        with torch.autocast(kind, enabled=False):
            images, weight = images.to(dtype), weight.to(dtype)
            ctx.save_for_backward(images, weight)
            bias = None if bias is None else bias.to(dtype)
            return F.conv2d(images, weight, bias, module.stride, module.padding, module.dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None, None, None]:
        """Return the gradient of the images; those of the parameters go to their sinks on the side."""
        images, weight = ctx.saved_tensors
        main = torch.cuda.current_stream(images.device)
        ctx.side.wait_stream(main)
        with torch.cuda.stream(ctx.side):
            _, *found = _gradients(ctx.module, gradient, images, weight, (False, True, len(ctx.sinks) > 1))
            for sink, of_parameter in zip(ctx.sinks, found, strict=False):
                sink.copy_(of_parameter)
        for read in (gradient, images):
            # Whoever frees it must not have its memory written to before the side has read it.
            read.record_stream(ctx.side)
        if not ctx.needs_input_grad[0]:
            return None, None, None, None, None, None
        of_images = _gradients(ctx.module, gradient, images, weight, (True, False, False))[0]
        return of_images.to(ctx.images_dtype), None, None, None, None, None


def _gradients(
    module: nn.Conv2d, gradient: Tensor, images: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return those of the gradients of images, weight and bias that are wanted."""
    bias_sizes = None if module.bias is None else [module.out_channels]
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        images,
        weight,
        bias_sizes,
        list(module.stride),
        list(module.padding),
        list(module.dilation),
        False,
        [0, 0],
        1,
        wanted,
    )
    return found
