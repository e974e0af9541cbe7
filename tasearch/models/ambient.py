"""The ambient random generators, borrowed: code that is not ours draws from them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Start torch's, NumPy's and Python's generators at `seed`; they are as they were at the end of the block.

    `device`: a CUDA device whose generator is borrowed too.
    """
    gpu = device if device is not None and device.type == "cuda" else None
    python, numpy = random.getstate(), np.random.get_state()
    torch_state = torch.default_generator.get_state()
    gpu_state = None if gpu is None else torch.cuda.get_rng_state(gpu)
    try:
        # torch.manual_seed would also reseed the generators of GPUs that are not borrowed.
        torch.default_generator.manual_seed(seed)
        if gpu is not None:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        torch.default_generator.set_state(torch_state)
        if gpu is not None and gpu_state is not None:
            torch.cuda.set_rng_state(gpu_state, gpu)
        np.random.set_state(numpy)
        random.setstate(python)
