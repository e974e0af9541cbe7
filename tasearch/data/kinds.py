"""What images were before they became 8-bit grey or RGB, and what is said of it."""

from __future__ import annotations

import enum
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image

from tasearch.data import decoded_store
from tasearch.data.decode import UNREADABLE, unreadable

_CHUNK = 512
_MAX_THREADS = 8


class Kind(enum.StrEnum):
    """What an image was."""

    GREY = "grey"
    RGB = "RGB"
    TRANSPARENT = "transparent"
    DEEP = "16-bit grey"
    CONVERTED = "of another mode"


_ORDER = tuple(Kind)
_DIM = 64
"""Brightest value of 8 bits below which 16-bit images were hardly made for 16 bits: those of 14 bits reach 63."""


def kind_of(image: Image.Image) -> Kind:
    """Return what an image is, from its header alone."""
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        return Kind.TRANSPARENT
    if image.mode in ("L", "1"):
        return Kind.GREY
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Kind.DEEP
    return Kind.RGB if image.mode == "RGB" else Kind.CONVERTED


def remarks(kinds: Mapping[Kind, int], channels: int, brightest: int = 255) -> tuple[str, ...]:
    """Return what was done to images that were not plain RGB, one sentence each.

    `brightest`: largest value in the training images as 8 bits.
    """
    total = sum(kinds.values())

    def some(kind: Kind) -> str:
        return f"all {total:,} images" if kinds[kind] == total else f"{kinds[kind]:,} of {total:,} images"

    grey = "kept as one channel" if channels == 1 else "their channel stands for red, green and blue"
    done = {
        Kind.GREY: f"grey, {grey}",
        Kind.DEEP: f"16-bit grey, of which the upper 8 bits count, {grey}",
        Kind.TRANSPARENT: "with an alpha channel or transparency, laid on white",
        Kind.CONVERTED: "of other modes (palette, CMYK, ...), converted to RGB",
    }
    if kinds.get(Kind.DEEP) == total and brightest < _DIM:
        done[Kind.DEEP] += (
            f"; the brightest training pixel is {brightest} of 255, so at most {brightest + 1} levels are left: "
            "scale the images to all of their 16 bits (those of 12 bits by 16), or convert them to 8"
        )
    return tuple(f"{some(kind)}: {text}" for kind, text in done.items() if kinds.get(kind))


def kinds_of_files(files: Sequence[str], kept: Path) -> Counter[Kind]:
    """Return how many files are of each kind, from the copy in `kept` where it is there; else it is made.

    Only headers are read. Raises DataError naming a file that has none.
    """
    stored = decoded_store.read(kept, ("kinds",))
    if stored is None:
        chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
        with ThreadPoolExecutor(max_workers=min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
            found = [code for codes in pool.map(_codes, chunks) for code in codes]
        stored = (torch.tensor(found, dtype=torch.uint8),)
        decoded_store.write(kept, {"kinds": stored[0]})
    counts = torch.bincount(stored[0].long(), minlength=len(_ORDER)).tolist()
    return Counter(dict(zip(_ORDER, counts, strict=True)))


def _codes(files: Sequence[str]) -> list[int]:
    codes = []
    for path in files:
        try:
            with Image.open(path) as image:
                codes.append(_ORDER.index(kind_of(image)))
        except UNREADABLE as error:
            raise unreadable(path, error) from error
    return codes
