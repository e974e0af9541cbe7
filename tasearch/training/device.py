"""The device a stage runs on, and what must be recorded about it."""

from __future__ import annotations

import os
import platform
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from tasearch.domain.errors import ConfigError
from tasearch.domain.result import Environment
from tasearch.models.switches import fix_switches, matmul_precision


def resolve_device(name: str, flag: str = "--device") -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises ConfigError, which names the flag, where the device is unknown or not there.
    """
    # Read when CUDA starts: streams beyond the 8 queues that it has by default would wait for each other.
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"{flag} {name!r} is no device", hint="use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index is not None):
        raise ConfigError(f"{flag} {name!r} is not supported", hint="use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or (device.index or 0) >= count:
            raise ConfigError(
                f"{flag} {name} is not there: torch sees {count} CUDA devices",
                hint=f"use {flag} cpu, or leave it out",
            )
    return device


def configure(device: torch.device, threads: int) -> None:
    """Fix what bit-identity rests on: thread count, deterministic kernels, and every switch that changes a result."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    fix_switches()


_OF_KERNELS = ("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
"""Environment variables by which libraries choose kernels, and so the last bits of a result."""


def environment(device: torch.device) -> Environment:
    """Return what is recorded with every stage trained here."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor_name()
    return Environment(
        device=f"{device.type} {name}",
        threads=torch.get_num_threads(),
        torch_version=torch.__version__,
        instruction_set=torch.backends.cpu.get_cpu_capability(),
        matmul_precision=matmul_precision(),
        uses_onednn=bool(torch.backends.mkldnn.enabled),
        variables=tuple(f"{name}={os.environ[name]}" for name in _OF_KERNELS if name in os.environ),
    )


def autocast(device: torch.device, precision: str) -> Any:
    """Return the autocast context of a precision; `float32` needs none."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@lru_cache(maxsize=1)
def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
