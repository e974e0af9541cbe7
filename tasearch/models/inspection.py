"""A net that is not ours, tried once before anything is queued: does it build, and what is it?"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.ambient import seeded
from tasearch.models.callables import call, find_callable
from tasearch.models.identity import build_hash, net_hash, same_bits, user_net_identity
from tasearch.models.names import Kind, kind_of
from tasearch.models.patched_zoo import code_of_users, code_of_users_in, state_of
from tasearch.models.statefulness import (
    check_state_is_whole,
    check_trained_apart,
    check_training_is_repeatable,
    starts_alike,
)
from tasearch.models.switches import switches_kept
from tasearch.models.training_passes import copied_state
from tasearch.models.zoo import construct_zoo_net, load_pretrained, pretrained_hash, zoo_builder

_IMAGES = 2
_ZOOS = (Kind.TORCHVISION, Kind.TIMM)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What a net turned out to be."""

    num_params: int
    macs: int
    """Multiply-accumulates of convolutions and matrix products, of one image."""
    code: str
    """SHA-256 as `models.identity` makes it."""
    is_contiguous: bool
    """Whether its code needs images as (N, C, H, W) in memory."""
    starts_alike: bool = False
    """Whether every replicate begins with the same weights, whatever its seed."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the code of a net of the user's is the hash of, by names that a user understands."""


_KNOWN: dict[ModelSpec, tuple[str, Inspection]] = {}
"""The last inspection of each net, and what its function reached then (`_state`)."""
_KINDS: dict[ModelSpec, tuple[type, ...]] = {}
"""The classes of the layers of a net of torchvision or timm, when it was built last."""
_AS_INSTALLED = "as installed"
"""The state of a net that is torchvision's or timm's alone."""
_LOCK = threading.Lock()


def identified(spec: ModelSpec, *, pretrained: bool = False) -> ModelSpec:
    """Return the model with what tells it from every other net of its name; a net of tasearch is its name.

    Raises ModelError as `inspect_net` does, and where there are no published weights for `pretrained`.
    """
    weights = pretrained_hash(spec.name, spec.in_channels) if pretrained else ""
    if kind_of(spec.name) is Kind.OWN:
        return spec
    found = replace(spec, code=inspect_net(spec, anew=True).code, pretrained=weights)
    if pretrained:
        load_pretrained(construct_other(found, seed=0), found)
    return found


def construct_other(spec: ModelSpec, seed: int) -> nn.Module:
    """Return the net of a name that is not ours on the CPU, its weights a pure function of `seed`; lazy layers done.

    What the code sets for the whole process is put back. Raises ModelError where it cannot be built.
    """
    # Found before the seed is set: a module that is imported here for the first time may draw.
    build = None if kind_of(spec.name) in _ZOOS else find_callable(spec.name)
    with switches_kept(spec.name), seeded(seed), torch.device("cpu"):
        net = construct_zoo_net(spec) if build is None else call(build, spec)
        if any(nn.parameter.is_lazy(part) for part in (*net.parameters(), *net.buffers())):
            # They take their shapes from the first images.
            with torch.no_grad():
                _logits(net.eval(), _images(spec, 1), spec)
        return net.train()


def inspect_net(spec: ModelSpec, *, anew: bool = False) -> Inspection:
    """Build a net, give it images and return what it is.

    A net that was inspected in this process is not built again, unless its function, or what that leads to, is another
    by now. `anew`: build it in any case, to see also what no function shows, such as a patched layer of a package.

    Raises ModelError where it cannot be built, cannot take the images, does not give logits (N, num_classes). A net of
    the user's must also give finite ones in eval and in training mode, have something to train, be the same net
    with the same logits each time, and be rebuilt from its state dict alone.
    """
    bare = replace(spec, code="", pretrained="")
    with _LOCK:
        known, found = _KNOWN.get(bare, ("none", None))
    if found is not None and spec.code == found.code and not anew:
        # It was identified in this process: looking again is for those who do not know what they have.
        return found
    state = _state(bare)
    if found is None or known != state or (anew and state != _AS_INSTALLED):
        found = _inspect_zoo_net(bare) if kind_of(spec.name) in _ZOOS else _inspect_callable(bare)
        if found.parts or state != _AS_INSTALLED:
            # A global that its own building changes is not what was there before.
            state = _state(bare)
        with _LOCK:
            _KNOWN[bare] = (state, found)
    return found


def _state(spec: ModelSpec) -> str:
    """Return a text that changes with the code that a net's function leads to, cheap and without building the net."""
    if kind_of(spec.name) not in _ZOOS:
        return build_hash(find_callable(spec.name))
    with _LOCK:
        kinds = _KINDS.get(spec, ())
    found = [*code_of_users(zoo_builder(spec.name)), *code_of_users_in(kinds)]
    return state_of(found) if found else _AS_INSTALLED


def _inspect_zoo_net(spec: ModelSpec) -> Inspection:
    if code_of_users(zoo_builder(spec.name)):
        return _inspect_callable(spec)
    try:
        # Without numbers: a net of 25 million parameters takes half a second instead of five.
        found = _zoo_net_on(spec, "meta")
    except ModelError:
        # Some nets need numbers to be built; and an error is said in terms of these.
        found = _zoo_net_on(spec, "cpu")
    return found if found is not None else _inspect_callable(spec)


def _zoo_net_on(spec: ModelSpec, device: str) -> Inspection | None:
    """Return what a library's net is, or None if code of the user's takes part in it."""
    with seeded(0), torch.device(device):
        net = construct_zoo_net(spec).eval()
        with _LOCK:
            _KINDS[spec] = tuple(dict.fromkeys(type(layer) for layer in net.modules()))
        if code_of_users(zoo_builder(spec.name), net):
            return None
        images = torch.empty(_IMAGES, spec.in_channels, spec.image_size, spec.image_size)
        return _inspection(net, images, spec, code=net_hash(net), is_contiguous=False)


def _inspect_callable(spec: ModelSpec) -> Inspection:
    net = construct_other(spec, seed=0)
    _check_state(net, spec)
    other, before = construct_other(spec, seed=1), copied_state(net)
    is_alike = starts_alike(net, other)
    build = zoo_builder(spec.name) if kind_of(spec.name) in _ZOOS else find_callable(spec.name)
    identity = user_net_identity(net, lambda seed: construct_other(spec, seed), _images(spec, _IMAGES), build)
    with seeded(0):
        _check_same(net, construct_other(spec, seed=0), spec)
        images = _images(spec, _IMAGES)
        net.eval()
        is_contiguous = not _takes_channels_last(net, images)
        found = _inspection(net, images, spec, code=identity.code, is_contiguous=is_contiguous)
        _check_logits(net, images, spec)
        check_state_is_whole(net, other, images, spec)
        _logits(net.train(), images, spec)
        check_training_is_repeatable(net, other, construct_other(spec, seed=1), images, spec)
        check_trained_apart(net, construct_other(spec, seed=0), before, spec)
    return replace(found, starts_alike=is_alike, parts=identity.parts)


def _inspection(net: nn.Module, images: Tensor, spec: ModelSpec, *, code: str, is_contiguous: bool) -> Inspection:
    counter = _MacCounter()
    with torch.no_grad(), _counted(), counter:
        _logits(net, images, spec)
    return Inspection(
        num_params=sum(parameter.numel() for parameter in net.parameters()),
        macs=counter.macs // _IMAGES,
        code=code,
        is_contiguous=is_contiguous,
    )


def _images(spec: ModelSpec, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, spec.in_channels, spec.image_size, spec.image_size, generator=generator)


def _logits(net: nn.Module, images: Tensor, spec: ModelSpec) -> Tensor:
    """Return what the net makes of images. Raises ModelError where that is not one row of logits for each."""
    mode = "training" if net.training else "eval"
    shape = " x ".join(map(str, images.shape[1:]))
    try:
        with switches_kept(spec.name):
            logits = net(images)
    except Exception as error:  # whatever a user's code does not like
        raise ModelError(
            f"{spec.name} cannot take images of {shape} (in {mode} mode): {type(error).__name__}: {error}",
            hint="choose a net for images of this size; ImageNet's halve theirs up to 32 times, so --image-size 64 or "
            "more may do where the data allow it"
            if kind_of(spec.name) in _ZOOS
            else "the function is told in_channels and image_size where its signature names them",
        ) from error
    if not isinstance(logits, Tensor):
        raise ModelError(
            f"{spec.name} gives a {type(logits).__name__} in {mode} mode, not a tensor of logits",
            hint="let its forward return one tensor (N, num_classes)",
        )
    if tuple(logits.shape) != (len(images), spec.num_classes):
        raise ModelError(
            f"{spec.name} gives {tuple(logits.shape)} for {len(images)} images in {mode} mode, wanted: "
            f"{(len(images), spec.num_classes)}",
            hint=f"let it use the num_classes that it is given, here {spec.num_classes}",
        )
    return logits


def _check_state(net: nn.Module, spec: ModelSpec) -> None:
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ModelError(f"{spec.name} has no parameters that can be trained", hint="return a net with layers")
    strange = [name for name, value in net.state_dict().items() if not isinstance(value, Tensor)]
    if strange:
        raise ModelError(f"{spec.name} has state that is no tensor: {strange[0]}", hint="register it as a buffer")
    for name, value in net.state_dict().items():
        if value.layout is not torch.strided:
            raise ModelError(
                f"{spec.name} has a sparse tensor in its state dict ({name}, {value.layout}); only dense ones "
                "are stored",
                hint="register it as a dense buffer, and call `to_sparse()` in forward",
            )
        if any(stride == 0 and size > 1 for stride, size in zip(value.stride(), value.shape, strict=True)):
            raise ModelError(
                f"{spec.name} has an expanded tensor in its state dict ({name}): its values share memory, so no stored "
                "ones can be loaded into it",
                hint="register a copy that has memory for every value, `tensor.expand(...).clone()`",
            )


def _check_same(net: nn.Module, again: nn.Module, spec: ModelSpec) -> None:
    """Raise ModelError where two nets of one seed differ: replicates could not be told apart from chance."""
    first, second = net.state_dict(), again.state_dict()
    same = first.keys() == second.keys() and all(same_bits(first[name], second[name]) for name in first)
    if not same:
        raise ModelError(
            f"{spec.name} does not build the same net twice from the same random state",
            hint="let it draw from torch's, NumPy's or Python's global generators, which are seeded before each call, "
            "and return a new net each time",
        )


def _check_logits(net: nn.Module, images: Tensor, spec: ModelSpec) -> None:
    with switches_kept(spec.name), torch.no_grad():
        logits, again = net(images), net(images)
    if not bool(logits.isfinite().all()):
        raise ModelError(f"{spec.name} gives logits that are not finite", hint="check its initial weights")
    if not torch.equal(logits, again):
        raise ModelError(
            f"{spec.name} gives different logits each time in eval mode",
            hint="let dropout and the like follow `self.training` (F.dropout does not by itself)",
        )
    sums = logits.double().sum(dim=1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        raise ModelError(
            f"{spec.name} gives probabilities, not logits: each row sums to 1",
            hint="leave out the softmax at its end; the loss has its own",
        )


def _takes_channels_last(net: nn.Module, images: Tensor) -> bool:
    """Whether the net's code can read images that lie channels last; leaves it contiguous."""
    last, contiguous = torch.channels_last, torch.contiguous_format
    try:
        with switches_kept(), torch.no_grad():
            net.to(memory_format=last)(images.contiguous(memory_format=last))
    except Exception:  # what is wrong beside the layout is found when contiguous images are tried
        return False
    finally:
        net.to(memory_format=contiguous)
    return True


@contextmanager
def _counted() -> Iterator[None]:
    """Let attention and recurrent layers be done by operations that can be counted."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="TF32 acceleration on top of oneDNN")
            with torch.backends.mkldnn.flags(enabled=False):
                yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


class _MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts multiply-accumulates of convolutions and matrix products.

    Not torch's FlopCounterMode: its first use in a process takes four seconds of imports.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        output = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "convolution":
            # Output values times the filter of each; a transposed one spreads each input value by its filter.
            is_transposed = args[6]
            self.macs += (args[0] if is_transposed else output).numel() * args[1][0].numel()
        elif name in ("mm", "bmm"):
            self.macs += math.prod(args[0].shape) * args[1].shape[-1]
        elif name in ("addmm", "baddbmm"):
            self.macs += math.prod(args[1].shape) * args[2].shape[-1]
        elif name.startswith("_scaled_dot_product"):
            query, key, value = args[:3]
            self.macs += query.numel() * key.shape[-2] + query.shape[:-1].numel() * value.shape[-2] * value.shape[-1]
        return output
