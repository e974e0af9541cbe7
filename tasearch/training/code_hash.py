"""A hash of the code that decides what a stage learns: workers of one study must have the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGES = ("domain", "data", "models", "training", "chain")
"""Everything between the images and the weights; nothing above them computes."""


def code_hash(root: Path | None = None) -> str:
    """Return the SHA-256 over names and contents of the source files of `PACKAGES`, 64 hexadecimal digits.

    `root`: the package's folder, by default the one that is running.
    """
    folder = root or Path(__file__).parents[1]
    total = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((folder / package).rglob("*.py")):
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()
