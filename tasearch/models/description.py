"""Values as text: equal for equal values in every process and every folder, different for different ones."""

from __future__ import annotations

import datetime
import decimal
import fractions
import hashlib
import random
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LONGEST = 200
"""Texts beyond this are told apart by their hash."""
_DEPTH = 40
"""Of plain containers inside plain containers that are one text."""
_PRINTED = (
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size, np.dtype, range, type(...)),
    *(type(NotImplemented), datetime.date, datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal),
    *(fractions.Fraction, uuid.UUID, re.Pattern),
)
"""Types whose `repr` says all of them."""


def sha256(content: str | bytes) -> str:
    """Return the SHA-256 of a text or of bytes."""
    data = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def without_addresses(text: str) -> str:
    """Return a `repr` without the places in memory that it may name: they are others in each process."""
    return _ADDRESS.sub("", text)


def attribute_of(value: Any, name: str, default: Any = None) -> Any:
    """Return an attribute of an object of a user's, or the default: its own look-up may raise any exception."""
    try:
        return getattr(value, name, default)
    except Exception:
        return default


def type_name(kind: type) -> str:
    """Return a type by its module and its name there."""
    # A class that was made by `type` where nothing has a name has no module.
    return f"{getattr(kind, '__module__', None)}.{kind.__qualname__}"


def tensor_text(tensor: Tensor) -> str:
    """Return type, shape and SHA-256 of the bytes of a tensor."""
    if nn.parameter.is_lazy(tensor):
        return f"{tensor.dtype} not initialised"
    shown = f"{tensor.dtype} {tuple(tensor.shape)}"
    if tensor.is_meta:
        return f"{shown} meta"
    if tensor.is_quantized:
        return f"{shown} {tensor.qscheme()} {sha256(repr(tensor.dequantize().tolist()))}"
    if tensor.layout is not torch.strided:
        return f"{shown} {tensor.layout} {tensor_text(tensor.detach().to_dense())}"
    plain = tensor.detach().cpu().contiguous().resolve_conj().resolve_neg()
    return f"{shown} {sha256(plain.reshape(-1).view(torch.uint8).numpy().tobytes())}"


def array_text(array: np.ndarray[Any, Any]) -> str | None:
    """Return type, shape and SHA-256 of the bytes of an array, or None if it holds objects."""
    if array.dtype.hasobject:
        return None
    return f"numpy {array.dtype} {array.shape} {sha256(array.tobytes())}"


def plain_text(value: Any, folders: Sequence[str] = (), depth: int = _DEPTH) -> str | None:
    """Return a text for a value that is data alone: numbers, texts, arrays, and containers of these; None for others.

    `folders`: places of the user's code, which texts may begin with and which have no say.
    """
    kind = type(value)
    found: str | None
    if value is None or kind in (bool, float, complex):
        found = f"{kind.__name__} {value!r}"
    elif kind is int:
        found = f"int {value if abs(value) < 2**63 else hex(value)}"
    elif kind is str or isinstance(value, PurePath):
        found = f"{'str' if kind is str else 'path'} {_without_folders(str(value), folders)!r}"
    elif kind in (bytes, bytearray):
        found = f"{kind.__name__} {bytes(value)!r}"
    elif isinstance(value, Tensor):
        found = f"{'' if kind is Tensor else kind.__name__ + ' '}{tensor_text(value)}"
    elif isinstance(value, np.ndarray):
        found = array_text(value)
    elif isinstance(value, np.generic):
        found = f"numpy.{value.dtype} {value.item()!r}"
    elif isinstance(value, _PRINTED):
        found = f"{type_name(kind)} {value!r}"
    elif isinstance(value, torch.Generator):
        found = f"torch.Generator {tensor_text(value.get_state())}"
    elif isinstance(value, random.Random):
        found = f"{type_name(kind)} {sha256(repr(value.getstate()))}"
    elif isinstance(value, np.random.Generator | np.random.BitGenerator | np.random.RandomState):
        found = f"{type_name(kind)} {sha256(repr(_numpy_state(value)))}"
    else:
        found = None if depth == 0 else _container_text(value, lambda part: plain_text(part, folders, depth - 1))
    return found if found is None or len(found) <= _LONGEST else f"{found[:40]}... {sha256(found)}"


def _container_text(value: Any, inside: Callable[[Any], str | None]) -> str | None:
    kind = type(value)
    if kind is slice:
        return _joined("slice", (value.start, value.stop, value.step), inside)
    if kind in (list, tuple):
        return _joined(kind.__name__, value, inside)
    if kind in (set, frozenset):
        members = [inside(part) for part in value]
        return None if None in members else f"{kind.__name__}({', '.join(sorted(filter(None, members)))})"
    return None


def _joined(name: str, parts: Sequence[Any], inside: Callable[[Any], str | None]) -> str | None:
    texts: list[str] = []
    for part in parts:
        text = inside(part)
        if text is None:
            return None
        texts.append(text)
    return f"{name}({', '.join(texts)})"


def _numpy_state(generator: np.random.Generator | np.random.BitGenerator | np.random.RandomState) -> Any:
    state: Any
    if isinstance(generator, np.random.RandomState):
        name, keys, *rest = generator.get_state(legacy=True)
        state = (name, np.asarray(keys).tolist(), rest)
    else:
        bits = generator.bit_generator if isinstance(generator, np.random.Generator) else generator
        state = bits.state
    with np.printoptions(threshold=2**31):
        return repr(state)


def _without_folders(text: str, folders: Sequence[str]) -> str:
    for folder in folders:
        if folder in text:
            text = re.sub(re.escape(folder) + r"(?=$|[/\\])", "<folder>", text)
    return text
