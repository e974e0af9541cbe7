"""Every random draw is a pure function of (replicate, purpose, epoch): no ambient generator anywhere."""

from __future__ import annotations

import hashlib


def seed_for(replicate: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit seed for one purpose ("order", "shift", "init plain2", ...).

    Seeds of different purposes, epochs or replicates are different numbers for all practical purposes. The draws
    that follow from them may still agree by chance: torch's generator for the CPU keeps the low 32 bits of a seed, so
    among 256,000 keys a few pairs draw the same.
    """
    digest = hashlib.sha256(f"tasearch/{replicate}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
