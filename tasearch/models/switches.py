"""The switches of torch that change what a stage computes, each declared once.

A stage must not depend on what the program around it, or a module that it imports, has set for the whole process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tasearch.domain.errors import ModelError
from tasearch.models.traits import may_be_merged

logger = logging.getLogger(__name__)
_MIXED = "mixed"
"""Of the precision of matrix products: torch refuses to name one, as backends were set one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """One setting of torch for the whole process or thread."""

    name: str
    """Subject of a sentence: `torch's number of threads`."""
    read: Callable[[], Any]
    write: Callable[[Any], object]
    fixed: Any = None
    """What it is while stages are trained; None: whatever `configure` has set."""


def matmul_precision() -> str:
    """Return torch's precision of float32 matrix products; `mixed` where backends were set one by one."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return _MIXED


def _set_matmul_precision(value: str) -> None:
    if value != _MIXED:
        torch.set_float32_matmul_precision(value)


def _cudnn_tf32() -> bool | str:
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return _MIXED


def _set_cudnn_tf32(value: bool | str) -> None:
    if value != _MIXED:
        torch.backends.cudnn.allow_tf32 = bool(value)


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _set_default_device(value: torch.device) -> None:
    torch.set_default_device(None if value.type == "cpu" else value)


_DENORMAL, _HALF = np.float32(1e-39), np.float32(0.5)


def _flushes_denormals() -> bool:
    """Return whether the CPU rounds the smallest numbers to 0; torch has a function to set it and none to ask."""
    return not _DENORMAL * _HALF


def _of(owner: Any, attribute: str, name: str, fixed: Any) -> Switch:
    def write(value: Any) -> None:
        setattr(owner, attribute, value)

    return Switch(name=name, read=lambda: getattr(owner, attribute), write=write, fixed=fixed)


def _autocast(kind: str) -> tuple[Switch, ...]:
    return (
        Switch(
            name=f"autocast on {kind}",
            read=lambda: torch.is_autocast_enabled(kind),
            write=lambda value: torch.set_autocast_enabled(kind, value),
            fixed=False,
        ),
        Switch(
            name=f"the type of autocast on {kind}",
            read=lambda: torch.get_autocast_dtype(kind),
            write=lambda value: torch.set_autocast_dtype(kind, value),
            fixed=torch.bfloat16 if kind == "cpu" else torch.float16,
        ),
    )


_BACKENDS: Any = torch.backends

SWITCHES: tuple[Switch, ...] = (
    Switch(name="the number of threads", read=torch.get_num_threads, write=torch.set_num_threads),
    Switch(
        name="the default device",
        read=torch.get_default_device,
        write=_set_default_device,
        fixed=torch.device("cpu"),
    ),
    Switch(name="the default dtype", read=torch.get_default_dtype, write=torch.set_default_dtype, fixed=torch.float32),
    Switch(name="grad mode", read=torch.is_grad_enabled, write=torch._C._set_grad_enabled, fixed=True),
    *_autocast("cpu"),
    *_autocast("cuda"),
    Switch(
        name="the cache of autocast",
        read=torch.is_autocast_cache_enabled,
        write=torch.set_autocast_cache_enabled,
        fixed=True,
    ),
    Switch(
        name="the use of deterministic algorithms",
        read=lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        write=_set_deterministic,
        # Some algorithms have no deterministic kind: they are warned of and used.
        fixed=(True, True),
    ),
    # It would write NaN into every new tensor, which takes a tenth of a stage's time. It would not even show the one
    # known case of reading unwritten memory (`training.exact_gradients`), as oneDNN allocates that buffer itself.
    _of(torch.utils.deterministic, "fill_uninitialized_memory", "the filling of uninitialised memory", False),
    Switch(
        name="the flushing of denormal numbers",
        read=_flushes_denormals,
        write=torch.set_flush_denormal,
        fixed=False,
    ),
    # These two come before those of single backends, which they write as well: torch refuses to read them otherwise.
    # What is said of all backends at once, or of all operations of one, only counts where these say nothing.
    Switch(
        name="the precision of float32 matrix products",
        read=matmul_precision,
        write=_set_matmul_precision,
        fixed="highest",
    ),
    Switch(name="cuDNN's use of TF32", read=_cudnn_tf32, write=_set_cudnn_tf32, fixed=True),
    _of(_BACKENDS.mkldnn.matmul, "fp32_precision", "oneDNN's precision of float32 matrix products", "ieee"),
    _of(_BACKENDS.mkldnn.conv, "fp32_precision", "oneDNN's precision of float32 convolutions", "ieee"),
    _of(_BACKENDS.mkldnn.rnn, "fp32_precision", "oneDNN's precision of float32 recurrent layers", "ieee"),
    _of(_BACKENDS.mkldnn, "enabled", "the use of oneDNN", True),
    _of(_BACKENDS.cuda.matmul, "fp32_precision", "CUDA's precision of float32 matrix products", "ieee"),
    _of(_BACKENDS.cudnn.conv, "fp32_precision", "cuDNN's precision of float32 convolutions", "tf32"),
    _of(_BACKENDS.cudnn.rnn, "fp32_precision", "cuDNN's precision of float32 recurrent layers", "tf32"),
    _of(_BACKENDS.cudnn, "enabled", "the use of cuDNN", True),
    _of(_BACKENDS.cudnn, "benchmark", "cuDNN's benchmark mode", False),
    _of(_BACKENDS.cudnn, "deterministic", "cuDNN's deterministic mode", True),
    *(
        Switch(
            name=f"the {kind} kernel of attention",
            read=getattr(_BACKENDS.cuda, f"{kind}_sdp_enabled"),
            write=getattr(_BACKENDS.cuda, f"enable_{kind}_sdp"),
            fixed=True,
        )
        # On a CPU the first two decide as well.
        for kind in ("flash", "math", "mem_efficient", "cudnn")
    ),
    Switch(
        name="the fast path of attention layers",
        read=_BACKENDS.mha.get_fastpath_enabled,
        write=_BACKENDS.mha.set_fastpath_enabled,
        fixed=True,
    ),
)
_said: set[tuple[str, str]] = set()


def fix_switches() -> None:
    """Set every switch to what it is while stages are trained; the number of threads is left as it is."""
    for switch in SWITCHES:
        if switch.fixed is not None and switch.read() != switch.fixed:
            switch.write(switch.fixed)


def refuse_global_hooks() -> None:
    """Raise ModelError where a hook is registered that torch calls for the modules of every net."""
    hooks = vars(torch.nn.modules.module)
    if any(hooks[name] for name in hooks if name.startswith("_global_") and name.endswith("_hooks")):
        raise ModelError(
            "a hook for the modules of all nets is registered in this process, and no net would be what its name says",
            hint="remove it first (`handle.remove()` on what torch.nn.modules.module.register_module_forward_hook and "
            "the like returned), or register it on the net that it is meant for",
        )


@contextmanager
def switches_kept(by: str = "") -> Iterator[None]:
    """Put back at the end of the block every switch that it has changed.

    Args:
        by: Whose code runs in the block; where it is named, what it has changed is said, once.
    """
    before = [(switch, switch.read()) for switch in SWITCHES]
    try:
        yield
    finally:
        for switch, value in before:
            now = switch.read()
            if now == value:
                continue
            switch.write(value)
            if by and (by, switch.name) not in _said:
                _said.add((by, switch.name))
                logger.warning(
                    "%s sets %s to %s for the whole process; it was put back to %s, because a stage must not depend "
                    "on it",
                    by,
                    switch.name,
                    now,
                    value,
                )


def guarded(net: nn.Module) -> AbstractContextManager[None]:
    """Return a context for a pass through a net: switches that the code of a user's net changes are put back."""
    return nullcontext() if may_be_merged(net) else switches_kept()


@contextmanager
def own_switches() -> Iterator[None]:
    """Run the block under the switches of a stage, whatever the caller has set, and put the caller's back at the end.

    Contexts that the caller has entered count too: `no_grad`, `inference_mode`, `autocast`, `with torch.device(...)`.
    """
    with torch.inference_mode(False), switches_kept():
        fix_switches()
        # What `with torch.device(...)` of the caller says is not to be set, only to be overruled.
        is_on_cpu = torch.get_default_device().type == "cpu"
        with nullcontext() if is_on_cpu else torch.device("cpu"):
            yield
