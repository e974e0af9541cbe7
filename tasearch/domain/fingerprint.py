"""Canonical JSON and its SHA-256: the identity of every value that can be stored."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

_T = TypeVar("_T")
_ADDED_LATER = "added later"


def added_later(default: _T) -> _T:
    """Declare a dataclass field that `plain` leaves out while it holds its default.

    So a value that could be written before the field existed keeps its canonical form and its fingerprint.
    """
    return dataclasses.field(default=default, metadata={_ADDED_LATER: True})


def plain(value: Any) -> Any:
    """Turn frozen dataclasses, tuples and mappings into JSON types, recursively.

    Floats that hold a whole number stay floats (4.0, not 4), so that a value has one spelling.
    Raises TypeError for anything that has no canonical form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not (_ADDED_LATER in field.metadata and getattr(value, field.name) == field.default)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"no canonical form for {type(value).__name__}")


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of the value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
