"""How much memory images take, and how much of this machine's they may take."""

from __future__ import annotations

import os
from pathlib import Path

import torch

SHARE = 0.5
"""Of what is free: the rest is for nets, teacher tables and whoever else is on the machine."""

_MEMINFO = Path("/proc/meminfo")
_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def padding_of(image_size: int) -> int:
    """Return by how many pixels a view may be shifted each way: an eighth of the image, at least 1."""
    return max(1, image_size // 8)


def bytes_of(num_images: int, image_size: int, channels: int = 3) -> int:
    """Return the bytes of square images in memory: decoded, and once more padded for shifted views."""
    padded = image_size + 2 * padding_of(image_size)
    return num_images * channels * (image_size**2 + padded**2)


def in_gigabytes(num_bytes: int) -> str:
    """Return `15.7 GB`."""
    return f"{num_bytes / 1e9:.3g} GB"


def default_limit(device: torch.device) -> int:
    """Return the bytes that images may take where nobody says: a share of what is free, here and on the device."""
    free = available_bytes()
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0])
    return int(SHARE * free)


def available_bytes() -> int:
    """Return how much memory this process could still take: what the machine has, or its control group allows."""
    return min([_machine(), *_control_groups()])


def _machine() -> int:
    for line in _MEMINFO.read_text().splitlines() if _MEMINFO.exists() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    # Not Linux: all that there is.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _control_groups() -> list[int]:
    """Return what each group above this process has left; version 2 has one hierarchy, version 1 one for memory."""
    left = []
    for line in _MEMBERSHIP.read_text().splitlines() if _MEMBERSHIP.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit, usage = _CGROUPS, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit, usage = _CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        # In a container the path may be the host's: then only the root is there, and it is the container's own.
        for folder in (group, *group.parents):
            if (folder / limit).exists() and (text := (folder / limit).read_text().strip()) != "max":
                left.append(max(0, int(text) - int((folder / usage).read_text())))
            if folder == root:
                break
    return left
