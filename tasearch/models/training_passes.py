"""A few steps of training with a user's net on made-up images, and everything that they compute."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.ambient import seeded
from tasearch.models.identity import same_bits
from tasearch.models.switches import own_switches, switches_kept

PASSES, PASSES_OF_LARGE_NETS = 8, 3
"""Steps of training: enough to show a counter or a list that begins to matter after a few of them."""
_LARGE = 2_000_000
"""Parameters of a net of which one pass may take a second."""
_STEP = 1e-3
"""Length of a step as a share of the root mean square of a parameter: nothing diverges, and no gate stays zero."""
_LEAST_STEP = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Passes:
    """What the passes of a net computed."""

    logits: tuple[Tensor, ...]
    gradients: Mapping[str, Tensor]
    """Sums over all passes, by the names of parameters."""
    state: Mapping[str, Tensor]
    """The state dict after the last pass."""

    def difference(self, other: Passes) -> str:
        """Return what differs in any bit, as the object of a sentence; empty where nothing does."""
        if not all(map(same_bits, self.logits, other.logits)):
            return "different logits"
        if name := _first_difference(self.gradients, other.gradients):
            return f"different gradients of {name}"
        if name := _first_difference(self.state, other.state):
            return f"different values of {name}"
        return ""


def copied_state(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the parameters and buffers in the net's state dict."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def training_passes(net: nn.Module, images: Tensor, spec: ModelSpec) -> Passes:
    """Train the net for a few steps, as a stage would, and return what was computed.

    Images, random state and steps are the same for every net of a specification, and no pass has the images of
    another. The parameters take small steps, so that what lies behind a layer of zeros shows as well.

    Args:
        net: The net, which is in training mode afterwards.
        images: A batch of the shape that the net is given; its values are not used.
        spec: What the net is called in messages.

    Raises:
        ModelError: The net's code failed.
    """
    net.train()
    for parameter in net.parameters():
        parameter.grad = None
    is_large = sum(parameter.numel() for parameter in net.parameters()) > _LARGE
    count = PASSES_OF_LARGE_NETS if is_large else PASSES
    try:
        with own_switches(), warnings.catch_warnings():
            # The inspection's first passes have shown what the code warns of.
            warnings.simplefilter("ignore")
            logits = tuple(_one_pass(net, images, number) for number in range(count))
    except Exception as error:  # whatever a user's code does not like
        raise ModelError(
            f"{spec.name} cannot be trained (tried on {count} batches of {len(images)} random images): "
            f"{type(error).__name__}: {error}",
            hint="run a few training steps of the net by itself to see where its code fails",
        ) from error
    gradients = {name: one.grad.detach() for name, one in net.named_parameters() if one.grad is not None}
    net.zero_grad(set_to_none=True)
    return Passes(logits=logits, gradients=gradients, state=copied_state(net))


def _one_pass(net: nn.Module, images: Tensor, number: int) -> Tensor:
    # Seeds that the inspection's other passes have not used.
    generator = torch.Generator().manual_seed(1 + number)
    batch = torch.randn(images.shape, generator=generator)
    with switches_kept(), seeded(1 + number):
        logits: Tensor = net(batch)
        if logits.requires_grad:
            # A sum with weights instead of a loss: its gradient does not vanish for large logits.
            (logits * torch.randn(logits.shape, generator=generator)).sum().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.requires_grad and parameter.grad is not None:
                _take_step(parameter)
    return logits.detach().clone()


def _take_step(parameter: Tensor) -> None:
    gradient = parameter.grad
    if gradient is None:
        return
    if gradient.layout is not torch.strided:
        gradient = parameter.grad = gradient.to_dense()
    scale = float(_root_mean_square(gradient))
    if 0 < scale < float("inf"):
        length = _STEP * float(_root_mean_square(parameter)) + _LEAST_STEP
        parameter.sub_(gradient * (length / scale))


def _root_mean_square(tensor: Tensor) -> Tensor:
    return tensor.detach().abs().float().square().mean().sqrt()


def _first_difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> str:
    return next(_differences(ours, theirs), "")


def _differences(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Iterator[str]:
    yield from (name for name in {**ours, **theirs} if name not in ours or not same_bits(ours[name], theirs.get(name)))
