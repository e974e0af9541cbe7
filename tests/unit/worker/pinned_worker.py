"""What a worker process of a test does: it says which GPU it and the processes it starts would see."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import torch

from tasearch.config.settings import Settings
from tasearch.worker.gpus import VISIBLE
from tasearch.worker.progress import Display
from tasearch.worker.signals import StopFlag

_SHOW = f"import os; print(os.environ[{VISIBLE!r}])"


@dataclass(frozen=True)
class Nothing:
    """No stage was trained."""

    trained: int = 0
    reused: int = 0


def say_gpu(settings: Settings, display: Display, stop: StopFlag) -> Nothing:
    """Say what this process sees, what one that it starts sees, its device, and that CUDA was not used before."""
    below = subprocess.run([sys.executable, "-c", _SHOW], capture_output=True, text=True, check=True).stdout.strip()
    display.line(f"{os.environ[VISIBLE]} {below} {settings.device} {torch.cuda.is_initialized()}")  # type: ignore[no-untyped-call]
    return Nothing()
