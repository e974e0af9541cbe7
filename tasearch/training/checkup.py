"""What `tasearch doctor` looks at in torch and the devices of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from tasearch.domain.finding import Finding, note, ok, wrong
from tasearch.training.device import environment


def examine_device() -> list[Finding]:
    """Return which devices torch can compute on, and in which precisions."""
    cpu = environment(torch.device("cpu"))
    found = [
        _computing(
            torch.device("cpu"), f"{cpu.device}, {cpu.instruction_set}, {torch.get_num_threads()} threads by default"
        )
    ]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.cuda.is_available():
        return found + [_gpu(index) for index in range(torch.cuda.device_count())]
    if visible not in (None, "", "-1"):
        found.append(
            wrong(
                "device",
                f"CUDA_VISIBLE_DEVICES is {visible}, and torch sees no GPU",
                "unset it, or install a torch that fits the driver (`nvidia-smi` shows its CUDA version)",
            )
        )
    elif Path("/dev/nvidia0").exists() and visible is None:
        found.append(
            wrong(
                "device",
                f"this machine has an NVIDIA GPU, and torch {torch.__version__} does not see it",
                "install a torch with CUDA that fits the driver (`nvidia-smi` shows its CUDA version)",
            )
        )
    else:
        found.append(note("device", "torch sees no GPU: stages are trained on the CPU"))
    return found


def _gpu(index: int) -> Finding:
    device = torch.device("cuda", index)
    properties = torch.cuda.get_device_properties(device)
    bfloat16 = "with" if torch.cuda.is_bf16_supported() else "without"
    return _computing(
        device, f"{device}: {properties.name}, {properties.total_memory / 1e9:.0f} GB, {bfloat16} bfloat16"
    )


def _computing(device: torch.device, text: str) -> Finding:
    """Return a finding of a device after a small product on it."""
    try:
        ones = torch.ones(8, 8, device=device)
        right = bool((ones @ ones == 8).all())
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        return wrong(
            "device", f"{text}: {first}", "check the driver, and whether other processes have taken its memory"
        )
    return ok("device", text) if right else wrong("device", f"{text}: it computes wrongly", "replace it")
