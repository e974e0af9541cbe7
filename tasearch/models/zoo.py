"""Nets of torchvision and timm by name, and their published weights."""

from __future__ import annotations

import difflib
import hashlib
import socket
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.names import Kind, kind_of, short

_EXTRA_ARGUMENTS: dict[str, dict[str, Any]] = {
    # Their further outputs are for a loss that is not ours; their slow initial weights are said to change.
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}


def construct_zoo_net(spec: ModelSpec) -> nn.Module:
    """Return a net of torchvision or timm for the shapes of `spec`, its weights by its own code.

    Raises ModelError where there is none of this name, timm is not installed, or it cannot have these shapes.
    """
    name, kind = short(spec.name), kind_of(spec.name)
    builder = _torchvision_builder(spec.name) if kind is Kind.TORCHVISION else None
    try:
        if builder is not None:
            return with_channels(builder(weights=None, **torchvision_arguments(spec)), spec.in_channels)
        return _timm(spec.name).create_model(name, pretrained=False, **timm_arguments(spec))  # type: ignore[no-any-return]
    except ModelError:
        raise
    except Exception as error:  # whatever a library of nets does not like
        raise ModelError(
            f"{spec.name} cannot be built for images of {spec.in_channels} x {spec.image_size} x {spec.image_size} and "
            f"{spec.num_classes} classes: {type(error).__name__}: {error}",
            hint="choose another net, or another --image-size where the data allow it (224 suits ImageNet's nets)",
        ) from error


def zoo_builder(name: str) -> Callable[..., nn.Module]:
    """Return the function that torchvision or timm has under a name. Raises ModelError where there is none."""
    if kind_of(name) is Kind.TORCHVISION:
        return _torchvision_builder(name)  # type: ignore[no-any-return]
    return _timm(name).model_entrypoint(short(name))  # type: ignore[no-any-return]


def torchvision_arguments(spec: ModelSpec) -> dict[str, Any]:
    """Return what torchvision's builder of a net is called with, `weights` aside."""
    name = short(spec.name)
    arguments = {"num_classes": spec.num_classes, **_EXTRA_ARGUMENTS.get(name, {})}
    # Transformers with an embedding of each place; other nets take any size.
    if name.startswith("vit_"):
        arguments["image_size"] = spec.image_size
    if name.startswith("maxvit"):
        arguments["input_size"] = (spec.image_size, spec.image_size)
    return arguments


def timm_arguments(spec: ModelSpec) -> dict[str, Any]:
    """Return what timm's `create_model` is called with, name and `pretrained` aside."""
    settings = _timm(spec.name).get_pretrained_cfg(short(spec.name))
    fixed = settings is not None and settings.fixed_input_size
    size = {"img_size": spec.image_size} if fixed else {}
    return {"num_classes": spec.num_classes, "in_chans": spec.in_channels, **size}


def load_pretrained(net: nn.Module, spec: ModelSpec) -> None:
    """Put the published weights into a net of `spec`; the head stays as it is unless it has as many classes.

    With one image channel the filters of the first layer are summed over the three that they have. Raises ModelError
    where the weights cannot be had, or belong to another shape of image.
    """
    found = _published(spec.name, spec.in_channels)
    wanted = net.state_dict()
    kept = {name: tensor for name, tensor in found.items() if name in wanted and tensor.shape == wanted[name].shape}
    other = [name for name in wanted if name not in kept]
    # A head's tensors differ in the number of classes alone, which comes first.
    heads = [name for name in other if name in found and found[name].shape[1:] == wanted[name].shape[1:]]
    bad = [name for name in other if name not in heads]
    if bad:
        shown = ", ".join(f"{name} {tuple(wanted[name].shape)}" for name in bad[:3])
        raise ModelError(
            f"the published weights of {spec.name} do not fit images of {spec.in_channels} x {spec.image_size} x "
            f"{spec.image_size}: {shown} is of another shape there",
            hint="use the --image-size that they were trained at (224 as a rule), or leave it out of --pretrained",
        )
    net.load_state_dict(kept, strict=False)


@lru_cache(maxsize=16)
def pretrained_hash(name: str, in_channels: int) -> str:
    """Return the SHA-256 over the published weights of a net. Raises ModelError where they cannot be had."""
    digest = hashlib.sha256()
    for key, tensor in sorted(_published(name, in_channels).items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@lru_cache(maxsize=2)
def _published(name: str, in_channels: int) -> Mapping[str, Tensor]:
    """Return the published weights; kept, because every replicate of a stage starts from them."""
    kind = kind_of(name)
    if kind not in (Kind.TORCHVISION, Kind.TIMM):
        raise ModelError(
            f"{name} has no published weights: --pretrained is for torchvision:NAME and timm:NAME",
            hint="leave its role out of --pretrained; a teacher's own weights are given with --teacher-checkpoint",
        )
    if kind is Kind.TIMM:
        return _published_by_timm(name, in_channels)
    weights = _torchvision_weights(name)
    state: dict[str, Tensor] = _read(name, weights.url)
    return state if in_channels == 3 else _with_summed_stem(name, state, in_channels)


def _with_summed_stem(name: str, state: dict[str, Tensor], in_channels: int) -> dict[str, Tensor]:
    stem = next((key for key, tensor in state.items() if tensor.ndim == 4 and tensor.shape[1] == 3), None)
    if in_channels != 1 or stem is None:
        raise ModelError(
            f"the published weights of {name} are for images of 3 channels, these have {in_channels}",
            hint="leave this net out of --pretrained",
        )
    return {**state, stem: state[stem].sum(dim=1, keepdim=True)}


def _torchvision_weights(name: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(short(name)).DEFAULT


def _read(name: str, url: str) -> dict[str, Tensor]:
    """Return the weights of a URL from torch's cache, loaded into it where they are not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            prefix = path.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # no network, a full disk, a damaged file: each by an error of its own
        raise ModelError(
            f"the published weights of {name} cannot be had: {type(error).__name__}: {error}",
            hint=f"they come from {url}; where that cannot be reached, put the file at {path}",
        ) from error
    return state


def _published_by_timm(name: str, in_channels: int) -> Mapping[str, Tensor]:
    library = _timm(name)
    try:
        where = _cached_by_timm(library.get_pretrained_cfg(short(name)))
        net = library.create_model(short(name), pretrained=True, in_chans=in_channels, pretrained_cfg_overlay=where)
    except Exception as error:  # no network, no such weights: each by an error of its own
        raise ModelError(
            f"the published weights of {name} cannot be had: {type(error).__name__}: {error}",
            hint="timm loads them from the Hugging Face hub into HF_HOME; fill that cache where there is a network",
        ) from error
    state: Mapping[str, Tensor] = net.state_dict()
    return state


def _cached_by_timm(settings: Any) -> dict[str, str]:
    """Return the file that weights of the hub lie in already, as timm's settings have it; empty: they are elsewhere.

    Raises OSError at once where they would have to be loaded and the hub is out of reach: its client tries for minutes.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if settings is None or not settings.hf_hub_id:
        return {}
    for file in ("model.safetensors", "pytorch_model.bin"):
        found = try_to_load_from_cache(settings.hf_hub_id, file)
        if isinstance(found, str):
            return {"file": found}
    if not getproxies():
        with socket.create_connection((urlsplit(constants.ENDPOINT).hostname or "", 443), timeout=5):
            pass
    return {}


def _torchvision_builder(name: str) -> Any:
    from torchvision import models

    known = models.list_models(module=models)
    if short(name) not in known:
        raise ModelError(f"unknown model {name!r}", hint=_close(short(name), known))
    return models.get_model_builder(short(name))


def _timm(name: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise ModelError(
            f"{name} needs timm, which cannot be imported: {error}", hint="`pip install tasearch[timm]`"
        ) from error
    if not timm.is_model(short(name)):
        raise ModelError(f"unknown model {name!r}", hint=_close(short(name), timm.list_models()))
    return timm


def _close(name: str, known: list[str]) -> str:
    """Return a hint with a few of a thousand names."""
    few = difflib.get_close_matches(name, known, n=6, cutoff=0.5)
    if few:
        return f"did you mean one of {', '.join(few)}?"
    return f"there are {len(known)}, e.g. {', '.join(known[:: len(known) // 10])}"


def with_channels(net: nn.Module, in_channels: int) -> nn.Module:
    """Return the net with a first convolution for `in_channels`; torchvision's are for three."""
    if in_channels == 3:
        return net
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 3:
            other = nn.Conv2d(
                in_channels,
                layer.out_channels,
                layer.kernel_size,  # type: ignore[arg-type]
                stride=layer.stride,  # type: ignore[arg-type]
                padding=layer.padding,  # type: ignore[arg-type]
                bias=layer.bias is not None,
            )
            parent, _, attribute = name.rpartition(".")
            setattr(net.get_submodule(parent), attribute, other)
            return net
    raise ValueError("its first layer is no convolution of three channels")
