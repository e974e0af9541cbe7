"""A checkpoint that somebody else has trained, read into a net without running any code that is in it."""

from __future__ import annotations

import argparse
import codecs
import errno
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PosixPath, PurePosixPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.registry import build_model
from tasearch.training.weights import watched_tensors, weights_to_bytes

ENTRIES = ("state_dict", "model", "model_state_dict", "net", "weights", "params", "module")
"""Of a checkpoint that holds more than weights, where they may be."""
AVERAGED_ENTRIES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Where the weights averaged over training may be; used only where there are no others."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile and the modules of Lightning put before every name."""
_COUNTERS = ("n_averaged", "total_ops", "total_params")
"""What torch's AveragedModel and thop keep beside the weights."""
_SCALAR, _ARRAY = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
_HARMLESS_TYPES: list[Any] = [
    np.ndarray,
    np.dtype,
    *(kind for kind in vars(np.dtypes).values() if isinstance(kind, type)),
    # NumPy 1 and 2 name the two functions that make a scalar and an array differently.
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    codecs.encode,
    argparse.Namespace,
    PosixPath,
    PurePosixPath,
]
"""What training scripts save beside the weights, e.g. the best accuracy; to make one runs no code of the file."""
_SHOWN = 3
_WANTED = "give the file of a state dict saved by torch.save, or a .safetensors file"


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenWeights:
    """Weights that fit a net."""

    weights: bytes
    """safetensors, as the artifact store has them."""
    remarks: tuple[str, ...]
    """What was done to the file's content."""


def read_checkpoint(path: Path, spec: ModelSpec) -> GivenWeights:
    """Return the weights in a file for the net of `spec`.

    The file is safetensors, or a state dict or a checkpoint with one under an entry of `ENTRIES`, by torch.save.
    Raises ModelError where it cannot be read, holds code, or does not fit.
    """
    remarks: list[str] = []
    net = build_model(spec, seed=0)
    wanted = net.state_dict()
    state = _renamed(_state_dict(_content(path), path, remarks), wanted, remarks)
    counters = [name for name in wanted if name.endswith("num_batches_tracked") and name not in state]
    if counters:
        # Older files lack them, and nobody reads them.
        state |= {name: wanted[name] for name in counters}
    _check_fits(path, spec, state, wanted)
    watched = watched_tensors(net)
    net.load_state_dict(state)
    broken = [name for name in watched if not bool(net.state_dict()[name].isfinite().all())]
    if broken:
        raise ModelError(
            f"{path} holds weights that are not finite: {_some(broken)}", hint="give the checkpoint of another epoch"
        )
    negative = [name for name in state if name.endswith("running_var") and bool((state[name] < 0).any())]
    if negative:
        raise ModelError(
            f"{path} holds negative variances, whose square roots are not numbers: {_some(negative)}",
            hint="give the checkpoint of another epoch; averages of weights must leave the running statistics out",
        )
    return GivenWeights(weights=weights_to_bytes(net), remarks=tuple(remarks))


def _content(path: Path) -> Any:
    """Return what is in the file. Raises ModelError where that cannot be read, or only by running code."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # safetensors begin with the length of a JSON object, what torch.save writes as a zip file or as a pickle.
        if start[8:9] == b"{":
            return load_safetensors(path.read_bytes())
        if start[:2] != b"PK" and start[:1] != b"\x80":
            raise ModelError(f"{path} is no checkpoint", hint=_WANTED)
        with torch.serialization.safe_globals(_HARMLESS_TYPES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except OSError as error:
        # A file that ends too early makes torch look for places that are not in it.
        is_cut = error.errno == errno.EINVAL
        said = "is damaged: it ends too early" if is_cut else f"cannot be read: {error.strerror or error}"
        hint = "copy it again from where it comes" if is_cut else _WANTED
        raise ModelError(f"the checkpoint {path} {said}", hint=hint) from error
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged: {error}", hint="copy it again from where it comes") from error
    except Exception as error:  # torch.load has many ways to fail on what it does not know
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if "central directory" in str(error) or (start[:2] == b"PK" and "Unsupported operand" in str(error)):
            raise ModelError(f"{path} is damaged", hint="copy it again from where it comes") from error
        if isinstance(error, pickle.UnpicklingError) and "weights_only" in str(error).lower():
            what = f" ({named[1]})" if named else ""
            raise ModelError(
                f"{path} holds Python objects{what}, and reading them would run code from the file: refused",
                hint="where it was trained, save `net.state_dict()` alone: torch.save(net.state_dict(), FILE), or "
                "safetensors",
            ) from error
        raise ModelError(
            f"{path} is no checkpoint: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}",
            hint=_WANTED,
        ) from error


def _state_dict(content: Any, path: Path, remarks: list[str]) -> dict[str, Tensor]:
    if _is_state(content):
        return _without_counters(content)
    if isinstance(content, Mapping):
        averaged = [entry for entry in AVERAGED_ENTRIES if _is_state(content.get(entry))]
        for entry in ENTRIES:
            if _is_state(content.get(entry)):
                aside = f"; `{averaged[0]}`, weights averaged over training, is left aside" if averaged else ""
                remarks.append(f"its entry `{entry}` is used{aside}")
                return _without_counters(content[entry])
        if len(averaged) == 1:
            remarks.append(f"its entry `{averaged[0]}` is used, weights averaged over training")
            return _without_counters(content[averaged[0]])
        if averaged:
            raise ModelError(
                f"{path} holds several averages of weights ({', '.join(averaged)}) and no weights of their own",
                hint="save the one that is meant alone: torch.save(averaged.state_dict(), FILE)",
            )
    found = f"an object of type {type(content).__name__}"
    if isinstance(content, Mapping):
        found = f"the entries {_some([str(key) for key in content])}" if content else "nothing"
    raise ModelError(
        f"{path} has no state dict: it holds {found}",
        hint=f"save `net.state_dict()`, alone or as one of: {', '.join((*ENTRIES, *AVERAGED_ENTRIES))}",
    )


def _without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state without what tools beside the training have counted."""
    return {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] not in _COUNTERS}


def _is_state(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
    )


def _renamed(state: dict[str, Tensor], wanted: Mapping[str, Tensor], remarks: list[str]) -> dict[str, Tensor]:
    """Return the state with prefixes left out, or put before every name, where it fits the net with that alone."""
    for prefix in PREFIXES * 2:
        if state.keys() & wanted.keys():
            break
        if all(name.startswith(prefix) for name in state):
            remarks.append(f"`{prefix}` before every name is left out")
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    for prefix in PREFIXES:
        if not state.keys() & wanted.keys() and all(name.startswith(prefix) for name in wanted):
            remarks.append(f"`{prefix}` is put before every name")
            state = {prefix + name: tensor for name, tensor in state.items()}
    return state


def _check_fits(path: Path, spec: ModelSpec, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise ModelError where names or shapes differ, with the first few of them."""
    missing = [name for name in wanted if name not in state]
    surplus = [name for name in state if name not in wanted]
    shapes = [
        f"{name} {tuple(state[name].shape)}, wanted {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    types = [
        f"{name} is {_kind(state[name])}, wanted {_kind(wanted[name])}"
        for name in wanted
        if name in state and _kind(state[name]) != _kind(wanted[name])
    ]
    kinds = (("missing", missing), ("surplus", surplus), ("of another shape", shapes), ("of another kind", types))
    found = [f"{kind}: {_some(names)}" for kind, names in kinds if names]
    if found:
        raise ModelError(
            f"{path} does not fit {spec.name} for images of {spec.in_channels} x {spec.image_size} x {spec.image_size} "
            f"and {spec.num_classes} classes: {'; '.join(found)}",
            hint="name with --teacher the net that was trained, for these classes and this --image-size",
        )


def _kind(tensor: Tensor) -> str:
    """Return what kind of numbers a tensor holds, and how."""
    if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized:
        return "without plain numbers (on the meta device, sparse or quantized)"
    return "complex" if tensor.is_complex() else "floating point" if tensor.is_floating_point() else "integer"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
