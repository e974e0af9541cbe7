"""Memory that is handed out full of a byte, so that code which reads it before it writes it is found out."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_M_PERTURB = -6
"""The option of glibc's `mallopt` that fills memory: what malloc hands out with the complement of a byte."""
NAN_BYTE = 0xFF
"""Four of them are a NaN in float32, two of them one in bfloat16."""


@contextmanager
def filled(byte: int) -> Iterator[None]:
    """Have malloc fill memory with a byte within the block; where the C library cannot, do nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    # Zero would switch it off; of a larger number only the lowest byte counts.
    mallopt(_M_PERTURB, 0x100 | (byte ^ 0xFF))
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)
